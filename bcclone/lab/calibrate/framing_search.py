"""Labelled pictures and a network as the witness -> the lens with which the network reads them best.

For a lens, the witness answers the pictures as frames; r is the correlation of its answers with the recorded steering.
A lens has the likelihood (1 - r^2)^(-n / 2) of n independent samples, and neighbouring frames are not independent: n is
a drive's length in units of SAMPLE_SECONDS. With a prior of usual cameras, whose tails are wide, this gives a posterior
over a grid; the result is its mean and not its best point, because a minute has few bends. A finer grid around it
follows. benchmarks/lab-log/2026-11.md has the figures that it was chosen by.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

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
MAX_TRIALS = 2 * len(_FOCALS) * len(_HORIZONS) + _FINE**2 + len(_COLUMNS) + 1


@dataclass(frozen=True)
class Trial:
    """A framing, the witness's answers on its frames, (pictures,), and their correlation with the labels."""

    framing: Framing
    answers: FloatArray
    correlation: float


@dataclass(frozen=True)
class _Axis:
    """A number of the lens, with its Cauchy prior. points: of a grid, (points,), or the only one if it is known."""

    points: FloatArray
    prior: tuple[float, float]

    @property
    def log_prior(self) -> FloatArray:
        middle, half_width = self.prior
        return -np.log1p(((self.points - middle) / half_width) ** 2)

    def mean(self, scores: FloatArray, other: int | None) -> tuple[float, float]:
        """Return the mean and the standard deviation of the posterior. scores: its log; other: the axis to sum over."""
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
        self, witness: Witness, labelled: LabelledPictures, advance: Callable[[int], None] = lambda trials: None
    ) -> None:
        self._witness, self._labelled, self._advance = witness, labelled, advance
        self._width, self._height = labelled.size
        self._samples = max(labelled.driven / SAMPLE_SECONDS, 1.0)

    def attempt(self, framing: Framing) -> Trial:
        """Let the witness answer all pictures through a framing."""
        answers = self._witness([framing.apply(picture) for picture in self._labelled.pictures])
        self._advance(1)
        agreement = correlation(answers, self._labelled.steering) if np.isfinite(answers).all() else None
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
            horizon = replace(horizon, points=np.array([(known["horizon_row"] + 0.5) / self._height]))
        of_kinds = {kind: self._scores(focal, horizon, column, roll, kind) for kind in kinds}
        fisheye = max(kinds, key=lambda kind: float(np.logaddexp.reduce(of_kinds[kind], axis=None)))
        focal = focal.finer(*focal.mean(of_kinds[fisheye], other=1))
        horizon = horizon.finer(*horizon.mean(of_kinds[fisheye], other=0))
        scores = self._scores(focal, horizon, column, roll, fisheye)
        focal_at, horizon_at = focal.mean(scores, other=1)[0], horizon.mean(scores, other=0)[0]
        if "vanishing_column" not in known:
            across = _Axis(_COLUMNS, _COLUMN_PRIOR)
            columns = _COLUMNS * self._width - 0.5
            lenses = [self._lens(focal_at, horizon_at, column, roll, fisheye) for column in columns]
            scores = np.array([self._score(lens) for lens in lenses]) + across.log_prior
            column = across.mean(scores, other=None)[0] * self._width - 0.5
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
