"""Score models by driving them through a recording.

The car drives at the recorded speed. Where the model deviates from the recorded path, its camera view is computed from
the frames of the three cameras. If the deviation exceeds --limit, the car is set back: an intervention. The autonomy is
(1 - interventions x 6 s / elapsed seconds) x 100. For comparison, the recorded steering, zero steering and the mean
steering are scored, too. With --port, a drive server is scored over the simulator's protocol. The exit code is 0
whatever the scores are.
"""

import argparse
from typing import TYPE_CHECKING

from bcclone.commands import wings
from bcclone.commands.options import add_settings, chosen, local_path, notify, print_result, results_folder
from bcclone.evaluate.evaluate_settings import ReplaySettings
from bcclone.simulator.world_settings import ServerSettings
from bcclone.system.errors import UserError

if TYPE_CHECKING:
    from bcclone.evaluate.replay_result import ReplayResult
    from bcclone.simulator.unity_client import DriveReport

SUMMARY = "score models on a recording"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "models", nargs="*", type=local_path, metavar="MODEL", help="model files to score; leave them out with --port"
    )
    parser.add_argument(
        "recording",
        metavar="RECORDING",
        help="folder with a driving_log.csv, or a CSV file; images of the side cameras may be missing",
    )
    add_settings(parser, ReplaySettings)
    wings.add_monitor(parser, only=("monitor",))
    parser.add_argument(
        "-o",
        "--output",
        type=local_path,
        metavar="DIR",
        help="folder to write a picture and the figures into (default: none)",
    )
    add_settings(parser, ServerSettings, shown={"port": "none, which scores models"})


def run(arguments: argparse.Namespace) -> int:
    """Replay and score; return the exit code."""
    if arguments.models and arguments.port is not None:
        raise UserError(f"--port {arguments.port} scores the model of a drive server; leave out the models or --port")
    if not arguments.models and arguments.port is None:
        raise UserError(
            f"only {arguments.recording} is given, expected models and, last, a recording: "
            "bcclone replay MODEL RECORDING; or a recording and the --port of a drive server"
        )
    watch = wings.find_watch(arguments)
    if arguments.port is not None and watch:
        raise UserError("--monitor watches models that are replayed here; for a drive server give it to drive.py")
    settings = chosen(ReplaySettings, arguments)
    server = chosen(ServerSettings, arguments)
    from bcclone.evaluate.replay import replay
    from bcclone.evaluate.replay_served import replay_served

    with results_folder(arguments.output):
        if arguments.models:
            _report(arguments, replay(arguments.models, arguments.recording, settings, watch))
        else:
            result, report = replay_served(arguments.recording, settings, server)
            _report(arguments, {f"{server.host}:{server.port}": result}, report)
    return 0


def interrupted(arguments: argparse.Namespace) -> str:
    """Return what is left after Ctrl-C."""
    return "nothing was written"


def _report(
    arguments: argparse.Namespace, results: "dict[str, ReplayResult]", report: "DriveReport | None" = None
) -> None:
    """Print the results, and write them into the folder of --output."""
    from bcclone.evaluate.replay_result import missing_images, replay_table, results_as_json

    for notice in missing_images(results):
        notify(notice)
    values = results_as_json(results) | (report.as_json() if report else {})
    lines = [*replay_table(results), *([report.summary()] if report else [])]
    print_result(arguments, values, "\n".join(lines))
    if arguments.output is not None:
        from bcclone.commands.result_files import write_replay

        for path in write_replay(arguments.output, arguments.recording, results, values):
            notify(f"wrote {path}")
