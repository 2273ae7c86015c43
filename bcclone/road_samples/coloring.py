"""Give each kind of thing in a picture (sky, ground, road, line, ...) a colour and a brightness of its own.

A network that has only seen our renderer's colours learns them by heart: grass beside asphalt, a bright sky. With
colours drawn by chance (domain randomization: J. Tobin and others, https://arxiv.org/abs/1703.06907), only the shape of
the road is left to learn from.
"""

from typing import Self

import numpy as np
import numpy.typing as npt

from bcclone.arrays import Float32Array
from bcclone.images import Image
from bcclone.simulator.render import LABELS

# logarithms of factors of brightness: mean and standard deviation
_BESIDE, _ROAD, _ABOVE = (-0.35, 0.9), (-0.1, 0.45), (0.0, 0.3)
_KINDS = {"sky": _ABOVE, "ground": _BESIDE, "water": _BESIDE, "object": _BESIDE, "road": _ROAD}
_PAINT = (0.0, 0.35)  # of lines and edges, relative to the road
_TINT = 0.2  # standard deviation of each colour channel's logarithm
_BRIGHTEST = 2.5


class Coloring:
    """Factors of each label's RGB, float32 (labels, 3)."""

    def __init__(self, factors: Float32Array) -> None:
        self._factors = factors

    @classmethod
    def draw(cls, random: np.random.Generator) -> Self:
        """Return factors drawn by chance; the car's own bonnet stays as it is."""
        factors = np.ones((len(LABELS), 3), np.float32)
        for name, brightness in _KINDS.items():
            factors[LABELS[name]] = _drawn(random, *brightness)
        for name in ("line", "edge"):
            factors[LABELS[name]] = factors[LABELS["road"]] * _drawn(random, *_PAINT)
        return cls(np.minimum(factors, _BRIGHTEST))

    def apply(self, picture: Image, labels: npt.NDArray[np.uint8]) -> Image:
        """Return a picture in these colours, RGB uint8 (height, width, 3). labels: (height, width)."""
        return np.asarray(np.minimum(picture * self._factors[labels], 255.0).astype(np.uint8))


def _drawn(random: np.random.Generator, mean: float, deviation: float) -> Float32Array:
    return np.asarray(np.exp(random.normal(mean, deviation) + random.normal(0.0, _TINT, 3)), np.float32)
