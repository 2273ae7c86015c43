"""Let a trained model drive the car in the simulator, which connects to port 4567 in its autonomous mode.

With RUN, the frames and what was answered to them are recorded into that folder. Without it the car drives all the same
and nothing is recorded, until "Record" on the page begins a folder run-DATE_TIME in the current folder.
"""

import argparse
import sys
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from bcclone.commands.options import add_output_options, add_preprocess, build, given_for, print_json, say
from bcclone.drive.process import end_with_stdin
from bcclone.drive.settings import ASYNC_MODES, DriveSettings, is_this_machine
from bcclone.errors import UserError

if TYPE_CHECKING:
    from bcclone.drive.session import Cockpit


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "model",
        nargs="?",
        type=Path,
        default=Path("model.h5"),
        help="what model.py wrote, or an older Keras .h5 or .keras (model.h5)",
    )
    parser.add_argument(
        "run_folder", nargs="?", type=Path, metavar="RUN", help="folder to record into; without it nothing is recorded"
    )
    add_preprocess(parser)
    _add_speed(parser)
    _add_server(parser)
    parser.add_argument(
        "--end-with-stdin", action="store_true", help="end when standard input ends, with the program that started it"
    )
    parser.add_argument("--append", action="store_true", help="add to a run folder that holds a run already")
    add_output_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C; return the exit code. Raises UserError."""
    from bcclone.tensorflow_quietly import describe_devices, load_tensorflow

    if arguments.append and not arguments.run_folder:
        raise UserError("--append says to add to a run; name its folder: python drive.py MODEL RUN --append")
    began, settings = time.monotonic(), _settings(arguments)
    load_tensorflow(threads=1)  # one frame at a time: a fifth faster than on two, and the other core is the simulator's
    from bcclone.drive.server import listen, serve
    from bcclone.drive.session import open_cockpit
    from bcclone.policy import load_policy

    policy = load_policy(arguments.model, arguments.preprocess)
    say(f"{arguments.model}: frames are prepared as {policy.preprocessing.describe()}")
    if not arguments.run_folder:
        say(f"nothing is recorded; name a folder to record into: python drive.py {arguments.model} run1")
    if (device := describe_devices()) != "CPU":
        say(f"driving on {device}")
    if not is_this_machine(settings.host):
        say(f"warning: {settings.host} lets every machine in that knows the token; it is sent unencrypted")
    with (
        closing(listen(settings.host, settings.port)) as listener,
        open_cockpit(policy, settings, arguments.run_folder, arguments.append, began) as cockpit,
        closing(_Voice(sys.stderr if arguments.json or arguments.quiet else sys.stdout)) as voice,
    ):
        if arguments.end_with_stdin:
            end_with_stdin()
        serve(cockpit, listener, settings, voice.tell)
    _tell_end(cockpit, arguments.json)
    return 0


def interrupted(arguments: argparse.Namespace) -> str:
    """Say what is left after Ctrl-C."""
    folder = arguments.run_folder
    return f"{folder} keeps what was recorded" if folder and folder.exists() else "nothing was recorded"


def _add_speed(parser: argparse.ArgumentParser) -> None:
    """Add how fast it drives, and how fast it should answer."""
    parser.add_argument("--speed", dest="speed_mph", type=float, metavar="MPH", help="speed to hold (25)")
    parser.add_argument(
        "--slow-in-corners",
        action="store_true",
        default=None,
        help="the sharper it steers, the slower it drives: from --speed at a tenth of full lock to --min-speed at half",
    )
    parser.add_argument(
        "--min-speed", dest="min_speed_mph", type=float, metavar="MPH", help="how slow in the sharpest corner (10)"
    )
    parser.add_argument(
        "--max-latency-ms", type=float, metavar="MS", help="count and show answers that take longer (0: none)"
    )


def _add_server(parser: argparse.ArgumentParser) -> None:
    """Add where it listens, and to whom."""
    parser.add_argument("--host", help="address to listen on (127.0.0.1: this machine only)")
    parser.add_argument("--port", type=int, help="port to listen on (4567, where the simulator connects to)")
    parser.add_argument(
        "--token", metavar="TEXT", help="what other machines must know; needed with a --host that lets them in"
    )
    parser.add_argument(
        "--allow-from",
        action="append",
        metavar="ADDRESS",
        help="a machine whose simulator may drive without the token, which it cannot send; may be given again",
    )
    parser.add_argument(
        "--async-mode",
        choices=ASYNC_MODES,
        help="how connections are served: a thread each (threading), or all in one by eventlet",
    )


def _tell_end(cockpit: "Cockpit", as_json: bool) -> None:
    driver, recorded = cockpit.seat.driver, cockpit.recording.figures()
    say(f"ended; {driver.answered} frames answered, {driver.faults} faults")
    if summary := cockpit.recording.summary():
        say(summary)
    if as_json:
        names = ("folder", "recorded", "dropped", "failure")
        print_json({"answered": driver.answered, "faults": driver.faults} | {name: recorded[name] for name in names})


class _Voice:
    """Prints what any thread tells, until it is closed: Python may abort where it ends while a thread prints."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream, self._lock, self._closed = stream, threading.Lock(), False

    def tell(self, text: str) -> None:
        """Print, unless nobody reads it any more; the car must get its answer all the same."""
        with self._lock, suppress(OSError):
            if not self._closed:
                print(text, file=self._stream, flush=True)

    def close(self) -> None:
        """Wait for who is printing, and print no more."""
        with self._lock:
            self._closed = True


def _settings(arguments: argparse.Namespace) -> DriveSettings:
    values = given_for(DriveSettings, arguments)
    if "allow_from" in values:
        values["allow_from"] = tuple(values["allow_from"])
    return build(DriveSettings, **values)
