"""The quick readers hold for some tries of the fuzzer; `python -m tests.fuzz` tries for as long as
you want.

It runs in a process of its own, because it forks, which a process with TensorFlow's threads does
not survive.
"""

import subprocess
import sys

import pytest

from tests.running import ROOT


def fuzz(*arguments):
    line = [sys.executable, "-m", "tests.fuzz", *map(str, arguments)]
    return subprocess.run(line, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)


def test_the_quick_readers_hold_for_some_tries():
    done = fuzz("road", "packets", "page", "tub", "--tries", 15, "--seed", 7)
    assert done.returncode == 0, done.stdout
    assert [line.split()[1] for line in done.stdout.splitlines()[1:]] == ["15"] * 4


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_each_reader_holds_for_more_tries():
    done = fuzz("--tries", 100, "--seed", 8, "--seconds", 600)
    assert done.returncode == 0, done.stdout
