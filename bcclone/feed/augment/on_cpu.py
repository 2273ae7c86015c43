"""Augment images on the processor, image by image with OpenCV.

In: images, steering and `AugmentationInputs`. Out: changed images, and the steering that they call
for.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import simplejpeg

from bcclone.camera.geometry import CameraMove
from bcclone.camera.images import Image, cv2
from bcclone.dataset.preprocessing import Preprocessing, color_matrices
from bcclone.feed.augment.changes import (
    AugmentationInputs,
    Light,
    Numbers,
    Shadows,
    blur_taps,
    camera_moves,
    extent_of,
    jpeg_quality,
    light_of,
    numbers_of,
    patches_of,
    shadows_of,
    steering_change,
    view_warps,
)
from bcclone.feed.feed_settings import AugmentSettings
from bcclone.system.numbers import Float32Array

_LEVELS = np.arange(256, dtype=np.float32)


class CpuAugmenter:
    """Augments samples of one preprocessing; several threads may use it."""

    def __init__(self, settings: AugmentSettings, preprocessing: Preprocessing) -> None:
        self._settings = settings
        self._preprocessing = preprocessing
        self._extent = extent_of(preprocessing)
        _, self._to_rgb = color_matrices(preprocessing.color)

    def augment(
        self, images: Image, steering: Float32Array, inputs: AugmentationInputs, into: Image
    ) -> Float32Array:
        """Write augmented images into `into` and return the steering that they call for.

        images, into: uint8 (samples, height, width, channels) or windows of them, whose frames
            change alike
        steering: float32 (samples, 1), -1 to 1, like the result
        """
        settings = self._settings
        numbers = numbers_of(inputs.normal, inputs.uniform)
        move = camera_moves(numbers, settings)
        # a single image is a window of one frame
        frame_count = images.shape[1] if images.ndim == 5 else 1
        shape = (len(steering), frame_count, *images.shape[-3:])
        self._change(images.reshape(shape), into.reshape(shape), numbers, move, inputs.flipped)
        if not settings.moves_camera:
            return steering
        change = steering_change(move, inputs.lookahead_m)
        return np.asarray((steering + change[:, np.newaxis]).clip(-1.0, 1.0), np.float32)

    def _change(
        self, images: Image, views: Image, numbers: Numbers, move: CameraMove, flipped: Any
    ) -> None:
        """Write the changed images, uint8 (samples, frames, height, width, channels)."""
        extent = self._extent
        changed = slice(extent.top, extent.top + extent.rows)
        views[:, :, : changed.start] = images[:, :, : changed.start]
        views[:, :, changed.stop :] = images[:, :, changed.stop :]
        # a grey image is changed as one of three equal channels
        rgb = views
        if self._preprocessing.channels == 1:
            images = images.repeat(3, axis=-1)
            rgb = np.empty_like(images)
        self._draw_views(images, rgb[:, :, changed], numbers, move, flipped)
        self._change_lens(rgb[:, :, changed], numbers)
        # views are drawn in RGB, whatever the colours of the images
        if self._preprocessing.color != "RGB":
            for sample, frame in np.ndindex(*views.shape[:2]):
                view = self._preprocessing.convert_colors(rgb[sample, frame, changed])
                views[sample, frame, changed] = view

    def _draw_views(
        self, images: Image, views: Image, numbers: Numbers, move: CameraMove, flipped: Any
    ) -> None:
        """Write what the moved cameras see, in another light, with shadows.

        images: uint8 (samples, frames, height, width, 3)
        views: uint8 (samples, frames, rows, width, 3), RGB
        """
        settings = self._settings
        extent = self._extent
        warp = view_warps(self._preprocessing, extent.top, move, flipped)
        horizon = warp.horizon_row(extent.width, extent.rows).astype(int)
        # from pixels below the horizon, whose rows are counted from there
        ground = warp.ground.copy()
        ground[:, :, 2] += horizon[:, np.newaxis] * ground[:, :, 1]
        # a mirror image is always warped: into the view of the real camera
        moved = flipped | settings.moves_camera

        light = light_of(numbers, settings.appearance, self._to_rgb)
        colors = np.concatenate([light.colors, light.offset[:, :, np.newaxis]], axis=2)
        lit = _levels_of(light)
        lit_tables = np.rint(lit).astype(np.uint8)
        shadows = shadows_of(numbers, settings.shadows, extent)
        shaded = np.minimum(lit * shadows.factor[:, np.newaxis], 255)
        shaded_tables = np.rint(shaded).astype(np.uint8)
        gains = 1 + (shadows.factor[:, np.newaxis] - 1) * _LEVELS / 255  # of a soft shadow's levels
        shades = _shades_of(shadows, extent.width)

        # OpenCV warps four channels in half the time of three
        source = np.empty((*images.shape[2:4], 4), np.uint8)
        seen = np.empty((extent.rows, extent.width, 4), np.uint8)
        for sample, shade in enumerate(shades):
            for image, view in zip(images[sample], views[sample], strict=True):
                if moved[sample]:
                    cv2.cvtColor(image, cv2.COLOR_RGB2RGBA, dst=source)
                    _warp(source, seen, warp.sky[sample], ground[sample], horizon[sample])
                    cv2.cvtColor(seen, cv2.COLOR_RGBA2RGB, dst=view)
                    image = view
                else:
                    image = image[extent.top : extent.top + extent.rows]
                cv2.transform(image, colors[sample], dst=view)
                if shade is None:
                    cv2.LUT(view, lit_tables[sample], dst=view)
                elif shadows.soft[sample]:
                    gain = cv2.cvtColor(cv2.LUT(shade, gains[sample]), cv2.COLOR_GRAY2RGB)
                    cv2.LUT(view, lit_tables[sample], dst=view)
                    cv2.multiply(view, gain, dst=view, dtype=cv2.CV_8U)
                else:
                    in_shade = cv2.LUT(view, shaded_tables[sample])
                    cv2.LUT(view, lit_tables[sample], dst=view)
                    cv2.copyTo(in_shade, shade, view)

    def _change_lens(self, views: Image, numbers: Numbers) -> None:
        """Blur some views, cover some with patches, and add the noise of low-quality JPEG files.

        views: uint8 (samples, frames, rows, width, 3), RGB, changed in place
        """
        settings = self._settings
        taps = blur_taps(numbers, settings.blur)
        kernels = taps[:, [2, 1, 0, 1, 2]]
        is_blurred = (taps[:, 1] > 0).tolist()
        patches = patches_of(numbers, settings.patches, self._extent)
        counts = patches.count.astype(int).tolist()
        corners = patches.corners.astype(int).tolist()
        colors = patches.colors.tolist()
        quality = jpeg_quality(numbers, settings.noise).astype(int).tolist()
        for sample, frames in enumerate(views):
            kernel = kernels[sample]
            for view in frames:
                if is_blurred[sample]:
                    cv2.sepFilter2D(view, -1, kernel, kernel, dst=view)
                for patch in range(counts[sample]):  # later ones cover earlier ones
                    left, top, right, bottom = corners[sample][patch]
                    color = colors[sample][patch]
                    cv2.rectangle(view, (left, top), (right, bottom), color, cv2.FILLED)
                if quality[sample]:
                    data = simplejpeg.encode_jpeg(
                        view, quality=quality[sample], colorsubsampling="420"
                    )
                    simplejpeg.decode_jpeg(data, buffer=view)


def _warp(image: Image, view: Image, sky: Any, ground: Any, horizon: int) -> None:
    """Write the view of a moved camera; the edges of the image are repeated.

    sky, ground: float32 (3, 3), from pixels above and below the horizon to those of the image
    """
    rows, width = view.shape[:2]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    for part, matrix in ((view[:horizon], sky), (view[horizon:], ground)):
        if len(part):
            size = (width, len(part))
            cv2.warpPerspective(image, matrix, size, part, flags, cv2.BORDER_REPLICATE)


def _levels_of(light: Light) -> Float32Array:
    """Return the gamma tables: a new value for each level from 0 to 255, float32 (samples, 256)."""
    # level 0 has no logarithm; a millionth of a level becomes 0, too
    levels = np.log(np.maximum(_LEVELS, 1e-6) / 255)
    return np.asarray(255 * np.exp(light.gamma[:, np.newaxis] * levels))


def _shades_of(shadows: Shadows, width: int) -> Iterator[Image | None]:
    """Yield how much of each pixel is in a shadow: 0 to 255, uint8 (rows, width), or None."""
    left = np.ceil(shadows.left).clip(0, width)
    right = np.floor(shadows.right).clip(-1, width - 1)
    covers = right >= left
    # these numbers have no sign, so a column before the left one becomes a large number; where
    # nothing is covered, all columns do. Bytes are compared twice as fast.
    kind = np.uint8 if width <= 128 else np.uint16
    first = np.where(covers, left, width).astype(kind)[..., np.newaxis]
    last = np.where(covers, right - left, 0).astype(kind)[..., np.newaxis]
    columns = np.arange(width, dtype=kind)
    for sample, has_shade in enumerate(covers.any(axis=(1, 2)).tolist()):
        if not has_shade:
            yield None
            continue
        inside = columns - first[sample] <= last[sample]
        shade = inside.any(axis=0).view(np.uint8) * np.uint8(255)
        if shadows.soft[sample]:
            cv2.blur(shade, (5, 5), dst=shade)
        yield shade
