"""Run commands of bcclone: in the test's own process, or in a process of their own."""

import csv
import io
import json
import logging
import signal
import subprocess
import sys
import warnings
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from bcclone.cli import run
from bcclone.commands import COMMANDS
from tests.processes import said

ROOT = Path(__file__).parent.parent  # where the four scripts are


def command(script, *arguments):
    """Return the command line of one of the four scripts, or of `bcclone` for anything else."""
    program = ["-m", "bcclone", script]
    if script.endswith(".py"):
        program = [str(ROOT / script)]
    return [sys.executable, *program, *map(str, arguments)]


def run_process(script, *arguments, code=0, cwd=None, encoding=None):
    """Run a command in a process of its own.

    Its exit code must be `code`, or any if that is None, and no traceback may show.
    """
    return _checked(said(*command(script, *arguments), encoding=encoding, cwd=cwd), code)


def run_script(script, *arguments, code=0, cwd=None):
    """Run a command in this process.

    That is faster than run_process(), because nothing is imported again.
    """
    # a command may have two words
    if arguments and f"{script} {arguments[0]}" in COMMANDS:
        script = f"{script} {arguments[0]}"
        arguments = arguments[1:]
    name = script.removesuffix(".py")
    program = ["bcclone", *script.split()]
    if script.endswith(".py"):
        program = ["python", script]

    stdout = io.StringIO()
    stderr = io.StringIO()
    with (
        _as_in_a_new_process(stderr),
        redirect_stdout(stdout),
        redirect_stderr(stderr),
        chdir(cwd or "."),
    ):
        try:
            exit_code = run(name, program, [str(argument) for argument in arguments])
        except SystemExit as exit_of_argparse:
            exit_code = exit_of_argparse.code
    printed = (stdout.getvalue(), stderr.getvalue())
    return _checked(subprocess.CompletedProcess(arguments, exit_code, *printed), code)


def result_of(script, *arguments, **options):
    """Return the JSON result of a command; see run_script()."""
    return json.loads(run_script(script, *arguments, "--json", **options).stdout)


def read_steering(table):
    """Return frame_id -> steering of a table that `bcclone predict` has written."""
    with table.open(encoding="utf-8", newline="") as file:
        return {row["frame_id"]: float(row["steering_angle"]) for row in csv.DictReader(file)}


@contextmanager
def _as_in_a_new_process(stderr):
    """Print warnings, which pytest would collect; take back what cli.run() changes."""
    root = logging.getLogger()
    level_before = root.level
    filters_before = warnings.filters[:]
    on_sigterm_before = signal.getsignal(signal.SIGTERM)

    handler = logging.StreamHandler(stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level_before)
        warnings.filters[:] = filters_before
        signal.signal(signal.SIGTERM, on_sigterm_before)


def _checked(done, code):
    assert code in (None, done.returncode), done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done
