"""Augment images on the device that trains, with tensor operations on all samples of a batch.

In: images, uint8 (samples, height, width, channels), their steering, float32 (samples, 1), and the
fields of packed `AugmentationInputs`. Out: the changed images, and the steering that they call for,
as tensors of the same shapes.

For the same random numbers, the images are those of on_cpu; a test compares them. On a GPU,
hundreds of small operations would take too long, so XLA compiles them into few if it can.
"""

from typing import Any

import tensorflow as tf
from keras import ops

from bcclone.camera.geometry import CameraMove
from bcclone.dataset.colors import color_matrices
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.feed.augment import LEVELS, AugmentationInputs, Extent, Numbers
from bcclone.feed.augment.lighting import change_light, light_of, shadowed, shadows_of
from bcclone.feed.augment.random_numbers import LENS, NORMALS, UNIFORMS, numbers_of
from bcclone.feed.augment.viewpoint import Cameras, camera_moves, steering_change, warped
from bcclone.feed.feed_settings import AugmentSettings
from bcclone.system.tensorflow_quietly import compiles_for_gpu


class DeviceAugmenter:
    """Augments batches of one preprocessing within a compiled training step.

    It does what on_cpu.CpuAugmenter does. On a GPU that XLA can compile for, XLA compiles it, even
    if it does not compile the whole step.
    """

    def __init__(
        self, settings: AugmentSettings, preprocessing: Preprocessing, whole_images: bool = False
    ) -> None:
        self._settings = settings
        self._preprocessing = preprocessing
        self._extent = Extent.of(preprocessing, whole_images)
        self._cameras = Cameras(preprocessing, self._extent.top)
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
            alike.
        steering: float32 (samples, 1), -1 to 1.
        arguments: the fields of AugmentationInputs.packed().
        """
        augmented: tuple[Any, Any] = self._compiled(images, steering, *arguments)
        return augmented

    def _augment(self, images: Any, steering: Any, *arguments: Any) -> tuple[Any, Any]:
        settings = self._settings
        packed = AugmentationInputs(*arguments)
        inputs = packed._replace(uniform=tf.cast(packed.uniform, tf.float32) / LEVELS)
        move = camera_moves(numbers_of(inputs.normal, inputs.uniform), settings, ops)

        # each frame of a window becomes an image, with the move and the numbers of its sample
        frame_count = images.shape[1] if len(images.shape) == 5 else 1
        flat = tf.reshape(images, (-1, *images.shape[-3:]))
        changed = self._changed(
            flat,
            CameraMove(
                lateral_offset_m=tf.repeat(move.lateral_offset_m, frame_count),
                yaw_rad=tf.repeat(move.yaw_rad, frame_count),
                pitch_rad=tf.repeat(move.pitch_rad, frame_count),
            ),
            tf.repeat(inputs.flipped, frame_count),
            numbers_of(
                tf.repeat(inputs.normal, frame_count, 0),
                tf.repeat(inputs.uniform, frame_count, 0),
            ),
        )

        # the images of a flipped sample are mirrored already, and its steering is negated already;
        # `flipped` only says so
        if settings.moves_camera:
            change = steering_change(move, inputs.lookahead_m, ops)
            steering = tf.clip_by_value(steering + change[:, None], -1.0, 1.0)
        return tf.reshape(changed, tf.shape(images)), steering

    def _changed(self, images: Any, move: CameraMove, flipped: Any, numbers: Numbers) -> Any:
        """Return changed images, uint8 (images, height, width, channels)."""
        extent = self._extent
        colored = images
        if self._preprocessing.channels == 1:  # warped() takes three channels
            colored = tf.repeat(images, 3, axis=-1)
        warp = self._cameras.warps(move, flipped, ops)
        changed = self._in_another_light(warped(colored, warp, extent, ops), numbers)
        # the network does not see the other rows
        above = images[:, : extent.top]
        below = images[:, extent.top + extent.rows :]
        return tf.concat([above, changed, below], axis=1)

    def _in_another_light(self, views: Any, numbers: Numbers) -> Any:
        """Return views after all that changes no viewpoint, in the colours of prepared images.

        views: float32 (images, rows, width, 3), in these colours, too.
        Returns uint8 (images, rows, width, channels).
        """
        settings = self._settings
        extent = self._extent
        color = self._preprocessing.color
        from_rgb, to_rgb = color_matrices(color)
        # the matrix of the light also converts to RGB, so other colours need it even if the light
        # does not change
        if settings.appearance or color != "RGB":
            light = light_of(numbers, settings.appearance, to_rgb, ops)
            views = change_light(views, light, ops)
        if settings.shadows:
            shadows = shadows_of(numbers, settings.shadows, extent, ops)
            views = shadowed(views, shadows, extent, ops)
        for kind in LENS:
            fraction = getattr(settings, kind.setting)
            if fraction:
                parameters = kind.parameters(numbers, fraction, extent, ops)
                views = kind.on_device(views, parameters, ops)
        # back to the prepared colours; for grey, three channels become one
        if color != "RGB":
            views = views @ from_rgb[:, :3].T + from_rgb[:, 3]
        return tf.cast(tf.round(tf.clip_by_value(views, 0.0, 255.0)), tf.uint8)
