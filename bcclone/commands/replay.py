"""Score models by driving them through a recording.

The car drives at the recorded speed. Where the model deviates from the recorded path, its camera view is computed from
the frames of the three cameras. If the deviation exceeds --limit, the car is set back: an intervention. The autonomy is
(1 - interventions x 6 s / elapsed seconds) x 100. For comparison, the recorded steering, zero steering and the mean
steering are scored, too. With --port, a drive server is scored over the simulator's protocol. The exit code is 0
whatever the scores are.
"""

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bcclone.commands.options import (
    add_output_options,
    add_preprocess,
    add_settings,
    build,
    given_for,
    make_folder,
    notify,
    print_json,
)
from bcclone.errors import UserError
from bcclone.replay.settings import ReplaySettings
from bcclone.simulator.settings import ServerSettings

if TYPE_CHECKING:
    from bcclone.replay import ReplayResult

_CONTROLS = {"human": "the human", "zero": "no steering", "mean": "mean steering"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "models", nargs="*", type=Path, metavar="MODEL", help="model files to score; leave them out with --port"
    )
    parser.add_argument(
        "recording",
        metavar="RECORDING",
        help="folder with a driving_log.csv, or a CSV file; images of the side cameras may be missing",
    )
    add_settings(parser, ReplaySettings)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="DIR",
        help="folder to write a picture and the figures into (default: none)",
    )
    add_preprocess(parser)
    parser.add_argument(
        "--port",
        type=int,
        metavar="N",
        help="score the drive server on this port instead of models (1 to 65535; default: none)",
    )
    add_settings(parser, ServerSettings, only=("host", "wait", "decimal_comma"))
    add_output_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Replay and score; return the exit code."""
    if bool(arguments.models) == (arguments.port is not None):
        raise UserError("give models and a recording, or a recording and the --port of a drive server")
    settings = build(ReplaySettings, **given_for(ReplaySettings, arguments))
    server = build(ServerSettings, **given_for(ServerSettings, arguments))
    from bcclone.recording import find_log
    from bcclone.replay import replay, replay_served

    log = find_log(arguments.recording)
    if arguments.output is not None:
        make_folder(arguments.output)
    report = None
    if arguments.port is None:
        results = replay(arguments.models, log, settings, arguments.preprocess)
    else:
        result, report = replay_served(log, server, replace(settings, limits_m=()))
        results = {f"{server.host}:{server.port}": result}
    _warn(next(iter(results.values())))
    values = _as_json(results) | (report.as_json() if report else {})
    if arguments.json:
        print_json(values)
    else:
        _show(results)
        if report:
            print(report.summary())
    if arguments.output is not None:
        _write(arguments.output, results, values, log)
    return 0


def interrupted(arguments: argparse.Namespace) -> str:
    """Return what is left after Ctrl-C."""
    return "nothing was written"


def _as_json(results: "Mapping[str, ReplayResult]") -> dict[str, Any]:
    values = {name: result.as_json() for name, result in results.items()}
    return next(iter(values.values())) if len(values) == 1 else {"models": values}


def _warn(result: "ReplayResult") -> None:
    """Print what the recording lacks."""
    if result.reference.cameras == ("center",):
        notify("there are no images of the side cameras; views are made from the centre camera alone")
    if lacking := len(result.reference) - result.frames:
        notify(f"{lacking} rows have no readable centre image; the steering before them is held")


def _show(results: "Mapping[str, ReplayResult]") -> None:
    first = next(iter(results.values())).figures()
    figures = {name: result.figures() for name, result in results.items()}
    figures |= {_CONTROLS[name]: control for name, control in first.controls.items()}
    print(
        f"{first.rows} rows, {first.distance_m / 1000:.2f} km in {first.seconds:.0f} s; a person takes over at a "
        f"deviation of {first.limit_m:g} m\n"
        "rms: of the deviation, m; interventions by limit; r: correlation of the steering on the recorded frames with\n"
        "the recorded steering; mean r: with its mean over 9 rows; off by: mean absolute difference\n"
    )
    width = max(len(name) for name in figures)
    limits = "".join(f"{limit + ' m':>7}" for limit in first.by_limit)
    print(f"{'':{width}}  autonomy   a km   rms{limits}      r  mean r  off by")
    for name, its in figures.items():
        counts = "".join(f"{score.interventions:>7}" for score in its.by_limit.values())
        print(
            f"{name:{width}}{its.score.autonomy_percent:8.1f} %{its.score.interventions_per_km:7.1f}"
            f"{its.score.rms_cross_track_m:6.2f}{counts}{_number(its.steering.correlation, 7)}"
            f"{_number(its.steering.correlation_smoothed, 8)}{_number(its.steering.mae, 8)}"
        )


def _number(value: float | None, width: int) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:{width}.2f}"


def _write(folder: Path, results: "Mapping[str, ReplayResult]", values: dict[str, Any], log: Path) -> None:
    """Write the picture of each model's deviation, above that of no steering, and the figures."""
    import json

    import numpy as np

    from bcclone.atomic import write_text
    from bcclone.plots.drives import plot_deviations

    first = next(iter(results.values()))
    drivers = {**results, _CONTROLS["zero"]: first.controls["zero"]}
    rollouts = {name: result.rollout for name, result in drivers.items()}
    title = f"{log.parent.name}: deviation from the recorded path; a person takes over at {first.limit_m:g} m"
    paths = [folder / "deviation.png", folder / "figures.json"]
    plot_deviations(title, np.cumsum(first.reference.seconds), rollouts, first.limit_m, paths[0])
    write_text(paths[1], json.dumps(values, indent=2) + "\n")
    for path in paths:
        notify(f"wrote {path}")
