"""Random viewpoints: how the camera moves, the steering that goes with it, and the image seen from
there.

Bojarski and others, "End to End Learning for Self-Driving Cars", 2016, section 2: shifts and
rotations of the real cameras, with the label of a car that returns. The three cameras give the
ground truth (docs/explanation/replay.md).
"""

import math
from typing import Any

import numpy as np

from bcclone.camera.geometry import CameraMove, Warp, flip_pixels, warp_to
from bcclone.camera.vehicle import CAMERA_AHEAD_M, steering_to_line
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.feed.augment import Extent, Numbers
from bcclone.feed.feed_settings import AugmentSettings
from bcclone.system.compiled import compiled

NORMALS, UNIFORMS = {"yaw": 1, "pitch": 1}, {"offset": 1}
_LARGEST_TURN = 3.0  # standard deviations
_INT, _UINT, _WIDE, _FLOAT = np.int32, np.uint32, np.uint64, np.float32


def camera_moves(numbers: Numbers, settings: AugmentSettings, xp: Any = np) -> CameraMove:
    """Return the movements of the cameras of a batch, (samples,) each."""
    yaw, pitch = (
        math.radians(degrees) * xp.clip(numbers[name][:, 0], -_LARGEST_TURN, _LARGEST_TURN)
        for name, degrees in (("yaw", settings.turn_degrees), ("pitch", settings.pitch_degrees))
    )
    return CameraMove(settings.shift_m * (2.0 * numbers["offset"][:, 0] - 1.0), yaw, pitch)


def steering_change(move: CameraMove, lookahead_m: Any, xp: Any = np) -> Any:
    """Return the change of steering, (samples,), of a car that steers back to its line, aiming
    lookahead_m ahead.

    The line is followed by the rear axle; the camera is ahead of it.
    """
    axle_m = move.lateral_offset_m - CAMERA_AHEAD_M * xp.sin(move.yaw_rad)
    return steering_to_line(axle_m, move.yaw_rad, lookahead_m, xp)


class Cameras:
    """The warps of images of one preprocessing to views of moved cameras. top: the first row of a
    view.
    """

    def __init__(self, preprocessing: Preprocessing, top: int = 0) -> None:
        plain = preprocessing.pixels
        self._images = tuple(
            pixels.astype(np.float32)
            for pixels in (plain, flip_pixels(preprocessing.width) @ plain)
        )
        self._views = (
            np.array([[1.0, 0.0, 0.0], [0.0, 1.0, -top], [0.0, 0.0, 1.0]]) @ plain
        ).astype(np.float32)

    def warps(self, move: CameraMove, flipped: Any, xp: Any = np) -> Warp:
        """Return the warp of each image to its view. flipped: bool (samples,), whether it is a
        mirror image.

        The camera is mounted at a slight angle, and a mirror image is that of a camera mounted at
        the opposite angle. A network trained on both would drive next to its line. So mirror
        images, too, become views of the real camera.
        """
        plain, mirrored = self._images
        images = xp.where(flipped[:, None, None], mirrored, plain)
        return warp_to(move, flipped, xp).through(self._views, images)


@compiled(error_model="numpy")
def spread_channels(image: Any, spread: Any) -> None:
    """Write each pixel of uint8 (height, width, 3) as one number, 16 bits per channel: uint64
    (height x width,).
    """
    flat = image.reshape(-1)
    for pixel in range(spread.shape[0]):
        red, green, blue = (
            _WIDE(flat[3 * pixel]),
            _WIDE(flat[3 * pixel + 1]),
            _WIDE(flat[3 * pixel + 2]),
        )
        spread[pixel] = red | (green << _WIDE(16)) | (blue << _WIDE(32))


@compiled(error_model="numpy")
def warp_row(height: Any, pixels: Any, row: Any, scratch: Any) -> None:
    """Interpolate a row of a view into scratch.planes; outside of the image its edge is repeated."""
    indices, weights, planes, spread = (
        scratch.indices,
        scratch.weights,
        scratch.planes,
        scratch.spread,
    )
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
        mixed = spread[index] * _WIDE(weights[0, x]) + spread[index + _UINT(1)] * _WIDE(
            weights[1, x]
        )
        mixed += spread[next_row] * _WIDE(weights[2, x]) + spread[next_row + _UINT(1)] * _WIDE(
            weights[3, x]
        )
        pixels_of_row[x] = mixed
    for channel in range(3):
        plane, shift = planes[channel], _WIDE(16 * channel)
        for x in range(width):
            plane[x] = _INT((pixels_of_row[x] >> shift) & _WIDE(0xFFFF))


def warped(images: Any, warp: Warp, extent: Extent, xp: Any) -> Any:
    """Return the changed rows of the views, float32 (images, rows, width, 3), interpolated from
    four pixels each.

    images: uint8 (images, height, width, 3); their edges are repeated.
    """
    rows, width, height = extent.rows, extent.width, extent.height
    horizon = warp.horizon_row(width, rows, xp)[:, None, None, None]
    y, x = np.indices((rows, width), np.float32)
    pixels = np.stack([x, y, np.ones_like(x)]).reshape(3, -1)

    def positions_by(matrix: Any) -> Any:
        return xp.reshape(xp.einsum("nij,jp->nip", matrix, pixels), (-1, 3, rows, width))

    across = xp.where(y < horizon, positions_by(warp.sky), positions_by(warp.ground))
    column = xp.clip(across[:, 0] / across[:, 2], 0.0, width - 1.0)
    row = xp.clip(across[:, 1] / across[:, 2], 0.0, height - 1.0)
    left, above = xp.minimum(xp.floor(column), width - 2.0), xp.minimum(xp.floor(row), height - 2.0)
    first = xp.reshape(xp.arange(xp.shape(images)[0], dtype="int32") * (height * width), (-1, 1, 1))
    index = first + xp.cast(above * width + left, "int32")
    right_weight, lower_weight = (column - left)[..., None], (row - above)[..., None]
    flat = xp.reshape(images, (-1, 3))

    def at(offset: int) -> Any:
        return xp.cast(xp.take(flat, index + offset, axis=0), "float32")

    upper = at(0) * (1.0 - right_weight) + at(1) * right_weight
    lower = at(width) * (1.0 - right_weight) + at(width + 1) * right_weight
    return upper * (1.0 - lower_weight) + lower * lower_weight
