"""bcclone bench play measures a drive in a browser."""

import shutil

import pytest

from bcclone.bench.play import measure_play
from bcclone.bench.settings import PlayBenchSettings

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        not (shutil.which("chromium") and shutil.which("chromedriver")),
        reason="needs a browser: apt-get install chromium chromium-driver",
    ),
]


def test_pictures_keys_and_real_time_are_measured():
    pytest.importorskip("selenium", reason="needs selenium, of the dev extras")
    values = {measure.name: measure.value for measure in measure_play(PlayBenchSettings(seconds=2))}
    assert 1 < values["pictures drawn"] < 35
    assert 0 < values["key to picture, p50"] <= values["key to picture, p95"] < 2000
    assert 0.3 < values["simulated to real time"] < 1.1
    assert 0 < values["rows recorded"] < 20
