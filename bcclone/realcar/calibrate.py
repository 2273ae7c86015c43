"""A model and a drive of a car -> a copy of the model that knows the car's camera and steering.

To which side the recorded steering is positive is measured by the turns of the pictures, never by
the network. lens_search.py finds how the camera's pictures become frames, and what the recorded
steering is to the network's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bcclone.camera.framing import FRAMING_NAME, Framing, read_framing
from bcclone.camera.images import BadImage, Image
from bcclone.dataset.answer import LEAST_CORRELATION
from bcclone.diagnosis.evidence import Evidence
from bcclone.model.model_file import SteeringCalibration
from bcclone.model.model_path import check_keras_path
from bcclone.pictures.plots.drive_pictures import plot_framing
from bcclone.realcar.calibrate_settings import CalibrateSettings
from bcclone.realcar.labelled_drive import LabelledDrive, evidence_of, open_drive, read_drive
from bcclone.realcar.lens_search import (
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
from bcclone.system.settings import SettingError
from bcclone.system.statistics import correlation

# seconds by which the recorded steering is surely earlier than the network's: on a real tub, other
# pictures of the same drive gave -0.12 to 0.11
_LEAST_LEAD = 0.2


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
    # correlation of the recorded steering, mirrored if it was, with the turns of the pictures; None
    # if it cannot be measured
    turn_correlation: float | None
    turns_tell_side: bool  # whether the turns surely tell to which side the steering is positive
    pictures: int  # number of pictures that were used
    seconds: float  # time of driving from the first picture to the last
    unreadable: int  # number of pictures that cannot be read or have another size

    def as_text(self, settings: CalibrateSettings) -> str:
        """Return what was found, in words."""
        sign = "+" if self.bias >= 0 else "-"
        lines = [
            f"{self.output}: from {self.pictures} pictures of {self.seconds:.0f} s",
            f"framing: {self.described}",
            f"correlation with the recorded steering: {self.correlation:.3f}; all of a picture "
            f"stretched: {self.stretched_correlation:.3f}",
            f"steering of the car = {self.gain:.4g} x the network's {sign} {abs(self.bias):.4g}",
        ]
        if self.turn_correlation is not None:
            turns = f"correlation with the turns of the pictures: {self.turn_correlation:.2f}; they"
            side = "to which side the recorded steering is positive"
            if self.turns_tell_side:
                lines.append(f"{turns} tell {side}")
            else:
                check = _check_first(settings.frames)
                lines.append(
                    f"careful: {turns} do not tell {side}, so it is as you stated it"
                    f"{check and f'; look for the cause: {check}'}"
                )
        if self.mirrored:
            side = "right" if settings.left_positive else "left"
            lines.append(f"the recorded steering is positive to the {side}; it was mirrored")
        if self.delay_seconds <= -_LEAST_LEAD:
            lines.append(
                f"the recorded steering is {-self.delay_seconds:.2f} s earlier than the network's: "
                "the pictures are late; look whether their times are right"
            )
        elif self.delay_seconds > 0:
            lines.append(
                f"the driver steers {self.delay_seconds:.2f} s later than the network: the answers "
                "of `bcclone predict` follow as late, those of a drive do not"
            )
        lines.append(f"look at {self.framing_file.with_suffix('.png')}")
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
    log, images = open_drive(settings.frames, bool(settings.left_positive))
    drive = read_drive(settings.frames, log, images)
    notify(f"{len(drive.pictures)} pictures of {drive.driven_seconds:.0f} s")
    evidence = evidence_of(log, images)
    mirrored = _is_mirrored(settings, evidence)
    turn_correlation = None
    if evidence.agreement is not None:
        turn_correlation = round(evidence.agreement.correlation * (-1 if mirrored else 1), 4)
    turns_tell_side = evidence.turns_as_steered is not None
    if mirrored:
        drive = drive.mirrored()

    # find the framing
    witness = witness_of(settings.model)
    with ProgressBar("finding the framing", MOST_TRIALS + 2, "framings") as progress:

        def answer(framing: Framing, pictures: Sequence[Image]) -> FloatArray:
            progress.advance(1)
            return answers_through(framing, pictures, witness)

        framing = Framing(*drive.size)  # the whole picture, stretched
        answers = answer(framing, drive.pictures)
        stretched_correlation = correlation(answers, drive.steering()) or 0.0
        # a network that steers to the wrong side may agree by chance through one of many lenses
        is_stated = settings.framing or settings.rows or settings.gain is not None
        if is_stated or stretched_correlation > -LEAST_CORRELATION:
            framing = _framing_of(settings, drive, answer)
            answers = answer(framing, drive.pictures)
    agreement = correlation(answers, drive.steering()) or 0.0
    # who gives the gain vouches that the network reads this camera
    if settings.gain is None and agreement < LEAST_CORRELATION:
        turns = ""
        if turns_tell_side:
            turns = f", though the pictures' turns do by {turn_correlation:.2f}"
        raise UserError(
            f"{settings.model}: it does not read this camera in this place: its steering "
            f"correlates with the recorded one by {agreement:.2f} on {framing.describe()}, "
            f"expected {LEAST_CORRELATION} or more{turns}. Give a longer drive with bends, the "
            "camera's --framing, or the --gain, if you know it; or train a model on the car's own "
            "frames"
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
        turn_correlation=turn_correlation,
        turns_tell_side=turns_tell_side,
        pictures=len(drive.pictures),
        seconds=round(drive.driven_seconds, 2),
        unreadable=drive.left_out,
    )


def _is_mirrored(settings: CalibrateSettings, evidence: Evidence) -> bool:
    """Return whether the pictures turn to the other side than the steering says, as it was read.

    Raises UserError where they do not tell it and the user does not, and for a gain to the other
    side.
    """
    as_steered = evidence.turns_as_steered
    if settings.gain is not None:  # who gives the gain says to which side the steering is positive
        if as_steered is not None and as_steered != (settings.gain > 0):
            raise SettingError(
                "{gain} {value}, but by the turns of the pictures the recorded steering is "
                "positive to the side of a gain of {other}; turn its sign, or that of the "
                "steering with {left_positive}",
                value=f"{settings.gain:g}",
                other=f"{-settings.gain:g}",
            )
        return False
    if as_steered is None and settings.left_positive is None:
        agreement = evidence.agreement
        reason = "they hardly turn, or do not match, or the steering hardly changes"
        if agreement is not None:
            reason = f"its correlation with their turns is {agreement.correlation:.2f}"
            if evidence.is_upside_down or evidence.drives_backwards:
                reason += ", and they are upside down or of driving backwards"
            if evidence.rows.why_too_few:
                reason += f", but {evidence.rows.why_too_few}"
        check = _check_first(settings.frames)
        raise SettingError(
            "{frames}: to which side is the steering positive? The pictures do not tell it: "
            "{reason}; {first}say it with {left_positive}, or --no-left-positive",
            frames=settings.frames,
            reason=reason,
            first=check and f"look for the cause first: {check}; if it finds none, ",
        )
    return as_steered is False


def _check_first(frames: Path) -> str:
    """Return the command that finds why steering and pictures disagree; "" for a tub."""
    return shown_command("preprocess", frames, "--check") if is_recording(frames) else ""


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
