"""Score a model by driving it around a simulated track: autonomy, interventions, distance from the centre line.

The autonomy is (1 - interventions x 6 s / elapsed seconds) x 100. An intervention happens when a wheel leaves the
asphalt; the car is then set back on the centre line. The model drives through a drive server of its own, over the
simulator's protocol; with --in-process it drives without one. The exit code is 0 whatever the score is.

With --suite, each model drives a fixed set of 20 scenarios (rows of a table): other speeds, latency, light, fog, camera
positions and tracks. --suite testing drives the lake in 37 weathers: fog, rain and snow from 10 to 100 %, day and
night. --suite roads drives 30 random roads at 15 and 25 mph, and lake and mountain in both directions. The drives run
in parallel on all cores.
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
    refuse,
    results_folder,
    show_report,
)
from bcclone.drive.controller import SpeedSettings
from bcclone.evaluate.evaluate_settings import (
    SHARED,
    SUITE_GROUP,
    SUITE_ONLY,
    SUITES,
    EvaluateSettings,
    SuiteSettings,
    check_simulated_speed,
)
from bcclone.simulator.world_settings import DISTURBANCES, TOP_SPEED_MPH, Conditions, WorldSettings
from bcclone.system.settings import names_in_group

SUMMARY = "score models by simulated drives"
_KEPT = "drives"  # folder of the finished drives of a suite, in the folder of the results


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "models", type=local_path, nargs="*", metavar="MODEL", help="a model file; with --suite, one or several"
    )
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
    group = parser.add_argument_group(SUITE_GROUP)
    group.add_argument(
        "--suite",
        nargs="?",
        const=SUITES[0],
        metavar="SUITE",
        help="drive the rows (scenarios) of a suite with each model: standard (20 rows), testing (37 kinds of weather "
        "from studies of failures) or roads (68 drives on 32 roads); without a name: standard",
    )
    add_settings(parser, SuiteSettings, only=SUITE_ONLY)
    add_settings(parser, WorldSettings, only=names_in_group(WorldSettings, DISTURBANCES))
    add_settings(parser, Conditions)


def run(arguments: argparse.Namespace) -> int:
    """Drive and score; return the exit code."""
    _separate_suite(arguments)
    with results_folder(arguments.output):
        return _run_suite(arguments) if arguments.suite else _run_single(arguments)


def interrupted(arguments: argparse.Namespace) -> str:
    """Return what is left after Ctrl-C."""
    if arguments.run_folder and arguments.run_folder.exists():
        return f"{arguments.run_folder} keeps what was recorded; there is no score"
    if arguments.suite and arguments.output and (kept := arguments.output / _KEPT).exists():
        return f"{kept} keeps the finished drives; the same command drives the others"
    return "nothing was written"


def _separate_suite(arguments: argparse.Namespace) -> None:
    """Take back a model that argparse takes for the name of the suite, as in `evaluate --suite MODEL`."""
    if arguments.suite and arguments.suite not in SUITES and Path(arguments.suite).suffix:
        arguments.models.insert(0, local_path(arguments.suite))
        arguments.suite = SUITES[0]


def _run_single(arguments: argparse.Namespace) -> int:
    refuse(arguments, SuiteSettings, "is an option of the suite; add --suite", SUITE_ONLY)
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
    from bcclone.evaluate.evaluation import evaluate, only_model

    model = only_model(arguments.models)
    result = evaluate(model, settings, watch)
    print_result(arguments, result.figures(), result.as_text(settings))
    if arguments.output is not None:
        from bcclone.pictures.score_files import write_evaluation

        _show_files(arguments, write_evaluation(arguments.output, result, settings, model))
    return 0


def _run_suite(arguments: argparse.Namespace) -> int:
    for kind in (EvaluateSettings, SpeedSettings, WorldSettings, Conditions):
        why = "is for a single drive; each row of the suite has its own value, so leave it out"
        refuse(arguments, kind, why, but=SHARED)
    settings = chosen(SuiteSettings, arguments, kept=arguments.output / _KEPT if arguments.output else None)
    watch = wings.find_watch(arguments)
    from bcclone.evaluate.suite import evaluate_suite
    from bcclone.evaluate.suite_result import suite_table

    with wings.open_pool(settings.scheduler, notify) as pool:
        result = evaluate_suite(arguments.models, settings, notify, pool, watch)
    print_result(arguments, result.figures(), "\n".join(suite_table(result)))
    if arguments.output is not None:
        from bcclone.pictures.score_files import write_suite

        _show_files(arguments, write_suite(arguments.output, result))
    return 0


def _show_files(arguments: argparse.Namespace, paths: Sequence[Path]) -> None:
    """Name the files that were written, and open the last, the report."""
    for path in paths:
        notify(f"wrote {path}")
    show_report(arguments, paths[-1])
