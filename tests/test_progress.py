"""Progress is a bar on a terminal and plain lines elsewhere."""

import os
import pty
import subprocess
import sys
import termios

from bcclone.progress import Progress

COUNT = """
from bcclone.progress import Progress
with Progress("counting", 3, "things") as bar:
    for _ in range(3):
        bar.advance(1, "figure 7")
"""


def test_elsewhere_it_is_plain_lines(capsys):
    with Progress("counting", 3, "things") as bar:
        for _ in range(3):
            bar.advance(1)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("counting: 3/3 things, ")
    assert line.endswith("/s")


def test_a_long_step_says_now_and_then_how_long_it_will_take(capsys):
    seconds = iter(range(0, 100, 3))
    with Progress("counting", 3, "things", clock=lambda: float(next(seconds))) as bar:
        bar.advance(1, "figure 6")
        assert capsys.readouterr().err == ""
        bar.advance(1, "figure 7")
        assert capsys.readouterr().err == "counting: 2/3 things, 0/s, 6 s left, figure 7\n"
        bar.advance(1)


def test_on_a_terminal_it_is_a_bar():
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    subprocess.run([sys.executable, "-c", COUNT], stderr=theirs, check=True)
    os.close(theirs)
    shown = ""
    try:
        while data := os.read(ours, 1000):
            shown += data.decode()
    except OSError:  # how a pseudo-terminal says that the other side has gone
        os.close(ours)
    assert "\r" in shown
    assert "3/3" in shown
    assert "figure 7" in shown
