"""A model and a drive of a car -> a copy of the model that knows the car's camera and steering.

Labelled pictures and the network as their witness give the lens with which the network reads them
best. For a lens, the witness answers the pictures as frames; r is the correlation of its answers
with the recorded steering. A lens has the likelihood (1 - r^2)^(-n / 2) of n independent samples,
and neighbouring frames are not independent: n is the drive's length in units of SAMPLE_SECONDS, or
the number of pictures if that is smaller. With a prior of usual cameras, whose tails are wide, this
gives a posterior over a grid; the result is its mean and not its best point, because a short drive
has few bends. The first grid takes a part of the pictures, a finer one around it all of them.
benchmarks/lab-log/2026-11.md has the figures that it was chosen by.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from bcclone.camera.framing import FRAMING_NAME, Framing, Lens, read_framing
from bcclone.camera.images import BadImage, Image
from bcclone.model.model_path import check_keras_path
from bcclone.model.steering_calibration import SteeringCalibration, curvature_in_heights
from bcclone.pictures.plots.drive_pictures import plot_framing
from bcclone.realcar.calibrate_settings import CalibrateSettings
from bcclone.realcar.labelled_pictures import (
    FEWEST_PICTURES,
    SHORTEST_FOCAL,
    LabelledPictures,
    read_labelled,
)
from bcclone.recording.files import is_recording
from bcclone.system.arrays import FloatArray
from bcclone.system.atomic import write_bytes, write_text
from bcclone.system.errors import UserError, shown_command
from bcclone.system.output import MODEL, PICTURE, check_output, inputs_of, writes
from bcclone.system.progress import Notify, ProgressBar
from bcclone.system.statistics import correlation

LEAST_CORRELATION = 0.4  # of a witness that reads the camera
_BIAS_SD = 0.2  # of the prior of a bias, as a share of the labels' standard deviation
_BATCH = 256
Witness = Callable[
    [Sequence[Image]], FloatArray
]  # frames, uint8 (160, 320, 3) each -> steering, (frames,)

SAMPLE_SECONDS = 4.0  # of driving that give one independent sample
# Cauchy priors, middle and half-width, and the first grids: of the log of the focal length as a
# share of the width, and of the vanishing point in shares of the height and the width
_FOCAL_PRIOR, _FOCALS = (math.log(0.75), 0.25), np.log(np.geomspace(SHORTEST_FOCAL, 1.4, 6))
_HORIZON_PRIOR, _HORIZONS = (0.42, 0.06), np.linspace(0.16, 0.61, 6)
_COLUMN_PRIOR, _COLUMNS = (0.5, 0.02), np.linspace(0.45, 0.55, 5)
_FINE, _FINE_SD = (
    4,
    1.5,
)  # points of a finer grid, and standard deviations of the posterior on either side
_LEAST_SD = 0.02  # of a finer grid
MAX_TRIALS = 2 * len(_FOCALS) * len(_HORIZONS) + _FINE**2 + len(_COLUMNS) + 1


@dataclass(frozen=True)
class Trial:
    """A framing, the witness's answers on its frames, (pictures,), and their correlation with the
    labels.
    """

    framing: Framing
    answers: FloatArray
    correlation: float


@dataclass(frozen=True)
class _Axis:
    """A number of the lens, with its Cauchy prior. points: of a grid, (points,), or the only one if
    it is known.
    """

    points: FloatArray
    prior: tuple[float, float]

    @property
    def log_prior(self) -> FloatArray:
        middle, half_width = self.prior
        return -np.log1p(((self.points - middle) / half_width) ** 2)

    def mean(self, scores: FloatArray, other: int | None) -> tuple[float, float]:
        """Return the mean and the standard deviation of the posterior. scores: its log; other: the
        axis to sum over.
        """
        weights = np.exp(scores - scores.max())
        weights = weights if other is None else weights.sum(axis=other)
        weights /= weights.sum()
        mean = float(weights @ self.points)
        return mean, math.sqrt(float(weights @ (self.points - mean) ** 2))

    def finer(self, middle: float, sd: float) -> "_Axis":
        """Return a finer grid around the mean of the posterior; a number that is known stays."""
        grid = middle + max(sd, _LEAST_SD) * np.linspace(-_FINE_SD, _FINE_SD, _FINE)
        return self if len(self.points) == 1 else replace(self, points=grid)


class FramingSearch:
    """Finds the lens of a camera. advance: called with 1 for each framing that was tried."""

    def __init__(
        self,
        witness: Witness,
        labelled: LabelledPictures,
        advance: Callable[[int], None] = lambda trials: None,
    ) -> None:
        self._witness, self._labelled, self._advance = witness, labelled, advance
        self._width, self._height = labelled.size
        self._samples = _samples(labelled.driven, len(labelled.pictures))

    def attempt(self, framing: Framing, every: int = 1) -> Trial:
        """Let the witness answer all pictures, or every second, third and so on, through a framing."""
        answers = self._witness(
            [framing.apply(picture) for picture in self._labelled.pictures[::every]]
        )
        self._advance(1)
        agreement = (
            correlation(answers, self._labelled.steering[::every])
            if np.isfinite(answers).all()
            else None
        )
        return Trial(framing, answers, agreement or 0.0)

    def find(self, known: Mapping[str, float]) -> Trial:
        """Return the trial of the best lens. known: values of Lens that stay as they are, by name."""
        kinds = [bool(known["fisheye"])] if "fisheye" in known else [False, True]
        roll = known.get("roll_degrees", 0.0)
        column = known.get("vanishing_column", self._width / 2 - 0.5)
        focal, horizon = _Axis(_FOCALS, _FOCAL_PRIOR), _Axis(_HORIZONS, _HORIZON_PRIOR)
        if "focal_px" in known:
            focal = replace(focal, points=np.log([known["focal_px"] / self._width]))
        if "horizon_row" in known:
            horizon = replace(
                horizon, points=np.array([(known["horizon_row"] + 0.5) / self._height])
            )
        some = max(1, len(self._labelled.pictures) // FEWEST_PICTURES)
        lenses = {
            kind: partial(self._lens, column=column, roll=roll, fisheye=kind) for kind in kinds
        }
        of_kinds = {kind: self._scores(focal, horizon, lenses[kind], some) for kind in kinds}
        fisheye = max(kinds, key=lambda kind: float(np.logaddexp.reduce(of_kinds[kind], axis=None)))
        focal = focal.finer(*focal.mean(of_kinds[fisheye], other=1))
        horizon = horizon.finer(*horizon.mean(of_kinds[fisheye], other=0))
        scores = self._scores(focal, horizon, lenses[fisheye])
        focal_at, horizon_at = focal.mean(scores, other=1)[0], horizon.mean(scores, other=0)[0]
        if "vanishing_column" not in known:
            across = _Axis(_COLUMNS, _COLUMN_PRIOR)
            columns = _COLUMNS * self._width - 0.5
            tried = [self._lens(focal_at, horizon_at, column, roll, fisheye) for column in columns]
            scores = np.array([self._score(framing) for framing in tried]) + across.log_prior
            column = across.mean(scores, other=None)[0] * self._width - 0.5
        return self.attempt(self._lens(focal_at, horizon_at, column, roll, fisheye))

    def _lens(
        self, focal: float, horizon: float, column: float, roll: float, fisheye: bool
    ) -> Framing:
        lens = Lens(
            focal_px=round(math.exp(focal) * self._width, 3),
            horizon_row=round(horizon * self._height - 0.5, 3),
            vanishing_column=round(column, 3),
            roll_degrees=roll,
            fisheye=fisheye,
        )
        return Framing(self._width, self._height, lens=lens)

    def _scores(
        self, focal: _Axis, horizon: _Axis, lens: Callable[[float, float], Framing], every: int = 1
    ) -> FloatArray:
        """Return the log of likelihood x prior of each focal length and horizon, (focal lengths,
        horizons).
        """
        likelihood = [
            [self._score(lens(f, h), every) for h in horizon.points] for f in focal.points
        ]
        return np.array(likelihood) + focal.log_prior[:, np.newaxis] + horizon.log_prior

    def _score(self, framing: Framing, every: int = 1) -> float:
        """Return the log of the likelihood of a framing; one with which the witness steers wrongly
        has that of none.
        """
        correlation = max(self.attempt(framing, every).correlation, 0.0)
        return -0.5 * self._samples * math.log(max(1 - correlation**2, 1e-6))


@dataclass(frozen=True)
class CalibrationResult:
    """A calibrated model.

    output: the file written; framing_file: its framing, to import recordings of the same camera
    with; framing, described: how pictures become frames, and in words; correlation: of the
    network's steering with the recorded one on the pictures, and stretched_correlation: on the
    same, stretched; gain, bias: from the one to the other; pictures: their number, of so many
    seconds; unreadable: pictures left out; curvature, unit: of the path that a steering of 1 of the
    car means, None where the gain is 0.
    """

    output: Path
    framing_file: Path
    framing: Framing
    described: str
    correlation: float
    stretched_correlation: float
    gain: float
    bias: float
    pictures: int
    seconds: float
    unreadable: int
    curvature: float | None
    unit: str

    def as_text(self, settings: CalibrateSettings) -> str:
        """Return what was found, in words, and the next command. settings: of this calibration."""
        lines = [
            f"{self.output}: from {self.pictures} pictures of {self.seconds:.0f} s",
            f"framing: {self.described}",
            f"correlation with the recorded steering: {self.correlation:.3f}; all of a picture stretched: "
            f"{self.stretched_correlation:.3f}",
            f"steering of the car = {self.gain:.4g} x the network's {'+' if self.bias >= 0 else '-'} "
            f"{abs(self.bias):.4g}",
        ]
        if self.correlation < self.stretched_correlation:
            lines.append(
                "the framing agrees no better than stretching; look whether it is right, or give --rows or another"
            )
        if self.curvature:
            radius = (
                f"{1 / abs(self.curvature):.3g} {'m' if self.unit == '1/m' else 'camera heights'}"
            )
            lines.append(f"a steering of 1 of the car is a bend with a radius of about {radius}")
        return "\n".join(
            [
                *lines,
                f"look at {self.framing_file.with_suffix('.png')}",
                f"next: {self._next(settings)}",
            ]
        )

    def _next(self, settings: CalibrateSettings) -> str:
        """Return the command that imports the frames with this framing."""
        framed: list[object] = ["--framing", self.framing_file]
        if is_recording(settings.frames):
            again = shown_command("import", "SOURCE", "-o", "NEW", *framed)
            return f"import the source of {settings.frames} again: {again}"
        words = [
            "import",
            settings.frames,
            "-o",
            f"recordings/{settings.frames.resolve().name}",
            *framed,
        ]
        if settings.labels:
            words += ["--table", settings.labels]
            words += (
                ["--steering-column", settings.steering_column] if settings.steering_column else []
            )
            words += ["--left-positive"] if settings.left_positive else []
            words += (
                ["--frame-rate", f"{settings.rate:g}"]
                if settings.rate != CalibrateSettings.rate
                else []
            )
        return shown_command(*words)


@writes(MODEL)
def calibrate(settings: CalibrateSettings, notify: Notify = lambda line: None) -> CalibrationResult:
    """Find what the user has not said of the camera and the car, and write it into a copy of the
    model.

    Beside it, the framing and a picture of it are written. notify: called with lines of progress.
    Raises UserError for a model, pictures or labels that cannot be used, and where the network does
    not read the camera.
    """
    framing_file = settings.output.with_suffix(f".{FRAMING_NAME}")
    check_keras_path(settings.model)
    for path, kind in ((framing_file, "framing"), (framing_file.with_suffix(".png"), PICTURE)):
        check_output(path, kind, settings.force, inputs_of(settings))
    labelled = read_labelled(settings)
    notify(f"{len(labelled.pictures)} pictures of {labelled.driven:.0f} s")
    trial, stretched = _search(settings, labelled)
    if trial.correlation <= -LEAST_CORRELATION and settings.gain is None:
        change = "leave out" if settings.left_positive else "give"
        raise UserError(
            f"{settings.labels or settings.frames}: its steering correlates with that of {settings.model} by "
            f"{trial.correlation:.2f}: it is positive to the other side; {change} --left-positive, with a table for "
            "this command, else for bcclone import"
        )
    if trial.correlation < LEAST_CORRELATION and settings.gain is None:
        other = (
            "another" if settings.framing or settings.rows or settings.known_lens else "your own"
        )
        raise UserError(
            f"{settings.model}: it does not read this camera: its steering correlates with the recorded one by "
            f"{trial.correlation:.2f} on {trial.framing.describe()}, expected {LEAST_CORRELATION} or more. Give a "
            f"longer drive with bends, {other} --framing, or the --gain, if you know it; or train a model on the car's "
            "own frames"
        )
    gain, bias = fit_steering(
        trial.answers, labelled.steering, labelled.driven, settings.gain, settings.bias
    )
    calibration = SteeringCalibration(gain, bias, settings.camera_height_m, settings.steering_ratio)
    from bcclone.model.model_file import calibrated_content

    write_bytes(settings.output, calibrated_content(settings.model, trial.framing, calibration))
    write_text(framing_file, trial.framing.to_json() + "\n")
    fitted = np.array([calibration.apply(answer) for answer in trial.answers])
    steering = {"recorded": labelled.steering, "the model, with gain and bias": fitted}
    middle = labelled.pictures[len(labelled.pictures) // 2]
    shown = trial.framing.for_size(*middle.shape[1::-1])
    plot_framing(shown, middle, labelled.seconds, steering, framing_file.with_suffix(".png"))
    step, height_m = 0.01, calibration.camera_height_m
    bend = (
        curvature_in_heights(step) / step / gain if gain else None
    )  # for a small steering of the car
    return CalibrationResult(
        output=settings.output,
        framing_file=framing_file,
        framing=trial.framing,
        described=trial.framing.describe(),
        correlation=round(trial.correlation, 4),
        stretched_correlation=round(stretched.correlation, 4),
        gain=gain,
        bias=bias,
        pictures=len(labelled.pictures),
        seconds=round(labelled.driven, 2),
        unreadable=labelled.unreadable,
        curvature=None if bend is None else round(bend / (height_m or 1), 5),
        unit="" if bend is None else "1/m" if height_m else "1/camera height",
    )


def _search(settings: CalibrateSettings, labelled: LabelledPictures) -> tuple[Trial, Trial]:
    """Return the framing that the user gives, or the one that is found, and the whole picture
    stretched.
    """
    with ProgressBar("finding the framing", MAX_TRIALS + 1, "framings") as progress:
        search = FramingSearch(witness_of(settings.model), labelled, progress.advance)
        stretched = search.attempt(Framing(*labelled.size))
        try:
            if settings.framing:
                return search.attempt(
                    read_framing(settings.framing).for_size(*labelled.size)
                ), stretched
            if settings.rows:
                return search.attempt(Framing(*labelled.size, settings.rows)), stretched
        except BadImage as error:
            raise UserError(
                f"{settings.framing or settings.frames}: {error}; correct the framing"
            ) from None
        return search.find(settings.known_lens), stretched


def fit_steering(
    answers: FloatArray,
    labels: FloatArray,
    seconds: float,
    gain: float | None = None,
    bias: float | None = None,
) -> tuple[float, float]:
    """Return gain and bias from a network's answers to labels, (frames,) each, of so many seconds
    of driving.

    Least squares, with a prior of a bias near 0: in a drive of few bends, most of them to one side,
    a bias would say where the road went and not how the car's wheels stand. gain, bias: the one
    that is known, for which the other is fitted.
    """
    if bias is None:
        spread = answers.var()
        slope = float(np.cov(answers, labels, bias=True)[0, 1] / spread) if spread else 0.0
        slope = slope if gain is None else gain
        bias = float(labels.mean() - slope * answers.mean())
        prior = (_BIAS_SD * labels.std()) ** 2
        error = (labels - slope * answers - bias).var() / _samples(seconds, len(answers))
        bias = round(bias * (float(prior / (prior + error)) if prior else 1.0), 6)
    if gain is None:
        square = float((answers**2).sum())
        gain = round(float(((labels - bias) * answers).sum()) / square, 6) if square else 0.0
    return gain, bias


def _samples(seconds: float, pictures: int) -> float:
    """Return how many independent samples the pictures of a drive are."""
    return max(min(seconds / SAMPLE_SECONDS, pictures), 1.0)


def witness_of(path: Path) -> Witness:
    """Return a function that lets a model's network answer frames; raises UserError for a network
    of several frames.
    """
    from bcclone.system.tensorflow_quietly import load_tensorflow

    load_tensorflow()
    from bcclone.model.model_file import load_own_model

    file = load_own_model(path)
    if file.seq_length > 1 or file.steps:
        raise UserError(
            f"{path}: a network of {file.seq_length} frames, expected one of single frames"
        )
    model, preprocessing = file.model, file.preprocessing

    def answer(frames: Sequence[Image]) -> FloatArray:
        images = np.stack([preprocessing.apply(frame) for frame in frames])
        parts = [
            np.asarray(model.predict_on_batch(images[start : start + _BATCH]))[:, 0]
            for start in range(0, len(images), _BATCH)
        ]
        return np.concatenate(parts).astype(np.float64)

    return answer
