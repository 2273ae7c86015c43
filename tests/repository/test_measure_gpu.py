"""docs/measure_gpu.py, which measures on a machine with a GPU unattended: its steps, here without
one.
"""

import json
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from bcclone.commands import load_command, split_line
from bcclone.commands.command import make_parser
from benchmarks.__main__ import make_benchmark
from tests.processes import said
from tests.running import ROOT

SCRIPT = ROOT / "docs" / "measure_gpu.py"


def script():
    spec = spec_from_file_location("measure_gpu", SCRIPT)
    module = sys.modules["measure_gpu"] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("recording", "quick"), [(None, True), (Path("lake"), False)])
def test_each_step_is_a_command_with_options_that_exist(tmp_path, recording, quick):
    steps = list(script().steps(tmp_path, recording, quick))
    assert len({step.name for step in steps}) == len(steps) >= 12
    for step in steps:
        words = list(map(str, step.command))
        name, line = (words[0], words[1:]) if step.program == "benchmarks" else split_line(words)
        command = make_benchmark(name) if step.program == "benchmarks" else load_command(name)
        make_parser(command, name).parse_args([*line, "--json"])


@pytest.mark.slow
def test_steps_that_are_not_complete_are_run_again(tmp_path):
    module = script()
    lap = tmp_path / "lap"
    step = module.Step("a lap", ("simulate", "record", lap, "--laps", 0.01), lap)
    wrong = module.Step("wrong", ("model", tmp_path / "no.h5"))
    lap.mkdir()  # what an interrupted step has left
    assert module.run_missing([step], tmp_path, 0) == {}  # none begins after the time
    assert not (tmp_path / "a-lap.json").exists()
    assert "no.h5" in module.run_missing([step, wrong], tmp_path, 600)["wrong"]
    assert json.loads((tmp_path / "a-lap.json").read_text())["rows"] > 5
    made = (lap / "driving_log.csv").stat().st_mtime_ns
    assert module.run_missing([step], tmp_path, 600) == {}
    assert (lap / "driving_log.csv").stat().st_mtime_ns == made


@pytest.mark.long
def test_the_quick_measurement_completes_each_step(tmp_path):
    said(sys.executable, SCRIPT, tmp_path, "--quick", check=True)
    found = json.loads((tmp_path / "quick" / "gpu.json").read_text())
    assert found["missing"] == []
    assert set(found["failed"]) <= {"doctor"}  # it may miss a tool of this machine
    assert found["steps"]["train float32"]["samples_per_second"] > 0
