"""Driving through recordings: the dynamics, what is seen on the way, the scores of drivers good and blind."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from bcclone.decode import read_frame
from bcclone.errors import UserError
from bcclone.images import PRESETS, Preprocessing
from bcclone.replay import ReplayDrive, ReplaySettings, read_human, replay
from bcclone.replay.human import Human
from bcclone.replay.rollout import Pose, Ride
from bcclone.replay.run import steer_blindly
from bcclone.replay.views import Seen, Views, read_row
from bcclone.simulator.expert import ExpertSettings
from bcclone.simulator.record import RecordSettings, record
from bcclone.vehicle import MOUNTS, WHEELBASE_M, YAW_GAIN
from bcclone.view import CameraMove, warp_to
from tests.conftest import run_script, shared
from tests.drive.drive_server import serving
from tests.similarity import structural_similarity

WHOLE = PRESETS["carnd-160x320-rgb"]
ROAD = slice(65, 136)
LEGACY = {
    "keras-1.2.1_66x200_yuv.h5": "nvidia-66x200-yuv-bgr",
    "keras-2.11.0_66x200_yuv.h5": "nvidia-66x200-yuv",
}


@pytest.fixture(scope="session")
def lap(tmp_path_factory):
    """The log of a recording of the simulator: 14 s, up to speed and through the first bends. Not to be changed."""
    folder = tmp_path_factory.mktemp("replayed") / "lake"
    record(folder, RecordSettings(laps=0.15, expert=ExpertSettings(recoveries=0)))
    return folder / "driving_log.csv"


@pytest.fixture(scope="session")
def human(lap):
    return read_human(lap)


class Constant:
    """A policy that steers the same whatever it sees, and keeps what it was shown."""

    preprocessing, seq_length = Preprocessing(), 1

    def __init__(self, steering=0.0):
        self.steering, self.calls, self.begun = steering, [], 0

    def steer(self, images, memories):
        self.begun += memories.count(())
        self.calls.append(len(images))
        return np.full(len(images), self.steering), [(image,) for image in images]


def straight():
    """A human who drives straight on for two seconds at 10 m/s, fifty rows a second."""
    columns = {"steering": 0.0, "throttle": 0.3, "speed": 10.0, "seconds": 0.02, "ends": False, "lagged": 0.0}
    return Human(**{name: (value,) * 100 for name, value in columns.items()}, images=({},) * 100)


@pytest.mark.parametrize("side", [-1, 1])
def test_a_car_that_steers_aside_strays_to_that_side_as_a_bicycle_with_a_lag(side):
    ride, steering, lag = Ride(straight(), limit_m=5.0), 0.1 * side, 0.15
    for _ in range(50):
        ride.advance(steering)
    turns = 10 * YAW_GAIN * math.tan(math.radians(25 * steering)) / WHEELBASE_M  # radians a second
    assert ride.pose.turned == pytest.approx(turns * (1 - lag), rel=0.03)  # a second is long beside the lag
    assert ride.pose.beside_m == pytest.approx(10 * turns * (1 / 2 - lag + lag**2), rel=0.05)
    assert ride.distance_m == pytest.approx(10)


def test_who_steers_as_the_human_stays_on_the_path(human):
    ride = Ride(human, limit_m=1.0)
    for steering in human.steering:
        ride.advance(steering)
    assert (ride.interventions, set(ride.path)) == ([], {0.0})


def test_beyond_the_limit_the_car_is_set_back_and_it_counts():
    ride = Ride(straight(), limit_m=1.0)
    while not ride.interventions:
        ride.advance(0.3)
    assert ride.path[-1] > 1.0
    assert (ride.pose, ride.fresh) == (Pose(), True)
    ride.advance(0.0)
    assert ride.figures()["interventions"] == 1
    assert not ride.fresh


def test_a_wider_limit_takes_fewer_interventions(human):
    zero = steer_blindly(human, ReplaySettings())["zero"].figures()["by_limit"]
    counts = [zero[limit]["interventions"] for limit in ("1", "1.5", "2", "3")]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1]


def test_the_human_needs_nobody_and_no_steering_does_below_nothing(human):
    controls = {name: control.figures() for name, control in steer_blindly(human, ReplaySettings()).items()}
    assert controls["human"]["interventions"] == 0
    assert controls["human"]["autonomy_percent"] == 100
    assert controls["human"]["steering_correlation"] == 1
    assert controls["zero"]["autonomy_percent"] < 0
    assert controls["zero"]["steering_correlation"] is None
    assert controls["mean"]["interventions"] > 0


def test_after_a_gap_the_car_begins_on_the_path_and_the_time_is_left_out(lap, tmp_path):
    shutil.copytree(lap.parent, tmp_path / "gap")
    log = tmp_path / "gap" / "driving_log.csv"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:50] + lines[80:]))  # 2 s are missing
    human = read_human(log)
    whole = read_human(lap)
    assert [row for row, end in enumerate(human.ends) if end] == [49, len(human) - 1]
    assert human.total_seconds == pytest.approx(whole.total_seconds - sum(whole.seconds[49:80]))
    ride = Ride(human, limit_m=5.0)
    for _ in range(50):
        ride.advance(0.05)
    assert abs(ride.path[-1]) > 0.05
    assert (ride.pose, ride.fresh) == (Pose(), True)


def test_a_part_is_those_rows_alone(lap, human):
    part = read_human(lap, (0.5, 1.0))
    assert part.steering == human.steering[round(len(human) / 2) :]
    with pytest.raises(UserError, match="that part of it has no rows"):
        read_human(lap, (0.5, 0.5001))


def test_the_smoothed_steering_is_the_mean_of_the_rows_around_as_far_as_there_are(lap, human):
    smoothed = human.smoothed_steering
    assert smoothed[20] == pytest.approx(np.mean(human.steering[16:25]))
    assert smoothed[0] == pytest.approx(np.mean(human.steering[:5]))
    few = read_human(lap, (0.0, 0.02))
    assert few.smoothed_steering == pytest.approx(np.full(len(few), np.mean(few.steering)))


@pytest.mark.parametrize("values", [{"part": (0.5, 0.5)}, {"part": (-1, 1)}, {"limit_m": 0}, {"limits_m": (9.0,)}])
def test_settings_that_make_no_sense_are_refused(values):
    with pytest.raises(ValueError, match="expected"):
        ReplaySettings(**values)


def test_a_view_from_a_side_cameras_place_is_what_it_saw(human):
    seen = read_row(human.images[150])
    view = Views(WHOLE).view(seen, Pose(MOUNTS["left"][0]), seen.centre)
    assert structural_similarity(view, read_frame(human.images[150]["left"]), ROAD) > 0.8


def test_views_of_the_centre_camera_look_more_like_the_side_ones_than_it_does_itself(human):
    made, plain = [], []
    for paths in human.images[20::20]:
        centre, side = read_frame(paths["center"]), read_frame(paths["left"])
        view = warp_to(CameraMove(MOUNTS["left"][0], 0.0)).apply(centre, 320, 160)
        made.append(structural_similarity(view, side, ROAD))
        plain.append(structural_similarity(centre, side, ROAD))
    assert np.mean(made) > 2 * np.mean(plain)


def test_a_view_that_the_nearest_camera_lacks_a_part_of_gets_it_from_the_next(human):
    seen = read_row(human.images[150])
    pose = Pose(0.35, -0.02)
    alone = Views(WHOLE).view(Seen(seen.centre, {"center": seen.cameras["center"]}), pose, seen.centre)
    filled = Views(WHOLE).view(seen, pose, seen.centre)
    changed = np.abs(filled.astype(int) - alone).max(axis=2) > 0
    assert changed[100:135, -12:].mean() > 0.5  # beyond the centre frame's right side
    assert not changed[:130, 60:200].any()


def test_the_bonnet_stays_where_it_is(human):
    seen = read_row(human.images[150])
    view = Views(WHOLE).view(seen, Pose(1.2, 0.1), seen.centre)
    assert (view[145:, 130:190] == seen.centre[145:, 130:190]).all()
    assert (view[100:130, 130:190] != seen.centre[100:130, 130:190]).any()


def test_each_ride_has_a_window_of_its_own(lap, untrained_window_model):
    check_each_ride_alone(lap, untrained_window_model)


def test_each_ride_has_a_recurrent_state_of_its_own(lap, untrained_recurrent_model):
    check_each_ride_alone(lap, untrained_recurrent_model)


def check_each_ride_alone(lap, model):
    from bcclone.policy import load_policy

    policy, settings = load_policy(model), ReplaySettings(part=(0.3, 0.5), limits_m=(1.0, 3.0))
    result = replay({"model": policy}, lap, settings)["model"]
    human = read_human(lap, settings.part)
    expected = [policy.act(read_frame(paths["center"])) for paths in human.images]
    assert result.steering == pytest.approx(np.array(expected), abs=1e-5)
    for limit in (1.0, 2.0, 3.0):
        alone = replay({"m": policy}, lap, ReplaySettings(part=settings.part, limit_m=limit, limits_m=()))["m"]
        assert alone.ride.path == pytest.approx(result.rides[limit].path, abs=1e-4)


def test_several_models_fare_in_one_pass_as_each_does_alone(lap, untrained_model):
    from bcclone.policy import load_policy

    settings = ReplaySettings(part=(0.3, 0.5))
    policies = {"network": load_policy(untrained_model), "left": Constant(-0.2)}
    together = replay(policies, lap, settings)
    for name, policy in policies.items():
        assert replay({name: policy}, lap, settings)[name].ride.path == together[name].ride.path


def test_rides_that_see_the_same_are_asked_once(lap):
    policy = Constant(0.0)
    replay({"zero": policy}, lap, ReplaySettings(part=(0.0, 0.5)))
    assert policy.calls[0] == 1  # all of them begin where the human does
    assert max(policy.calls) > 2


def test_a_model_that_steers_by_no_number_is_told(lap):
    with pytest.raises(UserError, match="broken: no usable steering; is it trained"):
        replay({"broken": Constant(math.nan)}, lap)


def test_rows_without_a_frame_are_driven_as_the_one_before(lap, tmp_path):
    shutil.copytree(lap.parent, tmp_path / "holes")
    human = read_human(tmp_path / "holes" / "driving_log.csv", (0.0, 0.3))
    Path(human.images[5]["center"]).unlink()
    Path(human.images[6]["center"]).write_bytes(b"broken")
    result = replay({"right": Constant(0.1)}, tmp_path / "holes", ReplaySettings(part=(0.0, 0.3)))
    whole = replay({"right": Constant(0.1)}, lap, ReplaySettings(part=(0.0, 0.3)))
    assert result["right"].figures()["frames"] == len(human) - 2
    assert result["right"].ride.path == whole["right"].ride.path


def test_the_wire_shows_the_recordings_frames_to_who_steers_as_the_human(human):
    drive = ReplayDrive(human, ReplaySettings())
    for row, paths in enumerate(human.images[:40]):
        state = drive.look()
        assert state.jpeg == Path(paths["center"]).read_bytes()
        drive.steer(human.steering[row], 0.0)
    assert set(drive.ride.path) == {0.0}


def test_the_wire_shows_made_views_to_who_strays_and_ends_with_the_recording(human):
    drive, own = ReplayDrive(human, ReplaySettings(limits_m=())), 0
    while (state := drive.look()) is not None:
        own += state.jpeg == Path(human.images[drive.ride.row]["center"]).read_bytes()
        drive.steer(0.0, 0.0)
    figures = drive.result().figures()
    assert figures["frames"] == len(human) > own
    assert figures["interventions"] == figures["controls"]["zero"]["interventions"] > 0
    assert figures["steering_mae"] is None
    json.dumps(figures, allow_nan=False)


KEYS = {
    "autonomy_percent", "interventions", "interventions_per_km", "rms_cross_track_m", "limit_m", "by_limit", "rows",
    "frames", "seconds", "distance_m", "steering_correlation", "steering_correlation_smoothed", "steering_mae",
}  # fmt: skip


@pytest.mark.slow
def test_the_command_scores_a_model_beside_its_controls(lap, untrained_model, tmp_path):
    line = ("replay", untrained_model, lap.parent, "--part", "0.2:0.6", "--limit", 2.5, "--output", tmp_path / "out")
    told = json.loads(run_script(*line, "--json").stdout)
    assert set(told) == KEYS | {"controls"}
    assert set(told["controls"]) == {"human", "zero", "mean"}
    assert all(set(control) == KEYS for control in told["controls"].values())
    assert list(told["by_limit"]) == ["1", "1.5", "2", "2.5", "3"]
    assert told["by_limit"]["2.5"]["interventions"] == told["interventions"]
    expected = (1 - told["interventions"] * 6 / told["seconds"]) * 100
    assert told["autonomy_percent"] == pytest.approx(expected, abs=0.1)
    assert json.loads((tmp_path / "out" / "figures.json").read_text()) == told
    with PIL.Image.open(tmp_path / "out" / "strayed.png") as picture:
        assert picture.width == 900


@pytest.mark.slow
def test_several_models_are_told_by_name_and_for_people_in_a_table(lap, untrained_model, untrained_window_model):
    line = ("replay", untrained_model, untrained_window_model, lap, "--part", "0.3:0.4")
    told = json.loads(run_script(*line, "--json").stdout)
    assert list(told["models"]) == [str(untrained_model), str(untrained_window_model)]
    table = run_script(*line).stdout
    assert all(f"\n{name} " in table for name in (*told["models"], "the human", "no steering", "mean steering"))


@pytest.mark.slow
def test_a_drive_server_is_scored_over_the_wire(lap, untrained_model):
    with serving(untrained_model) as server:
        line = ("replay", lap, "--port", server.port, "--part", "0.3:0.5", "--decimal-comma", "--wait", 1, "--json")
        told = json.loads(run_script(*line).stdout)
    assert set(told) >= KEYS | {"controls", "request_to_steer_ms"}
    assert list(told["by_limit"]) == ["2"]
    assert told["telemetries"] == told["frames"] == told["rows"]


@pytest.mark.slow
def test_a_recording_of_the_centre_camera_alone_is_enough_and_that_is_said(lap, untrained_model, tmp_path):
    shutil.copytree(lap.parent, tmp_path / "centre")
    for camera in ("left", "right"):
        for image in (tmp_path / "centre" / "IMG").glob(f"{camera}_*"):
            image.unlink()
    done = run_script("replay", untrained_model, tmp_path / "centre", "--part", "0.3:0.4")
    assert "no images of the side cameras" in done.stderr
    assert "the human" in done.stdout


def test_windows_begin_anew_after_a_gap_whose_first_frame_is_missing_too(lap, tmp_path):
    shutil.copytree(lap.parent, tmp_path / "gap")
    log = tmp_path / "gap" / "driving_log.csv"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:10] + lines[40:60]))
    Path(read_human(log).images[10]["center"]).unlink()
    policy = Constant(0.0)
    replay({"zero": policy}, log, ReplaySettings(limit_m=5.0, limits_m=()))
    assert policy.begun == 3  # the ride and the one that looks on: together first, each for itself behind the gap


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        ((), 1, "name models and a recording, or a recording and the --port"),
        (("--part", "0.5"), 2, "expected two shares such as 0.8:1"),
        (("--part", "1:0.5", "--port", 1), 1, "part 1:0.5, expected two shares"),
        (("--limit", "nan", "--port", 1), 1, "limit nan m, expected more than 0"),
        (("--port", 0), 1, "expected a port of 1 to 65535"),
    ],
)
def test_a_wrong_command_line_is_told(lap, options, code, told):
    assert told in run_script("replay", lap, *options, code=code).stderr


def test_a_name_that_means_several_recordings_is_refused(tmp_path, lap):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        shutil.copy(lap, tmp_path / name)
    said = run_script("replay", tmp_path / "*", "--port", 1, code=1).stderr
    assert "2 recordings, expected one; name the one" in said


def lake():
    return shared("recordings/lake_linux") / "driving_log.csv"


@pytest.fixture(scope="module")
def legacy():
    from bcclone.policy import load_policy

    folder = shared("legacy_models")
    return {name: load_policy(folder / name, preset) for name, preset in LEGACY.items()}


def test_networks_steer_on_made_views_as_on_real_ones(legacy):
    policy, apart = legacy["keras-2.11.0_66x200_yuv.h5"], []
    views = Views(policy.preprocessing)
    for paths in read_human(lake()).images[10::40]:
        seen = read_row({"center": paths["center"]})
        for camera in ("left", "right"):
            made = views.view(seen, Pose(MOUNTS[camera][0]), views.prepare(seen.centre))
            real = views.prepare(read_frame(paths[camera]))
            apart.append(np.ptp(policy.steer([made, real], [(), ()])[0]))
    assert np.mean(apart) < 0.05


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "interventions", "old_interventions", "zero_percent"),
    [
        ((0.0, 0.4), {"human": 0, "zero": 21, "mean": 14}, 7, -187),
        pytest.param((0.0, 1.0), {"human": 0, "zero": 51, "mean": 42}, 14, -179, marks=pytest.mark.long),
    ],
)
def test_known_drivers_of_a_real_recording_come_to_the_known_scores(
    legacy, part, interventions, old_interventions, zero_percent
):
    results = replay(legacy, lake(), ReplaySettings(part=part))
    old, new = (results[name].figures() for name in LEGACY)
    assert new["interventions"] == 0
    assert abs(old["interventions"] - old_interventions) <= 3
    assert {name: control["interventions"] for name, control in new["controls"].items()} == interventions
    assert new["controls"]["zero"]["autonomy_percent"] == pytest.approx(zero_percent, abs=1)
    assert new["steering_correlation"] > 0.8 > old["steering_correlation"]
