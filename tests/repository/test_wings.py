"""The line works without the wings: a package that lacks them converts, trains, drives, records and evaluates."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from bcclone.commands import COMMANDS
from tests.conftest import ROOT

# an editable installation would find the wings of the checkout
WITHOUT_CHECKOUT = """
import sys
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
"""


@pytest.mark.slow
def test_the_four_commands_run_with_both_wings_deleted(simulated_recording, tmp_path):
    without = shutil.ignore_patterns("cluster", "lab", "__pycache__")
    shutil.copytree(ROOT / "bcclone", tmp_path / "bcclone", ignore=without)
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_CHECKOUT)
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}

    def run(name, *options):
        line = [sys.executable, "-m", "bcclone", name, *map(str, options)]
        done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    stored = json.loads(run("preprocess", simulated_recording, "-o", "data.h5", "--size", 64, "--json"))
    trained = json.loads(run("model", "data.h5", "-o", "model.h5", "--epochs", 1, "--json"))
    assert trained["samples"] == stored["samples"]
    assert list(tmp_path.glob("runs/*/plots/*.png"))
    assert list(tmp_path.glob("runs/*/report.html"))
    driven = json.loads(run("evaluate", "model.h5", "--laps", 0.01, "--speed", 15, "--run", "run1", "--json"))
    assert driven["ended"] == "laps driven"
    assert len(list((tmp_path / "run1").rglob("*.jpg"))) > 10  # drive served it, in a process of its own
    run("video", "run1", "-o", "run1.mp4")
    assert (tmp_path / "run1.mp4").stat().st_size > 1000
    run("simulate", "record", "lap", "--laps", 0.01)
    assert (tmp_path / "lap" / "driving_log.csv").exists()
    assert " improve " not in run("--help")
    for command in sorted(COMMANDS.keys() - {"monitor", "improve", "margin", "export", "import", "calibrate"}):
        assert "usage" in run(command, "--help")
    for option in ("--monitor", "--workers"):
        assert option not in run("drive", "--help") + run("model", "--help")
