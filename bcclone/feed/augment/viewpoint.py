"""Random viewpoints: how the camera moves, the steering that goes with it, and what it then sees.

In: the random numbers of a batch, and its images. Out: a move of the camera for each sample, the
change of its steering, (samples,), and the image as the moved camera would have taken it.

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

# how many random numbers a sample needs, by name: standard normal, and from 0 to 1
NORMALS = {"yaw": 1, "pitch": 1}
UNIFORMS = {"offset": 1}

_INT = np.int32
_UINT = np.uint32
_WIDE = np.uint64
_FLOAT = np.float32


def camera_moves(numbers: Numbers, settings: AugmentSettings, xp: Any = np) -> CameraMove:
    """Return the movements of the cameras of a batch, (samples,) each."""
    shift = 2.0 * numbers["offset"][:, 0] - 1.0
    return CameraMove(
        lateral_offset_m=settings.shift_m * shift,
        yaw_rad=_turn_rad(numbers["yaw"], settings.turn_degrees, xp),
        pitch_rad=_turn_rad(numbers["pitch"], settings.pitch_degrees, xp),
    )


def _turn_rad(normal: Any, standard_deviation_degrees: float, xp: Any) -> Any:
    largest = 3.0  # standard deviations; without a limit, a rare turn would show no road
    return math.radians(standard_deviation_degrees) * xp.clip(normal[:, 0], -largest, largest)


def steering_change(move: CameraMove, lookahead_m: Any, xp: Any = np) -> Any:
    """Return the change of steering, (samples,), of a car that steers back to its line.

    It aims lookahead_m ahead. The line is followed by the rear axle; the camera is ahead of it.
    """
    axle_m = move.lateral_offset_m - CAMERA_AHEAD_M * xp.sin(move.yaw_rad)
    return steering_to_line(axle_m, move.yaw_rad, lookahead_m, xp)


class Cameras:
    """The warps of images of one preprocessing to views of moved cameras.

    top: the first row of a view.
    """

    def __init__(self, preprocessing: Preprocessing, top: int = 0) -> None:
        plain = preprocessing.frame_to_prepared
        mirrored = flip_pixels(preprocessing.width) @ plain
        up_by_top = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, -top], [0.0, 0.0, 1.0]])
        self._plain_images = plain.astype(np.float32)
        self._mirrored_images = mirrored.astype(np.float32)
        self._views = (up_by_top @ plain).astype(np.float32)

    def warps(self, move: CameraMove, flipped: Any, xp: Any = np) -> Warp:
        """Return the warp of each image to its view.

        The camera is mounted at a slight angle, and a mirror image is that of a camera mounted at
        the opposite angle. A network trained on both would drive next to its line. So mirror
        images, too, become views of the real camera.

        flipped: bool (samples,), whether the image is a mirror image.
        """
        images = xp.where(flipped[:, None, None], self._mirrored_images, self._plain_images)
        return warp_to(move, flipped, xp).between_images(self._views, images)


@compiled(error_model="numpy")
def spread_channels(image: Any, spread: Any) -> None:
    """Write each pixel of an image as one number, 16 bits for each channel.

    image: uint8 (height, width, 3).
    spread: uint64 (height x width,).
    """
    flat = image.reshape(-1)
    for pixel in range(spread.shape[0]):
        red = _WIDE(flat[3 * pixel])
        green = _WIDE(flat[3 * pixel + 1])
        blue = _WIDE(flat[3 * pixel + 2])
        spread[pixel] = red | (green << _WIDE(16)) | (blue << _WIDE(32))


@compiled(error_model="numpy")
def warp_row(height: Any, pixels: Any, row: Any, scratch: Any) -> None:
    """Interpolate a row of a view into scratch.planes; outside of the image its edge is repeated.

    height: number of rows of the image, whose pixels are in scratch.spread.
    pixels: float32 (3, 3), from pixels (column, row, 1) of the view to those of the image.
    """
    _find_neighbours(height, pixels, row, scratch)
    _mix_neighbours(scratch)
    for channel in range(3):
        plane = scratch.planes[channel]
        shift = _WIDE(16 * channel)
        for x in range(plane.shape[0]):
            plane[x] = _INT((scratch.mixed[x] >> shift) & _WIDE(0xFFFF))


@compiled(error_model="numpy")
def _find_neighbours(height: Any, pixels: Any, row: Any, scratch: Any) -> None:
    """Write the index of the upper left one of four pixels, and the weights, in 256ths, of all."""
    indices = scratch.indices
    weights = scratch.weights
    width = indices.shape[0]
    # the last position in 256ths whose pixels to the right and below are still in the image
    last_column = _FLOAT(width - 1.004)
    last_row = _FLOAT(height - 1.004)
    # the part of the homography that is the same for the whole row
    along = pixels[0, 1] * row + pixels[0, 2]
    down = pixels[1, 1] * row + pixels[1, 2]
    depth = pixels[2, 1] * row + pixels[2, 2]
    for x in range(width):
        scale = _FLOAT(1) / (pixels[2, 0] * _FLOAT(x) + depth)
        column = min(max((pixels[0, 0] * _FLOAT(x) + along) * scale, _FLOAT(0)), last_column)
        line = min(max((pixels[1, 0] * _FLOAT(x) + down) * scale, _FLOAT(0)), last_row)
        column_256ths = _INT(column * _FLOAT(256))
        line_256ths = _INT(line * _FLOAT(256))
        indices[x] = (line_256ths >> 8) * width + (column_256ths >> 8)
        right = column_256ths & 255
        below = line_256ths & 255
        both = (right * below) >> 8
        weights[0, x] = 256 - right - below + both
        weights[1, x] = right - both
        weights[2, x] = below - both
        weights[3, x] = both


@compiled(error_model="numpy")
def _mix_neighbours(scratch: Any) -> None:
    """Write the weighted sum of four pixels, in 256ths of a level, 16 bits for each channel.

    One multiplication serves all channels: no sum takes more than 16 bits.
    """
    spread = scratch.spread
    indices = scratch.indices
    weights = scratch.weights
    mixed = scratch.mixed
    width = indices.shape[0]
    for x in range(width):
        upper = _UINT(indices[x])
        lower = _UINT(indices[x] + width)
        upper_left = spread[upper] * _WIDE(weights[0, x])
        upper_right = spread[upper + _UINT(1)] * _WIDE(weights[1, x])
        lower_left = spread[lower] * _WIDE(weights[2, x])
        lower_right = spread[lower + _UINT(1)] * _WIDE(weights[3, x])
        mixed[x] = upper_left + upper_right + lower_left + lower_right


def warped(images: Any, warp: Warp, extent: Extent, xp: Any) -> Any:
    """Return the changed rows of the views, interpolated from four pixels each.

    images: uint8 (images, height, width, 3); their edges are repeated.
    Returns float32 (images, rows, width, 3).
    """
    width = extent.width
    height = extent.height
    column, row = _positions(warp, extent, xp)

    # the upper left one of four pixels, and how far the position is from it
    left = xp.minimum(xp.floor(column), width - 2.0)
    above = xp.minimum(xp.floor(row), height - 2.0)
    right_weight = (column - left)[..., None]
    lower_weight = (row - above)[..., None]

    # all pixels of all images are one list, of which a GPU takes those that it needs
    image_numbers = xp.arange(xp.shape(images)[0], dtype="int32")
    first = xp.reshape(image_numbers * (height * width), (-1, 1, 1))
    index = first + xp.cast(above * width + left, "int32")
    flat = xp.reshape(images, (-1, 3))

    def pixels_at(offset: int) -> Any:
        return xp.cast(xp.take(flat, index + offset, axis=0), "float32")

    upper = pixels_at(0) * (1.0 - right_weight) + pixels_at(1) * right_weight
    lower = pixels_at(width) * (1.0 - right_weight) + pixels_at(width + 1) * right_weight
    return upper * (1.0 - lower_weight) + lower * lower_weight


def _positions(warp: Warp, extent: Extent, xp: Any) -> tuple[Any, Any]:
    """Return column and row in its image of each pixel of the views, (images, rows, width) each."""
    rows = extent.rows
    width = extent.width
    y, x = np.indices((rows, width), np.float32)
    pixels = np.stack([x, y, np.ones_like(x)]).reshape(3, -1)

    def positions_by(matrix: Any) -> Any:
        return xp.reshape(xp.einsum("nij,jp->nip", matrix, pixels), (-1, 3, rows, width))

    horizon = warp.horizon_row(width, rows, xp)[:, None, None, None]
    across = xp.where(y < horizon, positions_by(warp.sky), positions_by(warp.ground))
    column = xp.clip(across[:, 0] / across[:, 2], 0.0, width - 1.0)
    row = xp.clip(across[:, 1] / across[:, 2], 0.0, extent.height - 1.0)
    return column, row
