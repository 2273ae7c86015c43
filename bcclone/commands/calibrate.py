"""Fit a model to a car: find how its camera's pictures become frames, and the gain and bias of its steering.

FRAMES is a tub, a recording, or a folder of pictures, whose steering LABELS holds, a table with the columns frame_id
and steering_angle. Of the first minute, the framing is sought with which the model's steering agrees best with the
recorded one; then its gain and bias are fitted. All are written into a copy of the model, which `bcclone predict`,
`replay`, `drive` and `export` then use by themselves. Beside it, OUTPUT.framing.json is for `bcclone import SOURCE
--framing FILE`, and OUTPUT.framing.png shows what was found. What you know already, you give as an option.
"""

import shlex
from pathlib import Path

from bcclone.commands.options import Command, Given, Result, notify, number_of
from bcclone.lab.calibrate.calibrate_settings import CalibrateSettings
from bcclone.system.atomic import check_output

COMMAND = Command("fit a model to a car's camera and steering", (CalibrateSettings,))


def run(given: Given) -> Result:
    """Calibrate."""
    settings = given.make(CalibrateSettings)
    import numpy as np

    from bcclone.lab.calibrate.calibration import calibrate, framing_file_of
    from bcclone.pictures.plots.framing_picture import plot_framing

    picture = framing_file_of(settings).with_suffix(".png")
    check_output(picture, settings.force)
    found = calibrate(settings, notify)
    result, labelled = found.result, found.labelled
    fitted = np.array([found.calibration.apply(answer) for answer in found.trial.answers])
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
    return Result(result, "\n".join(lines))


def _next(settings: CalibrateSettings, framing: Path) -> str:
    from bcclone.recording.files import is_recording

    framed = ["--framing", str(framing)]
    if is_recording(settings.frames):
        again = f"bcclone import SOURCE -o NEW {shlex.join(framed)}"
        return f"import the source of {settings.frames} again: {again}"
    words = ["bcclone", "import", str(settings.frames), "-o", f"recordings/{settings.frames.resolve().name}", *framed]
    if settings.labels:
        words += ["--table", str(settings.labels)]
        words += ["--steering-column", settings.steering_column] if settings.steering_column else []
        words += ["--left-positive"] if settings.left_positive else []
        words += ["--frame-rate", f"{settings.rate:g}"] if settings.rate != CalibrateSettings.rate else []
    return shlex.join(words)
