"""Progress is a bar on a terminal, and plain lines otherwise; in a program's process, lines are
logged.
"""

import logging
import os
import subprocess
import sys

import pytest

from bcclone.system.progress import ProgressBar
from tests.processes import said
from tests.running import ROOT

IMPORT = "from bcclone.system.progress import ProgressBar"
OWN = f"from bcclone.system.process import claim_process; claim_process(); {IMPORT}\n"
COUNT = """
with ProgressBar("checking \\x1b[2J.csv", 3, "things") as bar:
    for _ in range(3):
        bar.advance(1, "figure 7")
"""
LONG = """
now = 0.0
with ProgressBar("counting \\x1b[31mred\\x9b.csv", 240, "things", clock=lambda: now) as bar:
    for number in range(1, 41):
        now += 6
        bar.advance(6, f"figure {number} \\x07")
"""
LABEL = "counting \\x1b[31mred\\x9b.csv"


def test_a_long_step_prints_the_time_left_every_few_seconds(caplog, capfd):
    lines = said(sys.executable, "-c", OWN + LONG, cwd=ROOT, check=True).stderr.splitlines()
    assert lines[0] == f"{LABEL}: 30/240 things, 1/s, 210 s left, figure 5 \\x07"
    assert len(lines) == 8
    assert lines[-1] == f"{LABEL}: 240/240 things, 1/s"
    caplog.set_level(logging.INFO, "bcclone")
    exec(LONG, {"ProgressBar": ProgressBar})
    assert caplog.messages == lines
    assert capfd.readouterr().err == ""


def shown_on_a_terminal(code, size):
    """Return what a program writes to a terminal of so many rows and columns."""
    pty = pytest.importorskip("pty")
    termios = pytest.importorskip("termios")
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, size)
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, stderr=theirs, check=True)
    os.close(theirs)
    shown = ""
    try:
        while data := os.read(ours, 1000):
            shown += data.decode()
    except OSError:  # the pseudo-terminal was closed by the other side
        os.close(ours)
    return shown


@pytest.mark.parametrize("size", [(0, 0), (0, 80), (24, 0), (1, 80)])
def test_a_terminal_without_a_size_gets_lines(size):
    shown = shown_on_a_terminal(OWN + COUNT, size)
    assert "3/3 things" in shown
    assert shown.count("\n") == 1


@pytest.mark.parametrize("is_own", [True, False])
def test_only_a_command_shows_a_bar_on_a_terminal(is_own):
    shown = shown_on_a_terminal((OWN if is_own else IMPORT) + COUNT, (24, 100))
    if not is_own:
        assert shown == ""
        return
    for part in ("\r", "3/3", "figure 7", "checking \\x1b[2J.csv: "):
        assert part in shown
    assert "\x1b[2J" not in shown
