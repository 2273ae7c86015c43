"""Give each kind of thing in a picture (sky, ground, road, ...) a colour and a brightness of its own, from a seed.

A network that has only seen one renderer's colours learns them by heart: grass beside asphalt, a bright sky. With
colours drawn by chance (domain randomization: J. Tobin and others, https://arxiv.org/abs/1703.06907), only the shape of
the road is left to learn from.
"""

import numpy as np
import numpy.typing as npt

from bcclone.dataset.images import Image
from bcclone.simulator.render.surface import CAR, EDGE, GROUND, LINE, OBJECT, ROAD, SKY, WATER
from bcclone.system.arrays import Float32Array
from bcclone.system.exact_math import exponentials, normals

# logarithms of factors of brightness: mean and standard deviation
_BESIDE = (-0.35, 0.9)
_BRIGHTNESS = {SKY: (0.0, 0.3), GROUND: _BESIDE, WATER: _BESIDE, OBJECT: _BESIDE, ROAD: (-0.1, 0.45)}
_PAINT = (0.0, 0.35)  # of lines and edges, relative to the road
_TINT = 0.2  # standard deviation of each colour channel's logarithm
_BRIGHTEST = 2.5


def draw_coloring(seed: int) -> Float32Array:
    """Return factors of each label's RGB, float32 (labels, 3); the car's own bonnet stays as it is."""
    randomness = np.random.default_rng([seed, 21])
    factors = np.ones((CAR + 1, 3), np.float32)
    for label, brightness in _BRIGHTNESS.items():
        factors[label] = _drawn(randomness, *brightness)
    for label in (LINE, EDGE):
        factors[label] = factors[ROAD] * _drawn(randomness, *_PAINT)
    return np.minimum(factors, np.float32(_BRIGHTEST))


def color(picture: Image, labels: npt.NDArray[np.uint8], factors: Float32Array) -> None:
    """Give a picture, RGB uint8 (height, width, 3), these colours. labels: (height, width)."""
    picture[...] = np.minimum(picture * factors[labels], np.float32(255.0))


def _drawn(randomness: np.random.Generator, mean: float, deviation: float) -> Float32Array:
    brightness = mean + deviation * normals(randomness)
    return exponentials((brightness + _TINT * normals(randomness, (3,))).astype(np.float32))
