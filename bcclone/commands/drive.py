"""Serve a trained model to the simulator, which connects to port 4567 in its autonomous mode.

With RUN, frames and controls are recorded into that folder. Without it, nothing is recorded until you press "Record" on
the web page, which records into a new folder run-DATE_TIME in the current folder.
"""

import argparse
import sys
import time
from functools import partial

from bcclone.commands import wings
from bcclone.commands.options import add_settings, chosen, local_path, notify, print_json
from bcclone.drive.controller import SpeedSettings
from bcclone.drive.drive_settings import DriveSettings
from bcclone.drive.process import end_with_stdin
from bcclone.system.errors import printable

SUMMARY = "drive the simulator's car with a model"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "model",
        nargs="?",
        type=local_path,
        metavar="MODEL",
        help=f"model file of model.py, or a .h5 or .keras file of Keras (default: {DriveSettings.model})",
    )
    parser.add_argument(
        "run_folder", nargs="?", type=local_path, metavar="RUN", help="folder to record the drive into (default: none)"
    )
    add_settings(parser, DriveSettings)
    add_settings(parser, SpeedSettings)
    wings.add_monitor(parser)
    parser.add_argument(
        "--end-with-stdin",
        action="store_true",
        help="exit when standard input is closed, for programs that start the server",
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C; return the exit code. Raises UserError."""
    watch = wings.find_watch(arguments)
    settings = chosen(DriveSettings, arguments, speed=chosen(SpeedSettings, arguments))
    from bcclone.drive.server import serve

    if arguments.end_with_stdin:
        end_with_stdin()
    stream = sys.stderr if arguments.json or arguments.quiet else sys.stdout
    result = serve(
        settings,
        lambda text: print(printable(text), file=stream, flush=True),
        open_watch=partial(watch.opener([settings.model]), time.monotonic) if watch else None,
    )
    notify(f"ended; {result.answered} frames answered, {result.faults} faults")
    if result.folder is not None:
        dropped = f", {result.dropped} dropped" if result.dropped else ""
        notify(f"{result.folder}: {result.recorded} frames recorded{dropped}")
        if result.recorded:
            notify(f"next: bcclone video {result.folder}")
    if arguments.json:
        print_json(result)
    return 0


def interrupted(arguments: argparse.Namespace) -> str:
    """Return what is left after Ctrl-C."""
    folder = arguments.run_folder
    return f"{folder} keeps what was recorded" if folder and folder.exists() else "nothing was recorded"
