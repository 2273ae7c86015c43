"""Fit a model to a car: find how its camera's pictures become frames, and the gain and bias of its steering.

FRAMES is a tub, a recording, or a folder of pictures, whose steering LABELS holds, a table with the columns frame_id
and steering_angle. Of the first minute, the framing is sought with which the model's steering agrees best with the
recorded one; then its gain and bias are fitted. All are written into a copy of the model, which `bcclone predict`,
`replay`, `drive` and `export` then use by themselves. Beside it, OUTPUT.framing.json is for `bcclone import SOURCE
--framing FILE`, and OUTPUT.framing.png shows what was found. What you know already, you give as an option.
"""

import argparse
from pathlib import Path

from bcclone.commands.options import (
    add_settings,
    chosen,
    describe_unchanged,
    local_path,
    notify,
    number_of,
    print_result,
)
from bcclone.lab.calibrate.calibrate_settings import CalibrateSettings

SUMMARY = "fit a model to a car's camera and steering"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments and options."""
    parser.add_argument("model", type=local_path, metavar="MODEL", help="a model file, such as models/any-road.h5")
    parser.add_argument("frames", type=local_path, metavar="FRAMES", help="a tub, a recording, or a folder of pictures")
    parser.add_argument(
        "labels",
        type=local_path,
        nargs="?",
        metavar="LABELS",
        help="a table of their steering (default: that of FRAMES)",
    )
    add_settings(parser, CalibrateSettings)


def run(arguments: argparse.Namespace) -> int:
    """Calibrate; return the exit code."""
    settings = chosen(CalibrateSettings, arguments)
    from bcclone.lab.calibrate.calibration import calibrate
    from bcclone.pictures.plots.framing_picture import plot_framing

    found = calibrate(settings, notify)
    result, labelled = found.result, found.labelled
    picture = result.framing_file.with_suffix(".png")
    fitted = found.calibration.gain * found.trial.answers + found.calibration.bias
    steering = {"recorded": labelled.steering, "the model, with gain and bias": fitted}
    middle = labelled.pictures[len(labelled.pictures) // 2]
    plot_framing(result.framing, middle, labelled.seconds, steering, picture)
    if result.unreadable:
        notify(f"note: {number_of(result.unreadable, 'picture')} left out: unreadable, or of another size")
    lines = [
        f"{result.output}: from {result.pictures} pictures of {result.seconds:.0f} s",
        f"framing: {result.described}",
        f"correlation with the recorded steering: {result.correlation:.3f}; all of a picture stretched: "
        f"{result.stretched_correlation:.3f}",
        f"steering of the car = {result.gain:.4g} x the network's {'+' if result.bias >= 0 else '-'} "
        f"{abs(result.bias):.4g}",
    ]
    if result.correlation < result.stretched_correlation:
        lines.append(
            "the framing agrees no better than stretching; look whether it is right, or give --rows or another"
        )
    if result.curvature:
        radius = f"{1 / abs(result.curvature):.3g} {'m' if result.unit == '1/m' else 'camera heights'}"
        lines.append(f"a steering of 1 of the car is a bend with a radius of about {radius}")
    lines += [f"look at {picture}", f"next: {_next(settings, result.framing_file)}"]
    print_result(arguments, result, "\n".join(lines))
    return 0


def _next(settings: CalibrateSettings, framing: Path) -> str:
    from bcclone.recording.files import is_recording

    if not is_recording(settings.frames):
        return f"bcclone import {settings.frames} -o recordings/{settings.frames.name} --framing {framing}"
    return f"import the source of {settings.frames} again: bcclone import SOURCE -o NEW --framing {framing}"


def interrupted(arguments: argparse.Namespace) -> str:
    """Return what Ctrl-C leaves behind."""
    return describe_unchanged(arguments.output or CalibrateSettings.output)
