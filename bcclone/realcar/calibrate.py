"""A model and a drive of a car -> a copy of the model that knows the car's camera and steering.

lens_search.py finds how the camera's pictures become frames, and what the recorded steering is to
the network's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bcclone.camera.framing import FRAMING_NAME, Framing, read_framing
from bcclone.camera.images import BadImage, Image
from bcclone.model.model_file import SteeringCalibration
from bcclone.model.model_path import check_keras_path
from bcclone.pictures.plots.drive_pictures import plot_framing
from bcclone.realcar.calibrate_settings import CalibrateSettings
from bcclone.realcar.labelled_drive import LabelledDrive, read_drive
from bcclone.realcar.lens_search import (
    LEAST_CORRELATION,
    MOST_TRIALS,
    AnswerThrough,
    answers_through,
    find_lens,
    fit_delay,
    fit_steering,
    witness_of,
)
from bcclone.recording.files import is_recording
from bcclone.system.arrays import FloatArray
from bcclone.system.errors import UserError, shown_command
from bcclone.system.files import (
    MODEL,
    PICTURE,
    check_output,
    inputs_of,
    write_bytes,
    write_text,
    writes,
)
from bcclone.system.progress import Notify, ProgressBar
from bcclone.system.statistics import correlation


@dataclass(frozen=True)
class CalibrationResult:
    """A calibrated model."""

    output: Path  # the file written
    framing_file: Path  # its framing, to import recordings of the same camera with
    framing: Framing  # how pictures become frames
    described: str  # the framing in words
    correlation: float  # correlation of the network's steering with the recorded steering
    stretched_correlation: float  # the same, if whole pictures are stretched to frames
    gain: float  # recorded steering = gain x the network's steering + bias
    bias: float
    delay_seconds: float  # how much later than the network the driver steered
    mirrored: bool  # whether the recorded steering turned out to be positive to the other side
    pictures: int  # number of pictures that were used
    seconds: float  # time of driving from the first picture to the last
    unreadable: int  # number of pictures that cannot be read or have another size

    def as_text(self, settings: CalibrateSettings) -> str:
        """Return what was found, in words, and the next command."""
        sign = "+" if self.bias >= 0 else "-"
        lines = [
            f"{self.output}: from {self.pictures} pictures of {self.seconds:.0f} s",
            f"framing: {self.described}",
            f"correlation with the recorded steering: {self.correlation:.3f}; all of a picture "
            f"stretched: {self.stretched_correlation:.3f}",
            f"steering of the car = {self.gain:.4g} x the network's {sign} {abs(self.bias):.4g}",
        ]
        if self.mirrored:
            lines.append(
                "the recorded steering is positive to the other side than you said; it was mirrored"
            )
        if self.delay_seconds < 0:
            lines.append(
                f"the recorded steering is {-self.delay_seconds:.2f} s earlier than the network's: "
                "the pictures are late; look whether their times are right"
            )
        elif self.delay_seconds:
            lines.append(
                f"the driver steers {self.delay_seconds:.2f} s later than the network: the answers "
                "of `bcclone predict` follow as late, those of a drive do not"
            )
        lines.append(f"look at {self.framing_file.with_suffix('.png')}")

        # the command that imports the frames with this framing
        framed: list[object] = ["--framing", self.framing_file]
        if settings.left_positive != self.mirrored:
            framed.append("--left-positive")
        if is_recording(settings.frames):
            again = shown_command("import", "SOURCE", "-o", "NEW", *framed)
            lines.append(
                f"next: import the source of {settings.frames} again, with the options of its "
                f"first import: {again}"
            )
        else:
            output = f"recordings/{settings.frames.resolve().name}"
            lines.append(f"next: {shown_command('import', settings.frames, '-o', output, *framed)}")
        return "\n".join(lines)


@writes(MODEL)
def calibrate(settings: CalibrateSettings, notify: Notify = lambda line: None) -> CalibrationResult:
    """Find what the user has not told of the camera and the car; write it into a copy of the model.

    The framing and a picture of it are written beside the copy. Raises UserError for a model or a
    drive that cannot be used, and if the network's steering does not follow the recorded one.
    """
    framing_file = settings.output.with_suffix(f".{FRAMING_NAME}")
    picture_file = framing_file.with_suffix(".png")
    check_keras_path(settings.model)
    for path, kind in ((framing_file, "framing"), (picture_file, PICTURE)):
        check_output(path, kind, settings.force, inputs_of(settings))
    drive = read_drive(settings.frames, settings.left_positive)
    notify(f"{len(drive.pictures)} pictures of {drive.driven_seconds:.0f} s")

    # find the framing, and to which side the recorded steering is positive
    witness = witness_of(settings.model)
    with ProgressBar("finding the framing", MOST_TRIALS + 2, "framings") as progress:

        def answer(framing: Framing, pictures: Sequence[Image]) -> FloatArray:
            progress.advance(1)
            return answers_through(framing, pictures, witness)

        stretched = answer(Framing(*drive.size), drive.pictures)
        stretched_correlation = correlation(stretched, drive.steering()) or 0.0
        # who gives the gain says to which side the steering is positive
        mirrored = settings.gain is None and stretched_correlation <= -LEAST_CORRELATION
        if mirrored:
            drive = drive.mirrored()
            stretched_correlation = -stretched_correlation
        framing = _framing_of(settings, drive, answer)
        answers = answer(framing, drive.pictures)
    agreement = correlation(answers, drive.steering()) or 0.0
    # who gives the gain vouches that the network reads this camera
    if settings.gain is None and agreement < LEAST_CORRELATION:
        raise UserError(
            f"{settings.model}: it does not read this camera: its steering correlates with the "
            f"recorded one by {agreement:.2f} on {framing.describe()}, expected "
            f"{LEAST_CORRELATION} or more. Give a longer drive with bends, --left-positive if its "
            "steering is so, the camera's --framing, or the --gain, if you know it; or train a "
            "model on the car's own frames"
        )

    delay_seconds = fit_delay(answers, drive)
    gain, bias = fit_steering(answers, drive, delay_seconds, settings.gain)
    calibration = SteeringCalibration(gain, bias, delay_seconds)
    from bcclone.model.model_file import calibrated_content  # loads Keras

    write_bytes(settings.output, calibrated_content(settings.model, framing, calibration))
    write_text(framing_file, framing.to_json() + "\n")
    _plot(framing, answers, drive, calibration, picture_file)
    return CalibrationResult(
        output=settings.output,
        framing_file=framing_file,
        framing=framing,
        described=framing.describe(),
        correlation=round(agreement, 4),
        stretched_correlation=round(stretched_correlation, 4),
        gain=gain,
        bias=bias,
        delay_seconds=delay_seconds,
        mirrored=mirrored,
        pictures=len(drive.pictures),
        seconds=round(drive.driven_seconds, 2),
        unreadable=drive.left_out,
    )


def _framing_of(
    settings: CalibrateSettings, drive: LabelledDrive, answer: AnswerThrough
) -> Framing:
    """Return the user's framing, or else the best one."""
    try:
        if settings.framing:
            return read_framing(settings.framing).for_size(*drive.size)
        if settings.rows:
            return Framing(*drive.size, settings.rows)
    except BadImage as error:
        raise UserError(
            f"{settings.framing or settings.frames}: {error}; correct the framing"
        ) from None
    return find_lens(drive, answer, settings.focal_px, settings.horizon_row)


def _plot(
    framing: Framing,
    answers: FloatArray,
    drive: LabelledDrive,
    calibration: SteeringCalibration,
    path: Path,
) -> None:
    """Draw a picture of the drive, its frame, and the steering of the driver and the model."""
    name = "recorded"
    if calibration.delay_seconds:
        name += f", {calibration.delay_seconds:.2f} s later"
    steering = {
        name: drive.steering(calibration.delay_seconds),
        "the model, with gain and bias": np.array(list(map(calibration.apply, answers))),
    }
    picture = drive.pictures[len(drive.pictures) // 2]
    height, width = picture.shape[:2]
    # the pictures are kept reduced, so the framing of the camera's pictures does not fit them
    plot_framing(framing.for_size(width, height), picture, drive.seconds, steering, path)
