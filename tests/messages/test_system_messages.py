"""Errors of the operating system: cli.run() reports each in one line, with a remedy."""

import errno
import signal
import subprocess
from contextlib import redirect_stdout, suppress
from pathlib import Path

import pytest

from bcclone import cli
from tests.messages.small_recording import make_recording, without_privileges
from tests.processes import on_a_full_disk
from tests.running import command


def to_a_full_disk():
    with suppress(OSError), Path("/dev/full").open("w") as full, redirect_stdout(full):
        cli.run_line(["doctor"])


def of_a_locked_folder():
    Path("locked").mkdir(0o000)
    Path().chmod(0o755)
    line = ["preprocess", "locked/rec", "--check"]
    cli.run_line(line)  # loads what another user may not read
    with without_privileges():
        cli.run_line(line)


def of_too_long_a_name():
    cli.run_line(["preprocess", "rec", "-o", "n" * 300 + ".h5"])


def larger_than_allowed():
    line = on_a_full_disk(command("preprocess.py", make_recording("rec")), 9_000)
    return subprocess.run(line, stderr=subprocess.PIPE, text=True).stderr


def of_a_link_to_itself():
    make_recording("rec")
    Path("loop").symlink_to("loop")
    cli.run_line(["preprocess", "rec", "--shard-mb", "1", "-o", "loop", "--quiet"])


# error of the system -> what leads to it, and what the user reads
REPORTED = {
    errno.ENOSPC: (to_a_full_disk, "error: No space left on device; "),
    errno.EACCES: (of_a_locked_folder, "error: locked/rec: Permission denied; "),
    errno.ENAMETOOLONG: (of_too_long_a_name, "nn.h5: File name too long; "),
    errno.EEXIST: (of_a_link_to_itself, "loop: a link that leads to itself; "),
    errno.EFBIG: (larger_than_allowed, "data.h5: File too large; "),
}


@pytest.mark.parametrize("number", REPORTED, ids=errno.errorcode.get)
def test_errors_of_the_operating_system_are_reported_with_a_remedy(
    number, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    provoke, words = REPORTED[number]
    before = signal.getsignal(signal.SIGTERM)
    try:
        printed = provoke() or capsys.readouterr().err
    finally:
        signal.signal(signal.SIGTERM, before)
    assert words in printed
    assert "choose another" in printed
    assert printed.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in printed
