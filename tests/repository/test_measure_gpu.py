"""docs/measure_gpu.py, which measures on a machine with a GPU unattended: its steps, here without one."""

import json
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from bcclone.cli import make_parser
from bcclone.commands import load_command
from tests.conftest import ROOT

SCRIPT = ROOT / "docs" / "measure_gpu.py"


def script():
    spec = spec_from_file_location("measure_gpu", SCRIPT)
    module = sys.modules["measure_gpu"] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("recording", [None, Path("lake")])
@pytest.mark.parametrize("quick", [False, True])
def test_each_step_is_a_command_with_options_that_exist(tmp_path, recording, quick):
    steps = list(script().steps(tmp_path, recording, quick))
    assert len({step.name for step in steps}) == len(steps) >= 12
    for step in steps:
        name, *line = map(str, step.command)
        make_parser(load_command(name), f"bcclone {name}").parse_args(line)


@pytest.mark.long
def test_every_step_runs_and_a_second_run_goes_on(tmp_path):
    line = [sys.executable, SCRIPT, tmp_path / "work", "--quick", "-o", tmp_path / "gpu.json"]
    first = subprocess.run([*line, "--minutes", "0.5"], capture_output=True, text=True, check=True)
    assert "missing" in first.stdout.splitlines()[-1]
    assert json.loads((tmp_path / "gpu.json").read_text())["missing"]
    subprocess.run(line, capture_output=True, text=True, check=True)
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert (found["missing"], found["quick"]) == ([], True)
    assert set(found["failed"]) <= {"doctor"}  # it may miss a tool of this machine
    assert found["steps"]["train float32"]["samples_per_second"] > 0
