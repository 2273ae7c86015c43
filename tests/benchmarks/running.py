"""Run a benchmark as its user does."""

import json
import sys

from tests.processes import said
from tests.running import ROOT


def run_benchmark(*words, code=0):
    """Run `python -m benchmarks` in a process of its own; its exit code must be `code`. Return its
    --json.
    """
    done = said(sys.executable, "-m", "benchmarks", *words, "--json", cwd=ROOT)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout)
