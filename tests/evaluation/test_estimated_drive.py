"""A recording whose speeds are taken away is replayed with estimates, in camera heights, much as it
is with its own.
"""

import shutil

import numpy as np
import pytest

from bcclone.camera.framing import FRAMING_NAME, Framing, Lens
from bcclone.camera.geometry import FOCAL_PX, HEIGHT_M, VANISHING_ROW
from bcclone.evaluation.estimated_drive import read_drive
from bcclone.evaluation.evaluate_settings import ReplaySettings
from bcclone.evaluation.replay import Replayed, controls_of
from bcclone.evaluation.rollout import read_reference
from tests.recordings import rewrite

SIMULATED = Framing(320, 160, lens=Lens(FOCAL_PX, VANISHING_ROW, 159.5))
BENDS = (0.35, 1.0)  # of the lap: at speed


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
def test_speed_and_steering_are_estimated_from_the_frames_and_replayed_in_camera_heights(
    lap, tmp_path
):
    known = read_reference(lap, BENDS)
    estimated = read_drive(of_a_car(lap, tmp_path / "car", gain=2.0), BENDS)
    assert np.median(np.array(estimated.speed[:-1]) * HEIGHT_M / known.speed[:-1]) == pytest.approx(
        1, abs=0.1
    )
    assert estimated.law.gain == pytest.approx(known.law.gain * HEIGHT_M / 2, rel=0.3)
    without_steering = []
    for drive, settings in (
        (known, ReplaySettings(limit_m=2 * HEIGHT_M)),
        (estimated, ReplaySettings()),
    ):
        zero = controls_of(drive, settings)["zero"]
        without_steering.append(Replayed(drive, settings.limit_m, {"zero": zero}))
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
    assert all(words in replayed.as_text() for words in ("flat ground", "Check:", "camera heights"))


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
