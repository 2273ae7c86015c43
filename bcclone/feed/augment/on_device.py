"""Augment images on the device that trains, with tensor operations on all samples of a batch at once.

The images are those of on_cpu for the same parameters, which a test compares. XLA compiles the operations on a GPU,
where hundreds of small ones would take too long.

Of a JPEG file only the rounding is computed, by ITU-T T.81 (1992): colors to luma and chroma, chroma at half the size,
blocks of 8x8 to frequencies, which are rounded to multiples of its example tables (annex K.1), scaled by quality as
libjpeg does; then back, chroma smoothly enlarged.
"""

import math
from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops

from bcclone.dataset.images import Preprocessing
from bcclone.dataset.view import CameraMove, Warp
from bcclone.feed.augment.augment_settings import AugmentSettings
from bcclone.feed.augment.parameters import (
    NORMALS,
    PATCHES,
    SHAPES,
    UNIFORMS,
    AugmentationInputs,
    Cameras,
    Draws,
    Extent,
    Light,
    Patches,
    Shadows,
    band_rows,
    blur_taps_of,
    camera_moves,
    jpeg_quality_of,
    light_of,
    patches_of,
    shadows_of,
    steering_change,
)

# tables of JPEG, as printed: rows from low to high vertical frequency
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


class DeviceAugmenter:
    """Augments batches of one preprocessing within a compiled training step, as on_cpu.CpuAugmenter does.

    rows: the rows of the images to change, by default all; xla: whether XLA compiles, None: if there is a GPU.
    """

    def __init__(
        self,
        settings: AugmentSettings,
        preprocessing: Preprocessing,
        rows: slice = slice(None),
        xla: bool | None = None,
    ) -> None:
        self._settings, self._preprocessing = settings, preprocessing
        self._extent = Extent.of(preprocessing, rows)
        self._cameras = Cameras(preprocessing, self._extent.top)
        if xla is None:
            xla = bool(tf.config.list_logical_devices("GPU"))
        self._compiled = tf.function(self._augment, jit_compile=xla)

    @property
    def input_signature(self) -> tuple[tf.TensorSpec, ...]:
        """Return the signature of the arguments after images and steering."""
        shapes = (
            ((None,), tf.bool),
            ((None,), tf.float32),
            ((None, NORMALS), tf.float32),
            ((None, UNIFORMS), tf.float32),
        )
        return tuple(tf.TensorSpec(*shape) for shape in shapes)

    def __call__(self, images: Any, steering: Any, *arguments: Any) -> tuple[Any, Any]:
        """Return augmented images, of the shape of `images`, and the steering that goes with them.

        images: uint8 (samples, height, width, 3), or windows of them, whose frames change alike; steering: float32
        (samples, 1), -1 to 1; arguments: the fields of AugmentationInputs, then those of Draws.
        """
        augmented: tuple[Any, Any] = self._compiled(images, steering, *arguments)
        return augmented

    def _augment(self, images: Any, steering: Any, *arguments: Any) -> tuple[Any, Any]:
        settings, extent = self._settings, self._extent
        inputs, draws = AugmentationInputs(*arguments[:2]), Draws(*arguments[2:])
        move = camera_moves(draws, settings, ops)
        frames = images.shape[1] if len(images.shape) == 5 else 1
        flat = tf.reshape(images, (-1, *images.shape[-3:]))
        repeated = CameraMove(
            *(tf.repeat(one, frames) for one in (move.lateral_offset_m, move.yaw_rad, move.pitch_rad))
        )
        warp = self._cameras.warps(repeated, tf.repeat(inputs.flipped, frames), ops)
        every = Draws(tf.repeat(draws.normal, frames, 0), tf.repeat(draws.uniform, frames, 0))
        changed = self._changed(_warped(flat, warp, extent), every)
        result = tf.concat([flat[:, : extent.top], changed, flat[:, extent.top + extent.rows :]], axis=1)
        if settings.moves_camera:
            change = steering_change(move, inputs.lookahead_m, ops)
            steering = tf.clip_by_value(steering + change[:, None], -1.0, 1.0)
        return tf.reshape(result, tf.shape(images)), steering

    def _changed(self, images: Any, draws: Draws) -> Any:
        """Return views, float32 (images, rows, width, 3), with all changes of appearance, as uint8."""
        settings, extent, made = self._settings, self._extent, self._preprocessing
        if settings.appearance or made.color != "RGB":
            images = _lit(images, light_of(draws, settings.appearance, made.rgb_matrix, ops))
        if settings.shadows:
            images = _shadowed(images, shadows_of(draws, settings.shadows, extent, ops), extent)
        if settings.blur:
            taps = blur_taps_of(draws, settings.blur, ops)
            images = _filtered(images, tf.gather(taps, [2, 1, 0, 1, 2], axis=1))
        if settings.patches:
            images = _covered(images, patches_of(draws, settings.patches, extent, ops), extent)
        if settings.noise:
            images = _with_jpeg_noise(images, jpeg_quality_of(draws, settings.noise, ops))
        if made.color != "RGB":
            images = images @ made.color_matrix[:, :3].T + made.color_matrix[:, 3]
        return tf.cast(tf.round(tf.clip_by_value(images, 0.0, 255.0)), tf.uint8)


def _warped(images: Any, warp: Warp, extent: Extent) -> Any:
    """Return the changed rows of the views, float32 (images, rows, width, 3), interpolated from four pixels each.

    images: uint8 (images, height, width, 3); their edges are repeated.
    """
    rows, width, height = extent.rows, extent.width, extent.height
    horizon = warp.horizon_row(width, rows, ops)[:, None, None, None]
    y, x = np.indices((rows, width), np.float32)
    pixels = np.stack([x, y, np.ones_like(x)]).reshape(3, -1)

    def positions_by(matrix: Any) -> Any:
        return tf.reshape(tf.einsum("nij,jp->nip", matrix, pixels), (-1, 3, rows, width))

    across = tf.where(y < horizon, positions_by(warp.sky), positions_by(warp.ground))
    column = tf.clip_by_value(across[:, 0] / across[:, 2], 0.0, width - 1.0)
    row = tf.clip_by_value(across[:, 1] / across[:, 2], 0.0, height - 1.0)
    left, above = tf.minimum(tf.floor(column), width - 2.0), tf.minimum(tf.floor(row), height - 2.0)
    index = tf.cast(above * width + left, tf.int32)
    right_weight, lower_weight = (column - left)[..., None], (row - above)[..., None]
    flat = tf.reshape(images, (-1, height * width, 3))

    def at(offset: int) -> Any:
        return tf.cast(tf.gather(flat, index + offset, batch_dims=1), tf.float32)

    upper = at(0) * (1.0 - right_weight) + at(1) * right_weight
    lower = at(width) * (1.0 - right_weight) + at(width + 1) * right_weight
    return upper * (1.0 - lower_weight) + lower * lower_weight


def _lit(images: Any, light: Light) -> Any:
    """Return images, float32 (images, rows, width, 3), in another light."""
    shape = tf.shape(images)
    flat = tf.reshape(images, (shape[0], -1, 3))
    changed = tf.matmul(flat, light.colors, transpose_b=True) + light.offset[:, None]
    levels = tf.clip_by_value(changed / 255.0, 1e-6, 1.0)
    return tf.reshape(255.0 * tf.pow(levels, light.gamma[:, None, None]), shape)


def _shadowed(images: Any, shadows: Shadows, extent: Extent) -> Any:
    """Return images, float32 (images, rows, width, 3), with shadows."""
    y, x = np.indices((extent.rows, extent.width), np.float32)
    far, near = band_rows(extent)
    downward = ((y - far) / (near - far)).astype(np.float32)
    shade = tf.zeros_like(images[..., 0])
    for shape in range(SHAPES):
        center_x, center_y, across, along, angle = (shadows.ellipse[:, shape, n, None, None] for n in range(5))
        sine, cosine = tf.sin(angle * (math.pi / 180)), tf.cos(angle * (math.pi / 180))
        right, down = x - center_x, y - center_y
        first, second = (right * cosine + down * sine) * 2 / across, (down * cosine - right * sine) * 2 / along
        left_far, right_far, left_near, right_near = (shadows.edges[:, shape, n, None, None] for n in range(4))
        after_left = x >= left_far + (left_near - left_far) * downward
        before_right = x <= right_far + (right_near - right_far) * downward
        in_band = after_left & before_right & (downward >= 0)
        inside = tf.where(shadows.band[:, shape, None, None], in_band, first**2 + second**2 <= 1)
        shade = tf.where(inside & shadows.present[:, shape, None, None], tf.ones_like(shade), shade)
    soft = _filtered(shade[..., None], tf.fill((tf.shape(images)[0], 5), 0.2))[..., 0]
    shade = tf.where(shadows.soft[:, None, None], soft, shade)
    factor = 1.0 + (shadows.factor[:, None, None] - 1.0) * shade
    return tf.minimum(images * factor[..., None], 255.0)


def _filtered(images: Any, taps: Any) -> Any:
    """Return images, (images, rows, width, channels), filtered along both axes; they are mirrored at their edges.

    taps: float32 (images, 5), weights of the two pixels before, the pixel itself, and the two after.
    """
    for axis in (1, 2):
        size = images.shape[axis]
        paddings = [[2, 2] if number == axis else [0, 0] for number in range(4)]
        wide = tf.pad(images, paddings, "REFLECT")
        shifted = [tf.gather(wide, tf.range(first, first + size), axis=axis) for first in range(5)]
        images = tf.add_n([taps[:, n, None, None, None] * moved for n, moved in enumerate(shifted)])
    return images


def _covered(images: Any, patches: Patches, extent: Extent) -> Any:
    """Return images, float32 (images, rows, width, 3), under patches; later ones cover earlier ones."""
    y, x = np.indices((extent.rows, extent.width), np.float32)
    for patch in range(PATCHES):
        left, top, right, bottom = (patches.corners[:, patch, n, None, None] for n in range(4))
        inside = (x >= left) & (x <= right) & (y >= top) & (y <= bottom) & (patch < patches.count)[:, None, None]
        images = tf.where(inside[..., None], patches.colors[:, patch, None, None], images)
    return images


def _with_jpeg_noise(images: Any, quality: Any) -> Any:
    """Return images, float32 (images, rows, columns, 3), RGB of 0 to 255, with the noise of low-quality JPEGs.

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
