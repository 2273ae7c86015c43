"""Augment images on the processor; the random numbers drawn alone determine the result.

In: a batch's images, steering and `Draws`. Out: changed images, and the steering that they call for.
"""

import threading

import numpy as np

from bcclone.dataset.images import Image
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.view import CameraMove
from bcclone.feed.augment.augment_settings import AugmentSettings
from bcclone.feed.augment.kernel import Parameters, Scratch, draw_views
from bcclone.feed.augment.kind import AugmentationInputs, Draws, Extent, Numbers
from bcclone.feed.augment.kinds import LENS, draw, numbers_of
from bcclone.feed.augment.light import levels_of, light_of
from bcclone.feed.augment.shadows import band_rows, shadows_of
from bcclone.feed.augment.viewpoint import Cameras, camera_moves, steering_change
from bcclone.system.arrays import Float32Array


class CpuAugmenter:
    """Augments samples of one preprocessing; may be used by several threads.

    rows: the rows of the images to change, by default all.
    """

    def __init__(self, settings: AugmentSettings, preprocessing: Preprocessing, rows: slice = slice(None)) -> None:
        self._settings, self._preprocessing = settings, preprocessing
        self._extent = Extent.of(preprocessing, rows)
        self._cameras = Cameras(preprocessing, self._extent.top)
        self._thread = threading.local()
        nothing = np.empty((0, *preprocessing.shape), np.uint8)
        no_inputs = AugmentationInputs(np.empty(0, np.bool_), np.empty(0, np.float32))
        # compile now, which takes seconds the first time, and not while the network waits for its first batch
        self.augment(nothing, np.empty((0, 1), np.float32), no_inputs, draw(0, (0,)), nothing)

    def augment(
        self, images: Image, steering: Float32Array, inputs: AugmentationInputs, draws: Draws, into: Image
    ) -> Float32Array:
        """Write augmented images into `into` and return the steering that they call for, float32 (samples, 1).

        images, into: uint8 (samples, height, width, channels) or windows of them, whose frames change alike; steering:
        float32 (samples, 1), -1 to 1.
        """
        settings, extent, numbers = self._settings, self._extent, numbers_of(draws)
        move = camera_moves(numbers, settings)
        if not hasattr(self._thread, "scratch"):
            self._thread.scratch = Scratch.of(extent.height, extent.width, extent.rows)
        count, below = images.shape[1] if images.ndim == 5 else 1, extent.top + extent.rows
        shape = len(steering), count, *images.shape[-3:]
        frames, views = images.reshape(shape), into.reshape(shape)
        for unchanged in (slice(0, extent.top), slice(below, None)):
            views[:, :, unchanged] = frames[:, :, unchanged]
        rgb = views
        if self._preprocessing.channels == 1:
            frames = frames.repeat(3, axis=-1)
            rgb = np.empty_like(frames)
        draw_views(frames, rgb, extent.top, self._parameters(numbers, move, inputs), self._thread.scratch)
        for kind in LENS:
            if fraction := getattr(settings, kind.setting):
                kind.on_cpu(rgb, extent, kind.parameters(numbers, fraction, extent, np))
        if self._preprocessing.color != "RGB":
            self._convert(rgb[:, :, extent.top : below], views[:, :, extent.top : below])
        if not settings.moves_camera:
            return steering
        change = steering_change(move, inputs.lookahead_m)
        return np.asarray((steering + change[:, np.newaxis]).clip(-1.0, 1.0), np.float32)

    def _convert(self, rgb: Image, into: Image) -> None:
        """Write RGB images, (samples, frames, rows, width, 3), in the colours of the prepared images."""
        rows, width = rgb.shape[2:4]
        for image, target in zip(
            rgb.reshape(-1, rows, width, 3), into.reshape(-1, rows, width, into.shape[-1]), strict=True
        ):
            self._preprocessing.convert_colors(image, target)

    def _parameters(self, numbers: Numbers, move: CameraMove, inputs: AugmentationInputs) -> Parameters:
        """Return the parameters of the views; kinds that are turned off have values that change nothing."""
        settings, extent = self._settings, self._extent
        warp = self._cameras.warps(move, inputs.flipped)
        light = light_of(numbers, settings.appearance, self._preprocessing.rgb_matrix)
        return Parameters(
            sky=warp.sky,
            ground=warp.ground,
            horizon=warp.horizon_row(extent.width, extent.rows),
            moved=inputs.flipped | settings.moves_camera,
            matrix=np.concatenate([light.colors, light.offset[:, :, np.newaxis]], axis=2),
            levels=levels_of(light),
            shadows=shadows_of(numbers, settings.shadows, extent),
            band_rows=band_rows(extent),
        )
