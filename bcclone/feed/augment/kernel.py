"""Augment images by given parameters, compiled by Numba: warp, light and shadows row by row, then blur and patches.

The compiled code allocates nothing and releases the interpreter lock, so that threads do not wait for each other.
"""

from math import ceil, cos, floor, radians, sin, sqrt
from typing import Any, NamedTuple

import numpy as np

from bcclone.feed.augment.parameters import Patches, Shadows
from bcclone.system.compiled import compiled

_FULL_SHADE = 25  # a soft edge is a mean over 5x5 pixels
_INT, _UINT, _WIDE, _FLOAT = np.int32, np.uint32, np.uint64, np.float32
_compiled = compiled(error_model="numpy")


class Parameters(NamedTuple):
    """The changes of each image of a batch, arrays of (samples, ...).

    sky, ground: float32 (3, 3), from pixels (column, row, 1) of the view to pixels of the image, above the row
    `horizon` and from it on; moved: bool, whether to apply them; matrix: float32 (3, 4), from the image's colors to
    those in another light; levels: float32 (256,), the new value of each level; band_rows: as band_rows() returns them;
    taps: as blur_taps_of() returns them.
    """

    sky: Any
    ground: Any
    horizon: Any
    moved: Any
    matrix: Any
    levels: Any
    shadows: Shadows
    band_rows: tuple[float, float]
    taps: Any
    patches: Patches


class Scratch(NamedTuple):
    """Working arrays for images of (height, width) of which `rows` are changed."""

    spread: Any  # uint64 (height x width,): one number per pixel, 16 bits per channel
    indices: Any  # int32 (width,)
    weights: Any  # int32 (4, width)
    mixed: Any  # uint64 (width,)
    planes: Any  # int32 (3, width), in 256ths of a level
    levels: Any  # int32 (3, width)
    shade: Any  # int32 (rows, width): 0, outside of any shadow, to _FULL_SHADE
    sums: Any  # int32 (rows, width)
    blurred: Any  # float32 (rows, 3 x width)
    tables: Any  # uint8 (_FULL_SHADE + 1, 256)

    @classmethod
    def of(cls, height: int, width: int, rows: int) -> "Scratch":
        """Return new working arrays."""
        return cls(
            np.empty(height * width, np.uint64),
            np.empty(width, np.int32),
            np.empty((4, width), np.int32),
            np.empty(width, np.uint64),
            np.empty((3, width), np.int32),
            np.empty((3, width), np.int32),
            np.empty((rows, width), np.int32),
            np.empty((rows, width), np.int32),
            np.empty((rows, 3 * width), np.float32),
            np.empty((_FULL_SHADE + 1, 256), np.uint8),
        )


@compiled(error_model="numpy", cache=True)
def augment_images(images: Any, into: Any, top: int, parameters: Parameters, scratch: Scratch) -> None:
    """Write the changed rows of augmented images into `into`.

    images, into: uint8 (samples, frames, height, width, 3); all frames of a sample change alike; top: the first
    changed row; the scratch determines their number.
    """
    rows = scratch.shade.shape[0]
    for sample in range(images.shape[0]):
        is_shaded = _cast_shadows(sample, parameters, scratch)
        _fill_tables(sample, is_shaded, parameters, scratch)
        for frame in range(images.shape[1]):
            image, view = images[sample, frame], into[sample, frame]
            _draw_view(sample, image, view[top : top + rows], top, is_shaded, parameters, scratch)
            if parameters.taps[sample, 1] > 0:
                _blur(view[top : top + rows], parameters.taps[sample], scratch.blurred)
            _cover(sample, view[top : top + rows], parameters)


@_compiled
def _draw_view(sample: Any, image: Any, view: Any, top: Any, is_shaded: Any, parameters: Any, scratch: Any) -> None:
    """Write the view of an image in another light, with shadows."""
    moved, horizon = parameters.moved[sample], parameters.horizon[sample]
    if moved:
        _spread_channels(image, scratch.spread)
    if not is_shaded:
        scratch.shade[0] = 0
    for row in range(view.shape[0]):
        if moved:
            pixels = parameters.sky[sample] if row < horizon else parameters.ground[sample]
            _warp_row(image.shape[0], pixels, _FLOAT(row), scratch)
        else:
            for x in range(view.shape[1]):
                for channel in range(3):
                    scratch.planes[channel, x] = _INT(image[top + row, x, channel]) << 8
        _light_row(parameters.matrix[sample], scratch.shade[row if is_shaded else 0], scratch, view[row])


@_compiled
def _spread_channels(image: Any, spread: Any) -> None:
    flat = image.reshape(-1)
    for pixel in range(spread.shape[0]):
        red, green, blue = _WIDE(flat[3 * pixel]), _WIDE(flat[3 * pixel + 1]), _WIDE(flat[3 * pixel + 2])
        spread[pixel] = red | (green << _WIDE(16)) | (blue << _WIDE(32))


@_compiled
def _warp_row(height: Any, pixels: Any, row: Any, scratch: Any) -> None:
    """Interpolate a row of a view into scratch.planes; outside of the image its edge is repeated."""
    indices, weights, planes, spread = scratch.indices, scratch.weights, scratch.planes, scratch.spread
    pixels_of_row = scratch.mixed
    width = planes.shape[1]
    last_column, last_row = _FLOAT(width - 1.004), _FLOAT(height - 1.004)
    along, down = pixels[0, 1] * row + pixels[0, 2], pixels[1, 1] * row + pixels[1, 2]
    depth = pixels[2, 1] * row + pixels[2, 2]
    for x in range(width):
        scale = _FLOAT(1) / (pixels[2, 0] * _FLOAT(x) + depth)
        column = min(max((pixels[0, 0] * _FLOAT(x) + along) * scale, _FLOAT(0)), last_column)
        line = min(max((pixels[1, 0] * _FLOAT(x) + down) * scale, _FLOAT(0)), last_row)
        right, below = _INT(column * _FLOAT(256)), _INT(line * _FLOAT(256))  # in 256ths of a pixel
        indices[x] = (below >> 8) * width + (right >> 8)
        right, below = right & 255, below & 255
        both = (right * below) >> 8
        weights[0, x] = 256 - right - below + both
        weights[1, x], weights[2, x], weights[3, x] = right - both, below - both, both
    for x in range(width):  # one multiplication for all channels: no sum takes more than 16 bits
        index, next_row = _UINT(indices[x]), _UINT(indices[x] + width)
        mixed = spread[index] * _WIDE(weights[0, x]) + spread[index + _UINT(1)] * _WIDE(weights[1, x])
        mixed += spread[next_row] * _WIDE(weights[2, x]) + spread[next_row + _UINT(1)] * _WIDE(weights[3, x])
        pixels_of_row[x] = mixed
    for channel in range(3):
        plane, shift = planes[channel], _WIDE(16 * channel)
        for x in range(width):
            plane[x] = _INT((pixels_of_row[x] >> shift) & _WIDE(0xFFFF))


@_compiled
def _light_row(matrix: Any, shade: Any, scratch: Any, view: Any) -> None:
    """Write scratch.planes as a row of a view, uint8 (width, 3), in another light."""
    planes, levels = scratch.planes, scratch.levels
    width = planes.shape[1]
    for channel in range(3):
        unit = _FLOAT(1 / 256)
        red, green, blue = matrix[channel, 0] * unit, matrix[channel, 1] * unit, matrix[channel, 2] * unit
        offset = matrix[channel, 3] + _FLOAT(0.5)
        for x in range(width):
            level = red * _FLOAT(planes[0, x]) + green * _FLOAT(planes[1, x]) + blue * _FLOAT(planes[2, x]) + offset
            levels[channel, x] = _INT(min(max(level, _FLOAT(0)), _FLOAT(255)))
    tables, flat = scratch.tables.reshape(-1), view.reshape(-1)
    reds, greens, blues = levels[0], levels[1], levels[2]
    for x in range(width):
        first, index = _UINT(shade[x] << 8), _UINT(3 * x)
        flat[index] = tables[first + _UINT(reds[x])]
        flat[index + _UINT(1)] = tables[first + _UINT(greens[x])]
        flat[index + _UINT(2)] = tables[first + _UINT(blues[x])]


@_compiled
def _fill_tables(sample: Any, is_shaded: Any, parameters: Any, scratch: Any) -> None:
    """Write the table of levels for each shade that occurs."""
    factor = parameters.shadows.factor[sample] if is_shaded else _FLOAT(1)
    for shade in range(_FULL_SHADE + 1):
        if shade == 0 or is_shaded and (parameters.shadows.soft[sample] or shade == _FULL_SHADE):
            gain = _FLOAT(1) + (factor - _FLOAT(1)) * _FLOAT(shade) / _FLOAT(_FULL_SHADE)
            for level in range(256):
                lit = parameters.levels[sample, level] * gain + _FLOAT(0.5)
                scratch.tables[shade, level] = np.uint8(_INT(min(lit, _FLOAT(255))))


@_compiled
def _cast_shadows(sample: Any, parameters: Any, scratch: Any) -> bool:
    """Write the shadows into scratch.shade; return whether there are any."""
    present = parameters.shadows.present[sample]
    if not present.any():
        return False
    shade, inside = scratch.shade, 1 if parameters.shadows.soft[sample] else _FULL_SHADE
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


@_compiled
def _cast_band(edges: Any, far: Any, near: Any, inside: Any, shade: Any) -> None:
    for row in range(max(ceil(far), 0), shade.shape[0]):
        fraction = (row - far) / (near - far)
        left = edges[0] + (edges[2] - edges[0]) * fraction
        right = edges[1] + (edges[3] - edges[1]) * fraction
        shade[row, max(ceil(left), 0) : max(floor(right) + 1, 0)] = inside


@_compiled
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


@_compiled
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
                result[x] += line[_mirrored(x + step, width)]
    for row in range(rows):
        first, second = sums[_mirrored(row - 2, rows)], sums[_mirrored(row - 1, rows)]
        fourth, fifth = sums[_mirrored(row + 1, rows)], sums[_mirrored(row + 2, rows)]
        third, line = sums[row], shade[row]
        for x in range(width):
            line[x] = first[x] + second[x] + third[x] + fourth[x] + fifth[x]


@_compiled
def _mirrored(index: int, size: int) -> int:
    """Return the index mirrored at the edges, which are not repeated."""
    return abs(index) if index < size else 2 * size - 2 - index


@_compiled
def _blur(view: Any, taps: Any, blurred: Any) -> None:
    """Blur an image in index, along rows, then along columns; it is mirrored at its edges."""
    rows, width = view.shape[0], view.shape[1]
    center, close, wide = taps[0], taps[1], taps[2]
    flat = view.reshape(rows, 3 * width)
    for row in range(rows):
        line = flat[row]
        first, second, third, fourth, fifth = line, line[3:], line[6:], line[9:], line[12:]
        result = blurred[row, 6:]
        for index in range(3 * width - 12):
            near, far = _INT(second[index]) + _INT(fourth[index]), _INT(first[index]) + _INT(fifth[index])
            result[index] = center * _FLOAT(_INT(third[index])) + close * _FLOAT(near) + wide * _FLOAT(far)
        for x in (0, 1, width - 2, width - 1):
            for channel in range(3):
                near = view[row, _mirrored(x - 1, width), channel] + view[row, _mirrored(x + 1, width), channel]
                far = view[row, _mirrored(x - 2, width), channel] + view[row, _mirrored(x + 2, width), channel]
                here = center * _FLOAT(view[row, x, channel])
                blurred[row, 3 * x + channel] = here + close * _FLOAT(near) + wide * _FLOAT(far)
    for row in range(rows):
        first, second = blurred[_mirrored(row - 2, rows)], blurred[_mirrored(row - 1, rows)]
        fourth, fifth = blurred[_mirrored(row + 1, rows)], blurred[_mirrored(row + 2, rows)]
        third, line = blurred[row], flat[row]
        for index in range(3 * width):
            near, far = second[index] + fourth[index], first[index] + fifth[index]
            line[index] = np.uint8(_INT(center * third[index] + close * near + wide * far + _FLOAT(0.5)))


@_compiled
def _cover(sample: Any, view: Any, parameters: Any) -> None:
    """Draw the patches of an image; later ones cover earlier ones."""
    rows, width = view.shape[0], view.shape[1]
    for patch in range(int(parameters.patches.count[sample])):
        corners, color = parameters.patches.corners[sample, patch], parameters.patches.colors[sample, patch]
        left, right = max(_INT(corners[0]), 0), min(_INT(corners[2]) + 1, width)
        top, below = max(int(corners[1]), 0), min(int(corners[3]) + 1, rows)
        red, green, blue = np.uint8(color[0]), np.uint8(color[1]), np.uint8(color[2])
        for row in range(top, below):
            line = view[row, left:right]
            for x in range(line.shape[0]):
                line[x, 0], line[x, 1], line[x, 2] = red, green, blue
