"""Progress is a bar on a terminal, and plain lines otherwise."""

import os
import subprocess
import sys

import pytest

from bcclone.system.progress import ProgressBar

COUNT = """
from bcclone.system.progress import ProgressBar
with ProgressBar("counting", 3, "things") as bar:
    for _ in range(3):
        bar.advance(1, "figure 7")
"""


def test_a_long_step_prints_the_time_left_every_few_seconds(capsys):
    now = 0.0
    with ProgressBar("counting", 240, "things", clock=lambda: now) as bar:
        for number in range(1, 41):
            now += 6
            bar.advance(6, f"figure {number}")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "counting: 36/240 things, 1/s, 204 s left, figure 6"
    assert len(lines) == 8
    assert lines[-1] == "counting: 240/240 things, 1/s"


def test_names_of_files_print_no_control_characters(capsys):
    times = iter((0.0, 0.0, 1.0))
    with ProgressBar("checking \x1b[31mred\x9b.csv", 1, "rows", clock=lambda: next(times)) as bar:
        bar.advance(1, "figure \x07")
    assert capsys.readouterr().err == "checking \\x1b[31mred\\x9b.csv: 1/1 rows, 1/s\n"


def test_on_a_terminal_progress_is_a_bar():
    pty = pytest.importorskip("pty")
    termios = pytest.importorskip("termios")
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    subprocess.run([sys.executable, "-c", COUNT], stderr=theirs, check=True)
    os.close(theirs)
    shown = ""
    try:
        while data := os.read(ours, 1000):
            shown += data.decode()
    except OSError:  # the pseudo-terminal was closed by the other side
        os.close(ours)
    assert "\r" in shown
    assert "3/3" in shown
    assert "figure 7" in shown
