"""Run a benchmark as its user does."""

import json
import subprocess
import sys

from tests.conftest import ROOT


def run_benchmark(*words, code=0):
    """Run `python -m benchmarks` in a process of its own; its exit code must be `code`. Return its --json."""
    line = [sys.executable, "-m", "benchmarks", *map(str, words), "--json"]
    done = subprocess.run(line, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout)
