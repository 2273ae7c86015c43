"""Labelled pictures and a network as the witness -> the lens with which the network reads them best.

For a lens, the witness answers the pictures as frames; r is the correlation of its answers with the recorded steering.
A lens has the likelihood (1 - r^2)^(-n / 2) of n independent samples, and neighbouring frames are not independent: n is
a drive's length in units of SAMPLE_SECONDS. With a prior of usual cameras, whose tails are wide, this gives a posterior
over a grid; the result is its mean and not its best point, because a minute has few bends. A finer grid around it
follows. benchmarks/lab-log/2026-11.md has the figures that it was chosen by.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bcclone.dataset.framing import Framing, Lens
from bcclone.dataset.images import Image
from bcclone.dataset.statistics import correlation
from bcclone.lab.calibrate.labelled_pictures import LabelledPictures
from bcclone.system.arrays import FloatArray

Witness = Callable[[Sequence[Image]], FloatArray]  # frames, uint8 (160, 320, 3) each -> steering, (frames,)

SAMPLE_SECONDS = 4.0  # of driving that give one independent sample
# Cauchy priors, middle and half-width, and the first grids: of the log of the focal length as a share of the width, and
# of the vanishing point in shares of the height and the width
_FOCAL_PRIOR, _FOCALS = (math.log(0.75), 0.25), np.log(np.geomspace(0.34, 1.4, 6))
_HORIZON_PRIOR, _HORIZONS = (0.42, 0.06), np.linspace(0.16, 0.61, 6)
_COLUMN_PRIOR, _COLUMNS = (0.5, 0.02), np.linspace(0.45, 0.55, 5)
_FINE, _FINE_SD = 4, 1.5  # points of a finer grid, and standard deviations of the posterior on either side
_LEAST_SD = 0.02  # of a finer grid
MOST_TRIALS = 2 * len(_FOCALS) * len(_HORIZONS) + _FINE**2 + len(_COLUMNS) + 1


@dataclass(frozen=True)
class Trial:
    """A framing, the witness's answers on its frames, (pictures,), and their correlation with the labels."""

    framing: Framing
    answers: FloatArray
    correlation: float


@dataclass(frozen=True)
class _Axis:
    """A number of the lens that is sought: points (points,), and their log prior. known: a single point."""

    points: FloatArray
    log_prior: FloatArray

    @classmethod
    def of(cls, points: FloatArray, prior: tuple[float, float]) -> "_Axis":
        """Return a grid with a prior, its middle and its half-width."""
        return cls(points, -np.log1p(((points - prior[0]) / prior[1]) ** 2))

    @classmethod
    def known(cls, value: float) -> "_Axis":
        """Return the axis of a number that the user knows."""
        return cls(np.array([value]), np.zeros(1))


class FramingSearch:
    """Finds the lens of a camera. advance: called with 1 for each framing that was tried."""

    def __init__(
        self, witness: Witness, labelled: LabelledPictures, advance: Callable[[int], None] = lambda trials: None
    ) -> None:
        self._witness, self._labelled, self._advance = witness, labelled, advance
        self._width, self._height = labelled.size
        driven = float(labelled.seconds[-1] - labelled.seconds[0])
        self._samples = max(driven / SAMPLE_SECONDS, 1.0)

    def plain(self, rows: tuple[int, int] | None = None) -> Trial:
        """Try the whole picture, or rows of it, stretched; raises BadImage for rows that it does not have."""
        return self.attempt(Framing(self._width, self._height, rows))

    def attempt(self, framing: Framing) -> Trial:
        """Let the witness answer all pictures through a framing."""
        answers = self._witness([framing.apply(picture) for picture in self._labelled.pictures])
        self._advance(1)
        return Trial(framing, answers, _agreement(answers, self._labelled.steering))

    def find(self, known: Mapping[str, float]) -> Trial:
        """Return the trial of the best lens. known: values of Lens that stay as they are, by name."""
        kinds = [bool(known["fisheye"])] if "fisheye" in known else [False, True]
        roll = known.get("roll_degrees", 0.0)
        column = known.get("vanishing_column", self._width / 2 - 0.5)
        focal, horizon = _Axis.of(_FOCALS, _FOCAL_PRIOR), _Axis.of(_HORIZONS, _HORIZON_PRIOR)
        if "focal_px" in known:
            focal = _Axis.known(math.log(known["focal_px"] / self._width))
        if "horizon_row" in known:
            horizon = _Axis.known((known["horizon_row"] + 0.5) / self._height)
        evidence, fisheye, posterior = max(
            (
                (float(np.logaddexp.reduce(scores, axis=None)), kind, scores)
                for kind in kinds
                for scores in [self._scores(focal, horizon, column, roll, kind)]
            ),
            key=lambda one: one[0],
        )
        focal_at, focal_sd = _mean_of(focal, posterior, 1)
        horizon_at, horizon_sd = _mean_of(horizon, posterior, 0)
        if len(focal.points) > 1 or len(horizon.points) > 1:
            focal = _finer(focal, focal_at, focal_sd, _FOCAL_PRIOR)
            horizon = _finer(horizon, horizon_at, horizon_sd, _HORIZON_PRIOR)
            posterior = self._scores(focal, horizon, column, roll, fisheye)
            (focal_at, _), (horizon_at, _) = _mean_of(focal, posterior, 1), _mean_of(horizon, posterior, 0)
        if "vanishing_column" not in known:
            across = _Axis.of(_COLUMNS, _COLUMN_PRIOR)
            scores = np.array([
                self._score(self._lens(focal_at, horizon_at, share * self._width - 0.5, roll, fisheye))
                for share in across.points
            ])  # fmt: skip
            column = _mean_of(across, scores + across.log_prior, None)[0] * self._width - 0.5
        return self.attempt(self._lens(focal_at, horizon_at, column, roll, fisheye))

    def _lens(self, focal: float, horizon: float, column: float, roll: float, fisheye: bool) -> Framing:
        lens = Lens(
            focal_px=round(math.exp(focal) * self._width, 3),
            horizon_row=round(horizon * self._height - 0.5, 3),
            vanishing_column=round(column, 3),
            roll_degrees=roll,
            fisheye=fisheye,
        )
        return Framing(self._width, self._height, lens=lens)

    def _scores(self, focal: _Axis, horizon: _Axis, column: float, roll: float, fisheye: bool) -> FloatArray:
        """Return the log of likelihood x prior of each focal length and horizon, (focal lengths, horizons)."""
        likelihood = [
            [self._score(self._lens(f, h, column, roll, fisheye)) for h in horizon.points] for f in focal.points
        ]
        return np.array(likelihood) + focal.log_prior[:, np.newaxis] + horizon.log_prior

    def _score(self, framing: Framing) -> float:
        """Return the log of the likelihood of a framing; one with which the witness steers wrongly has that of none."""
        correlation = max(self.attempt(framing).correlation, 0.0)
        return -0.5 * self._samples * math.log(max(1 - correlation**2, 1e-6))


def _finer(axis: _Axis, middle: float, sd: float, prior: tuple[float, float]) -> _Axis:
    """Return a finer grid around the mean of the posterior; what is known stays."""
    if len(axis.points) == 1:
        return axis
    return _Axis.of(middle + max(sd, _LEAST_SD) * np.linspace(-_FINE_SD, _FINE_SD, _FINE), prior)


def _agreement(answers: FloatArray, labels: FloatArray) -> float:
    """Return the correlation, 0 where it is not defined."""
    found = correlation(answers, labels) if np.isfinite(answers).all() else None
    return found or 0.0


def _mean_of(axis: _Axis, scores: FloatArray, other: int | None) -> tuple[float, float]:
    """Return the mean and the standard deviation of the posterior along an axis. other: the axis to sum over."""
    weights = np.exp(scores - scores.max())
    weights = weights if other is None else weights.sum(axis=other)
    weights /= weights.sum()
    mean = float(weights @ axis.points)
    return mean, math.sqrt(float(weights @ (axis.points - mean) ** 2))
