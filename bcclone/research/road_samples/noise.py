"""Noise, the width of a pixel on the ground, and the mixing of colours; compiled."""

import math
from typing import Any

from bcclone.system.compiled import compiled

WIDEST_M = 20.0  # wider pixels on the ground are treated as this wide


@compiled(error_model="numpy")
def _lattice(column: int, row: int, seed: int) -> float:
    """Return a random number, -1 to 1, for a point of a lattice; always the same one for a seed."""
    mixed = (column * 374761393 + row * 668265263 + seed * 1274126177) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 13)) * 1103515245) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 16)) * 668265263) & 0xFFFFFFFF
    return float((mixed ^ (mixed >> 15)) & 0xFFFF) / 32767.5 - 1.0


@compiled(error_model="numpy")
def noise(x: float, z: float, seed: int) -> float:
    """Return smooth noise of -1 to 1 with a wavelength of about 2."""
    column = int(math.floor(x))
    row = int(math.floor(z))
    across = x - column
    up = z - row
    # the noise has no edges at the lattice's lines: a cubic curve begins and ends level
    across = across * across * (3.0 - 2.0 * across)
    up = up * up * (3.0 - 2.0 * up)
    low_left = _lattice(column, row, seed)
    low_right = _lattice(column + 1, row, seed)
    high_left = _lattice(column, row + 1, seed)
    high_right = _lattice(column + 1, row + 1, seed)
    low = low_left * (1.0 - across) + low_right * across
    high = high_left * (1.0 - across) + high_right * across
    return low * (1.0 - up) + high * up


@compiled(error_model="numpy")
def resolved(wavelength_m: float, pixel_m: float) -> float:
    """Return half a wavelength, doubled until it spans two pixels: finer noise would flicker."""
    while wavelength_m < 2.0 * pixel_m:
        wavelength_m *= 2.0
    return wavelength_m


@compiled(error_model="numpy")
def mix(color: Any, other: Any, brightness: float, fraction: float) -> None:
    """Mix another colour, times a brightness, into a colour. fraction: of the other colour."""
    for channel in range(3):
        color[channel] += (other[channel] * brightness - color[channel]) * fraction


@compiled(error_model="numpy")
def width_across(pixel_m: float, long_m: float, sine: float) -> float:
    """Return the width of a pixel across a line on the ground.

    pixel_m: width of the pixel on the ground
    long_m: length of the pixel on the ground, along the line of sight
    sine: sine of the angle between the line and the line of sight
    """
    squared = pixel_m * pixel_m * (1.0 - sine * sine) + long_m * long_m * sine * sine
    return min(math.sqrt(max(squared, 1e-12)), WIDEST_M)
