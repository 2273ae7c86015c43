"""Score models by driving them through a recording.

The car drives at the recorded speed. Where the model deviates from the recorded path, its camera view is computed from
the frames of the three cameras. If the deviation exceeds --limit, the car is set back: an intervention. The autonomy is
(1 - interventions x 6 s / elapsed seconds) x 100. For comparison, the recorded steering, zero steering and the mean
steering are scored, too. For a recording without speeds, such as an imported tub, or of another camera, they are
estimated from its frames, in heights of its camera, if it was imported with a framing that has a lens; where that
fails, only the steering is compared. With --port, a drive server is scored over the simulator's protocol. The exit code
is 0 whatever the scores are.
"""

import argparse

from bcclone.commands import wings
from bcclone.commands.options import add_settings, chosen, local_path, notify, print_result, results_folder
from bcclone.evaluate.evaluate_settings import ReplaySettings
from bcclone.simulator.world_settings import ServerSettings

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
    watch = wings.find_watch(arguments)
    settings = chosen(ReplaySettings, arguments)
    server = None if arguments.port is None else chosen(ServerSettings, arguments)
    from bcclone.evaluate.replay import replay

    with results_folder(arguments.output):
        replayed = replay(arguments.models, arguments.recording, settings, watch, server)
        for notice in replayed.notices:
            notify(notice)
        print_result(arguments, replayed.figures(), replayed.as_text())
        if arguments.output is not None:
            from bcclone.pictures.score_files import write_replay

            for path in write_replay(arguments.output, arguments.recording, replayed):
                notify(f"wrote {path}")
    return 0


def interrupted(arguments: argparse.Namespace) -> str:
    """Return what is left after Ctrl-C."""
    return "nothing was written"
