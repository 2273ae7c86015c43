"""Progress is a bar on a terminal, and plain lines otherwise; in a program's process, lines are
logged.
"""

import logging
import os
import subprocess
import sys

import pytest

from bcclone.system.process import ProgressBar
from tests.processes import said
from tests.running import ROOT

IN_OUR_OWN = """
from bcclone.system.process import claim_process
from bcclone.system.process import ProgressBar
claim_process()
"""
COUNT = """
with ProgressBar("counting", 3, "things") as bar:
    for _ in range(3):
        bar.advance(1, "figure 7")
"""
LONG = """
now = 0.0
with ProgressBar("counting", 240, "things", clock=lambda: now) as bar:
    for number in range(1, 41):
        now += 6
        bar.advance(6, f"figure {number}")
times = iter((0.0, 1.0))
with ProgressBar("checking \\x1b[31mred\\x9b.csv", 1, "rows", clock=lambda: next(times)) as bar:
    bar.advance(1, "figure \\x07")
"""


@pytest.fixture
def lines():
    done = said(sys.executable, "-c", IN_OUR_OWN + LONG, cwd=ROOT, check=True)
    return done.stderr.splitlines()


def test_a_long_step_prints_the_time_left_every_few_seconds(lines):
    assert lines[0] == "counting: 30/240 things, 1/s, 210 s left, figure 5"
    assert len(lines) == 9
    assert lines[-2] == "counting: 240/240 things, 1/s"
    assert lines[-1] == "checking \\x1b[31mred\\x9b.csv: 1/1 rows, 1/s"


def test_in_the_process_of_a_program_the_same_lines_are_logged(lines, caplog, capfd):
    caplog.set_level(logging.INFO, "bcclone")
    exec(LONG, {"ProgressBar": ProgressBar})
    assert caplog.messages == lines
    assert capfd.readouterr().err == ""


def shown_on_a_terminal(code):
    """Return what a program of Python writes to its standard error, a terminal."""
    pty = pytest.importorskip("pty")
    termios = pytest.importorskip("termios")
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, stderr=theirs, check=True)
    os.close(theirs)
    shown = ""
    try:
        while data := os.read(ours, 1000):
            shown += data.decode()
    except OSError:  # the pseudo-terminal was closed by the other side
        os.close(ours)
    return shown


def test_on_a_terminal_the_progress_of_a_command_is_a_bar_that_changes_nothing_else():
    shown = shown_on_a_terminal(IN_OUR_OWN + COUNT.replace("counting", "checking \\x1b[2J.csv"))
    assert "\r" in shown
    assert "3/3" in shown
    assert "figure 7" in shown
    assert "checking \\x1b[2J.csv: " in shown
    assert "\x1b[2J" not in shown


def test_a_program_at_a_terminal_gets_no_bar():
    assert shown_on_a_terminal("from bcclone.system.process import ProgressBar" + COUNT) == ""
