"""Add the noise of low-quality JPEG files.

The random numbers of a batch choose some of its images, and for each a JPEG quality of 20 to 79.
These images come back as if they had been saved with this quality and loaded again.

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
from bcclone.system.numbers import Float32Array

_STEPS = np.arange(8)
# (frequency, position): the discrete cosine transform of 8 numbers, orthonormal
_COSINES = (np.cos((2 * _STEPS + 1) * _STEPS[:, np.newaxis] * np.pi / 16) / 2).astype(np.float32)
_COSINES[0] *= np.float32(np.sqrt(0.5))

# from RGB to luma and the two chromas, which are 0 for gray (JFIF 1.02)
_TO_LUMA_AND_CHROMA = np.array(
    [
        [0.299, 0.587, 0.114],
        [-0.168736, -0.331264, 0.5],
        [0.5, -0.418688, -0.081312],
    ],
    np.float32,
)
# and back
_TO_COLORS = np.array(
    [
        [1, 0, 1.402],
        [1, -0.344136, -0.714136],
        [1, 1.772, 0],
    ],
    np.float32,
)


def _quality(numbers: Numbers, fraction: float, extent: Extent, xp: Any) -> Any:
    """Return the JPEG quality of each image, float32 (samples,), whole numbers; 0: no noise."""
    quality = 20.0 + xp.floor(60.0 * numbers["noise_quality"][:, 0])
    return xp.where(numbers["noise"][:, 0] < fraction, quality, xp.zeros_like(quality))


def _on_cpu(images: Image, extent: Extent, quality: Float32Array) -> None:
    """Encode the changed rows of images as JPEGs and decode them, unless their quality is 0."""
    below = extent.top + extent.rows
    for sample in np.flatnonzero(quality).tolist():
        for view in images[sample, :, extent.top : below]:
            data = simplejpeg.encode_jpeg(
                view, quality=int(quality[sample]), colorsubsampling="420"
            )
            simplejpeg.decode_jpeg(data, buffer=view)


def _on_device(images: Any, quality: Any, xp: Any) -> Any:
    luma_table, chroma_table = _tables_of_quality_50()
    # how libjpeg scales the tables: by 1 at a quality of 50, by 0 at 100
    at_least_1 = xp.maximum(quality, 1.0)
    scale = xp.where(at_least_1 < 50, 50.0 / at_least_1, 2.0 - at_least_1 / 50.0)

    # a block of chroma covers 16x16 pixels of the image, so the last row and column are repeated up
    # to the next multiple of 16
    rows, columns = images.shape[1:3]
    rows_below = -rows % 16
    columns_right = -columns % 16
    padded = xp.concatenate([images, *[images[:, -1:]] * rows_below], axis=1)
    padded = xp.concatenate([padded, *[padded[:, :, -1:]] * columns_right], axis=2)

    split = xp.matmul(xp.round(padded), _TO_LUMA_AND_CHROMA.T)
    # JPEG codes luma as its difference from 128, the middle of the levels
    luma = _rounded(split[..., :1] - 128.0, luma_table, scale, xp) + 128.0
    half_rows = (rows + rows_below) // 2
    half_columns = (columns + columns_right) // 2
    squares = xp.reshape(split[..., 1:], (-1, half_rows, 2, half_columns, 2, 2))
    half_chroma = xp.mean(squares, axis=(2, 4))
    chroma = _enlarged(_rounded(half_chroma, chroma_table, scale, xp), xp)

    joined = xp.concatenate([luma, chroma], axis=-1)[:, :rows, :columns]
    noisy = xp.clip(xp.matmul(joined, _TO_COLORS.T), 0.0, 255.0)
    return xp.where((quality > 0)[:, None, None, None], noisy, images)


def _tables_of_quality_50() -> tuple[Float32Array, Float32Array]:
    """Return the tables for luma and chroma, (8, 8) each, from low to high frequency."""
    # needed where a device augments; at the start of a command it would take time
    from PIL.Image import open as open_image

    data = simplejpeg.encode_jpeg(np.zeros((8, 8, 3), np.uint8), quality=50)
    jpeg: Any = open_image(io.BytesIO(data))
    luma = np.array(jpeg.quantization[0], np.float32).reshape(8, 8)
    chroma = np.array(jpeg.quantization[1], np.float32).reshape(8, 8)
    return luma, chroma


def _rounded(planes: Any, table: Any, scale: Any, xp: Any) -> Any:
    """Return planes with rounded frequencies, (images, rows, columns, planes), of whole blocks."""
    rows, columns, count = planes.shape[1:]
    blocks = xp.reshape(planes, (-1, rows // 8, 8, columns // 8, 8, count))
    # n: image, r and c: row and column of a block, y and x: of a pixel in it, p: plane; f and g:
    # frequency down and across
    frequencies = xp.einsum("fy,nrycxp,gx->nrcpfg", _COSINES, blocks, _COSINES)
    scaled = xp.floor(table * scale[:, None, None] + 0.5)
    steps = xp.clip(scaled, 1.0, 255.0)[:, None, None, None]
    kept = xp.round(frequencies / steps) * steps
    back = xp.einsum("fy,nrcpfg,gx->nrycxp", _COSINES, kept, _COSINES)
    return xp.reshape(back, (-1, rows, columns, count))


def _enlarged(planes: Any, xp: Any) -> Any:
    """Return planes, (images, rows, columns, planes), at twice the size, interpolated linearly."""
    for axis in (1, 2):
        size = planes.shape[axis]
        positions = np.arange(2 * size)
        near = positions // 2
        # an even position lies before the middle of its pixel, an odd one behind it
        beside = near + np.where(positions % 2, 1, -1)
        far = np.clip(beside, 0, size - 1)
        planes = 0.75 * xp.take(planes, near, axis=axis) + 0.25 * xp.take(planes, far, axis=axis)
    return planes


KIND = LensChange(
    setting="noise",
    uniforms={"noise": 1, "noise_quality": 1},
    parameters=_quality,
    on_cpu=_on_cpu,
    on_device=_on_device,
)
