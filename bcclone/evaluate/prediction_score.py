"""Predictions and labels of the same frames -> how well they agree: a score."""

import math

import numpy as np
import numpy.typing as npt

from bcclone.evaluate.prediction_result import (
    CONSTANT,
    FITTED,
    FITTED_SMOOTHED,
    PREDICTIONS,
    SMOOTHED,
    ZERO,
    Agreement,
    Fit,
    Lag,
    Matched,
    PredictionScore,
)
from bcclone.evaluate.prediction_settings import ScoreSettings, check_unused
from bcclone.evaluate.rollout import SMOOTHED_ROWS, correlation, running_mean, varies
from bcclone.evaluate.steering_tables import SteeringTable, seconds_of
from bcclone.recording.files import is_recording
from bcclone.system.arrays import FloatArray
from bcclone.system.errors import UserError

SMOOTH_SECONDS = 0.35
_LAG_SECONDS, _LAG_FRAMES = 2.0, 40  # the most that is tried, with and without times


def score_predictions(
    predictions: SteeringTable, labels: SteeringTable, settings: ScoreSettings | None = None
) -> PredictionScore:
    """Compare predictions with labels.

    Raises UserError if too few frames have both, or cannot be divided as asked; SettingError for what only a table of
    labels needs, if they are a recording.
    """
    settings = settings or ScoreSettings()
    if is_recording(labels.path):
        check_unused(settings, labels.path, "steering_column", "rate")
    matched = match(predictions, labels, settings)
    rest, fit = _fit(matched, settings)
    smoothed, smoothing = _smoothed(matched.predictions, matched.seconds)
    steering = {PREDICTIONS: matched.predictions, SMOOTHED: smoothed}
    if fit:
        steering |= {FITTED: fit.apply(matched.predictions), FITTED_SMOOTHED: fit.apply(smoothed)}
    constant = float(matched.labels[~rest if fit else rest].mean())
    steering |= {ZERO: np.zeros(len(rest)), CONSTANT: np.full(len(rest), constant)}

    def agreements(chosen: npt.NDArray[np.bool_]) -> dict[str, Agreement]:
        wanted = matched.labels[chosen]
        return {name: agreement(values[chosen], wanted, settings.threshold) for name, values in steering.items()}

    parts = {}
    if matched.public is not None:
        chosen = {"public": rest & matched.public, "private": rest & ~matched.public}
        parts = {name: agreements(part) for name, part in chosen.items() if part.any()}
    seconds = None if matched.seconds is None else matched.seconds[rest]
    return PredictionScore(
        frames=int(rest.sum()),
        matched=matched,
        threshold=settings.threshold,
        turns=int((np.abs(matched.labels[rest]) > settings.threshold).sum()),
        constant=round(constant, 6),
        smoothing=smoothing,
        fit=fit,
        lag=_best_lag(steering[FITTED if fit else PREDICTIONS][rest], matched.labels[rest], seconds),
        drivers=agreements(rest),
        parts=parts,
        steering=steering,
    )


def match(predictions: SteeringTable, labels: SteeringTable, settings: ScoreSettings) -> Matched:
    """Return the frames that both tables have; raises UserError if there are none."""
    ids = [one for one in labels.steering if one in predictions.steering]
    if not ids:
        first, other = next(iter(predictions.steering)), next(iter(labels.steering))
        raise UserError(
            f"{predictions.path}: none of its frames is in {labels.path}; its first frame_id is {first[:60]!r}, theirs "
            f"{other[:60]!r}; expected the same names in both"
        )
    seconds = seconds_of(ids)
    if seconds is None and settings.rate:
        place = {one: number for number, one in enumerate(labels.steering)}
        seconds = np.array([place[one] - place[ids[0]] for one in ids], np.float64) / settings.rate
    order = np.arange(len(ids)) if seconds is None else np.argsort(seconds, kind="stable")
    side = -1.0 if settings.left_positive else 1.0
    lacking = [one for one in labels.steering if one not in predictions.steering]
    unknown = [one for one in predictions.steering if one not in labels.steering]
    return Matched(
        seconds=None if seconds is None else seconds[order] - seconds.min(),
        labels=np.array([labels.steering[one] for one in ids])[order] * side,
        predictions=np.array([predictions.steering[one] for one in ids])[order],
        public=np.array([labels.public[one] for one in ids])[order] if labels.public else None,
        without_prediction=(len(lacking), lacking[0] if lacking else ""),
        without_label=(len(unknown), unknown[0] if unknown else ""),
    )


def agreement(steering: FloatArray, labels: FloatArray, threshold: float) -> Agreement:
    """Return how well steering, (frames,), agrees with labels, (frames,); of one frame at least."""
    error, turns = steering - labels, np.abs(labels) > threshold
    variance = float(labels.var()) if varies(labels) else 0.0
    return Agreement(
        correlation=_rounded(correlation(steering, labels)),
        right_side=_rounded(float((steering[turns] * labels[turns] > 0).mean())) if turns.any() else None,
        rmse=round(float(np.sqrt(np.mean(error**2))), 6),
        mae=round(float(np.abs(error).mean()), 6),
        eva=_rounded(1 - float(error.var()) / variance) if variance else None,
    )


def _fit(matched: Matched, settings: ScoreSettings) -> tuple[npt.NDArray[np.bool_], Fit | None]:
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
    gain = float(np.cov(steering, labels, bias=True)[0, 1] / steering.var()) if varies(steering) else 0.0
    return rest, Fit(gain, float(labels.mean() - gain * steering.mean()), settings.fit_seconds, int((~rest).sum()))


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
    """Return the shift by whole frames with the greatest correlation; None at the end of those that are tried.

    So it is where the frames are so few or so far apart that none is tried.
    """
    step = float(np.median(np.diff(seconds))) if seconds is not None and len(seconds) > 1 else 0.0
    most = min(round(_LAG_SECONDS / step), 5 * _LAG_FRAMES) if step else _LAG_FRAMES
    most = min(most, len(labels) // 4)
    found = []
    for lag in sorted(range(-most, most + 1), key=abs):
        late, early = slice(max(lag, 0), len(labels) + min(lag, 0)), slice(max(-lag, 0), len(labels) - max(lag, 0))
        if (r := correlation(steering[late], labels[early])) is not None:
            found.append((r, lag))
    if not found:
        return None
    r, lag = max(found, key=lambda one: one[0])  # the smallest of equal ones
    if abs(lag) == most:
        return None  # it might be greater still beyond
    return Lag(lag, round(lag * step, 3) if step else None, round(r, 4))


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 4)
