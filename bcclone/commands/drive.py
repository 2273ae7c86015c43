"""Let a trained model drive the car in the simulator, which connects to port 4567 in its autonomous mode.

With RUN, the frames and what was answered to them are recorded into that folder.
"""

import argparse
import signal
import sys
import threading
from contextlib import ExitStack, closing
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from bcclone.commands.options import add_preprocess, build, given, say
from bcclone.drive.settings import ASYNC_MODES, DriveSettings, is_this_machine
from bcclone.errors import UserError

if TYPE_CHECKING:
    from bcclone.drive.cockpit import Cockpit
    from bcclone.policy import Policy


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
    parser.add_argument(
        "--slow-in-corners", action="store_true", default=None, help="the sharper it steers, the slower it drives"
    )
    parser.add_argument(
        "--min-speed", dest="min_speed_mph", type=float, metavar="MPH", help="how slow in the sharpest corner (10)"
    )
    parser.add_argument(
        "--max-latency-ms", type=float, metavar="MS", help="count and show answers that take longer (0: none)"
    )
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
        help="how connections are served: a thread each, or by eventlet (threading)",
    )
    parser.add_argument(
        "--end-with-stdin", action="store_true", help="end when standard input ends, with the program that started it"
    )
    parser.add_argument("--append", action="store_true", help="add to a run folder that holds a run already")


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C; return the exit code."""
    from bcclone.tensorflow_quietly import load_tensorflow

    if arguments.append and not arguments.run_folder:
        raise UserError("--append says to add to a run; name its folder: python drive.py MODEL RUN --append")
    settings = _settings(arguments)
    load_tensorflow(threads=1)  # one frame at a time: a fifth faster than on two, and the other core is the simulator's
    from bcclone.drive.server import listen, serve
    from bcclone.policy import load_policy

    policy = load_policy(arguments.model, arguments.preprocess)
    say(f"{arguments.model}: frames are prepared as {policy.preprocessing.describe()}")
    if not is_this_machine(settings.host):
        say(f"warning: {settings.host} lets every machine in that knows the token; it is sent unencrypted")
    with ExitStack() as stack:
        listener = stack.enter_context(closing(listen(settings.host, settings.port)))
        cockpit = _cockpit(policy, settings, arguments, stack)
        if arguments.end_with_stdin:
            threading.Thread(target=_end_with_stdin, daemon=True).start()
        serve(cockpit, listener, settings)
    driver = cockpit.seat.driver
    say(f"ended; {driver.answered} frames answered, {driver.faults} faults")
    if summary := cockpit.recording.summary():
        say(summary)
    return 0


def _settings(arguments: argparse.Namespace) -> DriveSettings:
    names = [field.name for field in fields(DriveSettings)]
    values = given(arguments, *names)
    if "allow_from" in values:
        values["allow_from"] = tuple(values["allow_from"])
    return build(DriveSettings, **values)


def _cockpit(policy: "Policy", settings: DriveSettings, arguments: argparse.Namespace, stack: ExitStack) -> "Cockpit":
    """Put the parts of a drive together; the stack closes them."""
    from bcclone.drive.cockpit import Cockpit
    from bcclone.drive.controller import SpeedController
    from bcclone.drive.driver import Decision, Driver
    from bcclone.drive.monitor import Monitor
    from bcclone.drive.recording_switch import RecordingSwitch
    from bcclone.drive.seat import DriverSeat
    from bcclone.drive.viewer import Viewer
    from bcclone.saliency import Saliency, seen_region

    monitor = Monitor(settings.max_latency_ms)
    recording = stack.enter_context(RecordingSwitch(arguments.run_folder, arguments.append, monitor.warn))

    def on_decision(decision: Decision) -> None:
        recording.record(decision)
        monitor.decided(decision)

    controller = SpeedController(settings.speed_mph, settings.min_speed_mph, settings.slow_in_corners)
    seat = DriverSeat(Driver(policy, controller, on_decision), monitor.driven_by_hand)
    try:
        viewer = Viewer(monitor, Saliency(policy.model, policy.preprocessing).mask)
    except UserError as error:
        viewer = Viewer(monitor, None, str(error))
    region = seen_region(policy.model, policy.preprocessing)
    return Cockpit(seat, monitor, recording, stack.enter_context(viewer), policy.preprocessing.describe(), region)


def _end_with_stdin() -> None:
    """Wait until whoever holds the other end of standard input is gone, and end as on Ctrl-C."""
    sys.stdin.buffer.read()
    signal.raise_signal(signal.SIGINT)
