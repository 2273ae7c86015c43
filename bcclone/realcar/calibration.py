"""A model and a drive of a car -> a copy of the model that knows the car's camera and steering.

framing_search.py finds how the camera's pictures become frames, and steering_fit.py what the
recorded steering is to the network's.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bcclone.camera.framing import FRAMING_NAME, Framing, read_framing
from bcclone.camera.images import BadImage
from bcclone.model.model_facts import SteeringCalibration, curvature_in_heights
from bcclone.model.model_path import check_keras_path
from bcclone.pictures.plots.drive_pictures import plot_framing
from bcclone.realcar.calibrate_settings import CalibrateSettings
from bcclone.realcar.framing_search import (
    LEAST_CORRELATION,
    MAX_TRIALS,
    FramingSearch,
    Trial,
    witness_of,
)
from bcclone.realcar.labelled_pictures import LabelledPictures, read_labelled
from bcclone.realcar.steering_fit import fit_delay, fit_steering
from bcclone.recording.edits import MIRROR, read_edits
from bcclone.recording.files import find_log, is_recording
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
from bcclone.system.process import Notify, ProgressBar


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
    # curvature of the path that the car takes by a steering of 1; None if the gain is 0
    curvature: float | None
    unit: str  # unit of the curvature

    def as_text(self, settings: CalibrateSettings) -> str:
        """Return what was found, in words, and the next command.

        settings: the settings of this calibration
        """
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
        if self.delay_seconds:
            lines.append(self._delay())
        if self.correlation < self.stretched_correlation:
            lines.append(
                "the framing agrees less than stretching; look whether it is right, or give --rows "
                "or another --framing"
            )
        if self.curvature:
            unit = "m" if self.unit == "1/m" else "camera heights"
            radius = f"{1 / abs(self.curvature):.3g} {unit}"
            lines.append(f"a steering of 1 of the car is a bend with a radius of about {radius}")
        lines.append(f"look at {self.framing_file.with_suffix('.png')}")
        lines.append(f"next: {self._next(settings)}")
        return "\n".join(lines)

    def _delay(self) -> str:
        """Return what the delay means, in words."""
        if self.delay_seconds < 0:
            return (
                f"the recorded steering is {-self.delay_seconds:.2f} s earlier than the network's: "
                "the pictures are late; look whether their times are right"
            )
        return (
            f"the driver steers {self.delay_seconds:.2f} s later than the network: the answers of "
            "`bcclone predict` follow as late, those of a drive do not"
        )

    def _next(self, settings: CalibrateSettings) -> str:
        """Return the command that imports the frames with this framing."""
        framed: list[object] = ["--framing", self.framing_file]
        left_positive = settings.left_positive != self.mirrored
        if is_recording(settings.frames):
            # the edits of a recording are not those of its source
            if left_positive != _is_mirrored(settings.frames):
                framed.append("--left-positive")
            again = shown_command("import", "SOURCE", "-o", "NEW", *framed)
            return (
                f"import the source of {settings.frames} again, with the options of its first "
                f"import: {again}"
            )
        output = f"recordings/{settings.frames.resolve().name}"
        words: list[object] = ["import", settings.frames, "-o", output, *framed]
        if left_positive:
            words.append("--left-positive")
        if settings.labels:
            words += ["--table", settings.labels]
            if settings.steering_column:
                words += ["--steering-column", settings.steering_column]
            if settings.rate != CalibrateSettings.rate:
                words += ["--frame-rate", f"{settings.rate:g}"]
        return shown_command(*words)


def _is_mirrored(recording: Path) -> bool:
    """Return whether the edits of a recording mirror the steering of all of its rows."""
    edits = read_edits(find_log(str(recording))).edits
    mirrors = [edit for edit in edits if edit.edit == MIRROR and not edit.rows]
    return len(mirrors) % 2 == 1


@writes(MODEL)
def calibrate(settings: CalibrateSettings, notify: Notify = lambda line: None) -> CalibrationResult:
    """Find what the user has not told of the camera and the car; write it into a copy of the model.

    The framing and a picture of it are written beside the copy. Raises UserError for a model,
    pictures or labels that cannot be used, and if the network's steering does not follow the
    recorded one.

    notify: called with lines of progress
    """
    framing_file = settings.output.with_suffix(f".{FRAMING_NAME}")
    picture_file = framing_file.with_suffix(".png")
    check_keras_path(settings.model)
    for path, kind in ((framing_file, "framing"), (picture_file, PICTURE)):
        check_output(path, kind, settings.force, inputs_of(settings))
    labelled = read_labelled(settings)
    notify(f"{len(labelled.pictures)} pictures of {labelled.driven_seconds:.0f} s")
    found = _search(settings, labelled)
    trial, labelled = found.trial, found.labelled
    # who gives the gain vouches that the network reads this camera
    if settings.gain is None:
        _check_follows(trial, settings)
    delay_seconds = settings.delay_seconds
    if delay_seconds is None:
        delay_seconds = fit_delay(trial.answers, labelled)
    steering = labelled.recorded.at(labelled.seconds + delay_seconds)
    gain, bias = fit_steering(
        trial.answers, steering, labelled.driven_seconds, settings.gain, settings.bias
    )
    calibration = SteeringCalibration(
        gain, bias, delay_seconds, settings.camera_height_m, settings.steering_ratio
    )
    from bcclone.model.model_file import calibrated_content  # loads Keras

    write_bytes(settings.output, calibrated_content(settings.model, trial.framing, calibration))
    write_text(framing_file, trial.framing.to_json() + "\n")
    _plot(trial, labelled, calibration, picture_file)
    curvature, unit = _curvature_of(calibration)
    return CalibrationResult(
        output=settings.output,
        framing_file=framing_file,
        framing=trial.framing,
        described=trial.framing.describe(),
        correlation=round(trial.correlation, 4),
        stretched_correlation=round(found.stretched.correlation, 4),
        gain=gain,
        bias=bias,
        delay_seconds=delay_seconds,
        mirrored=found.mirrored,
        pictures=len(labelled.pictures),
        seconds=round(labelled.driven_seconds, 2),
        unreadable=labelled.left_out,
        curvature=curvature,
        unit=unit,
    )


class _Found(NamedTuple):
    """What the search for a framing found."""

    trial: Trial  # of the user's framing or the best one
    stretched: Trial  # of whole pictures, stretched to frames
    labelled: LabelledPictures  # with the steering to the side to which it turned out to be
    mirrored: bool  # whether that is the other side than the user said


def _search(settings: CalibrateSettings, labelled: LabelledPictures) -> _Found:
    """Find the framing, and to which side the recorded steering is positive."""
    width, height = labelled.size
    trials = MAX_TRIALS + 1  # one more, of stretched pictures
    mirrored = False
    with ProgressBar("finding the framing", trials, "framings") as progress:
        search = FramingSearch(witness_of(settings.model), labelled, progress.advance)
        stretched = search.attempt(Framing(width, height))
        # who gives the gain says to which side the steering is positive
        if settings.gain is None and stretched.correlation <= -LEAST_CORRELATION:
            mirrored = True
            labelled = labelled.mirrored()
            search = search.with_labels(labelled)
            stretched = stretched.mirrored()
        return _Found(_framed(settings, search, labelled), stretched, labelled, mirrored)


def _framed(
    settings: CalibrateSettings, search: FramingSearch, labelled: LabelledPictures
) -> Trial:
    """Return the trial of the user's framing, or of the best one."""
    width, height = labelled.size
    try:
        if settings.framing:
            framing = read_framing(settings.framing).for_size(width, height)
            return search.attempt(framing)
        if settings.rows:
            return search.attempt(Framing(width, height, settings.rows))
    except BadImage as error:
        raise UserError(
            f"{settings.framing or settings.frames}: {error}; correct the framing"
        ) from None
    return search.find(settings.known_lens)


def _check_follows(trial: Trial, settings: CalibrateSettings) -> None:
    """Raise UserError if the network's steering does not follow the recorded one."""
    if trial.correlation <= -LEAST_CORRELATION:
        change = "leave out" if settings.left_positive else "give"
        raise UserError(
            f"{settings.labels or settings.frames}: its steering correlates with that of "
            f"{settings.model} by {trial.correlation:.2f}: it is positive to the other side; "
            f"{change} --left-positive"
        )
    if trial.correlation < LEAST_CORRELATION:
        is_given = settings.framing or settings.rows or settings.known_lens
        other = "another" if is_given else "your own"
        raise UserError(
            f"{settings.model}: it does not read this camera: its steering correlates with the "
            f"recorded one by {trial.correlation:.2f} on {trial.framing.describe()}, expected "
            f"{LEAST_CORRELATION} or more. Give a longer drive with bends, {other} --framing, or "
            "the --gain, if you know it; or train a model on the car's own frames"
        )


def _plot(
    trial: Trial, labelled: LabelledPictures, calibration: SteeringCalibration, path: Path
) -> None:
    """Draw a picture of the drive, its frame, and the steering of the driver and the model."""
    fitted = np.array([calibration.apply(answer) for answer in trial.answers])
    recorded = labelled.recorded.at(labelled.seconds + calibration.delay_seconds)
    name = "recorded"
    if calibration.delay_seconds:
        name += f", {calibration.delay_seconds:.2f} s later"
    steering = {name: recorded, "the model, with gain and bias": fitted}
    picture = labelled.pictures[len(labelled.pictures) // 2]
    height, width = picture.shape[:2]
    # the pictures are kept reduced, so the framing of the camera's pictures does not fit them
    framing = trial.framing.for_size(width, height)
    plot_framing(framing, picture, labelled.seconds, steering, path)


def _curvature_of(calibration: SteeringCalibration) -> tuple[float | None, str]:
    """Return the curvature of the path that the car takes by a steering of 1, and its unit.

    The curvature is None if the gain is 0.
    """
    if not calibration.gain:
        return None, ""
    step = 0.01  # a small steering of the network, at which the curvature grows in proportion
    curvature = curvature_in_heights(step) / step / calibration.gain
    height_m = calibration.camera_height_m
    if height_m:
        return round(curvature / height_m, 5), "1/m"
    return round(curvature, 5), "1/camera height"
