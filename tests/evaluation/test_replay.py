"""Replays of recordings: how the car moves, what it sees, and how good and blind drivers score."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from bcclone.camera.images import encode_jpeg, read_frame
from bcclone.camera.vehicle import MOUNTS, WHEELBASE_M, YAW_GAIN
from bcclone.dataset.answer import Answer
from bcclone.dataset.preprocessing import PRESETS, Preprocessing
from bcclone.evaluation.evaluate_settings import ReplaySettings
from bcclone.evaluation.replay import Replayed, controls_of, replay_policies
from bcclone.evaluation.rollout import RecordedDrive, RelativePose, Rollout, read_reference
from bcclone.evaluation.views import RowFrames, Views, read_row
from bcclone.model.policy import load_policy
from bcclone.pictures.reports import write_replay
from bcclone.system.errors import UserError
from tests.conftest import shared
from tests.recordings import rewrite

FULL = PRESETS["carnd-160x320-rgb"]
ROAD = slice(65, 136)
LEGACY = {
    "keras-1.2.1_66x200_yuv.h5": "nvidia-66x200-yuv-bgr",
    "keras-2.11.0_66x200_yuv.h5": "nvidia-66x200-yuv",
}


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


def straight():
    """Return a reference drive straight ahead: two seconds at 10 m/s, fifty rows a second."""
    rows = 100
    return RecordedDrive(
        steering=(0.0,) * rows,
        speed=(10.0,) * rows,
        seconds=(0.02,) * rows,
        ends=(False,) * rows,
        curvature=(0.0,) * rows,
        images=({},) * rows,
    )


@pytest.mark.parametrize("side", [-1, 1])
def test_steering_moves_the_car_sideways_like_a_bicycle_with_a_lag(side):
    steering = 0.1 * side
    lag = 0.15  # seconds
    rollout = Rollout(straight(), limit_m=5.0)
    for _ in range(50):
        rollout.advance(steering)
    # after a second, which is long beside the lag
    yaw_rate = 10 * YAW_GAIN * math.tan(math.radians(25 * steering)) / WHEELBASE_M
    assert rollout.pose.yaw_rad == pytest.approx(yaw_rate * (1 - lag), rel=0.03)
    offset_m = 10 * yaw_rate * (1 / 2 - lag + lag**2)
    assert rollout.pose.lateral_offset_m == pytest.approx(offset_m, rel=0.05)
    assert rollout.distance_m == pytest.approx(10)


def test_the_recorded_steering_needs_no_intervention_and_no_steering_scores_below_zero(reference):
    settings = ReplaySettings()
    human, zero, mean = controls_of(reference, settings).values()
    replayed = Replayed(reference, settings.limit_m, {"human": human, "zero": zero, "mean": mean})
    controls = replayed.figures()["models"]
    assert controls["human"]["interventions"] == 0
    assert controls["human"]["autonomy_percent"] == 100
    assert controls["human"]["steering_correlation"] == 1
    assert controls["zero"]["autonomy_percent"] < 0
    assert controls["zero"]["steering_correlation"] is None
    assert controls["mean"]["interventions"] > 0
    assert replayed.best == "human"
    counts = [score["interventions"] for score in controls["zero"]["by_limit"].values()]
    assert counts == sorted(counts, reverse=True)  # a wider limit needs fewer
    assert counts[0] > counts[-1]


def test_after_a_gap_the_car_starts_on_the_path_and_the_gap_is_not_counted(lap, tmp_path):
    log = changed(lap, tmp_path, lambda rows: rows[:50] + rows[80:])  # 2 s are missing
    reference = read_reference(log)
    full = read_reference(lap)
    assert [row for row, end in enumerate(reference.ends) if end] == [49, len(reference) - 1]
    assert reference.total_seconds == pytest.approx(full.total_seconds - sum(full.seconds[49:80]))
    rollout = Rollout(reference, limit_m=5.0)
    for _ in range(50):
        rollout.advance(0.05)
    assert abs(rollout.deviations_m[-1]) > 0.05
    assert (rollout.pose, rollout.fresh) == (RelativePose(), True)


def test_a_fraction_reads_only_those_rows_and_the_smoothed_steering_is_shorter_at_both_ends(
    lap, reference
):
    half = read_reference(lap, (0.5, 1.0))
    assert half.steering == reference.steering[round(len(reference) / 2) :]
    with pytest.raises(UserError, match="no rows.*--fraction"):
        read_reference(lap, (0.5, 0.5001))
    assert half.smoothed_steering[20] == pytest.approx(np.mean(half.steering[16:25]))
    assert half.smoothed_steering[0] == pytest.approx(np.mean(half.steering[:5]))
    few = read_reference(lap, (0.0, 0.02))
    assert few.smoothed_steering == pytest.approx(np.full(len(few), np.mean(few.steering)))


def test_a_view_is_what_a_camera_there_sees_with_pixels_of_all_cameras_and_the_bonnet_in_its_place(
    reference,
):
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


@pytest.mark.slow
def test_each_rollout_has_a_recurrent_state_of_its_own(lap, untrained_recurrent_model):
    policy = load_policy(untrained_recurrent_model)
    settings = ReplaySettings(fraction=(0.3, 0.5), limits_m=(1.0, 3.0))
    result = replay_policies({"model": policy}, lap, settings).results["model"]
    reference = read_reference(lap, settings.fraction)
    expected = [policy.answer(read_frame(paths["center"])).steering for paths in reference.images]
    assert result.steering == pytest.approx(np.array(expected), abs=1e-5)
    for limit in (1.0, 2.0, 3.0):
        alone = replace(settings, limit_m=limit, limits_m=())
        lone = replay_policies({"m": policy}, lap, alone).results["m"]
        assert lone.rollout.deviations_m == result.rollouts[limit].deviations_m


def test_several_models_in_one_pass_score_as_each_does_alone(lap, untrained_model):
    settings = ReplaySettings(fraction=(0.3, 0.5))
    policies = {"network": load_policy(untrained_model), "left": Constant(-0.2)}
    together = replay_policies(policies, lap, settings)
    for name, policy in policies.items():
        alone = replay_policies({name: policy}, lap, settings).results[name]
        assert alone.rollout.deviations_m == together.results[name].rollout.deviations_m
    # rollouts with the same view share an inference; the policy was asked in both replays
    asked = policies["left"].calls // 2
    assert 0 < asked < 5 * len(together.reference)
    table = together.as_text()
    for name in ("network", "left", "the human", "no steering", "mean steering"):
        assert f"\n{name} " in table


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
    paths = write_replay(tmp_path, str(without_speed), replayed)
    assert [path.name for path in paths] == ["steering.png", "figures.json", "report.html"]
    text = replayed.as_text()
    assert "no speed" in text
    assert not any(words in text for words in ("%", "km", "rms"))
    page = paths[-1].read_text()
    assert "no speed" in page
    assert not any(words in page for words in ("rms", "100.0 %"))


SCORES = ("autonomy_percent", "interventions", "interventions_per_km", "rms_cross_track_m")


def test_windows_restart_after_a_gap_even_if_its_first_frame_is_missing(lap, tmp_path):
    log = changed(lap, tmp_path, lambda rows: rows[:10] + rows[40:60])
    Path(read_reference(log).images[10]["center"]).unlink()
    policy = Constant(0.0)
    settings = ReplaySettings(limit_m=5.0, limits_m=())
    replayed = replay_policies({"zero": policy}, log, settings)
    # one shared at first; after the gap, one of the rollout and one of the recorded frames
    assert policy.begun == 3
    assert replayed.figures()["frames"] == len(replayed.reference) - 1
    # without a frame, the last steering holds
    assert len(replayed.results["zero"].rollout.deviations_m) == len(replayed.reference)
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
