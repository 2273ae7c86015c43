"""Let a trained model drive the car in the simulator, which connects to port 4567 in its autonomous mode.

With RUN, the frames and what was answered to them are recorded into that folder.
"""

import argparse
import signal
import sys
import threading
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

from bcclone.commands.options import add_preprocess, build, given, say
from bcclone.drive.settings import DriveSettings
from bcclone.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "model",
        nargs="?",
        type=Path,
        default=Path("model.h5"),
        help="what model.py wrote, or an older Keras .h5 (model.h5)",
    )
    parser.add_argument(
        "run_folder", nargs="?", type=Path, metavar="RUN", help="folder to record into; without it nothing is recorded"
    )
    add_preprocess(parser)
    parser.add_argument("--speed", dest="speed_mph", type=float, metavar="MPH", help="speed to hold (25)")
    parser.add_argument("--host", help="address to listen on (127.0.0.1: this machine only)")
    parser.add_argument("--port", type=int, help="port to listen on (4567, where the simulator connects to)")
    parser.add_argument(
        "--end-with-stdin", action="store_true", help="end when standard input ends, with the program that started it"
    )
    parser.add_argument("--append", action="store_true", help="add to a run folder that holds a run already")


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C; return the exit code."""
    from bcclone.drive.recorder import Recorder
    from bcclone.tensorflow_quietly import load_tensorflow

    if arguments.append and not arguments.run_folder:
        raise UserError("--append says to add to a run; name its folder: python drive.py MODEL RUN --append")
    settings = build(replace, DriveSettings(), **given(arguments, "host", "port", "speed_mph"))
    load_tensorflow()
    from bcclone.drive.controller import SpeedController
    from bcclone.drive.driver import Driver
    from bcclone.drive.server import listen, serve
    from bcclone.policy import load_policy

    policy = load_policy(arguments.model, arguments.preprocess)
    say(f"{arguments.model}: frames are prepared as {policy.preprocessing}")
    with ExitStack() as stack:
        listener = stack.enter_context(closing(listen(settings.host, settings.port)))
        recorder = None
        if arguments.run_folder:
            recorder = stack.enter_context(Recorder(arguments.run_folder, arguments.append))
        driver = Driver(policy, SpeedController(settings.speed_mph), recorder.record if recorder else None)
        if arguments.end_with_stdin:
            threading.Thread(target=_end_with_stdin, daemon=True).start()
        serve(driver, listener)
    say(f"ended; {driver.answered} frames answered, {driver.faults} faults")
    if recorder:
        dropped = f", {recorder.dropped} dropped" if recorder.dropped else ""
        say(f"{recorder.folder}: {recorder.recorded} frames recorded{dropped}\nnext: python video.py {recorder.folder}")
    return 0


def _end_with_stdin() -> None:
    """Wait until whoever holds the other end of standard input is gone, and end as on Ctrl-C."""
    sys.stdin.buffer.read()
    signal.raise_signal(signal.SIGINT)
