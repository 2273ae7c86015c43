"""Prepare camera frames in a TensorFlow graph; the bytes are the same as from OpenCV.

`prepare_frames` is Preprocessing.apply(); `prepare_pictures` is Framing.apply() before it.
cv2.resize, cv2.remap and cv2.cvtColor compute 8-bit images in fixed point, but for INTER_AREA to
fewer pixels, which is float32. The constants are OpenCV's own (modules/imgproc/src/resize.cpp and
color_yuv.simd.hpp); tests compare every colour, and images of all sizes. All values in fixed point
are below 2**24, and divisors are powers of 2, so float32 is exact; runtimes compute it faster than
int32.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from bcclone.camera.framing import FRACTION, Framing, Sampling, sampling_of
from bcclone.dataset.preprocessing import LINEAR_COLORS, Preprocessing
from bcclone.system.arrays import Float32Array
from bcclone.system.errors import UserError
from bcclone.system.opencv import cv2

_WEIGHT_ONE = 2048  # a weight of 1: 11 bits after the point
_ACROSS_DIVISOR = 16  # after resizing across: 7 bits after the point are left
# Then OpenCV multiplies with a second weight and divides by 2**16. That product would exceed 2**24,
# so the value's high and low bytes are multiplied one by one: floor((high * weight + floor(low *
# weight / 256)) / 256)
_BYTE = 256
_LAST_DIVISOR, _LAST_HALF = 4, 2  # of the sum of both rows: the last rounding

# divisors of the colour conversions, and weights of red, green and blue
_YUV_DIVISOR, _GRAY_DIVISOR = 1 << 14, 1 << 15
_YUV_LUMA, _GRAY_LUMA = (4899, 9617, 1868), (9798, 19235, 3735)
_U_OF_BLUE, _V_OF_RED = 8061, 14369  # of the difference between the colour and the luma
_EXACT_BLURS = (3, 5, 7)  # rows and columns of the kernel
_CHROMA_OFFSET = 128 * _YUV_DIVISOR + _YUV_DIVISOR // 2

Pixels = npt.NDArray[np.int32]
_WHOLE = slice(None), slice(None)  # all columns and rows
_Taps = Sequence[
    tuple[Pixels, Float32Array]
]  # source pixels, one of each target pixel, and their weights


def prepare_frames(frames: Any, preprocessing: Preprocessing) -> Any:
    """Return the network's inputs, float32 (frames, height, width, channels), whole numbers from 0
    to 255.

    frames: RGB, uint8 (frames, frame_height, frame_width, 3).
    """
    columns, rows, taps = _needed(preprocessing)
    if len(rows) < frames.shape[1]:
        frames = tf.gather(frames, rows, axis=1)
    if len(columns) < frames.shape[2]:
        frames = tf.gather(frames, columns, axis=2)
    frames = tf.cast(frames, tf.float32)  # the slowest operation of LiteRT, so after the others
    return _prepared(frames, taps, preprocessing)


def prepare_pictures(pictures: Any, preprocessing: Preprocessing, framing: Framing) -> Any:
    """Return the network's inputs for pictures of another camera, each made a frame as by
    Framing.apply().

    pictures: RGB, whole numbers from 0 to 255, float32 (pictures, rows, columns, 3), of the
    framing's size. Of the frame, only the pixels are computed that the network's input is made of.
    """
    size = preprocessing.frame_width, preprocessing.frame_height
    if not framing.lens:
        if framing.rows or framing.columns:
            pictures = pictures[
                :, slice(*(framing.rows or (None,))), slice(*(framing.columns or (None,)))
            ]
        if tuple(pictures.shape[2:0:-1]) == size:
            return prepare_frames(pictures, preprocessing)
    columns, rows, taps = _needed(preprocessing)
    if framing.lens:
        frames = _warp(pictures, sampling_of(framing), (columns, rows))
    else:
        frames = _fit(pictures, size, (columns, rows))
    return _prepared(frames, taps, preprocessing)


def check_exact(model: Path, preprocessing: Preprocessing) -> None:
    """Raise UserError for a preprocessing that is not computed here as OpenCV does it."""
    for value, exact in (
        (preprocessing.color, LINEAR_COLORS),
        (preprocessing.interpolation, ("linear", "area")),
        (preprocessing.blur, (0, *_EXACT_BLURS)),
    ):
        if value not in exact:
            raise UserError(
                f"{model}: its frames are prepared as {preprocessing.describe()}, and {value} is not exported, only "
                f"{', '.join(map(str, exact))}; drive the model itself"
            )


def _prepared(frames: Any, taps: tuple[_Taps, _Taps] | None, preprocessing: Preprocessing) -> Any:
    """Return the network's inputs for the pixels of frames that _needed() names, and its taps."""
    images, width, height = frames, preprocessing.width, preprocessing.height
    for step in preprocessing.steps:
        if step == "color":
            images = _convert_colors(images, preprocessing.color)
        elif step == "blur":
            images = _blurred(images, preprocessing.blur)
        elif taps:
            images = _resize(images, *taps)
        elif tuple(images.shape[1:3]) == (height, width):
            continue
        elif preprocessing.interpolation == "area":
            images = _fit(images, (width, height))
        else:
            across, columns = _linear_taps(images.shape[2], width)
            down, rows = _linear_taps(images.shape[1], height)
            images = _resize(
                tf.gather(tf.gather(images, rows, axis=1), columns, axis=2), across, down
            )
    return images


def _blurred(images: Any, size: int) -> Any:
    """Return images blurred as by cv2.GaussianBlur(), whose kernel is in 1 / 256 for the smallest
    sizes.
    """
    kernel = np.rint(cv2.getGaussianKernel(size, 0).ravel() * _BYTE)
    for axis in (2, 1):
        edge, count = [(0, 0)] * 4, images.shape[axis]
        edge[axis] = (size // 2, size // 2)
        padded = tf.pad(images, edge, "REFLECT")
        images = _sums(
            padded,
            [
                (np.arange(count) + place, np.full(count, weight, np.float32))
                for place, weight in enumerate(kernel)
            ],
            axis,
        )
    return _divided(images + _BYTE * _BYTE // 2, _BYTE * _BYTE)


def _needed(preprocessing: Preprocessing) -> tuple[Pixels, Pixels, tuple[_Taps, _Taps] | None]:
    """Return the columns and rows of a frame that the network's input is made of, and the taps that
    resize them.

    No taps are returned, and all columns and rows that are kept, where the size stays or more is
    computed before.
    """
    (left, top, right, bottom), (width, height) = (
        preprocessing.region,
        (preprocessing.width, preprocessing.height),
    )
    columns, rows = np.arange(left, right, dtype=np.int32), np.arange(top, bottom, dtype=np.int32)
    first = next(step for step in preprocessing.steps if step != "color")
    if (
        first != "size"
        or preprocessing.interpolation != "linear"
        or (len(columns), len(rows)) == (width, height)
    ):
        return columns, rows, None
    across, needed_columns = _linear_taps(len(columns), width)
    down, needed_rows = _linear_taps(len(rows), height)
    return columns[needed_columns], rows[needed_rows], (across, down)


def _warp(pictures: Any, sampling: Sampling, needed: tuple[Pixels, Pixels]) -> Any:
    """Return the pixels of frames that are in the needed columns and rows, each interpolated from
    four of a picture.
    """
    width, height = sampling.width, sampling.height
    if tuple(pictures.shape[2:0:-1]) != (width, height):
        pictures = _fit(pictures, (width, height))
    columns, rows = needed
    corner = sampling.corner[np.ix_(rows, columns)].astype(np.int32)
    part = sampling.part[np.ix_(rows, columns)].astype(np.float32)
    flat = tf.reshape(pictures, (-1, height * width, 3))
    total: Any = 0.0
    for down, across in ((0, 0), (0, 1), (1, 0), (1, 1)):
        index = np.minimum(corner[..., 1] + down, height - 1) * width + np.minimum(
            corner[..., 0] + across, width - 1
        )
        weight = np.abs(1 - across - part[..., 0] / FRACTION) * np.abs(
            1 - down - part[..., 1] / FRACTION
        )
        pixels = tf.reshape(
            tf.gather(flat, index.ravel(), axis=1), (-1, len(rows), len(columns), 3)
        )
        total = total + pixels * weight[..., np.newaxis].astype(np.float32)
    return tf.floor(total + 0.5)


def _fit(
    pictures: Any, size: tuple[int, int], needed: tuple[Pixels | slice, Pixels | slice] = _WHOLE
) -> Any:
    """Return the pixels of frames of this width and height that are in the needed columns and rows."""
    sources = tuple(pictures.shape[2:0:-1])
    grows = any(source < target for source, target in zip(sources, size, strict=True))
    whole = not any(source % target for source, target in zip(sources, size, strict=True))
    weights = [
        _area_weights(source, target, grows)[:, pixels]
        for source, target, pixels in zip(sources, size, needed, strict=True)
    ]
    if grows:
        across, down = (_taps(np.rint(each * _WEIGHT_ONE)) for each in weights)
        return _resize(pictures, across, down)
    # where both factors are whole numbers, the weights are 1, to be divided later
    across, down = (_taps(np.sign(each) if whole else each) for each in weights)
    total = _sums(_sums(pictures, across, axis=2), down, axis=1)
    if not whole:
        return tf.round(total)
    area = (sources[0] // size[0]) * (sources[1] // size[1])
    halves = sources == (
        2 * size[0],
        2 * size[1],
    )  # which OpenCV rounds up, where its other areas round to even
    return tf.floor(total * 0.25 + 0.5) if halves else tf.round(total * (1 / area))


def _resize(images: Any, across: _Taps, down: _Taps) -> Any:
    """Return images resized along both axes, by weights in units of 1 / _WEIGHT_ONE."""
    rows = _divided(_sums(images, across, axis=2), _ACROSS_DIVISOR)
    high = _divided(rows, _BYTE)
    low = rows - high * _BYTE
    total: Any = _LAST_HALF
    for pixels, weights in down:
        carried = _divided(
            tf.gather(low, pixels, axis=1) * weights[:, np.newaxis, np.newaxis], _BYTE
        )
        shares = tf.gather(high, pixels, axis=1) * weights[:, np.newaxis, np.newaxis]
        total = total + _divided(shares + carried, _BYTE)
    return _divided(total, _LAST_DIVISOR)


def _sums(images: Any, taps: _Taps, axis: int) -> Any:
    """Return the weighted sums of the pixels of images along an axis, 1 or 2."""
    first, *others = (
        tf.gather(images, pixels, axis=axis) * weights.reshape(-1, *[1] * (3 - axis))
        for pixels, weights in taps
    )
    return sum(others, first)


def _convert_colors(images: Any, color: str) -> Any:
    images = images[..., ::-1] if color.startswith("BGR") else images
    if color in ("RGB", "BGR"):
        return images
    planes = [images[..., number : number + 1] for number in range(3)]
    if color.endswith("GRAY"):
        return _luma(planes, _GRAY_LUMA, _GRAY_DIVISOR)
    red, _, blue = planes
    luma = _luma(planes, _YUV_LUMA, _YUV_DIVISOR)
    u, v = (
        tf.clip_by_value(
            _divided((plane - luma) * weight + _CHROMA_OFFSET, _YUV_DIVISOR), 0.0, 255.0
        )
        for plane, weight in ((blue, _U_OF_BLUE), (red, _V_OF_RED))
    )
    return tf.concat([luma, u, v], -1)


def _luma(planes: list[Any], weights: tuple[int, ...], divisor: int) -> Any:
    red, green, blue = (plane * weight for plane, weight in zip(planes, weights, strict=True))
    return _divided(red + green + blue + divisor // 2, divisor)


def _divided(values: Any, divisor: int) -> Any:
    return tf.floor(values * (1 / divisor))


def _linear_taps(source: int, target: int) -> tuple[_Taps, Pixels]:
    """Return the taps of INTER_LINEAR and the pixels that they need, of which alone the taps'
    source is made.
    """
    # source / target as OpenCV computes it, whose last bit decides at the edges of pixels
    positions = ((np.arange(target) + 0.5) * (1 / (target / source)) - 0.5).astype(np.float32)
    first = np.floor(positions).astype(np.int32)
    behind = positions - first.astype(np.float32)
    # pixels beyond the edge are those at the edge, and each is rounded for itself
    taps = [
        (np.clip(pixels, 0, source - 1), np.rint(share * _WEIGHT_ONE).astype(np.float32))
        for pixels, share in ((first, 1 - behind), (first + 1, behind))
        if share.any()
    ]
    needed = np.unique(np.concatenate([pixels[weights > 0] for pixels, weights in taps]))
    # a tap that weighs nothing may take any pixel
    compact = [
        np.minimum(np.searchsorted(needed, pixels), len(needed) - 1).astype(np.int32)
        for pixels, _ in taps
    ]
    return [(pixels, weights) for pixels, (_, weights) in zip(compact, taps, strict=True)], needed


def _area_weights(source: int, target: int, grows: bool) -> Float32Array:
    """Return the weights of INTER_AREA, (source pixels, target pixels), from what OpenCV makes of
    single pixels.

    grows: the image grows along this axis or the other one; then OpenCV interpolates along both.
    """
    times = 2 if grows else 1
    single = np.eye(source, dtype=np.float32)
    weights = cv2.resize(single, (target, times * source), interpolation=cv2.INTER_AREA)
    return np.asarray(weights[::times], np.float32)


def _taps(weights: Float32Array) -> _Taps:
    """Return the first pixel of each target pixel that has a weight, then the second one, and so
    on.

    weights: (source pixels, target pixels).
    """
    order = np.argsort(weights == 0, axis=0, kind="stable").astype(np.int32)
    most = int(np.count_nonzero(weights, axis=0).max())
    return [(pixels, weights[pixels, np.arange(len(pixels))]) for pixels in order[:most]]
