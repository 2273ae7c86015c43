"""What a road looks like, and what is around it: the values that painting.py paints.

Colours are RGB, 0 to 255. Textures are noise, made of no one's pictures.
"""

from typing import NamedTuple

import numpy as np

from bcclone.system.numbers import FloatArray, Random

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
    ragged_m: float  # how far its edges stray to either side
    worn: float  # fraction of it that is worn off, 0 to 1


class Ring(NamedTuple):
    """A circle on the ground: a cable or tape; a straight line is a very large one."""

    right_m: float  # the circle's middle, to the right and ahead
    ahead_m: float
    radius_m: float
    half_m: float  # half of the line's width
    red: float
    green: float
    blue: float


class Patch(NamedTuple):
    """A rectangle or an ellipse on the ground: an arrow, a mended spot, a crossing road."""

    right_m: float  # its middle, to the right and ahead
    ahead_m: float
    direction_right: float  # the direction of its length, a unit vector
    direction_ahead: float
    half_length_m: float
    half_width_m: float
    oval: float  # 1 for an ellipse, 0 for a rectangle
    opaque: float  # how much of the ground it hides, 0 to 1
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
    mirror: float  # how much of the sky and of what stands there the ground reflects, 0 to 1
    ripple: float  # how much the ground's texture distorts what it reflects


class Surroundings(NamedTuple):
    """What is painted. The arrays have a row for each thing, with the fields of its class."""

    bands: FloatArray  # rows of Band; later ones lie over earlier ones
    below: FloatArray  # rows of Patch, which lie under the road
    above: FloatArray  # rows of Patch, which lie on the road
    rings: FloatArray  # rows of Ring
    boxes: FloatArray  # rows of Box, far ones first
    scenery: Scenery
    seed: int  # seed of the textures


def random_color(random: Random, low: float, high: float, tint: float) -> FloatArray:
    """Return a random grey from low to high, each channel of it changed at random.

    tint: largest change of a channel, as a fraction of the grey
    """
    share, *changes = random.random(4).tolist()
    grey = low + (high - low) * share
    channels = [grey * (1.0 + tint * (2.0 * change - 1.0)) for change in changes]
    return np.array([min(max(channel, 0.0), 255.0) for channel in channels])


def color_tuple(color: FloatArray) -> Color:
    red, green, blue = color.tolist()
    return red, green, blue
