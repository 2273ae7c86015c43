import importlib.util

import pytest

from bcclone.bench.environment import measure_environment
from bcclone.bench.settings import EnvironmentBenchSettings

pytest.importorskip("gymnasium", reason="gymnasium is not installed")
pytestmark = pytest.mark.slow


def measured(monkeypatch, found):
    """Measure a few steps, where packages are installed or not as `found` says; return the values and the notes."""
    has = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found[name] if name in found else has(name))
    notes = []
    measures = measure_environment(EnvironmentBenchSettings(steps=10, rounds=1), notes.append)
    return {measure.name: measure.value for measure in measures}, notes


def test_own_environments_are_measured_and_others_are_left_out_where_they_are_not_installed(monkeypatch):
    values, notes = measured(monkeypatch, {"Box2D": None, "metadrive": None})
    assert list(values) == ["bcclone, 160x320", "bcclone, 64x64", "two processes to one, bcclone, 160x320"]
    assert all(value > 0 for value in values.values())
    assert [note.rpartition(" is left out: ")[2] for note in notes] == [
        "the package Box2D is not installed",
        "the package metadrive is not installed",
    ]


def test_another_environment_that_does_not_run_is_left_out_with_its_reason(tmp_path, monkeypatch):
    (tmp_path / "metadrive.py").write_text("raise RuntimeError('no display')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    values, notes = measured(monkeypatch, {"Box2D": None, "metadrive": object()})
    assert "MetaDrive, 160x320" not in values
    assert notes[-1] == "note: MetaDrive, 160x320 is left out: RuntimeError: no display"
