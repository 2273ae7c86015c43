"""Of the evaluations: a recording, made once, models of others, and the figures of a drive."""

import pytest

from bcclone.simulator.expert import record
from bcclone.simulator.world_settings import RecordSettings
from tests.conftest import made_once

LEGACY = {
    "keras-1.2.1_66x200_yuv.h5": "nvidia-66x200-yuv-bgr",
    "keras-2.11.0_66x200_yuv.h5": "nvidia-66x200-yuv",
}
FIGURES = {
    "autonomy_percent": 100.0, "interventions": 0, "first_off_road_m": None, "distance_m": 1140.0,
    "mean_abs_cross_track_m": 0.3, "max_abs_cross_track_m": 1.0, "mean_speed_mph": 19.0,
    "steering_smoothness": 0.2, "seconds": 130.0, "departures": {}, "laps": 1.0,
    "ended": "laps driven",
}  # fmt: skip


@pytest.fixture(scope="session")
def lap(tmp_path_factory):
    """The log of a recording of the simulator: 14 s, up to speed and through the first bends. Not
    to be changed.
    """
    settings = RecordSettings(laps=0.15, recoveries=0)
    folder = made_once(tmp_path_factory, "lap", lambda folder: record(folder / "lake", settings))
    return folder / "lake" / "driving_log.csv"
