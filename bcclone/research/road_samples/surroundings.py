"""What a road looks like, and what is around it: the values that painting.py paints.

Colours are RGB, 0 to 255. Textures are noise, made of no one's pictures.
"""

from typing import NamedTuple

import numpy as np

from bcclone.system.arrays import FloatArray, Random

Color = tuple[float, float, float]


class Band(NamedTuple):
    """A strip along the road: its surface, a shoulder, or a line."""

    start_m: float  # left side, in metres to the right of the road's middle
    end_m: float  # right side
    red: float
    green: float
    blue: float
    dash_m: float  # length of a dash and a gap together; 0 for no dashes
    phase_m: float  # shift of the dashes along the road
    grain: float  # strength of the band's finest texture


class Mark(NamedTuple):
    """A straight line on the ground: a joint, tape or a cable."""

    normal_right: float  # the line's unit normal, to the right and ahead
    normal_ahead: float
    distance_m: float  # from the camera, along the normal
    half_m: float  # half of the line's width
    red: float
    green: float
    blue: float


class Box(NamedTuple):
    """An upright thing that faces the camera."""

    right_m: float  # the thing's middle, to the right and ahead
    ahead_m: float
    half_m: float  # half of the thing's width
    top_m: float  # height of its upper edge above the road
    red: float
    green: float
    blue: float
    bottom_m: float  # height of its lower edge above the road
    texture_scale: float  # half wavelengths of its texture in a metre
    texture: float  # strength of its texture


class Scenery(NamedTuple):
    """Ground, light and sky."""

    camera_m: float  # height of the camera
    ground_curvature: float  # in the car's direction, in 1/m, positive in a dip
    ground: Color
    grain: float  # strength of the ground's fine texture
    patch_m: float  # half a wavelength of its coarse texture
    patch: float  # strength of its coarse texture
    light: float  # factor of the light: below 1 in shadows, above 1 in glare; 0 for neither
    light_across_m: float  # half a wavelength of the shadows or the glare, to the right
    light_along_m: float  # the same, ahead
    light_from: float  # value of the noise, about -1.6 to 1.6, from which the ground is in shadow
    light_slope: float  # how sharp the shadows' edges are
    haze: Color  # the horizon's colour
    zenith: Color  # colour of the sky or the ceiling overhead
    haze_m: float  # the distance from which the ground is haziest
    haze_most: float  # the fraction of haze in the ground's colour there


class Surroundings(NamedTuple):
    """What is painted. The arrays have a row for each thing, with the fields of its class."""

    bands: FloatArray  # rows of Band; later ones lie over earlier ones
    marks: FloatArray  # rows of Mark
    boxes: FloatArray  # rows of Box, far ones first
    scenery: Scenery
    seed: int  # seed of the textures


def random_color(random: Random, low: float, high: float, tint: float) -> FloatArray:
    """Return a random grey from low to high, each channel of it changed at random.

    tint: largest change of a channel, as a fraction of the grey
    """
    grey = random.uniform(low, high)
    channels = 1.0 + tint * (random.random(3) * 2 - 1)
    return np.clip(grey * channels, 0.0, 255.0)


def color_tuple(color: FloatArray) -> Color:
    red, green, blue = color.tolist()
    return red, green, blue
