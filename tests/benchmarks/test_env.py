"""The benchmark of the environment: its measures, and environments that are missing or do not run."""

import importlib.util

import pytest

from bcclone.system.errors import UserError
from benchmarks.env import Settings, measure, steps_a_second

pytest.importorskip("gymnasium", reason="gymnasium is not installed")


@pytest.mark.long
def test_environments_are_measured_and_the_one_that_is_missing_is_left_out(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "Box2D" else find(name))
    notes = []
    report = measure(Settings(steps=10, rounds=1), notes.append)
    assert [one.name for one in report.measures] == [
        "bcclone, 160x320",
        "bcclone, 64x64",
        "bcclone, 4 cars in one process, 160x320",
        "two processes to one, bcclone, 160x320",
    ]
    assert all(one.value > 0 for one in report.measures)
    assert notes == ["note: CarRacing-v3, 96x96 from above is left out: the package Box2D is not installed"]


@pytest.mark.parametrize(
    "program", ["raise RuntimeError('no display')", "print('ready', flush=True); raise RuntimeError('no display')"]
)
def test_an_environment_that_does_not_run_is_refused_with_its_last_line(program):
    with pytest.raises(UserError, match="did not run: RuntimeError: no display"):
        steps_a_second([program])
