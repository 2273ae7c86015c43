"""`preprocess --check` names the faults of a recording, and finds none in one without."""

import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from bcclone.camera.images import encode_jpeg
from bcclone.diagnosis.advice import Coverage, advise
from bcclone.diagnosis.agreement import Agreement
from bcclone.diagnosis.check import check
from bcclone.diagnosis.evidence import Evidence
from bcclone.diagnosis.frame_figures import RecordingFigures
from bcclone.diagnosis.heading import focus_of_expansion
from bcclone.diagnosis.recoveries import MeasuredCorrection
from benchmarks.planted_faults import FAULTS
from tests.recordings import mirrored, rewrite
from tests.running import result_of, run_script

_SEVEN = MeasuredCorrection(7, 0.0, from_right=1)
_FIVE = MeasuredCorrection(5, 0.0, from_right=5)


def faults_of(changed):
    return {finding.fault for finding in changed.diagnosis.findings}


@pytest.mark.slow
def test_nothing_is_found_in_an_untouched_recording(loaded_recording):
    diagnosis = loaded_recording.diagnosis
    assert diagnosis.findings == ()
    assert diagnosis.figures["turn_correlation"] > 0.7
    assert -0.35 < diagnosis.figures["steering_after_turn_seconds"] < 0.05
    assert abs(diagnosis.figures["heading_column"] - 160) < 12
    assert abs(diagnosis.figures["heading_row"] - 58) < 8
    assert 10 < diagnosis.usable_seconds <= diagnosis.figures["seconds"]
    assert any("more of the same" in line for line in advise([diagnosis.coverage]))


@pytest.mark.parametrize(
    "fault",
    [
        "mirrored steering, share",
        "early, seconds",
        "other log, share",
        "rolled, seconds",
        "backwards",
        "lost steering",
        "constant throttle",
        "bias",
        "few steps",
        "left and right exchanged, share",
        "center and left exchanged, share",
        "upside down",
        "leaning, degrees",
        "clock forward, seconds",
        "rows out of order, share",
        "frozen, share",
        "black, share",
        "blurred, share",
    ],
)
def test_a_fault_is_named(fault, loaded_recording):
    planted = FAULTS[fault]
    found = faults_of(planted.inject(loaded_recording, planted.strengths[-1]))
    assert found & planted.names
    assert "mirrored" in planted.names or "mirrored" not in found


@pytest.mark.parametrize("down_px", [-20, 40])
def test_frames_are_upside_down_if_the_ground_is_above_wherever_the_horizon_is(
    down_px, loaded_recording
):
    lower = np.float32([[1, 0, 0], [0, 1, down_px]])  # moves the horizon, which is at row 60

    def evidence_of(*turned):
        figures = RecordingFigures(len(frames))
        for frame in turned:
            figures.add({"center": frame})
        # without a steering to judge by, as of a film
        return Evidence(loaded_recording.log, figures, lambda row: turned[row], is_estimated=True)

    frames = [
        cv2.warpAffine(frame, lower, (320, 160), borderMode=cv2.BORDER_REPLICATE)
        for frame in loaded_recording.frames.of["center"]
    ]
    assert not evidence_of(*frames).is_upside_down
    assert evidence_of(*(frame[::-1, ::-1].copy() for frame in frames)).is_upside_down


@pytest.mark.parametrize("fault", ["foreign frames, share", "scattered foreign frames, share"])
def test_foreign_pictures_are_named_by_row_and_none_is_left(fault, loaded_recording):
    planted = FAULTS[fault]
    for strength in planted.strengths[1:]:
        changed = planted.inject(loaded_recording, strength)
        (found,) = changed.diagnosis.findings
        assert found.fault == planted.finding
        rows = np.concatenate([np.arange(first, last + 1) for first, last in found.rows])
        assert set(changed.foreign + 1) <= set(rows)
        assert len(rows) < 1.05 * len(changed.foreign) + 2
        assert all(f"--delete {first} {last}" in found.remedy for first, last in found.rows)


def test_a_correlation_counts_only_if_its_error_and_other_times_allow_it():
    assert Agreement(0.8, 0.1, 0.05, 0.2).is_clear
    assert not Agreement(0.8, 0.1, 0.05, 0.6).is_clear
    assert Agreement(-0.9, 0.1, 0.05, 0.2).is_mirrored
    assert Agreement(-0.55, 0.1, 0.05, 0.2).is_unrelated
    by_chance = Agreement(-0.8, 0.1, 0.05, 0.2, rival=0.85)
    assert by_chance.is_unrelated
    assert not by_chance.is_mirrored
    unsure = Agreement(0.5, 0.1, 0.05, 0.5)
    assert not unsure.is_clear
    assert not unsure.is_mirrored
    assert not unsure.is_unrelated


def test_the_pictures_of_a_car_that_stands_are_not_frozen(loaded_recording):
    freeze = FAULTS["frozen, share"].inject
    speeds = loaded_recording.column("speed_mph")
    speeds[loaded_recording.first_of(0.4) :] = 0
    assert "frozen" not in faults_of(freeze(loaded_recording, 0.4).with_rows(speed_mph=speeds))


def test_a_gentle_drive_by_keys_has_not_too_few_steps(loaded_recording):
    keys = loaded_recording.rows["steering"].round(1).clip(-0.2, 0.2)
    assert "few-steps" not in faults_of(loaded_recording.with_rows(steering=keys))
    assert "few-steps" in faults_of(loaded_recording.with_rows(steering=3 * keys))


def test_the_delay_is_measured_and_the_remedy_takes_it_back(loaded_recording):
    delayed = FAULTS["late, seconds"].inject
    before = loaded_recording.diagnosis.figures["steering_after_turn_seconds"]
    late = delayed(loaded_recording, 0.7).diagnosis
    assert late.figures["steering_after_turn_seconds"] - before == pytest.approx(0.7, abs=0.05)
    (found,) = (finding for finding in late.findings if finding.fault == "late")
    assert f"--advance-steering {found.value:.2f}" in found.remedy
    assert found.value == pytest.approx(0.7 + before + 0.1, abs=0.05)


def test_a_turned_camera_is_measured_in_degrees(loaded_recording):
    findings = FAULTS["turned, degrees"].inject(loaded_recording, 15).diagnosis.findings
    (found,) = (finding for finding in findings if finding.fault == "turned")
    assert found.value == pytest.approx(15, abs=4)


def test_the_advice_names_what_is_missing_with_seconds_and_road():
    bends = np.array([[0.0, 3, 8, 9, 9], [0, 3, 0, 1, 7]])
    lap = Coverage(bends, np.full(99, 120.0), 90.0, _SEVEN, "lake")
    bends, recoveries, light, more = advise([lap])
    assert bends.startswith(
        "10 s: right bends of 25 to 70 m, of which there are 1 s, 17 s to the other side; "
    )
    assert recoveries.startswith("20 s: recoveries from the right edge, of which there are 1: ")
    assert "bcclone play -o more --road lake" in recoveries
    assert light.startswith("60 s: another light")
    assert more.startswith("30 s: more")
    elsewhere = replace(lap, road=None, usable_seconds=200.0)
    assert "bcclone" not in "".join(advise([elsewhere]))


def test_the_advice_is_for_all_recordings_together():
    bends = np.array([[0.0, 3, 8, 9, 9], [0, 3, 0, 1, 7]])
    lap = Coverage(bends, np.full(99, 60.0), 90.0, _SEVEN, "lake")
    back = Coverage(bends[::-1], np.full(99, 150.0), 90.0, _FIVE, "lake")
    assert advise([lap, back]) == ()
    # without a radius: of a car whose lens is unknown
    left_bends = 20 * np.array([[1.0], [29.0]])
    unknown = Coverage(left_bends, np.full(99, 150.0), 90.0)
    (line,) = advise([lap, back, unknown])
    assert "s: left bends, of which there are " in line


def test_the_radii_of_bends_are_measured_and_their_seconds_counted(loaded_recording):
    evidence = loaded_recording.diagnosis.evidence
    bends = evidence.curvature_per_m()
    usable = evidence.turns.usable
    assert np.corrcoef(bends[usable], evidence.rows.steering[:-1][usable])[0, 1] > 0.6
    coverage = loaded_recording.diagnosis.coverage
    assert coverage.bends.shape == (2, 5)
    in_bends = np.abs(bends) > 1 / 150
    seconds_in_bends = np.diff(evidence.rows.seconds)[in_bends].sum()
    assert coverage.bends.sum() == pytest.approx(seconds_in_bends)


def test_points_that_move_away_from_a_pixel_show_it_though_a_quarter_is_noise():
    random = np.random.default_rng(0)
    points = random.uniform((0, 0), (320, 160), (600, 2))
    moved = (points - (140, 62)) * random.uniform(0.05, 0.15, (600, 1))
    moved[::4] = random.normal(0, 8, moved[::4].shape)
    heading = focus_of_expansion([(points, moved)])
    assert (heading.column, heading.row) == pytest.approx((140, 62), abs=1.5)
    turning = focus_of_expansion([(points, moved + [0.6, -0.3])])
    assert (turning.column, turning.row) == pytest.approx((140, 62), abs=6)
    assert focus_of_expansion([(points[:50], moved[:50])]) is None


def test_a_pause_is_no_clock_jump(loaded_recording):
    """A pause ends elsewhere; here, at the frame that was the last."""
    half = len(loaded_recording.rows) // 2
    times = loaded_recording.column("time_ms")
    times[half:] += 60_000
    later = loaded_recording.with_rows(time_ms=times)
    assert "clock-jump" in faults_of(later)

    elsewhere = {
        camera: [*frames[:half], *reversed(frames[half:])]
        for camera, frames in loaded_recording.frames.of.items()
    }
    assert "clock-jump" not in faults_of(later.with_cameras(**elsewhere))


@pytest.mark.slow
def test_the_rows_of_a_finding_are_those_that_edit_takes(winding_recording, tmp_path):
    """`bcclone edit` counts rows in order of time, and a text editor counts lines of the log."""
    folder = shutil.copytree(winding_recording, tmp_path / "a b")
    log = folder / "driving_log.csv"
    lines = log.read_text().splitlines()
    black = encode_jpeg(np.zeros((160, 320, 3), np.uint8))
    for line in lines[99:120]:
        image = Path(line.split(",")[0]).name
        (folder / "IMG" / image).write_bytes(black)
    # a header, two bad lines, and the others out of order
    header = "center,left,right,steering,throttle,brake,speed"
    with_bad_lines = [lines[0], "spoiled", "spoiled,too", *lines[1:]]
    log.write_text("\n".join([header, *reversed(with_bad_lines)]) + "\n")

    (report,) = check([str(folder)])
    dark = next(finding for finding in report.diagnosis.findings if finding.fault == "dark")
    assert dark.rows == ((100, 120),)
    run_script(*shlex.split(dark.remedy)[1:])
    (report,) = check([str(folder)])
    assert not {finding.fault for finding in report.diagnosis.findings} & {"dark", "clock-jump"}


@pytest.mark.slow
def test_the_command_tells_fault_remedy_and_exit_code_and_draws(winding_recording, tmp_path):
    printed = result_of("preprocess.py", winding_recording, "--check")
    (good,) = printed["recordings"]
    assert good["diagnosis"]["findings"] == []
    assert printed["record_next"]

    wrong = shutil.copytree(winding_recording, tmp_path / "wrong")
    rewrite(wrong, mirrored)
    (bad,) = result_of("preprocess.py", wrong, "--check", code=1)["recordings"]
    assert [finding["fault"] for finding in bad["diagnosis"]["findings"]] == ["mirrored"]
    assert bad["diagnosis"]["usable_seconds"] == 0
    text = run_script("preprocess.py", wrong, "--check", code=1).stdout
    assert "turns to the other side" in text
    assert "what to record next" not in text  # the fault is to be mended first
    remedy = f"bcclone edit {wrong} --mirror-steering"
    assert f"remedy: {remedy}\n" in text

    run_script(*remedy.split()[1:])
    (mended,) = check([str(wrong)])
    assert mended.diagnosis.findings == ()

    shutil.rmtree(wrong / "IMG")
    alone = run_script("preprocess.py", wrong, "--check", code=1).stdout
    assert "fault     no-images: none of the" in alone
    assert "record next" not in alone


def test_nothing_agrees_where_every_row_is_of_a_part_that_disagrees(loaded_recording):
    evidence = Evidence(loaded_recording.log, loaded_recording.frames.figures, lambda row: None)
    assert evidence.agreement is not None
    every_row = [(1, len(loaded_recording.rows))]
    assert evidence.without(every_row).agreement is None
