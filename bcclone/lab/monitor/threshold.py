"""Fit a gamma distribution to the scores of undisturbed driving, and find the threshold of a rate of false alarms.

As in SelfOracle: A. Stocco, M. Weiss, M. Calzana and P. Tonella, "Misbehaviour prediction for autonomous driving
systems", ICSE 2020, https://arxiv.org/abs/1910.04443, section 3.4.
"""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.stats import gamma

from bcclone.system.arrays import FloatArray
from bcclone.system.errors import UserError

_FEWEST = 10  # scores that a distribution is fitted to


@dataclass(frozen=True)
class GammaFit:
    """A gamma distribution that begins at 0."""

    shape: float
    scale: float

    def __post_init__(self) -> None:
        if not (0 < self.shape < math.inf and 0 < self.scale < math.inf):
            raise ValueError(f"a gamma distribution of shape {self.shape} and scale {self.scale}, expected more than 0")

    @classmethod
    def of(cls, scores: FloatArray) -> Self:
        """Fit to scores, (n,), by greatest likelihood; raises UserError for too few or equal ones."""
        usable = scores[np.isfinite(scores) & (scores > 0)]
        if len(usable) < _FEWEST or np.ptp(usable) == 0:
            raise UserError(
                f"{len(usable)} usable scores of undisturbed driving, expected {_FEWEST} or more that differ; "
                "give more frames to fit the monitor on"
            )
        shape, _, scale = gamma.fit(usable, floc=0)
        return cls(float(shape), float(scale))

    def threshold(self, false_alarms: float) -> float:
        """Return the score that this fraction of scores exceeds."""
        return float(gamma.isf(false_alarms, self.shape, scale=self.scale))


def moving_average(scores: FloatArray, frames: int) -> FloatArray:
    """Return the averages over each `frames` consecutive scores, (n - frames + 1,); of all if there are fewer."""
    if len(scores) <= frames:
        return np.array([scores.mean()]) if len(scores) else scores
    return np.convolve(scores, np.full(frames, 1 / frames), mode="valid")
