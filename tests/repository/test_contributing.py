"""The worked examples of CONTRIBUTING.md: each applies to the code as it is, and its commands do what is said."""

import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.timeout(600)

PAGE = (ROOT / "CONTRIBUTING.md").read_text()
EXAMPLES = {part.partition("\n")[0]: part for part in re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]}


def blocks(kind, text):
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [block for of, block in fenced if of == kind]


@pytest.fixture
def checkout(tmp_path, simulated_store, simulated_recording, untrained_model):
    """A copy of the code, and beside it the data that the examples name."""
    for name in ("bcclone", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(simulated_store, tmp_path / "data.h5")
    shutil.copy(untrained_model, tmp_path / "model.h5")
    bars = tmp_path / "bars"
    shutil.copytree(simulated_recording / "IMG", bars / "IMG")
    log = (simulated_recording / "driving_log.csv").read_text()
    (bars / "driving_log.csv").write_text(log.replace(",", "|"))
    return tmp_path


def run(line, folder, **options):
    environment = os.environ | {"PYTHONPATH": str(folder)}
    return subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, **options)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_a_worked_example_works(name, checkout):
    text = EXAMPLES[name]
    (diff,), commands = blocks("diff", text), blocks("", text)
    refused = any(run(_words(command), checkout).returncode for command in commands[0].splitlines())
    assert refused, "the example does something that works already"
    applied = run(["git", "apply", "-"], checkout, input=diff)
    assert applied.returncode == 0, applied.stderr
    for command in commands[0].splitlines():
        done = run(_words(command), checkout)
        assert done.returncode == 0, done.stderr


def _words(command):
    program, *words = shlex.split(command)
    return [sys.executable, *(["-m", "bcclone"] if program == "bcclone" else []), *words]
