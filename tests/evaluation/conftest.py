"""A recording of the simulator, made once for all tests of this folder."""

import pytest

from bcclone.simulator.expert import record
from bcclone.simulator.world_settings import RecordSettings
from tests.conftest import made_once


@pytest.fixture(scope="session")
def lap(tmp_path_factory):
    """The log of a recording of the simulator: 14 s, up to speed and through the first bends. Not
    to be changed.
    """
    settings = RecordSettings(laps=0.15, recoveries=0)
    folder = made_once(tmp_path_factory, "lap", lambda folder: record(folder / "lake", settings))
    return folder / "lake" / "driving_log.csv"
