"""Score a model by driving it around a simulated track: autonomy, interventions, distance from the centre line.

The autonomy is (1 - interventions x 6 s / elapsed seconds) x 100. An intervention is a wheel off the asphalt,
after which the car is set back on the centre line. The model drives through a drive server of its own, over the
simulator's protocol; with --in-process the wire is left out. Exit code 0 whatever the score is.
"""

import argparse
from pathlib import Path

from bcclone.commands.options import (
    add_conditions,
    add_json,
    add_preprocess,
    add_track,
    build,
    given,
    given_conditions,
    print_json,
    say,
)
from bcclone.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model file")
    add_preprocess(parser)
    add_track(parser)
    parser.add_argument("--speed", dest="speed_mph", type=float, metavar="MPH", help="speed to hold (30)")
    parser.add_argument("--laps", type=float, help="how far to drive (1)")
    parser.add_argument("--latency-ms", type=float, help="from each control to when it takes hold (0)")
    parser.add_argument("--start-offset-m", type=float, metavar="M", help="start this far to the right (0)")
    parser.add_argument("--in-process", action="store_true", help="drive in this process, without server and wire")
    parser.add_argument("--run", type=Path, metavar="RUN", help="record the drive into this run folder")
    parser.add_argument("--output", type=Path, metavar="DIR", help="write pictures and figures into this folder")
    add_conditions(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Drive and score; return the exit code."""
    conditions = given_conditions(arguments)
    from bcclone.evaluate import EvaluateSettings, evaluate_policy, evaluate_served, write_pictures
    from bcclone.simulator.world import WorldSettings

    latency = {} if arguments.latency_ms is None else {"latency_seconds": arguments.latency_ms / 1000}
    world = build(WorldSettings, **given(arguments, "laps", "start_offset_m"), **latency)
    values = given(arguments, "track", "reverse", "speed_mph")
    settings = build(EvaluateSettings, world=world, conditions=conditions, **values)
    if arguments.output is not None and arguments.output.exists() and not arguments.output.is_dir():
        raise UserError(f"{arguments.output} is a file; name a folder for the pictures")
    if arguments.in_process and arguments.run:
        raise UserError("--run records what the drive server sees; leave --in-process out")
    if arguments.in_process:
        from bcclone.tensorflow_quietly import load_tensorflow

        load_tensorflow()
        from bcclone.policy import load_policy

        result = evaluate_policy(load_policy(arguments.model, arguments.preprocess), settings)
    else:
        result = evaluate_served(arguments.model, arguments.preprocess, settings, arguments.run)
    figures = result.figures()
    if arguments.output is not None:
        for path in write_pictures(arguments.output, result, settings):
            say(f"wrote {path}")
    if arguments.json:
        print_json(figures)
        return 0
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
    return 0
