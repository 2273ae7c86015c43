"""Augment images on the device that trains, with tensor operations on all samples of a batch at
once.

In and out: the same as on_cpu, as tensors.

The images are those of on_cpu for the same random numbers, which a test compares. XLA compiles the
operations for a GPU if it can, where hundreds of small ones would take too long.
"""

from typing import Any

import tensorflow as tf
from keras import ops

from bcclone.camera.geometry import CameraMove
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.feed.augment import LEVELS, AugmentationInputs, Extent, Numbers
from bcclone.feed.augment.lighting import change_light, light_of, shadowed, shadows_of
from bcclone.feed.augment.on_cpu import LENS, NORMALS, UNIFORMS, numbers_of
from bcclone.feed.augment.viewpoint import Cameras, camera_moves, steering_change, warped
from bcclone.feed.feed_settings import AugmentSettings
from bcclone.system.tensorflow_quietly import compiles_for_gpu


class DeviceAugmenter:
    """Augments batches of one preprocessing within a compiled training step, as on_cpu.CpuAugmenter
    does.

    XLA compiles it, if not the whole step, on a GPU that it can compile for.
    """

    def __init__(
        self, settings: AugmentSettings, preprocessing: Preprocessing, whole_images: bool = False
    ) -> None:
        self._settings, self._preprocessing = settings, preprocessing
        self._extent = Extent.of(preprocessing, whole_images)
        self._cameras = Cameras(preprocessing, self._extent.top)
        self._compiled = tf.function(self._augment, jit_compile=compiles_for_gpu(), autograph=False)

    @property
    def input_signature(self) -> tuple[tf.TensorSpec, ...]:
        """Return the signature of the arguments after images and steering."""
        shapes = (
            ((None,), tf.bool),
            ((None,), tf.float32),
            ((None, NORMALS), tf.float32),
            ((None, UNIFORMS), tf.uint16),
        )
        return tuple(tf.TensorSpec(*shape) for shape in shapes)

    def __call__(self, images: Any, steering: Any, *arguments: Any) -> tuple[Any, Any]:
        """Return augmented images, of the shape of `images`, and the steering that goes with them.

        images: uint8 (samples, height, width, channels), or windows of them, whose frames change
        alike; steering: float32 (samples, 1), -1 to 1; arguments: the fields of AugmentationInputs.
        """
        augmented: tuple[Any, Any] = self._compiled(images, steering, *arguments)
        return augmented

    def _augment(self, images: Any, steering: Any, *arguments: Any) -> tuple[Any, Any]:
        settings, extent = self._settings, self._extent
        inputs = AugmentationInputs(*arguments)
        inputs = inputs._replace(uniform=tf.cast(inputs.uniform, tf.float32) / LEVELS)
        move = camera_moves(numbers_of(inputs.normal, inputs.uniform), settings, ops)
        frames = images.shape[1] if len(images.shape) == 5 else 1
        flat = tf.reshape(images, (-1, *images.shape[-3:]))
        repeated = CameraMove(
            *(
                tf.repeat(one, frames)
                for one in (move.lateral_offset_m, move.yaw_rad, move.pitch_rad)
            )
        )
        warp = self._cameras.warps(repeated, tf.repeat(inputs.flipped, frames), ops)
        numbers = numbers_of(
            *(tf.repeat(each, frames, 0) for each in (inputs.normal, inputs.uniform))
        )
        colored = tf.repeat(flat, 3, axis=-1) if self._preprocessing.channels == 1 else flat
        changed = self._changed(warped(colored, warp, extent, ops), numbers)
        result = tf.concat(
            [flat[:, : extent.top], changed, flat[:, extent.top + extent.rows :]], axis=1
        )
        if settings.moves_camera:
            change = steering_change(move, inputs.lookahead_m, ops)
            steering = tf.clip_by_value(steering + change[:, None], -1.0, 1.0)
        return tf.reshape(result, tf.shape(images)), steering

    def _changed(self, images: Any, numbers: Numbers) -> Any:
        """Return views, float32 (images, rows, width, 3), in the prepared images' colours and
        changed, as uint8.
        """
        settings, extent, prepared = self._settings, self._extent, self._preprocessing
        matrix, back = prepared.color_matrices
        if settings.appearance or prepared.color != "RGB":
            images = change_light(images, light_of(numbers, settings.appearance, back, ops), ops)
        if settings.shadows:
            images = shadowed(
                images, shadows_of(numbers, settings.shadows, extent, ops), extent, ops
            )
        for kind in LENS:
            if fraction := getattr(settings, kind.setting):
                images = kind.on_device(
                    images, kind.parameters(numbers, fraction, extent, ops), ops
                )
        if prepared.color != "RGB":
            images = images @ matrix[:, :3].T + matrix[:, 3]
        return tf.cast(tf.round(tf.clip_by_value(images, 0.0, 255.0)), tf.uint8)
