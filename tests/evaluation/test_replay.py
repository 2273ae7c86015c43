"""Replays of recordings: how the car moves, what it sees, and how good and blind drivers score."""

import json
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from bcclone.camera.images import encode_jpeg, read_frame
from bcclone.camera.vehicle import MOUNTS
from bcclone.dataset.answer import Answer
from bcclone.dataset.preprocessing import PRESETS, Preprocessing
from bcclone.evaluation.recorded_drive import RelativePose, Rollout, read_reference
from bcclone.evaluation.replay import Replayed, controls_of, replay, replay_policies
from bcclone.evaluation.settings import ReplaySettings
from bcclone.evaluation.views import RowFrames, Views, read_row
from bcclone.model.policy import load_policy
from bcclone.pictures.reports import write_replay
from bcclone.simulator.expert import record
from bcclone.simulator.world_settings import RecordSettings
from bcclone.system.errors import UserError
from tests.conftest import calibrated, shared
from tests.evaluation.conftest import LEGACY
from tests.recordings import mirrored, rewrite
from tests.running import ROOT, result_of, run_script

FULL = PRESETS["carnd-160x320-rgb"]
ROAD = slice(65, 136)


@pytest.fixture(scope="session")
def reference(lap):
    return read_reference(lap)


def changed(lap, folder, change):
    """Return the log of a copy of the recording whose rows are changed."""
    copy = shutil.copytree(lap.parent, folder / "changed")
    rewrite(copy, change)
    return copy / lap.name


class Constant:
    """A policy that steers the same whatever it sees."""

    preprocessing = Preprocessing()
    seq_length = 1

    def __init__(self, steering=0.0):
        self.steering = steering
        self.calls = 0
        self.begun = 0  # sequences of frames

    def next_answer(self, image, memory):
        if memory == ():
            self.begun += 1
        self.calls += 1
        return Answer(self.steering), (image,)


def test_a_replay_scores_the_recorded_steering_best_and_none_below_zero(reference):
    replayed = Replayed(reference, 2.0, controls_of(reference, 2.0))
    controls = replayed.figures()["models"]
    assert controls["human"]["interventions"] == 0
    assert controls["human"]["autonomy_percent"] == 100
    assert controls["human"]["steering_correlation"] == 1
    assert controls["zero"]["autonomy_percent"] < 0  # by the formula; a person reads "0.0 %"
    assert "-" not in "".join(row[1] for row in replayed.table().cells()[1:])
    assert controls["zero"]["steering_correlation"] is None
    assert controls["mean"]["interventions"] > 0
    counts = [score["interventions"] for score in controls["zero"]["by_limit"].values()]
    assert counts == sorted(counts, reverse=True)  # a wider limit needs fewer
    assert counts[0] > counts[-1]


def test_a_view_is_what_a_camera_at_that_place_sees(reference):
    views = Views(FULL)
    frames = read_row(reference.images[150])

    # where the left camera was
    left = views.view(frames, RelativePose(MOUNTS["left"][0]), frames.centre)
    real = read_frame(reference.images[150]["left"])
    blurred = [cv2.GaussianBlur(picture[ROAD], (11, 11), 0).ravel() for picture in (left, real)]
    assert np.corrcoef(*blurred)[0, 1] > 0.9

    # the side cameras fill what the centre frame does not show
    pose = RelativePose(0.35, -0.02)
    of_all = views.view(frames, pose, frames.centre).astype(int)
    centre_alone = RowFrames(frames.centre, {"center": frames.cameras["center"]})
    of_centre = views.view(centre_alone, pose, frames.centre)
    differs = np.abs(of_all - of_centre).max(axis=2) > 0
    assert differs[100:135, -12:].mean() > 0.5  # beyond the centre frame's right side
    assert not differs[:130, 60:200].any()

    # the bonnet does not move, and the road above it does
    turned = views.view(frames, RelativePose(1.2, 0.1), frames.centre)
    assert (turned[145:, 130:190] == frames.centre[145:, 130:190]).all()
    assert (turned[100:130, 130:190] != frames.centre[100:130, 130:190]).any()


@pytest.mark.parametrize("text", ["course-66x200-yuv", "GRAY, 32x16"])
def test_views_of_any_preprocessing_are_prepared_as_a_whole_view(reference, text):
    preprocessing = Preprocessing.of(text)
    frames = read_row(reference.images[60])
    for pose in (RelativePose(), RelativePose(0.6, 0.05)):
        whole = Views(FULL).view(frames, pose, frames.centre)
        views = Views(preprocessing)
        view = views.view(frames, pose, views.prepare(frames.centre))
        assert (view == preprocessing.apply(whole)).all()


def alone(policy, reference, limit_m):
    """How far a car deviates that a policy steers along a drive, without any other car."""
    rollout = Rollout(reference, limit_m)
    views = Views(policy.preprocessing)
    for paths in reference.images:
        frames = read_row(paths)
        view = views.view(frames, rollout.pose, views.prepare(frames.centre))
        answer, rollout.memory = policy.next_answer(view, rollout.memory)
        rollout.steering = answer.steering
        rollout.advance()
    return rollout.deviations_m


@pytest.mark.slow
def test_cars_of_several_models_and_limits_drive_as_each_does_alone(
    lap, untrained_model, untrained_recurrent_model
):
    part = (0.3, 0.5)
    policies = {
        "network": load_policy(untrained_model),
        "recurrent": load_policy(untrained_recurrent_model),
        "left": Constant(-0.2),
    }
    together = replay_policies(policies, lap, ReplaySettings(fraction=part))
    reference = read_reference(lap, part)
    # cars at the same place share an answer
    assert len(reference) < policies["left"].calls < 5 * len(reference)
    for name, policy in policies.items():
        for limit_m, rollout in together.results[name].rollouts.items():
            assert rollout.deviations_m == alone(policy, reference, limit_m)
    frames = [read_frame(paths["center"]) for paths in reference.images]
    expected = [policies["recurrent"].answer(frame).steering for frame in frames]
    assert together.results["recurrent"].steering == pytest.approx(np.array(expected), abs=1e-5)
    table = str(together.table())
    for name in ("network", "left", "the human", "no steering", "mean steering"):
        assert f"\n{name} " in table


@pytest.mark.parametrize("is_trained_on_it", [False, True])
def test_the_report_of_a_replay_begins_with_what_the_best_model_did(
    lap, tmp_path, is_trained_on_it
):
    replayed = replay_policies({"right,": Constant(0.1), "left,": Constant(-0.1)}, lap, FIRST_PART)
    best = replayed.best
    if is_trained_on_it:
        replayed = replace(replayed, trained_shares={best: 0.9})
    page = write_replay(tmp_path, str(lap), replayed, {})[-1].read_text()
    heading = page.partition("<h1")[2].partition(">")[2].partition("</h1>")[0]
    trained = ", which was trained on it" if is_trained_on_it else ""
    assert heading.startswith(f"{best}, the best of 2{trained}, ")
    figures = replayed.by_driver[best]
    assert figures["interventions"] == min(
        replayed.by_driver[name]["interventions"] for name in replayed.results
    )
    count = figures["interventions"]
    often = {0: "stays within", 1: "once", 2: "twice"}.get(count, f"{count} times")
    assert often in heading
    assert f"{replayed.limit_m:g} m" in heading


@pytest.fixture
def without_speed(lap, tmp_path):
    """The log of the same recording as that of a car that measures no speed: 0 in each row."""
    return changed(lap, tmp_path, lambda rows: [[*row[:-1], "0"] for row in rows])


FIRST_PART = ReplaySettings(fraction=(0.0, 0.2))


def replay_two_policies(log):
    policies = {"right": Constant(0.1), "left": Constant(-0.1)}
    return replay_policies(policies, log, FIRST_PART)


def test_without_a_speed_nobody_gets_a_score_and_the_steering_is_compared(
    lap, without_speed, tmp_path
):
    figures = replay_two_policies(without_speed).figures()["models"]["right"]
    for driver in (figures, *figures["controls"].values()):
        for score in SCORES:
            assert driver[score] is None
        assert driver["by_limit"] == {}
        assert driver["distance_m"] == 0

    with_speed = replay_two_policies(lap).figures()["models"]["right"]
    for name in ("steering_mae", "steering_correlation", "steering_correlation_smoothed"):
        assert figures[name] == with_speed[name]
    assert figures["rows"] == with_speed["rows"]
    assert figures["frames"] == with_speed["frames"]
    assert figures["controls"]["human"]["steering_correlation"] == 1
    json.dumps(figures, allow_nan=False)

    # texts and report have no score
    replayed = replay_two_policies(without_speed)
    paths = write_replay(tmp_path, str(without_speed), replayed, {})
    assert [path.name for path in paths] == ["steering.png", "figures.json", "report.html"]
    page = paths[-1].read_text()
    assert "no speed" in page
    assert "100.0 %" not in page


SCORES = ("autonomy_percent", "interventions", "interventions_per_km", "rms_cross_track_m")


def test_windows_restart_after_a_gap_even_if_its_first_frame_is_missing(lap, tmp_path):
    log = changed(lap, tmp_path, lambda rows: rows[:10] + rows[40:45])
    Path(read_reference(log).images[10]["center"]).unlink()
    policy = Constant(0.0)
    replayed = replay_policies({"zero": policy}, log)
    # one shared at first; after the gap, one of the rollout and one of the recorded frames
    assert policy.begun == 3
    assert replayed.figures()["frames"] == len(replayed.reference) - 1
    # without a frame, the last steering holds
    assert len(replayed.results["zero"].rollouts[2.0].deviations_m) == len(replayed.reference)
    with pytest.raises(UserError, match="broken.*steering.*trained"):
        replay_policies({"broken": Constant(math.nan)}, log)


def test_a_recording_without_a_readable_frame_gets_no_score(lap, tmp_path):
    log = changed(lap, tmp_path, lambda rows: rows[:3])
    large = encode_jpeg(np.zeros((480, 640, 3), np.uint8))
    for paths in read_reference(log).images:
        Path(paths["center"]).write_bytes(large)
    message = rf"640x480 pixels.*bcclone import {log} -o recordings/NAME"
    with pytest.raises(UserError, match=message):
        replay_policies({"zero": Constant(0.0)}, log)


@pytest.mark.slow
def test_the_frames_and_no_model_tell_whether_the_recording_is_mirrored(lap, tmp_path):
    model = ROOT / "models" / "lake.h5"
    wrong = calibrated(model, tmp_path / "wrong.h5", gain=-1.0)
    sentences = " ".join(replay([model, wrong], lap).sentences())
    assert "lake.h5 does not read" not in sentences
    assert re.search(r"wrong.h5 does not read this place.* by -0\.\d.*turns .* by 0\.\d", sentences)

    mirrored_log = changed(lap, tmp_path, mirrored)
    with pytest.raises(UserError, match=r"turns to the other side.*bcclone edit \S+ --mirror"):
        replay([model, wrong], mirrored_log)


def test_a_model_reads_the_place_by_the_mean_of_a_keyboards_pulses_or_by_its_drive(lap):
    replayed = replay_policies({"model": Constant(0.0)}, lap)

    def reads(**figures):
        replayed.by_driver["model"].update(figures)
        return replayed.reads_place("model")

    known = {"steering_correlation": 0.2, "steering_correlation_smoothed": 0.3}
    assert not reads(**known, interventions=3)
    assert reads(steering_correlation_smoothed=0.5)
    assert not reads(steering_correlation=None, steering_correlation_smoothed=None)
    assert reads(interventions=0)


def test_each_heading_of_the_table_is_explained_below_it(lap):
    replayed = replay_policies({"model": Constant(0.0)}, lap, FIRST_PART)
    said = "; ".join(replayed.sentences())
    headings = [column.heading for column in replayed.table().columns if column.heading]
    for heading in headings:
        name = "off" if re.fullmatch(r"off [\d.]+ m", heading) else heading
        assert f"; {name}: " in f"; {said}", heading
    assert "a km" in headings


def test_a_part_of_a_mirrored_recording_is_judged_by_the_whole(lap, tmp_path):
    mirrored_log = changed(lap, tmp_path, mirrored)
    with pytest.raises(UserError, match="turns to the other side"):
        replay_policies({"zero": Constant()}, mirrored_log, FIRST_PART)


def lake():
    return shared("recordings/lake_linux") / "driving_log.csv"


@pytest.fixture(scope="module")
def legacy():
    folder = shared("legacy_models")
    return {name: load_policy(folder / name, preset) for name, preset in LEGACY.items()}


@pytest.mark.slow
def test_known_models_get_their_known_scores_on_a_real_recording(legacy):
    results = replay_policies(legacy, lake(), ReplaySettings(fraction=(0.0, 0.4)))
    old, new = results.figures()["models"].values()
    assert new["interventions"] == 0
    assert abs(old["interventions"] - 7) <= 3
    controls = new["controls"]
    interventions = {name: each["interventions"] for name, each in controls.items()}
    assert interventions == {"human": 0, "zero": 21, "mean": 14}
    assert controls["zero"]["autonomy_percent"] == pytest.approx(-187, abs=1)
    assert new["steering_correlation"] > 0.8 > old["steering_correlation"]


@pytest.mark.slow
def test_a_replay_says_whether_a_model_was_trained_on_the_recording(
    simulated_recording, simulated_store, untrained_model, tmp_path
):
    # a drive at the same times, of another seed
    other = tmp_path / "other"
    record(other, RecordSettings(laps=0.03, seed=5))
    line = ("model.py", simulated_store, "-o", tmp_path / "mine.h5", "--runs", tmp_path / "runs")
    run_script(*line, "--epochs", 1, "--batch-size", 64, "--no-plots")
    # in another folder, of another name, without some of its rows
    moved = shutil.copytree(simulated_recording, tmp_path / "elsewhere" / "renamed")
    lines = (moved / "driving_log.csv").read_text().splitlines(keepends=True)
    (moved / "driving_log.csv").write_text("".join(lines[:40] + lines[50:]))
    run_script("edit", moved, "--delete", 5, 9)

    def shares(recording, *models):
        replayed = result_of("replay", *models, recording)
        by_model = replayed.get("models", {str(models[0]): replayed})
        return {Path(path).name: each["trained_share"] for path, each in by_model.items()}

    mine = tmp_path / "mine.h5"
    assert shares(moved, mine)["mine.h5"] > 0.5
    assert shares(other, mine) == {"mine.h5": 0.0}
    # a file that does not state it, and one that comes with bcclone
    assert shares(other, untrained_model) == {"untrained.h5": None}
    assert shares(moved, ROOT / "models" / "any-road.h5") == {"any-road.h5": 0.0}
    done = run_script("replay", mine, untrained_model, moved, "-o", tmp_path / "out")
    assert "mine.h5 was trained on this recording" in done.stdout
    assert "untrained.h5 was trained on this recording is not known" in done.stdout
    page = (tmp_path / "out" / "report.html").read_text()
    figures = page.partition('class="figures')[2].partition("</dl>")[0]
    assert "mine.h5" in figures
    assert "untrained.h5" in figures
