"""Add the noise of low-quality JPEGs to images with tensor operations: only the rounding of a JPEG file is computed.

ITU-T T.81 (1992): colors to luma and chroma, chroma at half the size, blocks of 8x8 to frequencies, which are rounded
to multiples of its example tables (annex K.1), scaled by quality as libjpeg does; then back, chroma smoothly enlarged.
"""

from typing import Any

import numpy as np
import tensorflow as tf

# as printed: rows from low to high vertical frequency
_LUMA = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    np.float32,
)
_CHROMA = np.full((8, 8), 99, np.float32)
_CHROMA[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]

_STEPS = np.arange(8)
# (frequency, position): the discrete cosine transform of 8 numbers, orthonormal
_COSINES = (np.cos((2 * _STEPS + 1) * _STEPS[:, np.newaxis] * np.pi / 16) / 2).astype(np.float32)
_COSINES[0] *= np.float32(np.sqrt(0.5))

# from RGB to luma and the two chromas, which are 0 for gray, and back (JFIF 1.02)
_TO_LUMA = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32)
_TO_COLORS = np.array([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]], np.float32)


def with_jpeg_noise(images: Any, quality: Any) -> Any:
    """Return images, float32 (images, rows, columns, 3), RGB of 0 to 255, with the noise of JPEGs.

    quality: float32 (images,), 1 to 100; images of quality 0 do not change.
    """
    rows, columns = images.shape[1:3]
    below, right = -rows % 16, -columns % 16
    padded = tf.concat([images, tf.repeat(images[:, -1:], below, 1)], 1)
    padded = tf.concat([padded, tf.repeat(padded[:, :, -1:], right, 2)], 2)
    split = tf.round(padded) @ _TO_LUMA.T
    at_least_1 = tf.maximum(quality, 1.0)
    scale = tf.where(at_least_1 < 50, 50.0 / at_least_1, 2.0 - at_least_1 / 50.0)
    luma = _rounded(split[..., :1] - 128.0, _LUMA, scale) + 128.0
    chroma = _enlarged(_rounded(tf.nn.avg_pool2d(split[..., 1:], 2, 2, "VALID"), _CHROMA, scale))
    noisy = tf.concat([luma, chroma], -1)[:, :rows, :columns] @ _TO_COLORS.T
    return tf.where((quality > 0)[:, None, None, None], tf.clip_by_value(noisy, 0.0, 255.0), images)


def _rounded(planes: Any, table: Any, scale: Any) -> Any:
    """Return planes, (images, rows, columns, planes), of complete 8x8 blocks, with rounded frequencies."""
    rows, columns, count = planes.shape[1:]
    blocks = tf.reshape(planes, (-1, rows // 8, 8, columns // 8, 8, count))
    frequencies = tf.einsum("fy,nrycxp,gx->nrcpfg", _COSINES, blocks, _COSINES)
    steps = tf.clip_by_value(tf.floor(table * scale[:, None, None] + 0.5), 1.0, 255.0)[:, None, None, None]
    kept = tf.round(frequencies / steps) * steps
    back = tf.einsum("fy,nrcpfg,gx->nrycxp", _COSINES, kept, _COSINES)
    return tf.reshape(back, (-1, rows, columns, count))


def _enlarged(planes: Any) -> Any:
    """Return planes, (images, rows, columns, planes), at twice the size, interpolated linearly (3/4 and 1/4)."""
    for axis in (1, 2):
        size = planes.shape[axis]
        numbers = np.arange(2 * size)
        near = numbers // 2
        far = np.clip(near + np.where(numbers % 2, 1, -1), 0, size - 1)
        planes = 0.75 * tf.gather(planes, near, axis=axis) + 0.25 * tf.gather(planes, far, axis=axis)
    return planes
