"""Recorded drives: how a car moves along one, and estimates where the recording has no speeds."""

import math
import shutil

import numpy as np
import pytest

from bcclone.camera.framing import FRAMING_NAME, Framing, Lens
from bcclone.camera.geometry import FOCAL_PX, HEIGHT_M, VANISHING_ROW
from bcclone.camera.vehicle import WHEELBASE_M, YAW_GAIN
from bcclone.evaluation.estimated_drive import read_drive
from bcclone.evaluation.recorded_drive import RecordedDrive, RelativePose, Rollout, read_reference
from bcclone.evaluation.replay import Replayed, controls_of
from bcclone.system.errors import UserError
from tests.recordings import rewrite

SIMULATED = Framing(320, 160, lens=Lens(FOCAL_PX, VANISHING_ROW, 159.5))
BENDS = (0.35, 1.0)  # of the lap: at speed


def straight():
    """Return a reference drive straight ahead: two seconds at 10 m/s, fifty rows a second."""
    rows = 100
    return RecordedDrive(
        steering=np.zeros(rows),
        speed=np.full(rows, 10.0),
        seconds=np.full(rows, 0.02),
        ends=np.zeros(rows, bool),
        curvature=np.zeros(rows),
        images=({},) * rows,
    )


@pytest.mark.parametrize("side", [-1, 1])
def test_steering_moves_the_car_sideways_like_a_bicycle_with_a_lag(side):
    steering = 0.1 * side
    lag = 0.15  # seconds
    rollout = Rollout(straight(), limit_m=5.0).drive([steering] * 50)
    # after a second, which is long beside the lag
    yaw_rate = 10 * YAW_GAIN * math.tan(math.radians(25 * steering)) / WHEELBASE_M
    assert rollout.pose.yaw_rad == pytest.approx(yaw_rate * (1 - lag), rel=0.03)
    offset_m = 10 * yaw_rate * (1 / 2 - lag + lag**2)
    assert rollout.pose.lateral_offset_m == pytest.approx(offset_m, rel=0.05)
    assert rollout.distance_m == pytest.approx(10)


def test_after_a_gap_the_car_starts_on_the_path_and_the_gap_is_not_counted(lap, tmp_path):
    folder = shutil.copytree(lap.parent, tmp_path / "changed")
    rewrite(folder, lambda rows: rows[:50] + rows[80:])  # 2 s are missing
    reference = read_reference(folder / lap.name)
    full = read_reference(lap)
    assert np.flatnonzero(reference.ends).tolist() == [49, len(reference) - 1]
    assert reference.seconds.sum() == pytest.approx(full.seconds.sum() - full.seconds[49:80].sum())
    rollout = Rollout(reference, limit_m=5.0).drive([0.05] * 50)
    assert abs(rollout.deviations_m[-1]) > 0.05
    assert (rollout.pose, rollout.began) == (RelativePose(), 50)


def test_a_fraction_reads_only_those_rows(lap):
    whole = read_reference(lap)
    half = read_reference(lap, (0.5, 1.0))
    assert half.steering.tolist() == whole.steering[round(len(whole) / 2) :].tolist()
    with pytest.raises(UserError, match="no rows.*--fraction"):
        read_reference(lap, (0.5, 0.5001))


# ---- estimates


def of_a_car(lap, folder, gain, speed="0"):
    """Return the log of the same frames, imported from a car whose steering is `gain` times as
    large.
    """
    shutil.copytree(lap.parent, folder)
    (folder / FRAMING_NAME).write_text(SIMULATED.to_json())
    rewrite(
        folder,
        lambda rows: [
            [row[0], "", "", str(gain * float(row[3])), *row[4:-1], speed] for row in rows
        ],
    )
    return folder / lap.name


@pytest.mark.slow
def test_a_drive_without_speed_is_replayed_in_camera_heights(lap, tmp_path):
    known = read_reference(lap, BENDS)
    estimated = read_drive(of_a_car(lap, tmp_path / "car", gain=2.0), BENDS)
    assert np.median(estimated.speed[:-1] * HEIGHT_M / known.speed[:-1]) == pytest.approx(
        1, abs=0.1
    )
    assert estimated.law.gain == pytest.approx(known.law.gain * HEIGHT_M / 2, rel=0.3)
    without_steering = []
    for drive, limit in ((known, 2 * HEIGHT_M), (estimated, 2.0)):
        zero = controls_of(drive, limit)["zero"]
        without_steering.append(Replayed(drive, limit, {"zero": zero}))
    in_metres, replayed = without_steering
    figures = replayed.figures()
    in_heights = figures["rms_cross_track_camera_heights"]
    rms_m = in_metres.figures()["rms_cross_track_m"]
    assert in_heights * HEIGHT_M == pytest.approx(rms_m, rel=0.3)
    assert figures["unit"] == "camera heights"
    assert not [name for name in figures if name.endswith(("_m", "_km"))]
    assert (
        figures["estimates"]["check_interventions"]
        < figures["estimates"]["check_interventions_without_steering"]
    )
    text = " ".join(replayed.sentences())
    assert all(words in text for words in ("flat ground", "Check:", "camera heights"))


def test_estimates_that_the_frames_contradict_are_refused_in_words(lap, tmp_path):
    mirrored = read_drive(of_a_car(lap, tmp_path / "car", gain=-1.0), BENDS)
    assert (mirrored.distance_m, mirrored.unit) == (0, "m")
    assert "turns do not follow from the recorded steering" in " ".join(mirrored.notes)
    assert mirrored.estimates["curvature_of_steering"] < 0


def test_speeds_of_a_car_with_another_camera_are_not_taken_for_the_simulators(lap, tmp_path):
    log = of_a_car(lap, tmp_path / "car", gain=2.0, speed="3")
    assert read_drive(log, BENDS).unit == "camera heights"
    short = read_drive(log, (0.0, 60 / len(read_reference(log))))
    assert (short.distance_m, short.unit, len(short)) == (0, "m", 60)
    assert "speeds are those of another car" in short.notes[0]
    assert "there are 60 rows, expected 100 or more" in short.notes[-1]
    (log.parent / FRAMING_NAME).write_text(Framing(320, 160).to_json())
    assert read_drive(log, BENDS).distance_m > 0
