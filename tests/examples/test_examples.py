"""The scripts in examples/ run as they are."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.slow
def test_a_model_drives_the_environment(untrained_model):
    command = [sys.executable, EXAMPLES / "drive_with_a_model.py", untrained_model, "random:7:length=400"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("random:7:length=400: ")
