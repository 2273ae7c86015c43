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
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bcclone.commands import wings
from bcclone.commands.options import (
    add_settings,
    build,
    chosen,
    given_for,
    local_path,
    notify,
    number_of,
    option_of,
    print_result,
    results_folder,
)
from bcclone.drive.controller import SpeedSettings
from bcclone.evaluate.evaluate_settings import (
    SUITE_GROUP,
    SUITES,
    EvaluateSettings,
    SuiteSettings,
    check_simulated_speed,
)
from bcclone.simulator.world_settings import DISTURBANCES, TOP_SPEED_MPH, Conditions, WorldSettings
from bcclone.system.errors import UserError
from bcclone.system.settings import names_in_group, settings_of

if TYPE_CHECKING:  # they load more than --help needs
    from bcclone.evaluate.evaluation import Evaluation
    from bcclone.evaluate.suite_task import SuiteWatch

_KEPT = "drives"  # folder of the finished drives of a suite, in the folder of the results
_SUITE_ONLY = names_in_group(SuiteSettings, SUITE_GROUP)
_SHARED = tuple(each.name for each, _ in settings_of(SuiteSettings) if each.name not in _SUITE_ONLY)


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
        help="folder to write pictures and figures into: the driven line on a map, camera views (default: none)",
    )
    group = parser.add_argument_group(SUITE_GROUP)
    group.add_argument(
        "--suite",
        nargs="?",
        const=SUITES[0],
        metavar="SUITE",
        help="drive the rows (scenarios) of a suite with each model: standard (20 rows), testing (37 kinds of weather "
        "from studies of failures) or roads (68 drives on 32 roads); without a name: standard",
    )
    add_settings(parser, SuiteSettings, only=_SUITE_ONLY)
    add_settings(parser, WorldSettings, only=names_in_group(WorldSettings, DISTURBANCES))
    add_settings(parser, Conditions)


def run(arguments: argparse.Namespace) -> int:
    """Drive and score; return the exit code."""
    if arguments.suite and arguments.suite not in SUITES:  # a model after --suite, as in `evaluate --suite MODEL`
        if not Path(arguments.suite).suffix:
            raise UserError(f"--suite {arguments.suite}: no such suite, expected {', '.join(SUITES)}")
        arguments.models.insert(0, local_path(arguments.suite))
        arguments.suite = SUITES[0]
    if not arguments.models:
        if taken := [name for name in arguments.rows or () if Path(name).is_file()]:
            raise UserError(
                f"no model to score: {', '.join(taken)} came after --rows, as names of rows; name models first"
            )
        raise UserError("no model to score; name one, such as: bcclone evaluate model.h5")
    with results_folder(arguments.output):
        return _run_suite(arguments) if arguments.suite else _run_single(arguments)


def interrupted(arguments: argparse.Namespace) -> str:
    """Return what is left after Ctrl-C."""
    if arguments.run_folder and arguments.run_folder.exists():
        return f"{arguments.run_folder} keeps what was recorded; there is no score"
    if arguments.suite and arguments.output and (kept := arguments.output / _KEPT).exists():
        return f"{kept} keeps the finished drives; the same command drives the others"
    return "nothing was written"


def _run_single(arguments: argparse.Namespace) -> int:
    for name in _SUITE_ONLY:
        if getattr(arguments, name) is not None:
            raise UserError(f"--{name} is an option of the suite; add --suite")
    if len(arguments.models) > 1:
        raise UserError("only one model can be scored at a time; compare several with --suite")
    conditions = chosen(Conditions, arguments)
    world = chosen(WorldSettings, arguments)
    monitor, reaction = wings.monitor_of(arguments)
    if arguments.speed_mph is not None:
        build(check_simulated_speed, arguments.speed_mph)
    speed = build(replace, EvaluateSettings.speed, **(given_for(SpeedSettings, arguments) | reaction))
    settings = chosen(EvaluateSettings, arguments, speed=speed, world=world, conditions=conditions)
    from bcclone.evaluate.evaluation import evaluate

    result = evaluate(arguments.models[0], settings, wings.watch_opener(monitor, arguments.models[0]))
    print_result(arguments, result.figures(), _summary(result, settings))
    if arguments.output is not None:
        from bcclone.commands.result_files import write_evaluation

        for path in write_evaluation(arguments.output, result, settings):
            notify(f"wrote {path}")
    return 0


def _run_suite(arguments: argparse.Namespace) -> int:
    for kind in (EvaluateSettings, SpeedSettings, WorldSettings, Conditions):
        for name in given_for(kind, arguments):
            if name not in _SHARED:
                raise UserError(
                    f"{option_of(kind, name)} is for a single drive; each row of the suite has its own value, so leave "
                    "it out"
                )
    kept = arguments.output / _KEPT if arguments.output else None
    monitor, reaction = wings.monitor_of(arguments)
    settings = chosen(SuiteSettings, arguments, kept=kept, **reaction)
    from bcclone.evaluate.suite import evaluate_suite
    from bcclone.evaluate.suite_result import suite_table

    watched = _suite_watch(monitor, arguments.models)
    scheduler = settings.scheduler
    with wings.pool_opener()(scheduler, notify=notify) if scheduler else nullcontext() as pool:
        result = evaluate_suite(arguments.models, settings, notify, pool, watched)
    print_result(arguments, result.figures(), "\n".join(suite_table(result)))
    if arguments.output is not None:
        from bcclone.commands.result_files import write_suite

        for path in write_suite(arguments.output, result):
            notify(f"wrote {path}")
    return 0


def _suite_watch(monitor: Path | None, models: Sequence[Path]) -> "SuiteWatch | None":
    """Return what watches the drives, None without a monitor; raises UserError if it does not fit the model."""
    if monitor is None:
        return None
    if len(models) > 1:
        raise UserError(f"{monitor} belongs to one model, and {len(models)} are given; name that one only")
    from bcclone.evaluate.suite_task import SuiteWatch
    from bcclone.lab.monitor.monitor_watch import open_watch
    from bcclone.system.tensorflow_quietly import load_tensorflow

    load_tensorflow()
    open_watch(monitor, models[0])
    return SuiteWatch(monitor, open_watch)


def _summary(result: "Evaluation", settings: EvaluateSettings) -> str:
    from bcclone.evaluate.watched import WatchFigures

    score = result.score
    text = (
        f"autonomy {score.autonomy_percent:.1f} %: {number_of(score.interventions, 'intervention')} in "
        f"{score.laps:.2f} laps of the {settings.track} track{' in reverse' if settings.reverse else ''}, "
        f"{score.distance_m:.0f} m in {score.seconds:.0f} s ({score.mean_speed_mph:.1f} mph)\n"
        f"distance from the centre line {score.mean_abs_cross_track_m:.2f} m on average, "
        f"{score.max_abs_cross_track_m:.2f} m at most; steering changes {score.steering_smoothness:.2f} per second\n"
        f"departures: {score.describe_departures()}\n"
        f"{_latency(result)}it ended: {score.ended}"
    )
    if result.watched:
        figures = WatchFigures.of(result.watched).describe()
        text += f"\nthe monitor {figures}; uncertain: {settings.speed.when_uncertain}"
    return text


def _latency(result: "Evaluation") -> str:
    latency = result.latency
    return f"request to steer p50 {latency.p50:.1f} ms, p99 {latency.p99:.1f} ms; " if latency else ""
