"""Score a model by driving it around a simulated track: autonomy, interventions, distance from the centre line.

The autonomy is (1 - interventions x 6 s / elapsed seconds) x 100. An intervention happens when a wheel leaves the
asphalt; the car is then set back on the centre line. The model drives through a drive server of its own, over the
simulator's protocol; with --in-process it drives without one. The exit code is 0 whatever the score is.

`bcclone suite` drives many scenarios with several models.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bcclone.commands import wings
from bcclone.commands.options import (
    add_browser,
    add_settings,
    chosen,
    given_for,
    local_path,
    notify,
    print_result,
    results_folder,
    show_report,
)
from bcclone.drive.controller import SpeedSettings
from bcclone.evaluate.evaluate_settings import EvaluateSettings, check_simulated_speed
from bcclone.simulator.world_settings import DISTURBANCES, TOP_SPEED_MPH, Conditions, WorldSettings
from bcclone.system.settings import settings_of

SUMMARY = "score a model by a simulated drive"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("model", type=local_path, metavar="MODEL", help="a model file")
    add_settings(parser, EvaluateSettings)
    shown = f"{EvaluateSettings.speed.speed_mph:g}; the simulated car drives up to {TOP_SPEED_MPH:g}"
    add_settings(parser, SpeedSettings, shown={"speed_mph": shown})
    wings.add_monitor(parser)
    add_settings(parser, WorldSettings, only=("laps",))
    parser.add_argument(
        "-o",
        "--output",
        type=local_path,
        metavar="DIR",
        help="folder to write a report, pictures and figures into: the driven line on a map, camera views (default: "
        "none)",
    )
    add_browser(parser)
    of_disturbances = [each.name for each, declared in settings_of(WorldSettings) if declared.group == DISTURBANCES]
    add_settings(parser, WorldSettings, only=of_disturbances)
    add_settings(parser, Conditions)


def run(arguments: argparse.Namespace) -> int:
    """Drive and score; return the exit code."""
    with results_folder(arguments.output):
        return _run_single(arguments)


def interrupted(arguments: argparse.Namespace) -> str:
    """Return what is left after Ctrl-C."""
    if arguments.run_folder and arguments.run_folder.exists():
        return f"{arguments.run_folder} keeps what was recorded; there is no score"
    return "nothing was written"


def _run_single(arguments: argparse.Namespace) -> int:
    if arguments.speed_mph is not None:  # before SpeedSettings, which allows the speeds of other cars, too
        check_simulated_speed(arguments.speed_mph)
    settings = chosen(
        EvaluateSettings,
        arguments,
        speed=replace(EvaluateSettings.speed, **given_for(SpeedSettings, arguments)),
        world=chosen(WorldSettings, arguments),
        conditions=chosen(Conditions, arguments),
    )
    watch = wings.find_watch(arguments)
    from bcclone.evaluate.evaluation import evaluate

    model = arguments.model
    result = evaluate(model, settings, watch)
    print_result(arguments, result.figures(), result.as_text(settings))
    if arguments.output is not None:
        from bcclone.pictures.score_files import write_evaluation

        _show_files(arguments, write_evaluation(arguments.output, result, settings, model))
    return 0


def _show_files(arguments: argparse.Namespace, paths: Sequence[Path]) -> None:
    """Name the files that were written, and open the last, the report."""
    for path in paths:
        notify(f"wrote {path}")
    show_report(arguments, paths[-1])
