"""Score models by driving through a recording: what each would have seen and done where it would have strayed to.

The car is as fast as it was. Where it strays from the human's path, what the model sees is made of the frames of the
three cameras. Too far beside the path a person takes over, and sets it back: an intervention. The autonomy is
(1 - interventions x 6 s / elapsed seconds) x 100. Beside the models stand the human, no steering at all, and always the
human's mean. With --port a drive server is scored, over the simulator's protocol. Exit code 0 whatever the scores are.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bcclone.commands.options import (
    add_output_options,
    add_preprocess,
    add_server,
    build,
    given,
    make_folder,
    play,
    print_json,
    say,
    show_wire,
)
from bcclone.errors import UserError

if TYPE_CHECKING:
    from bcclone.replay import ReplayResult, ReplaySettings

_CONTROLS = {"human": "the human", "zero": "no steering", "mean": "mean steering"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("models", nargs="*", type=Path, metavar="MODEL", help="model files; none with --port")
    parser.add_argument(
        "recording",
        metavar="RECORDING",
        help="folder with a driving_log.csv, or a CSV file; side cameras may be missing",
    )
    add_preprocess(parser)
    parser.add_argument("--part", type=_part, metavar="FROM:TO", help="from which to which share of its rows (0:1)")
    parser.add_argument(
        "--limit",
        dest="limit_m",
        type=float,
        metavar="M",
        help="how far beside the human's path a person takes over; 1, 1.5, 2 and 3 m are told beside it (2)",
    )
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="write a picture and the figures in here")
    add_server(parser, port=None)
    add_output_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Drive and score; return the exit code. Raises UserError."""
    if bool(arguments.models) == (arguments.port is not None):
        raise UserError("name models and a recording, or a recording and the --port of a drive server")
    from bcclone.recording import find_log
    from bcclone.replay import ReplaySettings

    settings = build(ReplaySettings, **given(arguments, "part", "limit_m"))
    log = find_log(arguments.recording)
    if arguments.output is not None:
        make_folder(arguments.output)
    if arguments.port is None:
        results = _replay_models(arguments, log, settings)
        wire: dict[str, Any] = {}
    else:
        results, wire = _replay_served(arguments, log, replace(settings, limits_m=()))
    _warn(next(iter(results.values())))
    figures = _figures(results) | wire
    if arguments.json:
        print_json(figures)
    else:
        _show(results)
        if wire:
            show_wire(wire)
    if arguments.output is not None:
        _write(arguments.output, results, figures, log)
    return 0


def interrupted(arguments: argparse.Namespace) -> str:
    """Say what is left after Ctrl-C."""
    return "nothing was written"


def _part(text: str) -> tuple[float, float]:
    first, mark, last = text.partition(":")
    try:
        if not mark:
            raise ValueError
        return float(first), float(last)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}, expected two shares such as 0.8:1") from None


def _replay_models(arguments: argparse.Namespace, log: Path, settings: "ReplaySettings") -> "dict[str, ReplayResult]":
    from bcclone.tensorflow_quietly import load_tensorflow

    load_tensorflow()
    from bcclone.policy import load_policy
    from bcclone.replay import replay

    policies = {str(path): load_policy(path, arguments.preprocess) for path in arguments.models}
    return replay(policies, log, settings)


def _replay_served(
    arguments: argparse.Namespace, log: Path, settings: "ReplaySettings"
) -> "tuple[dict[str, ReplayResult], dict[str, Any]]":
    from bcclone.progress import ProgressBar
    from bcclone.replay import ReplayDrive, read_human
    from bcclone.simulator.unity_client import connected

    human = read_human(log, settings.part)
    with (
        connected(arguments.host, arguments.port, arguments.wait) as connection,
        ProgressBar("replaying", len(human), "rows") as progress,
    ):
        drive = ReplayDrive(human, settings, progress.advance)
        wire = play(connection, drive, arguments.decimal_comma)
    return {f"{arguments.host}:{arguments.port}": drive.result()}, wire


def _figures(results: "dict[str, ReplayResult]") -> dict[str, Any]:
    """Return what --json prints: a single model's figures, or those of each by its name."""
    figures = {name: result.figures() for name, result in results.items()}
    return next(iter(figures.values())) if len(figures) == 1 else {"models": figures}


def _warn(result: "ReplayResult") -> None:
    """Say what the recording lacks."""
    if result.human.cameras == ("center",):
        say("there are no images of the side cameras; views are made of the centre one's alone")
    if lacking := len(result.human) - result.frames:
        say(f"{lacking} rows have no centre image that can be read; the steering before them is held")


def _show(results: "dict[str, ReplayResult]") -> None:
    first = next(iter(results.values()))
    figures = {name: result.figures() for name, result in results.items()}
    figures |= {_CONTROLS[name]: control.figures() for name, control in first.controls.items()}
    one = first.figures()
    print(
        f"{one['rows']} rows, {one['distance_m'] / 1000:.2f} km in {one['seconds']:.0f} s; a person takes over "
        f"{one['limit_m']:g} m beside the human's path\n"
        "rms: m beside it; interventions by limit; r: correlation of the steering on the recorded frames with the\n"
        "human's, then with the mean of 9 rows of it; off by: mean absolute difference from the human's\n"
    )
    width = max(len(name) for name in figures)
    limits = "".join(f"{limit + ' m':>7}" for limit in one["by_limit"])
    print(f"{'':{width}}  autonomy   a km   rms{limits}      r  mean r  off by")
    for name, its in figures.items():
        counts = "".join(f"{at['interventions']:>7}" for at in its["by_limit"].values())
        print(
            f"{name:{width}}{its['autonomy_percent']:8.1f} %{its['interventions_per_km']:7.1f}"
            f"{its['rms_cross_track_m']:6.2f}{counts}{_number(its['steering_correlation'], 7)}"
            f"{_number(its['steering_correlation_smoothed'], 8)}{_number(its['steering_mae'], 8)}"
        )


def _number(value: float | None, width: int) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:{width}.2f}"


def _write(folder: Path, results: "dict[str, ReplayResult]", figures: dict[str, Any], log: Path) -> None:
    """Write the picture of each model's way, above that of no steering, and the figures."""
    import json

    import numpy as np

    from bcclone.atomic import write_text
    from bcclone.plots.drives import plot_deviations

    first = next(iter(results.values()))
    drivers = {**results, _CONTROLS["zero"]: first.controls["zero"]}
    rides = {name: result.ride for name, result in drivers.items()}
    title = f"{log.parent.name}: from the human's path, a person takes over at {first.limit_m:g} m"
    plot_deviations(title, np.cumsum(first.human.seconds), rides, first.limit_m, folder / "strayed.png")
    write_text(folder / "figures.json", json.dumps(figures, indent=2) + "\n")
    for name in ("strayed.png", "figures.json"):
        say(f"wrote {folder / name}")
