"""`preprocess --check` names the faults of a recording, and finds none in one without."""

import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bcclone.camera.images import encode_jpeg
from bcclone.diagnosis.check import advise, check
from bcclone.diagnosis.drive_rows import DriveRows
from bcclone.diagnosis.evidence import Finding
from bcclone.diagnosis.heading import focus_of_expansion
from bcclone.diagnosis.judging import Diagnosis, Part, Use, parts_of
from bcclone.recording.edits import ADVANCE, MIRROR, Edit, delete_numbers
from benchmarks.planted_faults import FAULTS
from tests.running import run_script


def faults_of(changed):
    return {finding.fault for finding in changed.diagnosis.findings}


@pytest.mark.parametrize(
    "fault",
    [
        "mirrored steering, share",
        "early, seconds",
        "other log, share",
        "rolled, seconds",
        "backwards",
        "turned back, share",
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


def test_a_car_that_stands_is_no_fault_of_the_pictures(loaded_recording):
    def halted(share):
        speeds = loaded_recording.column("speed_mph")
        speeds[loaded_recording.first_of(share) :] = 0
        frozen = FAULTS["frozen, share"].inject(loaded_recording, share)
        return faults_of(frozen.with_rows(speed_mph=speeds)) & {"standing", "frozen"}

    assert halted(0.4) == {"standing"}  # 10 s
    assert halted(0.12) == set()


def test_rows_driven_backwards_are_deleted_and_a_mirrored_part_stays_a_fault_of_its_own(
    loaded_recording,
):
    count = len(loaded_recording.rows)
    first = loaded_recording.first_of(0.2)
    turned_back = FAULTS["turned back, share"].inject(loaded_recording, 0.2)
    steering = turned_back.column("steering")
    mirrored = np.arange(60, 210)
    steering[mirrored] *= -1
    findings = {
        finding.fault: finding
        for finding in turned_back.with_rows(steering=steering).diagnosis.findings
    }
    assert findings.keys() == {"backwards", "partly-mirrored"}
    backwards = findings["backwards"]
    assert backwards.only_deletes
    ((begin, end),) = backwards.rows
    assert (begin, end) == pytest.approx((first + 1, count), abs=3)
    assert not backwards.numbers(MIRROR)
    ((begin, end),) = findings["partly-mirrored"].numbers(MIRROR)
    assert (begin, end) == pytest.approx((mirrored[0] + 1, mirrored[-1] + 1), abs=20)


def test_where_most_of_a_drive_is_mirrored_one_edit_mirrors_those_rows_alone(loaded_recording):
    steering = loaded_recording.column("steering")
    last = loaded_recording.first_of(0.4)
    steering[:last] *= -1
    (found,) = loaded_recording.with_rows(steering=steering).diagnosis.findings
    assert found.fault == "partly-mirrored"
    ((begin, end),) = found.numbers(MIRROR)
    assert (begin, end) == (1, pytest.approx(last, abs=20))
    assert found.cost_rows == end


def test_a_car_that_brakes_and_drives_on_does_not_drive_backwards(loaded_recording):
    rows = len(loaded_recording.rows)
    from_stop = np.abs(np.arange(rows) - rows // 2)
    speeds = np.minimum(loaded_recording.column("speed_mph"), 0.5 * from_stop)
    brake = np.where((np.diff(speeds, append=0) < 0) & (from_stop < 60), 1.0, 0.0)
    assert "backwards" not in faults_of(loaded_recording.with_rows(brake=brake, speed_mph=speeds))


def test_the_verdict_of_a_film_says_that_the_scale_is_not_known(winding_recording, tmp_path):
    film = shutil.copytree(winding_recording, tmp_path / "film")
    log = film / "driving_log.csv"
    rows = [line.split(",") for line in log.read_text().splitlines()]
    for row in rows[::3]:
        row[3] = "1"
    log.write_text("".join(",".join(row) + "\n" for row in rows))
    images = [Path(row[0].strip()).name for row in rows]
    table = ["image,curvature,error,speed", *(f"{image},0,0,9" for image in images)]
    (film / "motion.csv").write_text("\n".join(table) + "\n")
    (report,) = check([str(film)])
    verdict = report.diagnosis.verdict
    assert "the steering is estimated: look at the orange path" in verdict
    assert "33% of the rows have full steering" in verdict
    assert "can be used" not in verdict


def test_a_gentle_drive_by_keys_has_not_too_few_steps(loaded_recording):
    keys = loaded_recording.rows["steering"].round(1).clip(-0.2, 0.2)
    assert "few-steps" not in faults_of(loaded_recording.with_rows(steering=keys))
    assert "few-steps" in faults_of(loaded_recording.with_rows(steering=3 * keys))


def test_a_throttle_is_constant_in_more_than_99_percent_of_the_rows_if_the_speed_changes(
    loaded_recording,
):
    rows = len(loaded_recording.rows)
    most_others = (rows - 1) // 100  # with one more, the same value is in 99 % of the rows or less

    def is_named(others, **columns):
        throttle = np.where(np.arange(rows) < others, 0.5, 0.3)
        changed = loaded_recording.with_rows(throttle=throttle, **columns)
        return "constant-throttle" in faults_of(changed)

    assert is_named(most_others)
    assert not is_named(most_others + 1)
    assert not is_named(most_others, speed_mph=20.0)


def test_the_delay_is_measured_and_the_remedy_takes_it_back(loaded_recording):
    delayed = FAULTS["late, seconds"].inject
    before = loaded_recording.diagnosis.figures["steering_after_turn_seconds"]
    late = delayed(loaded_recording, 0.7).diagnosis
    assert late.figures["steering_after_turn_seconds"] - before == pytest.approx(0.7, abs=0.05)
    (found,) = (finding for finding in late.findings if finding.fault == "late")
    assert f"--advance-steering {found.value:.2f}" in found.remedy
    assert found.value == pytest.approx(0.7 + before + 0.1, abs=0.05)


def covering(bends, brightness, seconds, road=None):
    return Diagnosis(
        parts=(Part(1, 99, seconds, (), Use.NOW),),
        bends=np.array(bends, np.float64),
        brightness=np.full(99, brightness),
        road=road,
    )


def test_the_advice_names_what_is_missing_with_seconds_and_road():
    to_each_side = [[0, 3, 8, 9, 9], [0, 3, 0, 1, 7]]
    bends, light, more = advise([covering(to_each_side, 120.0, 90.0, "lake")])
    assert bends.startswith(
        "10 s of right bends (radius 25 to 70 m): there are 1 s of them, and 17 s of "
        "left ones; drive the other way round"
    )
    assert bends.endswith(": bcclone play -o more --road lake")
    assert light.startswith("60 s in another light")
    assert more.startswith("30 s of the same")
    # Udacity's simulator has no other light
    lap = covering(to_each_side, 120.0, 90.0)
    assert any("another light" in line for line in advise([lap]))
    udacity = replace(lap, has_one_light=True)
    assert not any("another light" in line for line in advise([udacity]))
    assert any("another light" in line for line in advise([udacity, lap]))
    assert "bcclone" not in "".join(advise([covering(to_each_side, 120.0, 200.0)]))


def test_the_advice_is_for_all_recordings_together():
    lap = covering([[0, 3, 8, 9, 9], [0, 3, 0, 1, 7]], 60.0, 90.0)
    unknown = covering([[0], [580]], 150.0, 90.0)  # without a radius: the lens is unknown
    (bends,) = advise([lap, unknown, unknown])
    assert "s of left bends: there are " in bends
    assert advise([Diagnosis()]) == ()


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


# ---- which seconds can be used


def rows_of_100_s():
    table = pd.DataFrame(
        {
            "time_ms": 100 * np.arange(1000),
            "line": np.arange(1000) + 1,
            "steering": 0.0,
            "throttle": 0.3,
            "speed_mph": 15.0,
        }
    )
    return DriveRows.of(table, table[:0])


def test_the_parts_of_a_recording_say_which_seconds_can_be_used():
    deleted = ((101, 200), (401, 500), (506, 600))
    findings = [
        Finding("dark", "black", rows=deleted, edits=(delete_numbers(deleted),)),
        Finding("bias", "to the right", usable=True),
    ]
    parts = parts_of(rows_of_100_s(), findings)
    assert [(part.first, part.last, part.use) for part in parts] == [
        (1, 100, Use.NOW),
        (101, 200, Use.NOT),
        (201, 400, Use.NOW),
        (401, 500, Use.NOT),
        (501, 505, Use.TOO_SHORT),
        (506, 600, Use.NOT),
        (601, 1000, Use.NOW),
    ]
    assert parts[1].faults == ("dark", "bias")
    diagnosis = Diagnosis(tuple(findings), parts=parts)
    assert diagnosis.usable_seconds == pytest.approx(69.9)
    assert diagnosis.seconds(Use.NOT) == pytest.approx(29.5)


def test_what_a_correction_of_the_steering_mends_can_be_used_after_the_edits():
    mirror = Finding("mirrored", "to the other side", edits=(Edit(MIRROR),))
    (part,) = parts_of(rows_of_100_s(), [mirror])
    assert (part.first, part.last, part.use) == (1, 1000, Use.AFTER_EDITS)
    late = Finding("late", "by 1 s", edits=(Edit(ADVANCE, seconds=1.0), Edit("delete", ((0, 9),))))
    parts = parts_of(rows_of_100_s(), [late])
    assert [(part.last, part.use) for part in parts] == [(10, Use.NOT), (1000, Use.AFTER_EDITS)]
    (part,) = parts_of(rows_of_100_s(), [Finding("unrelated", "another log")])
    assert part.use is Use.NOT


@pytest.mark.parametrize(
    ("parts", "verdict"),
    [
        ([(96.6, Use.NOW)], "No fault was found: all 97 s of driving can be used."),
        (
            [(85.0, Use.NOW), (11.0, Use.AFTER_EDITS), (0.5, Use.TOO_SHORT), (25.5, Use.NOT)],
            "85 of 122 s can be used now; 96 s after the repairs below.",
        ),
        (
            [(26.0, Use.NOW), (3.0, Use.NOT)],
            "26 of 29 s can be used; the faults below spoil the other 3 s.",
        ),
        ([(29.0, Use.NOT)], "0 of 29 s can be used; the faults below spoil all 29 s."),
    ],
)
def test_the_verdict_says_which_seconds_can_be_used(parts, verdict):
    rows = tuple(Part(1, 2, seconds, (), use) for seconds, use in parts)
    assert Diagnosis(parts=rows).verdict == verdict


def test_the_worst_fault_keeps_most_seconds_from_use():
    of_10_s = Finding("dark", "black", rows=((101, 200),), edits=(delete_numbers(((101, 200),)),))
    of_20_s = Finding("blurred", "blurred", rows=((301, 500),))
    of_none = Finding("bias", "to the right", usable=True)
    for findings in ((of_none, of_10_s, of_20_s), (of_20_s, of_none)):
        diagnosis = Diagnosis(findings, parts=parts_of(rows_of_100_s(), findings))
        assert diagnosis.worst is of_20_s
    assert Diagnosis((of_none,), parts=parts_of(rows_of_100_s(), [of_none])).worst is of_none
    assert Diagnosis((of_10_s, of_20_s)).worst is of_10_s  # of too few rows, nothing else is known
    assert Diagnosis().worst is None
