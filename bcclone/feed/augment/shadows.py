"""Shadows, or spots of light: of bushes (flat ellipses), and of trunks and walls (bands)."""

import math
from math import ceil, cos, floor, radians, sin, sqrt
from typing import Any, NamedTuple

import numpy as np

from bcclone.feed.augment.blur import filtered, mirrored
from bcclone.feed.augment.kind import Extent, Numbers
from bcclone.system.compiled import compiled

SHAPES = 4  # the most of one image
UNIFORMS = {
    "shadow": 1,
    "shadow_shapes": 1,
    "shadow_soft": 1,
    "shadow_dark": 1,
    "shadow_strength": 1,
    "shape": SHAPES,
    "shape_geometry": SHAPES * 5,
}
FULL_SHADE = 25  # a soft edge is a mean over 5x5 pixels
_HORIZON = 0.33  # of the image's height
_FLOAT = np.float32


class Shadows(NamedTuple):
    """Up to SHAPES shadows, or spots of light, of each image, in pixels of the changed rows.

    factor: float32 (samples,), brightness in the shadow, 1 where there is none; soft: bool (samples,), whether the
    edges are blurred; present, band: bool (samples, SHAPES), which shapes exist, and which are bands instead of
    ellipses; ellipse: float32 (samples, SHAPES, 5), center x and y, width, height, angle in degrees;
    edges: float32 (samples, SHAPES, 4), left and right edge of a band at the horizon, and at the image's lower edge.
    """

    factor: Any
    soft: Any
    present: Any
    band: Any
    ellipse: Any
    edges: Any


def shadows_of(numbers: Numbers, fraction: float, extent: Extent, xp: Any = np) -> Shadows:
    """Return shadows for a fraction of the images: of bushes (flat ellipses), and of trunks and walls (bands)."""
    width, height = float(extent.width), float(extent.height)
    has_any = numbers["shadow"][:, 0] < fraction
    strength = numbers["shadow_strength"][:, 0]
    factor = xp.where(numbers["shadow_dark"][:, 0] < 0.8, 0.3 + 0.5 * strength, 1.1 + 0.4 * strength)
    count = 1.0 + xp.floor(SHAPES * numbers["shadow_shapes"])
    geometry = xp.reshape(numbers["shape_geometry"], (-1, SHAPES, 5))
    first, second, third, fourth, fifth = (geometry[:, :, index] for index in range(5))
    center_y = (0.3 + 0.7 * second) * height - extent.top
    ellipse = [(-0.15 + 1.3 * first) * width, center_y, (0.08 + 0.87 * third) * width]
    ellipse += [(0.03 + 0.37 * fourth) * height, 80.0 * fifth - 40.0]
    far, near = (first * width, second * width), ((2.0 * third - 0.5) * width, (2.0 * fourth - 0.5) * width)
    edges = [choose(*pair) for pair in (far, near) for choose in (xp.minimum, xp.maximum)]
    return Shadows(
        factor=xp.where(has_any, factor, xp.ones_like(factor)),
        soft=numbers["shadow_soft"][:, 0] < 0.5,
        present=(np.arange(SHAPES, dtype=np.float32) < count) & has_any[:, None],
        band=numbers["shape"] < 0.5,
        ellipse=xp.stack(ellipse, axis=-1),
        edges=xp.stack(edges, axis=-1),
    )


def band_rows(extent: Extent) -> tuple[float, float]:
    """Return the rows, from the first changed one, where bands begin (the horizon) and end (the lower edge)."""
    return float(int(_HORIZON * extent.height) - extent.top), float(extent.height - extent.top)


@compiled(error_model="numpy")
def fill_tables(sample: Any, is_shaded: Any, parameters: Any, scratch: Any) -> None:
    """Write the table of levels for each shade that occurs."""
    factor = parameters.shadows.factor[sample] if is_shaded else _FLOAT(1)
    for shade in range(FULL_SHADE + 1):
        if shade == 0 or is_shaded and (parameters.shadows.soft[sample] or shade == FULL_SHADE):
            gain = _FLOAT(1) + (factor - _FLOAT(1)) * _FLOAT(shade) / _FLOAT(FULL_SHADE)
            for level in range(256):
                lit = parameters.levels[sample, level] * gain + _FLOAT(0.5)
                scratch.tables[shade, level] = np.uint8(np.int32(min(lit, _FLOAT(255))))


@compiled(error_model="numpy")
def cast_shadows(sample: Any, parameters: Any, scratch: Any) -> bool:
    """Write the shadows into scratch.shade; return whether there are any."""
    present = parameters.shadows.present[sample]
    if not present.any():
        return False
    shade, inside = scratch.shade, 1 if parameters.shadows.soft[sample] else FULL_SHADE
    shade[:] = 0
    far, near = parameters.band_rows
    for shape in range(present.shape[0]):
        if not present[shape]:
            continue
        if parameters.shadows.band[sample, shape]:
            _cast_band(parameters.shadows.edges[sample, shape], far, near, inside, shade)
        else:
            _cast_ellipse(parameters.shadows.ellipse[sample, shape], inside, shade)
    if parameters.shadows.soft[sample]:
        _soften(shade, scratch.sums)
    return True


@compiled(error_model="numpy")
def _cast_band(edges: Any, far: Any, near: Any, inside: Any, shade: Any) -> None:
    for row in range(max(ceil(far), 0), shade.shape[0]):
        fraction = (row - far) / (near - far)
        left = edges[0] + (edges[2] - edges[0]) * fraction
        right = edges[1] + (edges[3] - edges[1]) * fraction
        shade[row, max(ceil(left), 0) : max(floor(right) + 1, 0)] = inside


@compiled(error_model="numpy")
def _cast_ellipse(ellipse: Any, inside: Any, shade: Any) -> None:
    """Fill the pixels whose middle is inside: in each row, between the solutions of a quadratic equation."""
    sine, cosine = sin(radians(ellipse[4])), cos(radians(ellipse[4]))
    across, along = (2 / ellipse[2]) ** 2, (2 / ellipse[3]) ** 2
    square = cosine * cosine * across + sine * sine * along
    for row in range(shade.shape[0]):
        down = row - ellipse[1]
        half_linear = down * sine * cosine * (across - along)
        constant = down * down * (sine * sine * across + cosine * cosine * along) - 1
        discriminant = half_linear * half_linear - square * constant
        if discriminant >= 0:
            middle, reach = ellipse[0] - half_linear / square, sqrt(discriminant) / square
            shade[row, max(ceil(middle - reach), 0) : max(floor(middle + reach) + 1, 0)] = inside


@compiled(error_model="numpy")
def _soften(shade: Any, sums: Any) -> None:
    """Replace each number by the sum over its 5x5 neighbourhood; the image is mirrored at its edges."""
    rows, width = shade.shape
    for row in range(rows):
        line, result = shade[row], sums[row]
        first, second, third, fourth, fifth = line, line[1:], line[2:], line[3:], line[4:]
        inner = result[2:]
        for x in range(width - 4):
            inner[x] = first[x] + second[x] + third[x] + fourth[x] + fifth[x]
        for x in (0, 1, width - 2, width - 1):
            result[x] = 0
            for step in range(-2, 3):
                result[x] += line[mirrored(x + step, width)]
    for row in range(rows):
        first, second = sums[mirrored(row - 2, rows)], sums[mirrored(row - 1, rows)]
        fourth, fifth = sums[mirrored(row + 1, rows)], sums[mirrored(row + 2, rows)]
        third, line = sums[row], shade[row]
        for x in range(width):
            line[x] = first[x] + second[x] + third[x] + fourth[x] + fifth[x]


def shadowed(images: Any, shadows: Shadows, extent: Extent, xp: Any) -> Any:
    """Return images, float32 (images, rows, width, 3), with shadows."""
    y, x = np.indices((extent.rows, extent.width), np.float32)
    far, near = band_rows(extent)
    downward = ((y - far) / (near - far)).astype(np.float32)
    shade = xp.zeros_like(images[..., 0])
    for shape in range(SHAPES):
        center_x, center_y, across, along, angle = (shadows.ellipse[:, shape, n, None, None] for n in range(5))
        sine, cosine = xp.sin(angle * (math.pi / 180)), xp.cos(angle * (math.pi / 180))
        right, down = x - center_x, y - center_y
        first, second = (right * cosine + down * sine) * 2 / across, (down * cosine - right * sine) * 2 / along
        left_far, right_far, left_near, right_near = (shadows.edges[:, shape, n, None, None] for n in range(4))
        after_left = x >= left_far + (left_near - left_far) * downward
        before_right = x <= right_far + (right_near - right_far) * downward
        in_band = after_left & before_right & (downward >= 0)
        inside = xp.where(shadows.band[:, shape, None, None], in_band, first**2 + second**2 <= 1)
        shade = xp.where(inside & shadows.present[:, shape, None, None], xp.ones_like(shade), shade)
    soft = filtered(shade[..., None], np.full((1, 3), 0.2, np.float32), xp)[..., 0]
    shade = xp.where(shadows.soft[:, None, None], soft, shade)
    factor = 1.0 + (shadows.factor[:, None, None] - 1.0) * shade
    return xp.minimum(images * factor[..., None], 255.0)
