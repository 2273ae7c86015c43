"""Random light: brightness, contrast, tint and gamma; shadows; for some images, saturation or fog.

In: the random numbers of a batch. Out: a `Light` and `Shadows`, and the images that they change.
"""

from dataclasses import dataclass
from math import ceil, cos, floor, pi, radians, sin, sqrt
from typing import Any, NamedTuple

import numpy as np

from bcclone.feed.augment import Extent, Numbers
from bcclone.feed.augment.blur import filtered, mirrored
from bcclone.system.compiled import compiled
from bcclone.system.numbers import Float32Array

SHAPES = 4  # the most shadows of one image

# how many random numbers a sample needs, by name: standard normal, and from 0 to 1
NORMALS = {"contrast": 1, "brightness": 1, "tint": 3, "gamma": 1}
UNIFORMS = {
    "desaturate": 1,
    "saturation": 1,
    "fog": 1,
    "fog_density": 1,
    "fog_level": 1,
    "shadow": 1,
    "shadow_shapes": 1,
    "shadow_soft": 1,
    "shadow_dark": 1,
    "shadow_strength": 1,
    "shape": SHAPES,
    "shape_geometry": SHAPES * 5,
}

# the shade of a pixel is how many of the 5x5 pixels around it are in a shadow: from 0 to this; with
# hard edges it is either of the two
FULL_SHADE = 25

_INT = np.int32
_UINT = np.uint32
_FLOAT = np.float32

# ---- light


@dataclass(frozen=True)
class Light:
    """A change of light: a color matrix and an offset, then a gamma."""

    colors: Any  # float32 (samples, 3, 3), from the images' colors to RGB
    offset: Any  # float32 (samples, 3), added to levels of 0 to 255
    gamma: Any  # float32 (samples,), the exponent of levels of 0 to 1


_GRAY = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green and blue: ITU-R BT.601
_IDENTITY = np.eye(3, dtype=np.float32)


def light_of(numbers: Numbers, strength: float, to_rgb: Float32Array, xp: Any = np) -> Light:
    """Return random brightness, contrast, tint and gamma; for some images, saturation or fog.

    strength: 1 for the usual light, 0 for none.
    to_rgb: float32 (3, 4), converts the images' own colors to RGB first.
    """
    # factors and an exponent that are usually near 1; the brightness is added, and usually near 0
    contrast = xp.exp(0.25 * strength * numbers["contrast"])
    brightness = 25.0 * strength * numbers["brightness"]
    tint = xp.exp(0.08 * strength * numbers["tint"])
    gamma = xp.exp(0.25 * strength * numbers["gamma"])[:, 0]

    # three images of ten have other saturation, from grey to one and a half; two of ten have fog
    has_other_saturation = numbers["desaturate"] < 0.3 * strength
    saturation = xp.where(has_other_saturation, 1.5 * numbers["saturation"], 1.0)
    saturation = saturation[:, :, None]
    has_fog = numbers["fog"] < 0.2 * strength
    fog = xp.where(has_fog, 0.6 * numbers["fog_density"], 0.0)
    fog_level = 120.0 + 110.0 * numbers["fog_level"]

    # contrast leaves a grey of about the mean of the simulator's frames as it is, and so does
    # saturation, since each row of its matrix adds up to 1
    middle = 115.0
    offset = tint * middle * (1.0 - contrast) + brightness
    offset = (1.0 - fog) * offset + fog * fog_level

    colors = tint[:, :, None] * (saturation * _IDENTITY + (1.0 - saturation) * _GRAY)
    matrix = xp.matmul(((1.0 - fog) * contrast)[:, :, None] * colors, to_rgb)
    return Light(
        colors=matrix[:, :, :3],
        offset=offset + matrix[:, :, 3],
        gamma=gamma,
    )


def levels_of(light: Light) -> Float32Array:
    """Return the gamma tables: a new value for each level from 0 to 255, float32 (samples, 256)."""
    # level 0 has no logarithm; a millionth of a level becomes 0, too
    levels = np.maximum(np.arange(256, dtype=np.float32), 1e-6)
    # not by np.power(), which rounds otherwise: some pixels of a view would differ by one
    return np.asarray(255 * np.exp(light.gamma[:, np.newaxis] * np.log(levels / 255)))


@compiled(error_model="numpy")
def light_row(matrix: Any, shade: Any, scratch: Any, view: Any) -> None:
    """Change the light of the row in scratch.planes, and write that row into a view.

    matrix: float32 (3, 4), colors and offset of a Light.
    shade: int32 (width,), each pixel's index in scratch.tables.
    scratch: on_cpu.Scratch; its planes are in 256ths of a level.
    view: the row of the view, uint8 (width, 3).
    """
    planes = scratch.planes
    levels = scratch.levels
    width = planes.shape[1]
    unit = _FLOAT(1 / 256)  # of the planes, in levels
    for channel in range(3):
        red = matrix[channel, 0] * unit
        green = matrix[channel, 1] * unit
        blue = matrix[channel, 2] * unit
        offset = matrix[channel, 3] + _FLOAT(0.5)
        for x in range(width):
            level = (
                red * _FLOAT(planes[0, x])
                + green * _FLOAT(planes[1, x])
                + blue * _FLOAT(planes[2, x])
                + offset
            )
            levels[channel, x] = _INT(min(max(level, _FLOAT(0)), _FLOAT(255)))

    # gamma and shade are one look-up; unsigned indices spare a check for negative ones
    tables = scratch.tables.reshape(-1)
    flat = view.reshape(-1)
    reds = levels[0]
    greens = levels[1]
    blues = levels[2]
    for x in range(width):
        table = _UINT(shade[x] << 8)
        index = _UINT(3 * x)
        flat[index] = tables[table + _UINT(reds[x])]
        flat[index + _UINT(1)] = tables[table + _UINT(greens[x])]
        flat[index + _UINT(2)] = tables[table + _UINT(blues[x])]


def change_light(images: Any, light: Light, xp: Any) -> Any:
    """Return images, float32 (images, rows, width, 3), after a change of light."""
    rows, width = images.shape[1:3]
    flat = xp.reshape(images, (-1, rows * width, 3))
    changed = xp.matmul(flat, xp.transpose(light.colors, (0, 2, 1))) + light.offset[:, None]
    levels = xp.clip(changed / 255.0, 1e-6, 1.0)
    result = 255.0 * xp.power(levels, light.gamma[:, None, None])
    return xp.reshape(result, (-1, *images.shape[1:]))


# ---- shadows, or spots of light: of bushes (flat ellipses), and of trunks and walls (bands)


class Shadows(NamedTuple):
    """Up to SHAPES shadows, or spots of light, of each image, in pixels.

    y is counted from the first row of the Extent.
    """

    factor: Any  # float32 (samples,), brightness in the shadow, 1 where there is none
    soft: Any  # bool (samples,), whether the edges are blurred
    present: Any  # bool (samples, SHAPES), which shapes exist
    band: Any  # bool (samples, SHAPES), which shapes are bands instead of ellipses
    # float32 (samples, SHAPES, 5), center x and y, width, height, angle in degrees
    ellipse: Any
    # float32 (samples, SHAPES, 4), left and right edge of a band at the horizon, and at the image's
    # lower edge
    edges: Any


def shadows_of(numbers: Numbers, fraction: float, extent: Extent, xp: Any = np) -> Shadows:
    """Return shadows, or spots of light, for a fraction of the images."""
    width = float(extent.width)
    height = float(extent.height)
    has_any = numbers["shadow"][:, 0] < fraction

    # four of five are shadows, the others spots of light
    is_dark = numbers["shadow_dark"][:, 0] < 0.8
    strength = numbers["shadow_strength"][:, 0]
    factor = xp.where(is_dark, 0.3 + 0.5 * strength, 1.1 + 0.4 * strength)

    count = 1.0 + xp.floor(SHAPES * numbers["shadow_shapes"])
    exists = np.arange(SHAPES, dtype=np.float32) < count

    # the same five numbers describe an ellipse or a band
    geometry = xp.reshape(numbers["shape_geometry"], (-1, SHAPES, 5))
    first, second, third, fourth, fifth = (geometry[:, :, n] for n in range(5))
    ellipse = [
        (-0.15 + 1.3 * first) * width,
        (0.3 + 0.7 * second) * height - extent.top,
        (0.08 + 0.87 * third) * width,
        (0.03 + 0.37 * fourth) * height,
        80.0 * fifth - 40.0,
    ]
    far_start = first * width
    far_end = second * width
    near_start = (2.0 * third - 0.5) * width
    near_end = (2.0 * fourth - 0.5) * width
    edges = [
        xp.minimum(far_start, far_end),
        xp.maximum(far_start, far_end),
        xp.minimum(near_start, near_end),
        xp.maximum(near_start, near_end),
    ]
    return Shadows(
        factor=xp.where(has_any, factor, xp.ones_like(factor)),
        soft=numbers["shadow_soft"][:, 0] < 0.5,
        present=exists & has_any[:, None],
        band=numbers["shape"] < 0.5,
        ellipse=xp.stack(ellipse, axis=-1),
        edges=xp.stack(edges, axis=-1),
    )


def band_rows(extent: Extent) -> tuple[float, float]:
    """Return the rows where bands begin and end: the horizon, and the lower edge of the image.

    They are counted from the first row of the extent.
    """
    horizon = int(0.33 * extent.height)
    return float(horizon - extent.top), float(extent.height - extent.top)


@compiled(error_model="numpy")
def fill_tables(sample: Any, is_shaded: Any, parameters: Any, scratch: Any) -> None:
    """Write the table of levels for each shade that occurs."""
    factor = parameters.shadows.factor[sample] if is_shaded else _FLOAT(1)
    is_soft = parameters.shadows.soft[sample]
    for shade in range(FULL_SHADE + 1):
        occurs = shade == 0 or is_shaded and (is_soft or shade == FULL_SHADE)
        if not occurs:
            continue
        gain = _FLOAT(1) + (factor - _FLOAT(1)) * _FLOAT(shade) / _FLOAT(FULL_SHADE)
        for level in range(256):
            lit = parameters.levels[sample, level] * gain + _FLOAT(0.5)
            # by way of an int, which is faster than the direct conversion
            scratch.tables[shade, level] = np.uint8(np.int32(min(lit, _FLOAT(255))))


@compiled(error_model="numpy")
def cast_shadows(sample: Any, parameters: Any, scratch: Any) -> bool:
    """Write the shadows into scratch.shade; return whether there are any."""
    shadows = parameters.shadows
    present = shadows.present[sample]
    if not present.any():
        return False
    shade = scratch.shade
    shade[:] = 0
    is_soft = shadows.soft[sample]
    inside = 1 if is_soft else FULL_SHADE  # the sum over 5x5 pixels makes it FULL_SHADE
    far, near = parameters.band_rows
    for shape in range(present.shape[0]):
        if not present[shape]:
            continue
        if shadows.band[sample, shape]:
            _cast_band(shadows.edges[sample, shape], far, near, inside, shade)
        else:
            _cast_ellipse(shadows.ellipse[sample, shape], inside, shade)
    if is_soft:
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
    """Fill the pixels whose middle is inside the ellipse.

    In each row they lie between the solutions of a quadratic equation.
    """
    sine = sin(radians(ellipse[4]))
    cosine = cos(radians(ellipse[4]))
    # one divided by the square of each half axis
    per_width = (2 / ellipse[2]) ** 2
    per_height = (2 / ellipse[3]) ** 2
    square = cosine * cosine * per_width + sine * sine * per_height
    for row in range(shade.shape[0]):
        down = row - ellipse[1]
        half_linear = down * sine * cosine * (per_width - per_height)
        constant = down * down * (sine * sine * per_width + cosine * cosine * per_height) - 1
        discriminant = half_linear * half_linear - square * constant
        if discriminant >= 0:
            middle = ellipse[0] - half_linear / square
            reach = sqrt(discriminant) / square
            shade[row, max(ceil(middle - reach), 0) : max(floor(middle + reach) + 1, 0)] = inside


@compiled(error_model="numpy")
def _soften(shade: Any, sums: Any) -> None:
    """Replace each number by the sum over its 5x5 neighbours; the image is mirrored at its edges.

    sums: room for the sums along rows, of the shape of shade.
    """
    rows = shade.shape[0]
    for row in range(rows):
        _sum_row(shade[row], sums[row])
    for row in range(rows):
        first = sums[mirrored(row - 2, rows)]
        second = sums[mirrored(row - 1, rows)]
        third = sums[row]
        fourth = sums[mirrored(row + 1, rows)]
        fifth = sums[mirrored(row + 2, rows)]
        line = shade[row]
        for x in range(line.shape[0]):
            line[x] = first[x] + second[x] + third[x] + fourth[x] + fifth[x]


@compiled(error_model="numpy")
def _sum_row(line: Any, result: Any) -> None:
    """Write the sum of each number of a row and two on either side."""
    width = line.shape[0]
    first = line
    second = line[1:]
    third = line[2:]
    fourth = line[3:]
    fifth = line[4:]
    inner = result[2:]
    for x in range(width - 4):
        inner[x] = first[x] + second[x] + third[x] + fourth[x] + fifth[x]
    for x in (0, 1, width - 2, width - 1):
        result[x] = 0
        for step in range(-2, 3):
            result[x] += line[mirrored(x + step, width)]


def shadowed(images: Any, shadows: Shadows, extent: Extent, xp: Any) -> Any:
    """Return images, float32 (images, rows, width, 3), with shadows."""
    y, x = np.indices((extent.rows, extent.width), np.float32)
    far, near = band_rows(extent)
    downward = ((y - far) / (near - far)).astype(np.float32)  # 0 at the horizon, 1 at the edge

    shade = xp.zeros_like(images[..., 0])
    for shape in range(SHAPES):
        in_ellipse = _is_in_ellipse(shadows.ellipse[:, shape], x, y, xp)
        in_band = _is_in_band(shadows.edges[:, shape], x, downward)
        inside = xp.where(shadows.band[:, shape, None, None], in_band, in_ellipse)
        exists = shadows.present[:, shape, None, None]
        shade = xp.where(inside & exists, xp.ones_like(shade), shade)

    # a mean over 5x5 pixels: along rows and along columns, the weight of the pixel, of its
    # neighbours and of the pixels two away is 1/5 each
    soft = filtered(shade[..., None], np.full((1, 3), 0.2, np.float32), xp)[..., 0]
    shade = xp.where(shadows.soft[:, None, None], soft, shade)
    factor = 1.0 + (shadows.factor[:, None, None] - 1.0) * shade
    return xp.minimum(images * factor[..., None], 255.0)


def _is_in_ellipse(ellipse: Any, x: Any, y: Any, xp: Any) -> Any:
    """Return which pixels an ellipse of each image covers, bool (images, rows, width)."""
    center_x, center_y, width, height, angle = (ellipse[:, n, None, None] for n in range(5))
    sine = xp.sin(angle * (pi / 180))
    cosine = xp.cos(angle * (pi / 180))
    right = x - center_x
    down = y - center_y
    across = (right * cosine + down * sine) * 2 / width
    along = (down * cosine - right * sine) * 2 / height
    return across**2 + along**2 <= 1


def _is_in_band(edges: Any, x: Any, downward: Any) -> Any:
    """Return which pixels a band of each image covers, bool (images, rows, width)."""
    left_far, right_far, left_near, right_near = (edges[:, n, None, None] for n in range(4))
    after_left = x >= left_far + (left_near - left_far) * downward
    before_right = x <= right_far + (right_near - right_far) * downward
    return after_left & before_right & (downward >= 0)
