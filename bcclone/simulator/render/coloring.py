"""Choose random colours for a world: a seed -> factors of the RGB of all pixels with one label.

A label says what a pixel shows: sky, ground, water, road and so on.

A network that has only seen one renderer's colours learns them by heart: green grass, gray asphalt,
a bright sky. With random colours (domain randomization: J. Tobin and others,
https://arxiv.org/abs/1703.06907), only the shape of the road is left to learn from.
"""

from dataclasses import dataclass

import numpy as np

from bcclone.camera.images import Image
from bcclone.simulator.render.surface import CAR, EDGE, GROUND, LINE, OBJECT, ROAD, SKY, WATER
from bcclone.system.exact_math import exponentials, normals
from bcclone.system.numbers import Float32Array, Random


@dataclass(frozen=True)
class _Brightness:
    """How bright a label's pixels may become: a normal distribution of their factor's logarithm."""

    mean: float
    deviation: float  # standard deviation


_SURROUNDINGS = _Brightness(-0.35, 0.9)
# label -> its brightness; each label takes its random numbers in this order, so the order decides
# what a seed means
_BRIGHTNESS = {
    SKY: _Brightness(0.0, 0.3),
    GROUND: _SURROUNDINGS,
    WATER: _SURROUNDINGS,
    OBJECT: _SURROUNDINGS,
    ROAD: _Brightness(-0.1, 0.45),
}
_PAINT = _Brightness(0.0, 0.35)  # lines and edges, relative to the road
_TINT = 0.2  # standard deviation of what each colour channel adds to the logarithm
_BRIGHTEST = 2.5  # largest factor


def draw_coloring(seed: int) -> Float32Array:
    """Return a random colour and brightness for each label: factors of RGB, float32 (labels, 3).

    The car's own bonnet stays as it is.
    """
    randomness = np.random.default_rng([seed, 21])  # 21: random numbers that nothing else uses
    factors = np.ones((CAR + 1, 3), np.float32)
    for label, brightness in _BRIGHTNESS.items():
        factors[label] = _random_factors(randomness, brightness)
    for label in (LINE, EDGE):
        factors[label] = factors[ROAD] * _random_factors(randomness, _PAINT)
    return np.minimum(factors, np.float32(_BRIGHTEST))


def color(picture: Image, labels: Image, factors: Float32Array) -> None:
    """Multiply each pixel of a picture by the factors of its label.

    picture: RGB uint8 (height, width, 3)
    labels: uint8 (height, width)
    """
    picture[...] = np.minimum(picture * factors[labels], np.float32(255.0))


def _random_factors(randomness: Random, brightness: _Brightness) -> Float32Array:
    """Return random factors of red, green and blue, float32 (3,)."""
    # logarithms of the factors: one number for all channels, and one for each
    logarithm = brightness.mean + brightness.deviation * normals(randomness)
    tints = _TINT * normals(randomness, (3,))
    return exponentials((logarithm + tints).astype(np.float32))
