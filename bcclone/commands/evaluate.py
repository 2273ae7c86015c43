"""Score a model by driving it around a simulated track: autonomy, interventions, distance from the centre line.

The autonomy is (1 - interventions x 6 s / elapsed seconds) x 100. An intervention is a wheel off the asphalt,
after which the car is set back on the centre line. The model drives through a drive server of its own, over the
simulator's protocol; with --in-process the wire is left out. Exit code 0 whatever the score is.

With --suite it, or several models side by side, drives in many worlds, in processes on all cores.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bcclone.commands.options import (
    add_conditions,
    add_hardships,
    add_output_options,
    add_preprocess,
    add_track,
    build,
    given,
    given_conditions,
    given_hardships,
    make_folder,
    print_json,
    say,
)
from bcclone.errors import UserError

if TYPE_CHECKING:
    from bcclone.evaluate import EvaluateSettings, Evaluation
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bcclone.suite import Row


# what each row says itself
_OF_ONE_DRIVE = (
    "track", "reverse", "speed_mph", "latency_ms", "start_offset_m", "start_turn", "shove_m", "shove_every_m",
    "light", "fog", "sun_elevation", "sun_azimuth", "line_visibility", "road_visibility", "camera_shift_m",
    "camera_pitch", "in_process", "run",
)  # fmt: skip


def add_suite_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    group = parser.add_argument_group("many drives")
    group.add_argument("--suite", action="store_true", help="drive every row of the suite, with each of the models")
    group.add_argument("--rows", nargs="+", metavar="NAME", help="with --suite: only rows of these names (all)")
    group.add_argument(
        "--recordings",
        nargs="+",
        metavar="RECORDING",
        help="with --suite: drive through these recordings, too, as bcclone replay does",
    )
    group.add_argument(
        "--jobs", type=int, metavar="N", help="with --suite: processes that drive side by side (one a core)"
    )


def refuse_suite_options(arguments: argparse.Namespace) -> None:
    """Refuse what only --suite understands."""
    for name in ("rows", "recordings", "jobs"):
        if getattr(arguments, name) is not None:
            raise UserError(f"--{name} is for many drives; add --suite")
    if len(arguments.models) > 1:
        raise UserError("only one model can be scored at a time; compare several with --suite")


def run_suite_command(arguments: argparse.Namespace) -> int:
    """Drive all rows and show what came of them; return the exit code."""
    _refuse_options_of_one_drive(arguments)
    if arguments.output is not None:
        make_folder(arguments.output)
    from bcclone.doctor.machine import usable_cores
    from bcclone.recording import find_logs
    from bcclone.suite import SuiteSettings, chosen_rows, run_suite
    from bcclone.suite.report import table_lines

    values = given(arguments, "laps", "texture_seed")
    rows: tuple[Row, ...] = build(chosen_rows, tuple(arguments.rows or ()), **values)
    jobs = usable_cores() if arguments.jobs is None else arguments.jobs
    settings = build(SuiteSettings, arguments.preprocess, jobs)
    logs = find_logs(arguments.recordings) if arguments.recordings else []
    result = run_suite(arguments.models, rows, settings, logs)
    if arguments.json:
        print_json(result.figures())
    else:
        print("\n".join(table_lines(result)))
    if arguments.output is not None:
        from bcclone.suite.report import write_suite

        for path in write_suite(arguments.output, result):
            say(f"wrote {path}")
    return 0


def _refuse_options_of_one_drive(arguments: argparse.Namespace) -> None:
    for name in _OF_ONE_DRIVE:
        if getattr(arguments, name) not in (None, False):
            option = "--speed" if name == "speed_mph" else f"--{name.replace('_', '-')}"
            raise UserError(f"{option} is for a single drive: the rows of the suite say it themselves; leave it out")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL", help="a model file; with --suite, or several")
    add_preprocess(parser)
    add_track(parser)
    parser.add_argument("--speed", dest="speed_mph", type=float, metavar="MPH", help="speed to hold (30)")
    parser.add_argument("--laps", type=float, help="how far to drive (1)")
    parser.add_argument(
        "--in-process",
        action="store_true",
        help="drive in this process, without server and wire: faster, and the same each time",
    )
    parser.add_argument(
        "--run",
        type=Path,
        metavar="RUN",
        help="record the drive into this run folder, for video.py, and where the car was",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="DIR",
        help="write pictures and figures into this folder: the map, views along the way",
    )
    add_suite_arguments(parser)
    add_hardships(parser)
    add_conditions(parser)
    add_output_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Drive and score; return the exit code."""
    if arguments.suite:
        return run_suite_command(arguments)
    refuse_suite_options(arguments)
    conditions = given_conditions(arguments)
    from bcclone.evaluate import EvaluateSettings, evaluate_served, write_pictures
    from bcclone.simulator.world import WorldSettings

    world = build(WorldSettings, **given(arguments, "laps"), **given_hardships(arguments))
    values = given(arguments, "track", "reverse", "speed_mph")
    settings = build(EvaluateSettings, world=world, conditions=conditions, **values)
    _check_folders(arguments)
    if arguments.in_process:
        result = _evaluate_here(arguments, settings)
    else:
        result = evaluate_served(arguments.models[0], arguments.preprocess, settings, arguments.run)
    if arguments.json:
        print_json(result.figures())
    else:
        _show(result.figures(), settings)
    if arguments.output is not None:
        for path in write_pictures(arguments.output, result, settings):
            say(f"wrote {path}")
    return 0


def interrupted(arguments: argparse.Namespace) -> str:
    """Say what is left after Ctrl-C."""
    if arguments.run and arguments.run.exists():
        return f"{arguments.run} keeps what was recorded; there is no score"
    return "nothing was written"


def _check_folders(arguments: argparse.Namespace) -> None:
    """Refuse, before anything is driven, what could not be written after it."""
    if arguments.in_process and arguments.run:
        raise UserError("--run records what the drive server sees; leave --in-process out")
    if arguments.run and arguments.run.exists():
        raise UserError(f"{arguments.run} is there already; name a new folder for the run")
    if arguments.output is not None:
        make_folder(arguments.output)


def _evaluate_here(arguments: argparse.Namespace, settings: "EvaluateSettings") -> "Evaluation":
    from bcclone.tensorflow_quietly import load_tensorflow

    load_tensorflow()
    from bcclone.evaluate import evaluate_policy
    from bcclone.policy import load_policy

    return evaluate_policy(load_policy(arguments.models[0], arguments.preprocess), settings)


def _show(figures: dict[str, Any], settings: "EvaluateSettings") -> None:
    latency_ms = figures["request_to_steer_ms"]
    print(
        f"autonomy {figures['autonomy_percent']:.1f} %: {figures['interventions']} interventions in "
        f"{figures['laps']:.2f} laps of the {settings.track} track{' in reverse' if settings.reverse else ''}, "
        f"{figures['distance_m']:.0f} m in {figures['seconds']:.0f} s ({figures['mean_speed_mph']:.1f} mph)\n"
        f"distance from the centre line {figures['mean_abs_cross_track_m']:.2f} m on average, "
        f"{figures['max_abs_cross_track_m']:.2f} m at most; steering changes {figures['steering_smoothness']:.2f} a "
        f"second\nrequest to steer p50 {latency_ms['p50']:.1f} ms, p99 {latency_ms['p99']:.1f} ms; "
        f"it ended: {figures['ended']}"
    )
