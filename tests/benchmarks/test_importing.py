"""The benchmark of imports: its measures, and that it removes its files."""

import json
import tempfile

import pytest

from benchmarks.importing import Settings, measure
from tests.benchmarks.running import run_benchmark

pytest.importorskip("av", reason="pip install 'bcclone[video]'")


def test_a_synthetic_video_is_measured_and_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    measures = {one.name: one for one in measure(Settings(frames=20, size=(96, 64), rounds=1)).measures}
    ratio = measures["import to decoding alone"]
    assert ratio.value == pytest.approx(measures["import"].value / measures["decoding alone, PyAV"].value)
    assert ratio.bar == 0.7
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_command_gives_json():
    done = run_benchmark("importing", "--frames", 20, "--size", "96x64", "--rounds", 1, "--json")
    assert len(json.loads(done.stdout)["measures"]) == 5
