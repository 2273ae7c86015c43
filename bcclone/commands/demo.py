"""Do the whole main job without the simulator: record laps, preprocess, train, drive and score a lap, make the clips.

What an earlier demo has finished in the folder is used again; remove the folder to begin afresh.
"""

import argparse
from pathlib import Path

from bcclone.commands.options import add_output_options, build, given_for, make_folder, print_json, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--folder", type=Path, help="where everything is written; what is finished there is used again (demo)"
    )
    parser.add_argument("--record-laps", type=float, metavar="LAPS", help="to record, and half of it in reverse (2)")
    parser.add_argument("--epochs", type=int, help="epochs to train (8)")
    parser.add_argument("--laps", type=float, help="how far the model drives (1)")
    parser.add_argument("--speed", dest="speed_mph", type=float, metavar="MPH", help="how fast it drives (25)")
    add_output_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the demo; exit code 1 when the car needed an intervention."""
    from bcclone.demo import DemoSettings, run_demo, show_result

    settings = build(DemoSettings, **given_for(DemoSettings, arguments))
    make_folder(settings.folder)
    result = run_demo(settings, say, arguments.quiet)
    if arguments.json:
        steps = [
            {"step": done.step.name, "made": str(done.step.makes), "seconds": round(done.seconds, 2)}
            for done in result.steps
        ]
        first = {
            "seconds_to_first_picture": result.seconds_to_first_picture,
            "seconds_to_trained_lap": result.seconds_to_trained_lap,
        }
        print_json({"steps": steps, **first, "drive": result.drive})
    else:
        print("\n" + "\n".join(show_result(result)))
    return int(not result.on_the_road)


def interrupted(arguments: argparse.Namespace) -> str:
    """Say what is left after Ctrl-C."""
    return "the steps that were finished are kept; the same command goes on with the one that was not"
