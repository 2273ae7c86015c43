import importlib.util

import pytest

from benchmarks.environment import measure_environment
from benchmarks.settings import EnvironmentBenchSettings

pytest.importorskip("gymnasium", reason="gymnasium is not installed")


@pytest.mark.long
def test_environments_are_measured_and_those_that_are_missing_or_do_not_run_are_left_out(tmp_path, monkeypatch):
    (tmp_path / "metadrive.py").write_text("raise RuntimeError('no display')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    installed = {"Box2D": None, "metadrive": object()}
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: installed[name] if name in installed else find(name))
    notes = []
    measures = measure_environment(EnvironmentBenchSettings(steps=10, rounds=1), notes.append)
    assert [measure.name for measure in measures] == [
        "bcclone, 160x320",
        "bcclone, 64x64",
        "bcclone, 4 cars in one process, 160x320",
        "two processes to one, bcclone, 160x320",
    ]
    assert all(measure.value > 0 for measure in measures)
    assert notes == [
        "note: CarRacing-v3, 96x96 from above is left out: the package Box2D is not installed",
        "note: MetaDrive, 160x320 is left out: RuntimeError: no display",
    ]
