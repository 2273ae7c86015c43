"""Augment images on the processor; the random numbers drawn alone determine the result."""

import threading

import numpy as np
import simplejpeg

from bcclone.dataset.images import Image, Preprocessing
from bcclone.dataset.view import CameraMove
from bcclone.feed.augment.augment_settings import AugmentSettings
from bcclone.feed.augment.kernel import Parameters, Scratch, augment_images
from bcclone.feed.augment.parameters import (
    AugmentationInputs,
    Cameras,
    Draws,
    Extent,
    band_rows,
    blur_taps_of,
    camera_moves,
    draw,
    jpeg_quality_of,
    light_of,
    patches_of,
    shadows_of,
    steering_change,
)
from bcclone.system.arrays import Float32Array

_LOG_LEVELS = np.log(np.maximum(np.arange(256, dtype=np.float32), 1e-6) / 255)


class CpuAugmenter:
    """Augments samples of one preprocessing; may be used by several threads.

    rows: the rows of the images to change, by default all.
    """

    def __init__(self, settings: AugmentSettings, preprocessing: Preprocessing, rows: slice = slice(None)) -> None:
        self._settings, self._preprocessing = settings, preprocessing
        self._extent = Extent.of(preprocessing, rows)
        self._cameras = Cameras(preprocessing, self._extent.top)
        self._thread = threading.local()
        nothing = np.empty((0, preprocessing.height, preprocessing.width, 3), np.uint8)
        no_inputs = AugmentationInputs(np.empty(0, np.bool_), np.empty(0, np.float32))
        # compile now, which takes seconds the first time, and not while the network waits for its first batch
        self.augment(nothing, np.empty((0, 1), np.float32), no_inputs, draw(0, (0,)), nothing)

    def augment(
        self, images: Image, steering: Float32Array, inputs: AugmentationInputs, draws: Draws, into: Image
    ) -> Float32Array:
        """Write augmented images into `into` and return the steering that they call for, float32 (samples, 1).

        images, into: uint8 (samples, height, width, 3) or windows of them, whose frames change alike; steering:
        float32 (samples, 1), -1 to 1.
        """
        settings, extent = self._settings, self._extent
        move = camera_moves(draws, settings)
        if not hasattr(self._thread, "scratch"):
            self._thread.scratch = Scratch.of(extent.height, extent.width, extent.rows)
        count, below = images.shape[1] if images.ndim == 5 else 1, extent.top + extent.rows
        shape = len(steering), count, *images.shape[-3:]
        frames, views = images.reshape(shape), into.reshape(shape)
        for unchanged in (slice(0, extent.top), slice(below, None)):
            views[:, :, unchanged] = frames[:, :, unchanged]
        parameters = self._parameters(draws, move, inputs)
        augment_images(frames, views, extent.top, parameters, self._thread.scratch)
        if settings.noise:
            _compress(views[:, :, extent.top : below], jpeg_quality_of(draws, settings.noise))
        if self._preprocessing.color != "RGB":
            for view in views[:, :, extent.top : below].reshape(-1, extent.rows, *images.shape[-2:]):
                self._preprocessing.convert_colors(view, view)
        if not settings.moves_camera:
            return steering
        change = steering_change(move, inputs.lookahead_m)
        return np.asarray((steering + change[:, np.newaxis]).clip(-1.0, 1.0), np.float32)

    def _parameters(self, draws: Draws, move: CameraMove, inputs: AugmentationInputs) -> Parameters:
        """Return the parameters; kinds that are turned off have values that change nothing."""
        settings, extent = self._settings, self._extent
        warp = self._cameras.warps(move, inputs.flipped)
        light = light_of(draws, settings.appearance, self._preprocessing.rgb_matrix)
        return Parameters(
            sky=warp.sky,
            ground=warp.ground,
            horizon=warp.horizon_row(extent.width, extent.rows),
            moved=inputs.flipped | settings.moves_camera,
            matrix=np.concatenate([light.colors, light.offset[:, :, np.newaxis]], axis=2),
            levels=255 * np.exp(light.gamma[:, np.newaxis] * _LOG_LEVELS),
            shadows=shadows_of(draws, settings.shadows, extent),
            band_rows=band_rows(extent),
            taps=blur_taps_of(draws, settings.blur),
            patches=patches_of(draws, settings.patches, extent),
        )


def _compress(views: Image, quality: Float32Array) -> None:
    """Encode images, uint8 (samples, frames, rows, width, 3), as JPEGs and decode them, unless their quality is 0."""
    for sample in np.flatnonzero(quality).tolist():
        for view in views[sample]:
            data = simplejpeg.encode_jpeg(view, quality=int(quality[sample]), colorsubsampling="420")
            simplejpeg.decode_jpeg(data, buffer=view)
