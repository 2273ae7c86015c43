"""Drive the built-in simulator yourself, on a web page: with keys, mouse, gamepad or the thumbs of a phone.

With --model, a model drives, and you take over whenever you steer. R records in the simulator's format.
"""

import argparse
import sys
from dataclasses import replace

from bcclone.commands.options import add_settings, chosen, given_for, notify, number_of, print_json
from bcclone.drive.controller import SpeedSettings
from bcclone.drive.process import end_with_stdin
from bcclone.play.play_settings import PLAY_SPEED_MPH, PlayResult, PlaySettings
from bcclone.simulator.world_settings import Conditions
from bcclone.system.errors import printable

SUMMARY = "drive the built-in simulator yourself"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_settings(parser, PlaySettings)
    add_settings(parser, SpeedSettings, shown={"speed_mph": f"{PLAY_SPEED_MPH:g}"})
    add_settings(parser, Conditions)
    parser.add_argument(
        "--end-with-stdin",
        action="store_true",
        help="exit when standard input is closed, for programs that start the server",
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C; return the exit code. Raises UserError."""
    conditions = chosen(Conditions, arguments)
    speed = replace(PlaySettings.speed, **given_for(SpeedSettings, arguments))
    settings = chosen(PlaySettings, arguments, conditions=conditions, speed=speed)
    from bcclone.play.play_server import play

    if arguments.end_with_stdin:
        end_with_stdin()
    stream = sys.stderr if arguments.json or arguments.quiet else sys.stdout
    result = play(settings, lambda text: print(printable(text), file=stream, flush=True))
    notify(_summary(result))
    if arguments.json:
        print_json(result)
    return 0


def interrupted(arguments: argparse.Namespace) -> str:
    """Return what is left after Ctrl-C."""
    return "nothing was recorded"


def _summary(result: PlayResult) -> str:
    best = "" if result.best_lap_seconds is None else f", the fastest in {result.best_lap_seconds:.1f} s"
    lines = [f"ended; {result.laps:.2f} laps driven{best}"]
    if result.folders:
        folders = " ".join(map(str, result.folders))
        dropped = f", {result.dropped} dropped" if result.dropped else ""
        lines += [
            f"{number_of(result.rows, 'row')} recorded{dropped}",
            f"next: bcclone preprocess {folders} -o data.h5",
        ]
    return "\n".join(lines)
