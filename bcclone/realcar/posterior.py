"""Find a number of a camera or a driver: a correlation for each of its values -> their mean.

With a value, such as a focal length, a network's answers correlate by r with the recorded steering.
The value has the likelihood (1 - r^2)^(-n / 2) of n independent samples, and neighbouring frames
are not independent: n is the drive's length in units of SAMPLE_SECONDS, or the number of pictures
if that is smaller.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from bcclone.system.numbers import FloatArray

# driving time that gives one independent sample: by their autocorrelation, a network's answers and
# the steering of three real cars give one every 0.9 to 2.8 s
SAMPLE_SECONDS = 2.0
FINE_POINTS = 4  # how many points a finer grid has
_FINE_REACH = 1.5  # how far it reaches to either side, in standard deviations of the posterior
_LEAST_DEVIATION = 0.02  # smallest standard deviation that is assumed for a finer grid


def independent_samples(seconds: float, pictures: int) -> float:
    """Return how many independent samples the pictures of a drive are."""
    return max(min(seconds / SAMPLE_SECONDS, pictures), 1.0)


def log_likelihood(correlation: float, samples: float) -> float:
    """Return the log of the likelihood of a value; a negative correlation counts as none.

    samples: of independent_samples()
    """
    r = max(correlation, 0.0)
    return -0.5 * samples * math.log(max(1 - r**2, 1e-6))


@dataclass(frozen=True)
class Axis:
    """Values of a number that is sought, with a Cauchy prior; with none by default."""

    points: FloatArray  # values to try, (points,); a single value if the number is known
    middle: float = 0.0  # most likely value by the prior
    half_width: float = math.inf  # distance from `middle` at which the prior has fallen to half

    @property
    def log_prior(self) -> FloatArray:
        return -np.log1p(((self.points - self.middle) / self.half_width) ** 2)

    def mean_and_deviation(self, scores: FloatArray) -> tuple[float, float]:
        """Return the mean and the standard deviation of the posterior.

        scores: log of the posterior, (points,) or (points, others), summed over the others
        """
        weights = np.exp(scores - scores.max())
        if weights.ndim > 1:
            weights = weights.sum(axis=1)
        weights /= weights.sum()
        mean = float(weights @ self.points)
        return mean, math.sqrt(float(weights @ (self.points - mean) ** 2))

    def finer(self, scores: FloatArray) -> "Axis":
        """Return a finer grid around the mean of the posterior; a number that is known stays.

        scores: as in mean_and_deviation()
        """
        if len(self.points) == 1:
            return self
        mean, deviation = self.mean_and_deviation(scores)
        reach = max(deviation, _LEAST_DEVIATION)
        points = mean + reach * np.linspace(-_FINE_REACH, _FINE_REACH, FINE_POINTS)
        return replace(self, points=points)
