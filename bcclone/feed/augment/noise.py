"""Add the noise of low-quality JPEG files.

On the device only the rounding is computed, by ITU-T T.81 (1992): colors to luma and chroma, chroma
at half the size, blocks of 8x8 to frequencies, which are rounded to multiples of its example tables
(annex K.1), scaled by quality as libjpeg does; then back, chroma smoothly enlarged.
"""

import io
from typing import Any

import numpy as np
import simplejpeg

from bcclone.camera.images import Image
from bcclone.feed.augment import Extent, LensChange, Numbers
from bcclone.system.arrays import Float32Array

_STEPS = np.arange(8)
# (frequency, position): the discrete cosine transform of 8 numbers, orthonormal
_COSINES = (np.cos((2 * _STEPS + 1) * _STEPS[:, np.newaxis] * np.pi / 16) / 2).astype(np.float32)
_COSINES[0] *= np.float32(np.sqrt(0.5))

# from RGB to luma and the two chromas, which are 0 for gray, and back (JFIF 1.02)
_TO_LUMA = np.array(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32
)
_TO_COLORS = np.array([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]], np.float32)


def _quality(numbers: Numbers, fraction: float, extent: Extent, xp: Any) -> Any:
    """Return the JPEG quality of a fraction of the images, whole numbers as float32 (samples,); 0
    for the others.
    """
    quality = 20.0 + xp.floor(60.0 * numbers["noise_quality"][:, 0])
    return xp.where(numbers["noise"][:, 0] < fraction, quality, xp.zeros_like(quality))


def _on_cpu(images: Image, extent: Extent, quality: Float32Array) -> None:
    """Encode the changed rows of images as JPEGs and decode them, unless their quality is 0."""
    for sample in np.flatnonzero(quality).tolist():
        for view in images[sample, :, extent.top : extent.top + extent.rows]:
            data = simplejpeg.encode_jpeg(
                view, quality=int(quality[sample]), colorsubsampling="420"
            )
            simplejpeg.decode_jpeg(data, buffer=view)


def _on_device(images: Any, quality: Any, xp: Any) -> Any:
    from PIL.Image import (
        open as open_image,
    )  # where a device augments, and not at the start of a command

    # the tables for luma and chroma, (8, 8), from low to high frequency, as a JPEG of quality 50
    # has them
    jpeg: Any = open_image(
        io.BytesIO(simplejpeg.encode_jpeg(np.zeros((8, 8, 3), np.uint8), quality=50))
    )
    luma_table, chroma_table = (
        np.array(jpeg.quantization[n], np.float32).reshape(8, 8) for n in (0, 1)
    )
    rows, columns = images.shape[1:3]
    below, right = -rows % 16, -columns % 16
    padded = xp.concatenate([images, *[images[:, -1:]] * below], axis=1)
    padded = xp.concatenate([padded, *[padded[:, :, -1:]] * right], axis=2)
    split = xp.matmul(xp.round(padded), _TO_LUMA.T)
    at_least_1 = xp.maximum(quality, 1.0)
    scale = xp.where(at_least_1 < 50, 50.0 / at_least_1, 2.0 - at_least_1 / 50.0)
    luma = _rounded(split[..., :1] - 128.0, luma_table, scale, xp) + 128.0
    halves = xp.reshape(split[..., 1:], (-1, (rows + below) // 2, 2, (columns + right) // 2, 2, 2))
    chroma = _enlarged(_rounded(xp.mean(halves, axis=(2, 4)), chroma_table, scale, xp), xp)
    noisy = xp.matmul(xp.concatenate([luma, chroma], axis=-1)[:, :rows, :columns], _TO_COLORS.T)
    return xp.where((quality > 0)[:, None, None, None], xp.clip(noisy, 0.0, 255.0), images)


def _rounded(planes: Any, table: Any, scale: Any, xp: Any) -> Any:
    """Return planes, (images, rows, columns, planes), of complete 8x8 blocks, with rounded
    frequencies.
    """
    rows, columns, count = planes.shape[1:]
    blocks = xp.reshape(planes, (-1, rows // 8, 8, columns // 8, 8, count))
    frequencies = xp.einsum("fy,nrycxp,gx->nrcpfg", _COSINES, blocks, _COSINES)
    steps = xp.clip(xp.floor(table * scale[:, None, None] + 0.5), 1.0, 255.0)[:, None, None, None]
    kept = xp.round(frequencies / steps) * steps
    back = xp.einsum("fy,nrcpfg,gx->nrycxp", _COSINES, kept, _COSINES)
    return xp.reshape(back, (-1, rows, columns, count))


def _enlarged(planes: Any, xp: Any) -> Any:
    """Return planes, (images, rows, columns, planes), at twice the size, interpolated linearly (3/4
    and 1/4).
    """
    for axis in (1, 2):
        size = planes.shape[axis]
        numbers = np.arange(2 * size)
        near = numbers // 2
        far = np.clip(near + np.where(numbers % 2, 1, -1), 0, size - 1)
        planes = 0.75 * xp.take(planes, near, axis=axis) + 0.25 * xp.take(planes, far, axis=axis)
    return planes


KIND = LensChange("noise", {"noise": 1, "noise_quality": 1}, _quality, _on_cpu, _on_device)
