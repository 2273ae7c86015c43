"""Augment images on the device that trains, with tensor operations on all samples of a batch.

In: images, uint8 (samples, height, width, channels), their steering, float32 (samples, 1), and the
fields of `AugmentationInputs`. Out: the changed images, and the steering that they call for, as
tensors of the same shapes.

For the same random numbers, the images are those of on_cpu, up to rounding. On a GPU, hundreds of
small operations would take too long, so XLA compiles them into few if it can.

JPEG noise is what the rounding in a JPEG file (ITU-T T.81, 1992) does to an image, in these steps:

1. Colors become luma and chroma; chroma is halved in size.
2. Blocks of 8x8 become frequencies.
3. Frequencies are rounded to multiples of the standard's example tables (annex K.1), which are
   scaled by the quality as libjpeg does.
4. All goes back: frequencies to blocks, chroma smoothly to its full size, both to colors.
"""

import io
from typing import Any

import numpy as np
import simplejpeg
import tensorflow as tf
from keras import ops

from bcclone.camera.geometry import Warp
from bcclone.dataset.preprocessing import Preprocessing, color_matrices
from bcclone.feed.augment.changes import (
    MOST_PATCHES,
    NORMALS,
    UNIFORMS,
    AugmentationInputs,
    Extent,
    Light,
    Patches,
    Shadows,
    blur_taps,
    camera_moves,
    extent_of,
    jpeg_quality,
    light_of,
    patches_of,
    shadows_of,
    steering_change,
    view_warps,
)
from bcclone.feed.feed_settings import AugmentSettings
from bcclone.system.arrays import Float32Array
from bcclone.system.xla import compiles_for_gpu


class DeviceAugmenter:
    """Augments batches of one preprocessing within a compiled training step.

    It does what on_cpu.CpuAugmenter does. On a GPU that XLA can compile for, XLA compiles it, even
    if it does not compile the whole step.
    """

    def __init__(self, settings: AugmentSettings, preprocessing: Preprocessing) -> None:
        self._settings = settings
        self._preprocessing = preprocessing
        self._extent = extent_of(preprocessing)
        self._compiled = tf.function(self._augment, jit_compile=compiles_for_gpu(), autograph=False)

    @property
    def input_signature(self) -> tuple[tf.TensorSpec, ...]:
        """Return the signature of the arguments after images and steering."""
        return (
            tf.TensorSpec((None,), tf.bool),
            tf.TensorSpec((None,), tf.float32),
            tf.TensorSpec((None, NORMALS), tf.float32),
            tf.TensorSpec((None, UNIFORMS), tf.uint16),
        )

    def __call__(self, images: Any, steering: Any, *arguments: Any) -> tuple[Any, Any]:
        """Return augmented images, of the shape of `images`, and the steering that goes with them.

        images: uint8 (samples, height, width, channels), or windows of them, whose frames change
            alike
        steering: float32 (samples, 1), -1 to 1
        arguments: the fields of AugmentationInputs
        """
        augmented: tuple[Any, Any] = self._compiled(images, steering, *arguments)
        return augmented

    def _augment(self, images: Any, steering: Any, *arguments: Any) -> tuple[Any, Any]:
        inputs = AugmentationInputs(*arguments)
        inputs = inputs._replace(uniform=tf.cast(inputs.uniform, tf.float32))
        # each frame of a window becomes an image, with the random numbers of its sample
        frame_count = images.shape[1] if len(images.shape) == 5 else 1
        flat = tf.reshape(images, (-1, *images.shape[-3:]))
        of_images = (tf.repeat(values, frame_count, axis=0) for values in inputs)
        changed = self._changed(flat, AugmentationInputs(*of_images))
        # the images of a flipped sample are mirrored already, and its steering is negated already;
        # `flipped` only says so
        if self._settings.moves_camera:
            move = camera_moves(inputs.numbers, self._settings, ops)
            change = steering_change(move, inputs.lookahead_m, ops)
            steering = tf.clip_by_value(steering + change[:, None], -1.0, 1.0)
        return tf.reshape(changed, tf.shape(images)), steering

    def _changed(self, images: Any, inputs: AugmentationInputs) -> Any:
        """Return changed images, uint8 (images, height, width, channels)."""
        settings = self._settings
        numbers = inputs.numbers
        move = camera_moves(numbers, settings, ops)
        extent = self._extent
        color = self._preprocessing.color
        from_rgb, to_rgb = color_matrices(color)
        colored = images
        if self._preprocessing.channels == 1:  # _warped() takes three channels
            colored = tf.repeat(images, 3, axis=-1)
        warp = view_warps(self._preprocessing, extent.top, move, inputs.flipped, ops)
        views = _warped(colored, warp, extent)
        # the matrix of the light also converts to RGB, so other colours need it even if the light
        # does not change
        if settings.appearance or color != "RGB":
            views = _relit(views, light_of(numbers, settings.appearance, to_rgb, ops))
        if settings.shadows:
            views = _shadowed(views, shadows_of(numbers, settings.shadows, extent, ops))
        if settings.blur:
            views = _filtered(views, blur_taps(numbers, settings.blur, ops))
        if settings.patches:
            views = _patched(views, patches_of(numbers, settings.patches, extent, ops))
        if settings.noise:
            views = _with_jpeg_noise(views, jpeg_quality(numbers, settings.noise, ops))
        # back to the prepared colours; for grey, three channels become one
        if color != "RGB":
            views = views @ from_rgb[:, :3].T + from_rgb[:, 3]
        changed = tf.cast(tf.round(tf.clip_by_value(views, 0.0, 255.0)), tf.uint8)
        # the network does not see the other rows
        above = images[:, : extent.top]
        below = images[:, extent.top + extent.rows :]
        return tf.concat([above, changed, below], axis=1)


# Each returns float32 (images, rows, width, 3), levels of 0 to 255; all but _warped() also take it.


def _warped(images: Any, warp: Warp, extent: Extent) -> Any:
    """Return the changed rows of the views, interpolated from four pixels each.

    images: uint8 (images, height, width, 3); their edges are repeated
    """
    width = extent.width
    height = extent.height
    column, row = _positions(warp, extent)

    # the upper left one of four pixels, and how far the position is from it
    left = ops.minimum(ops.floor(column), width - 2.0)
    above = ops.minimum(ops.floor(row), height - 2.0)
    right_weight = (column - left)[..., None]
    lower_weight = (row - above)[..., None]

    # all pixels of all images are one list, of which a GPU takes those that it needs
    image_numbers = ops.arange(ops.shape(images)[0], dtype="int32")
    first = ops.reshape(image_numbers * (height * width), (-1, 1, 1))
    index = first + ops.cast(above * width + left, "int32")
    flat = ops.reshape(images, (-1, 3))

    def pixels_at(offset: int) -> Any:
        return ops.cast(ops.take(flat, index + offset, axis=0), "float32")

    upper = pixels_at(0) * (1.0 - right_weight) + pixels_at(1) * right_weight
    lower = pixels_at(width) * (1.0 - right_weight) + pixels_at(width + 1) * right_weight
    return upper * (1.0 - lower_weight) + lower * lower_weight


def _positions(warp: Warp, extent: Extent) -> tuple[Any, Any]:
    """Return column and row in its image of each pixel of the views, (images, rows, width) each."""
    rows = extent.rows
    width = extent.width
    y, x = np.indices((rows, width), np.float32)
    pixels = np.stack([x, y, np.ones_like(x)]).reshape(3, -1)

    def positions_by(matrix: Any) -> Any:
        return ops.reshape(ops.einsum("nij,jp->nip", matrix, pixels), (-1, 3, rows, width))

    horizon = warp.horizon_row(width, rows, ops)[:, None, None, None]
    across = ops.where(y < horizon, positions_by(warp.sky), positions_by(warp.ground))
    column = ops.clip(across[:, 0] / across[:, 2], 0.0, width - 1.0)
    row = ops.clip(across[:, 1] / across[:, 2], 0.0, extent.height - 1.0)
    return column, row


def _relit(images: Any, light: Light) -> Any:
    rows, width = images.shape[1:3]
    flat = ops.reshape(images, (-1, rows * width, 3))
    changed = ops.matmul(flat, ops.transpose(light.colors, (0, 2, 1))) + light.offset[:, None]
    levels = ops.clip(changed / 255.0, 1e-6, 1.0)
    result = 255.0 * ops.power(levels, light.gamma[:, None, None])
    return ops.reshape(result, (-1, *images.shape[1:]))


def _shadowed(images: Any, shadows: Shadows) -> Any:
    x = np.arange(images.shape[2], dtype=np.float32)
    inside = (x >= shadows.left[..., None]) & (x <= shadows.right[..., None])
    shade = ops.cast(ops.any(inside, axis=1), "float32")
    # a mean over 5x5 pixels: along rows and along columns, the weight of the pixel, of its
    # neighbours and of the pixels two away is 1/5 each
    soft = _filtered(shade[..., None], np.full((1, 3), 0.2, np.float32))[..., 0]
    shade = ops.where(shadows.soft[:, None, None], soft, shade)
    factor = 1.0 + (shadows.factor[:, None, None] - 1.0) * shade
    return ops.minimum(images * factor[..., None], 255.0)


def _filtered(images: Any, taps: Any) -> Any:
    """Return images filtered along rows and columns; they are mirrored at their edges.

    taps: float32 (images, 3), as blur_taps() returns them
    """
    center, close, wide = (taps[:, tap, None, None, None] for tap in range(3))
    for axis in (1, 2):
        widths = [(0, 0)] * 4
        widths[axis] = (2, 2)
        padded = ops.pad(images, widths, mode="reflect")
        size = images.shape[axis]
        shifted = []
        for start in range(5):
            part = [slice(None)] * 4
            part[axis] = slice(start, start + size)
            shifted.append(padded[tuple(part)])
        first, second, third, fourth, fifth = shifted
        images = center * third + close * (second + fourth) + wide * (first + fifth)
    return images


def _patched(images: Any, patches: Patches) -> Any:
    y, x = np.indices(images.shape[1:3], np.float32)
    for patch in range(MOST_PATCHES):
        left, top, right, bottom = (patches.corners[:, patch, n, None, None] for n in range(4))
        exists = (patch < patches.count)[:, None, None]
        in_columns = (x >= left) & (x <= right)
        in_rows = (y >= top) & (y <= bottom)
        inside = in_columns & in_rows & exists
        color = patches.colors[:, patch, None, None]
        images = ops.where(inside[..., None], color, images)
    return images


# ---- the noise of JPEG files

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


def _with_jpeg_noise(images: Any, quality: Any) -> Any:
    luma_table, chroma_table = _tables_of_quality_50()
    # how libjpeg scales the tables: by 1 at a quality of 50, by 0 at 100
    at_least_1 = ops.maximum(quality, 1.0)
    scale = ops.where(at_least_1 < 50, 50.0 / at_least_1, 2.0 - at_least_1 / 50.0)

    # a block of chroma covers 16x16 pixels of the image, so the last row and column are repeated up
    # to the next multiple of 16
    rows, columns = images.shape[1:3]
    rows_below = -rows % 16
    columns_right = -columns % 16
    below = [images[:, -1:]] * rows_below
    padded = ops.concatenate([images, *below], axis=1)
    right = [padded[:, :, -1:]] * columns_right
    padded = ops.concatenate([padded, *right], axis=2)

    split = ops.matmul(ops.round(padded), _TO_LUMA_AND_CHROMA.T)
    # JPEG codes luma as its difference from 128, the middle of the levels
    luma = _rounded(split[..., :1] - 128.0, luma_table, scale) + 128.0
    half_rows = (rows + rows_below) // 2
    half_columns = (columns + columns_right) // 2
    squares = ops.reshape(split[..., 1:], (-1, half_rows, 2, half_columns, 2, 2))
    half_chroma = ops.mean(squares, axis=(2, 4))
    chroma = _enlarged(_rounded(half_chroma, chroma_table, scale))

    joined = ops.concatenate([luma, chroma], axis=-1)[:, :rows, :columns]
    noisy = ops.clip(ops.matmul(joined, _TO_COLORS.T), 0.0, 255.0)
    return ops.where((quality > 0)[:, None, None, None], noisy, images)


def _tables_of_quality_50() -> tuple[Float32Array, Float32Array]:
    """Return the tables for luma and chroma, (8, 8) each, from low to high frequency."""
    from PIL.Image import open as open_image  # loaded here, since only this function needs it

    # a JPEG file of quality 50 states the tables unscaled
    data = simplejpeg.encode_jpeg(np.zeros((8, 8, 3), np.uint8), quality=50)
    jpeg: Any = open_image(io.BytesIO(data))
    luma = np.array(jpeg.quantization[0], np.float32).reshape(8, 8)
    chroma = np.array(jpeg.quantization[1], np.float32).reshape(8, 8)
    return luma, chroma


def _rounded(planes: Any, table: Any, scale: Any) -> Any:
    """Return planes with rounded frequencies, (images, rows, columns, planes), of whole blocks."""
    rows, columns, count = planes.shape[1:]
    blocks = ops.reshape(planes, (-1, rows // 8, 8, columns // 8, 8, count))
    # n: image, r and c: row and column of a block, y and x: of a pixel in it, p: plane; f and g:
    # frequency down and across
    frequencies = ops.einsum("fy,nrycxp,gx->nrcpfg", _COSINES, blocks, _COSINES)
    scaled = ops.floor(table * scale[:, None, None] + 0.5)
    steps = ops.clip(scaled, 1.0, 255.0)[:, None, None, None]
    kept = ops.round(frequencies / steps) * steps
    back = ops.einsum("fy,nrcpfg,gx->nrycxp", _COSINES, kept, _COSINES)
    return ops.reshape(back, (-1, rows, columns, count))


def _enlarged(planes: Any) -> Any:
    """Return planes, (images, rows, columns, planes), at twice the size, interpolated linearly."""
    for axis in (1, 2):
        size = planes.shape[axis]
        positions = np.arange(2 * size)
        near = positions // 2
        # an even position lies before the middle of its pixel, an odd one behind it
        beside = near + np.where(positions % 2, 1, -1)
        far = np.clip(beside, 0, size - 1)
        planes = 0.75 * ops.take(planes, near, axis=axis) + 0.25 * ops.take(planes, far, axis=axis)
    return planes
