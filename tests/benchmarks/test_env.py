"""The benchmark of the environment: its measures, and environments that are missing or do not
run.
"""

import importlib.util

import pytest

from benchmarks.env import Settings, measure

pytest.importorskip("gymnasium", reason="gymnasium is not installed")


@pytest.mark.long
def test_environments_are_measured_and_the_one_that_is_missing_is_left_out(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "Box2D" else find(name)
    )
    notes = []
    report = measure(Settings(steps=10, rounds=1), notes.append)
    assert [one.name for one in report.measures] == [
        "bcclone, 160x320",
        "bcclone, 64x64",
        "two processes to one, bcclone, 160x320",
    ]
    assert all(one.value > 0 for one in report.measures)
    assert notes == [
        "note: CarRacing-v3, 96x96 from above is left out: the package Box2D is not installed"
    ]
