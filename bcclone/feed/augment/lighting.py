"""Random light: brightness, contrast, tint and gamma, for some images another saturation or fog;
and shadows.
"""

from dataclasses import dataclass
from math import ceil, cos, floor, pi, radians, sin, sqrt
from typing import Any, NamedTuple

import numpy as np

from bcclone.feed.augment import Extent, Numbers
from bcclone.feed.augment.blur import filtered, mirrored
from bcclone.system.arrays import Float32Array
from bcclone.system.compiled import compiled

NORMALS = {"contrast": 1, "brightness": 1, "tint": 3, "gamma": 1}
SHAPES = 4  # the most of one image
UNIFORMS = {
    "desaturate": 1, "saturation": 1, "fog": 1, "fog_density": 1, "fog_level": 1, "shadow": 1, "shadow_shapes": 1,
    "shadow_soft": 1, "shadow_dark": 1, "shadow_strength": 1, "shape": SHAPES, "shape_geometry": SHAPES * 5,
}  # fmt: skip
FULL_SHADE = 25  # a soft edge is a mean over 5x5 pixels
_HORIZON = 0.33  # of the image's height
_GRAY = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green and blue: ITU-R BT.601
_IDENTITY = np.eye(3, dtype=np.float32)
_MIDDLE = 115.0  # about the mean of the simulator's frames
_FOG_FRACTION, _DESATURATED_FRACTION = 0.2, 0.3
_LOG_LEVELS = np.log(np.maximum(np.arange(256, dtype=np.float32), 1e-6) / 255)
_INT, _UINT, _FLOAT = np.int32, np.uint32, np.float32


@dataclass(frozen=True)
class Light:
    """A change of light: a color matrix and an offset, then a gamma.

    colors: float32 (samples, 3, 3), from the images' colors to RGB; offset: float32 (samples, 3),
    added to levels of 0 to 255; gamma: float32 (samples,), the exponent of levels of 0 to 1.
    """

    colors: Any
    offset: Any
    gamma: Any


def light_of(numbers: Numbers, strength: float, to_rgb: Float32Array, xp: Any = np) -> Light:
    """Return random brightness, contrast, tint and gamma; and for some images another saturation,
    or fog.

    to_rgb: float32 (3, 4), converts the images' own colors to RGB first.
    """
    contrast = xp.exp(0.25 * strength * numbers["contrast"])
    brightness = 25.0 * strength * numbers["brightness"]
    tint = xp.exp(0.08 * strength * numbers["tint"])
    is_desaturated = numbers["desaturate"] < _DESATURATED_FRACTION * strength
    saturation = xp.where(is_desaturated, 1.5 * numbers["saturation"], 1.0)[:, :, None]
    fog = xp.where(numbers["fog"] < _FOG_FRACTION * strength, 0.6 * numbers["fog_density"], 0.0)
    colors = tint[:, :, None] * (saturation * _IDENTITY + (1.0 - saturation) * _GRAY)
    offset = (
        tint * _MIDDLE * (1.0 - contrast) + brightness
    )  # each row of a saturation matrix adds up to 1
    fog_level = 120.0 + 110.0 * numbers["fog_level"]
    offset = (1.0 - fog) * offset + fog * fog_level
    gamma = xp.exp(0.25 * strength * numbers["gamma"])[:, 0]
    matrix = xp.matmul(((1.0 - fog) * contrast)[:, :, None] * colors, to_rgb)
    return Light(matrix[:, :, :3], offset + matrix[:, :, 3], gamma)


def levels_of(light: Light) -> Float32Array:
    """Return the gamma tables: a new value for each level from 0 to 255, float32 (samples, 256)."""
    return np.asarray(255 * np.exp(light.gamma[:, np.newaxis] * _LOG_LEVELS))


@compiled(error_model="numpy")
def light_row(matrix: Any, shade: Any, scratch: Any, view: Any) -> None:
    """Change the light of scratch.planes, and write it as a row of a view, uint8 (width, 3).

    matrix: float32 (3, 4), colors and offset of a Light; shade: int32 (width,), each pixel's index
    in scratch.tables.
    """
    planes, levels = scratch.planes, scratch.levels
    width = planes.shape[1]
    for channel in range(3):
        unit = _FLOAT(1 / 256)
        red, green, blue = (
            matrix[channel, 0] * unit,
            matrix[channel, 1] * unit,
            matrix[channel, 2] * unit,
        )
        offset = matrix[channel, 3] + _FLOAT(0.5)
        for x in range(width):
            level = (
                red * _FLOAT(planes[0, x])
                + green * _FLOAT(planes[1, x])
                + blue * _FLOAT(planes[2, x])
                + offset
            )
            levels[channel, x] = _INT(min(max(level, _FLOAT(0)), _FLOAT(255)))
    tables, flat = scratch.tables.reshape(-1), view.reshape(-1)
    reds, greens, blues = levels[0], levels[1], levels[2]
    for x in range(width):
        first, index = _UINT(shade[x] << 8), _UINT(3 * x)
        flat[index] = tables[first + _UINT(reds[x])]
        flat[index + _UINT(1)] = tables[first + _UINT(greens[x])]
        flat[index + _UINT(2)] = tables[first + _UINT(blues[x])]


def change_light(images: Any, light: Light, xp: Any) -> Any:
    """Return images, float32 (images, rows, width, 3), after a change of light."""
    flat = xp.reshape(images, (-1, images.shape[1] * images.shape[2], 3))
    changed = xp.matmul(flat, xp.transpose(light.colors, (0, 2, 1))) + light.offset[:, None]
    levels = xp.clip(changed / 255.0, 1e-6, 1.0)
    return xp.reshape(255.0 * xp.power(levels, light.gamma[:, None, None]), (-1, *images.shape[1:]))


# ---- shadows, or spots of light: of bushes (flat ellipses), and of trunks and walls (bands)


class Shadows(NamedTuple):
    """Up to SHAPES shadows, or spots of light, of each image, in pixels of the changed rows.

    factor: float32 (samples,), brightness in the shadow, 1 where there is none; soft: bool
    (samples,), whether the edges are blurred; present, band: bool (samples, SHAPES), which shapes
    exist, and which are bands instead of ellipses; ellipse: float32 (samples, SHAPES, 5), center x
    and y, width, height, angle in degrees; edges: float32 (samples, SHAPES, 4), left and right edge
    of a band at the horizon, and at the image's lower edge.
    """

    factor: Any
    soft: Any
    present: Any
    band: Any
    ellipse: Any
    edges: Any


def shadows_of(numbers: Numbers, fraction: float, extent: Extent, xp: Any = np) -> Shadows:
    """Return shadows for a fraction of the images: of bushes (flat ellipses), and of trunks and
    walls (bands).
    """
    width, height = float(extent.width), float(extent.height)
    has_any = numbers["shadow"][:, 0] < fraction
    strength = numbers["shadow_strength"][:, 0]
    factor = xp.where(
        numbers["shadow_dark"][:, 0] < 0.8, 0.3 + 0.5 * strength, 1.1 + 0.4 * strength
    )
    count = 1.0 + xp.floor(SHAPES * numbers["shadow_shapes"])
    geometry = xp.reshape(numbers["shape_geometry"], (-1, SHAPES, 5))
    first, second, third, fourth, fifth = (geometry[:, :, index] for index in range(5))
    center_y = (0.3 + 0.7 * second) * height - extent.top
    ellipse = [(-0.15 + 1.3 * first) * width, center_y, (0.08 + 0.87 * third) * width]
    ellipse += [(0.03 + 0.37 * fourth) * height, 80.0 * fifth - 40.0]
    far, near = (
        (first * width, second * width),
        ((2.0 * third - 0.5) * width, (2.0 * fourth - 0.5) * width),
    )
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
    """Return the rows, from the first changed one, where bands begin (the horizon) and end (the
    lower edge).
    """
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
    """Fill the pixels whose middle is inside: in each row, between the solutions of a quadratic
    equation.
    """
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
    """Replace each number by the sum over its 5x5 neighbourhood; the image is mirrored at its
    edges.
    """
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
        center_x, center_y, across, along, angle = (
            shadows.ellipse[:, shape, n, None, None] for n in range(5)
        )
        sine, cosine = xp.sin(angle * (pi / 180)), xp.cos(angle * (pi / 180))
        right, down = x - center_x, y - center_y
        first, second = (
            (right * cosine + down * sine) * 2 / across,
            (down * cosine - right * sine) * 2 / along,
        )
        left_far, right_far, left_near, right_near = (
            shadows.edges[:, shape, n, None, None] for n in range(4)
        )
        after_left = x >= left_far + (left_near - left_far) * downward
        before_right = x <= right_far + (right_near - right_far) * downward
        in_band = after_left & before_right & (downward >= 0)
        inside = xp.where(shadows.band[:, shape, None, None], in_band, first**2 + second**2 <= 1)
        shade = xp.where(inside & shadows.present[:, shape, None, None], xp.ones_like(shade), shade)
    soft = filtered(shade[..., None], np.full((1, 3), 0.2, np.float32), xp)[..., 0]
    shade = xp.where(shadows.soft[:, None, None], soft, shade)
    factor = 1.0 + (shadows.factor[:, None, None] - 1.0) * shade
    return xp.minimum(images * factor[..., None], 255.0)
