"""Predictions and labels of the same frames -> how well they agree: a score, as JSON values and as
a table in text.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.evaluation.evaluate_settings import ScoreSettings, check_unused
from bcclone.evaluation.predict import FrameSteering, read_labels, read_steering, seconds_of
from bcclone.evaluation.rollout import SMOOTHED_ROWS, running_mean
from bcclone.recording.files import is_recording
from bcclone.system.arrays import BoolArray, FloatArray
from bcclone.system.errors import UserError, shown
from bcclone.system.json_values import to_json
from bcclone.system.statistics import correlation, right_side, varies
from bcclone.system.table import Table, TableColumn

PREDICTIONS, SMOOTHED, FITTED, FITTED_SMOOTHED = (
    "predictions",
    "smoothed",
    "fitted",
    "fitted_smoothed",
)
SMOOTH_SECONDS = 0.35
_OPPOSITE = -0.2  # a lower correlation is hardly one of chance
_LAG_SECONDS, _LAG_FRAMES = 2.0, 40  # the most that is tried, with and without times
_LEGEND = (
    "r: correlation with the labels; RMSE, MAE: in their unit; EVA: 1 - Var(error) / Var(label)"
)
_COLUMNS = (
    TableColumn("driver", heading=""),
    TableColumn("correlation", "{:.3f}".format, "r"),
    TableColumn("right_side", lambda fraction: f"{100 * fraction:.1f} %", "right side"),
    TableColumn("rmse", "{:.4f}".format, "RMSE"),
    TableColumn("mae", "{:.4f}".format, "MAE"),
    TableColumn("eva", "{:.3f}".format, "EVA"),
)


@dataclass(frozen=True)
class SteeringAgreement:
    """How well a driver agrees with the labels; None where a figure is not defined.

    correlation: Pearson's; right_side: fraction of the frames beyond the threshold with the label's
    sign; rmse, mae: in units of the labels; eva: explained variance, 1 - Var(error) / Var(label).
    """

    correlation: float | None
    right_side: float | None
    rmse: float
    mae: float
    eva: float | None


@dataclass(frozen=True)
class Fit:
    """The fitted steering is gain x prediction + bias. seconds: from the first frame on; frames: in
    them.
    """

    gain: float
    bias: float
    seconds: float
    frames: int


@dataclass(frozen=True)
class Lag:
    """The shift with the greatest correlation: how much later than the labels the predictions are."""

    frames: int
    seconds: float | None
    correlation: float

    def __str__(self) -> str:
        if not self.frames:
            return f"neither early nor late; r {self.correlation:.3f}"
        amount = (
            f"{abs(self.frames)} frames" if self.seconds is None else f"{abs(self.seconds):.2f} s"
        )
        return f"{amount} {'early' if self.frames < 0 else 'late'}; r {self.correlation:.3f}"


@dataclass(frozen=True)
class Matched:
    """Frames with a label and a prediction, in order of time, or of the labels if their names are
    no times.

    seconds: since the first one, None if unknown; labels, predictions: (frames,), with the same
    positive side; public: (frames,), None if the labels do not say; without_prediction,
    without_label: unmatched frames.
    """

    seconds: FloatArray | None
    labels: FloatArray
    predictions: FloatArray
    public: BoolArray | None
    without_prediction: Sequence[str]
    without_label: Sequence[str]


@dataclass(frozen=True)
class PredictionScore:
    """The score of predictions.

    frames: that are scored; constant_steering: of the driver "constant"; smoothing: how the
    smoothed steering was made; lag: of the steering that `shown` names; drivers: the predictions as
    they are, smoothed and fitted, and those to compare with -> their agreement; parts: public and
    private -> the same; steering: of each driver in all matched frames, (frames,); beyond: how many
    predictions are beyond -1 to 1, which no car can steer, and all labels within, clipped: whether
    they are scored as -1 or 1, as those of a recording, whose steering is in this unit.
    """

    frames: int
    threshold: float
    frames_beyond_threshold: int
    smoothing: str
    constant_steering: float
    fit: Fit | None
    lag: Lag | None
    drivers: Mapping[str, SteeringAgreement]
    parts: Mapping[str, Mapping[str, SteeringAgreement]]
    steering: Mapping[str, FloatArray]
    matched: Matched
    beyond: int = 0
    clipped: bool = False

    @property
    def shown(self) -> str:
        return FITTED if self.fit else PREDICTIONS

    def figures(self) -> dict[str, Any]:
        arrays = ("drivers", "parts", "steering", "matched")
        figures = {name: value for name, value in vars(self).items() if name not in arrays}
        figures["labels_without_prediction"] = len(self.matched.without_prediction)
        figures["predictions_without_label"] = len(self.matched.without_label)
        return {
            name: to_json(value)
            for name, value in {**figures, **self.drivers, **self.parts}.items()
        }

    @property
    def notices(self) -> list[str]:
        """What a person should know of the frames that were left out, and of the side that is
        positive.
        """
        notices = []
        for what, lacking in (
            ("labels have no prediction", self.matched.without_prediction),
            ("predictions have no label", self.matched.without_label),
        ):
            if lacking:
                notices.append(f"{len(lacking)} {what}, and are left out; the first: {lacking[0]}")
        if self.beyond:
            scored = (
                "scored as -1 or 1"
                if self.clipped
                else "unlike the labels; are they in another unit?"
            )
            notices.append(f"{self.beyond} predictions are beyond -1 to 1, full steering, {scored}")
        r = self.drivers[PREDICTIONS].correlation
        if r is not None and r < _OPPOSITE:
            notices.append(
                "the correlation is negative; if the labels are positive to the left and the predictions to the right, "
                "add --left-positive"
            )
        return notices

    @property
    def headline(self) -> str:
        its = self.drivers[self.shown]
        r = "not defined" if its.correlation is None else f"{its.correlation:.3f}"
        return f"correlation {r}, root mean square error {its.rmse:.4f}"

    def table(self) -> Table:
        """Return a row for each driver, and for the predictions in each part of the labels."""
        drivers = {name.replace("_", ", "): its for name, its in self.drivers.items()}
        drivers |= {
            f"{self.shown}, {part}": drivers[self.shown] for part, drivers in self.parts.items()
        }
        return Table(_COLUMNS, [(name, *astuple(its)) for name, its in drivers.items()])

    def explanations(self) -> Iterator[str]:
        """Yield what the columns and rows of the table mean."""
        yield f"{self.frames:,} frames are scored; {_LEGEND}"
        yield f"right side: in the {self.frames_beyond_threshold:,} frames with a label beyond {self.threshold:g}"
        yield f"smoothed: {self.smoothing}; constant: the mean label{' of the fitted frames' if self.fit else ''}"
        if self.fit:
            yield (
                f"fitted: gain {self.fit.gain:.3f} and bias {self.fit.bias:+.4f}, on the {self.fit.frames:,} frames of "
                f"the first {self.fit.seconds:g} s, which are not scored"
            )
        if self.lag:
            yield f"best lag: the predictions are {self.lag}"

    def as_text(self) -> str:
        return "\n".join([*self.explanations(), "", str(self.table())])


def score(
    predictions: Path | str, labels: Path | str, settings: ScoreSettings | None = None
) -> PredictionScore:
    """Read a table of predictions, and a table or recording of labels, and score them; raises
    UserError.
    """
    settings, found = settings or ScoreSettings(), read_steering(Path(predictions))
    return score_predictions(found, read_labels(Path(labels), settings.steering_column), settings)


def score_predictions(
    predictions: FrameSteering, labels: FrameSteering, settings: ScoreSettings | None = None
) -> PredictionScore:
    """Compare predictions with labels.

    Raises UserError if too few frames have both, or cannot be divided as asked; SettingError for
    what only a table of labels needs, if they are a recording.
    """
    settings = settings or ScoreSettings()
    if is_recording(labels.path):
        check_unused(settings, labels.path, "steering_column", "rate")
    matched, beyond = match(predictions, labels, settings), 0
    if not settings.fit_seconds and np.abs(matched.labels).max() <= 1:
        beyond = int((np.abs(matched.predictions) > 1).sum())
    clipped = bool(beyond) and is_recording(labels.path)
    if clipped:
        matched = replace(matched, predictions=matched.predictions.clip(-1.0, 1.0))
    rest, fit = _fit(matched, settings)
    smoothed, smoothing = _smoothed(matched.predictions, matched.seconds)
    steering = {PREDICTIONS: matched.predictions, SMOOTHED: smoothed}
    if fit:
        steering |= {FITTED: fit.gain * matched.predictions + fit.bias}
        steering |= {FITTED_SMOOTHED: fit.gain * smoothed + fit.bias}
    constant = float(matched.labels[~rest if fit else rest].mean())
    steering |= {"zero": np.zeros(len(rest)), "constant": np.full(len(rest), constant)}

    def agreements(chosen: BoolArray) -> dict[str, SteeringAgreement]:
        wanted = matched.labels[chosen]
        return {
            name: agreement(values[chosen], wanted, settings.threshold)
            for name, values in steering.items()
        }

    parts = {}
    if matched.public is not None:
        chosen = {"public": rest & matched.public, "private": rest & ~matched.public}
        parts = {name: agreements(part) for name, part in chosen.items() if part.any()}
    seconds = None if matched.seconds is None else matched.seconds[rest]
    return PredictionScore(
        frames=int(rest.sum()),
        threshold=settings.threshold,
        frames_beyond_threshold=int((np.abs(matched.labels[rest]) > settings.threshold).sum()),
        smoothing=smoothing,
        constant_steering=round(constant, 6),
        fit=fit,
        lag=_best_lag(
            steering[FITTED if fit else PREDICTIONS][rest], matched.labels[rest], seconds
        ),
        drivers=agreements(rest),
        parts=parts,
        steering=steering,
        matched=matched,
        beyond=beyond,
        clipped=clipped,
    )


def match(predictions: FrameSteering, labels: FrameSteering, settings: ScoreSettings) -> Matched:
    """Return the frames that both tables have; raises UserError if there are none."""
    ids = [one for one in labels.steering if one in predictions.steering]
    if not ids:
        first, other = next(iter(predictions.steering)), next(iter(labels.steering))
        remedy = f"; predict those of {labels.path.parent}" if is_recording(labels.path) else ""
        raise UserError(
            f"{predictions.path}: none of its frames is in {labels.path}; its first frame_id is {shown(first)}, theirs "
            f"{shown(other)}; expected the same names in both{remedy}"
        )
    seconds = seconds_of(ids)
    if seconds is None and settings.rate:
        place = {one: number for number, one in enumerate(labels.steering)}
        seconds = np.array([place[one] - place[ids[0]] for one in ids], np.float64) / settings.rate
    order = np.arange(len(ids)) if seconds is None else np.argsort(seconds, kind="stable")

    def values(of: Mapping[str, Any], kind: type = np.float64) -> Any:
        return np.array([of[one] for one in ids], kind)[order]

    return Matched(
        seconds=None if seconds is None else seconds[order] - seconds.min(),
        labels=values(labels.steering) * (-1.0 if settings.left_positive else 1.0),
        predictions=values(predictions.steering),
        public=values(labels.public, np.bool_) if labels.public else None,
        without_prediction=[one for one in labels.steering if one not in predictions.steering],
        without_label=[one for one in predictions.steering if one not in labels.steering],
    )


def agreement(steering: FloatArray, labels: FloatArray, threshold: float) -> SteeringAgreement:
    """Return how well steering, (frames,), agrees with labels, (frames,); of one frame at least."""
    error = steering - labels
    return SteeringAgreement(
        correlation=_rounded(correlation(steering, labels)),
        right_side=_rounded(right_side(steering, labels, threshold)),
        rmse=round(float(np.sqrt(np.mean(error**2))), 6),
        mae=round(float(np.abs(error).mean()), 6),
        eva=_rounded(1 - float(error.var() / labels.var()))
        if varies(labels) and labels.var()
        else None,
    )


def _fit(matched: Matched, settings: ScoreSettings) -> tuple[BoolArray, Fit | None]:
    """Return which frames are scored, (frames,), and the fit on the others."""
    if not settings.fit_seconds:
        return np.ones(len(matched.labels), np.bool_), None
    if matched.seconds is None:
        raise UserError(
            f"the first {settings.fit_seconds:g} s are unknown: frame_id holds no times, expected such as nanoseconds "
            "since 1970; give the frames a second, as in --rate 20"
        )
    rest = matched.seconds >= settings.fit_seconds
    if not rest.any() or rest.all():
        raise UserError(
            f"the frames last {matched.seconds[-1]:.1f} s, expected some after the first {settings.fit_seconds:g} s; "
            "choose a smaller --fit-seconds"
        )
    steering, labels = matched.predictions[~rest], matched.labels[~rest]
    gain = (
        float(np.cov(steering, labels, bias=True)[0, 1] / steering.var())
        if varies(steering)
        else 0.0
    )
    return rest, Fit(
        gain,
        float(labels.mean() - gain * steering.mean()),
        settings.fit_seconds,
        int((~rest).sum()),
    )


def _smoothed(steering: FloatArray, seconds: FloatArray | None) -> tuple[FloatArray, str]:
    """Return the steering smoothed in time, (frames,), and how."""
    if seconds is None:
        return running_mean(steering), f"the mean over {SMOOTHED_ROWS} frames"
    shares = 1 - np.exp(-np.diff(seconds) / SMOOTH_SECONDS)
    smoothed = [float(steering[0])]
    for share, value in zip(shares.tolist(), steering[1:].tolist(), strict=True):
        smoothed.append(smoothed[-1] + share * (value - smoothed[-1]))
    return np.array(smoothed), f"exponential mean of {SMOOTH_SECONDS:g} s"


def _best_lag(steering: FloatArray, labels: FloatArray, seconds: FloatArray | None) -> Lag | None:
    """Return the shift by whole frames with the greatest correlation, the smallest of equal ones.

    None if the best lag is the largest tried, or too few frames allow any.
    """
    step = float(np.median(np.diff(seconds))) if seconds is not None and len(seconds) > 1 else 0.0
    most = min(round(_LAG_SECONDS / step), 5 * _LAG_FRAMES) if step else _LAG_FRAMES
    most, best = min(most, len(labels) // 4), None
    for lag in sorted(range(-most, most + 1), key=abs):
        late, early = (
            slice(max(lag, 0), len(labels) + min(lag, 0)),
            slice(max(-lag, 0), len(labels) - max(lag, 0)),
        )
        r = correlation(steering[late], labels[early])
        if r is not None and (best is None or r > best[0]):
            best = r, lag
    if best is None or abs(best[1]) == most:
        return None
    r, lag = best
    return Lag(lag, round(lag * step, 3) if step else None, round(r, 4))


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 4)
