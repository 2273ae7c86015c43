"""Augment images on the processor, image by image with OpenCV.

In: images, steering and `AugmentationInputs`. Out: changed images, and the steering that they call
for.
"""

from typing import Any

import numpy as np
import simplejpeg

from bcclone.camera.images import Image, cv2
from bcclone.dataset.preprocessing import Preprocessing, color_matrices
from bcclone.feed.augment.changes import (
    AugmentationInputs,
    Numbers,
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

_LEVELS = np.arange(256, dtype=np.float32)
# level 0 has no logarithm; a millionth of a level becomes 0, too
_LOGARITHMS = np.log(np.maximum(_LEVELS, 1e-6) / 255)


class CpuAugmenter:
    """Augments samples of one preprocessing; several threads may use it."""

    def __init__(self, settings: AugmentSettings, preprocessing: Preprocessing) -> None:
        self._settings = settings
        self._preprocessing = preprocessing
        self._extent = extent_of(preprocessing)
        _, self._to_rgb = color_matrices(preprocessing.color)
        # one row for each column of an image, and one more: 255 where a pixel is before that column
        width = preprocessing.width
        self._before = 255 * np.tri(width + 1, width, -1, dtype=np.uint8)

    def augment(
        self, images: Image, steering: Float32Array, inputs: AugmentationInputs, into: Image
    ) -> Float32Array:
        """Write augmented images into `into` and return the steering that they call for.

        images, into: uint8 (samples, height, width, channels) or windows of them, whose frames
            change alike
        steering: float32 (samples, 1), -1 to 1, like the result
        """
        settings = self._settings
        # a single image is a window of one frame
        frame_count = images.shape[1] if images.ndim == 5 else 1
        shape = (len(steering), frame_count, *images.shape[-3:])
        self._change(images.reshape(shape), into.reshape(shape), inputs)
        if not settings.moves_camera:
            return steering
        move = camera_moves(inputs.numbers, settings)
        change = steering_change(move, inputs.lookahead_m)
        return np.asarray((steering + change[:, np.newaxis]).clip(-1.0, 1.0), np.float32)

    def _change(self, images: Image, views: Image, inputs: AugmentationInputs) -> None:
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
        self._draw_views(images, rgb[:, :, changed], inputs)
        self._change_lens(rgb[:, :, changed], inputs.numbers)
        # views are drawn in RGB, whatever the colours of the images
        if self._preprocessing.color != "RGB":
            for sample, frame in np.ndindex(*views.shape[:2]):
                view = self._preprocessing.convert_colors(rgb[sample, frame, changed])
                views[sample, frame, changed] = view

    def _draw_views(self, images: Image, views: Image, inputs: AugmentationInputs) -> None:
        """Write what the moved cameras see, in another light, with shadows.

        images: uint8 (samples, frames, height, width, 3)
        views: uint8 (samples, frames, rows, width, 3), RGB
        """
        settings = self._settings
        extent = self._extent
        numbers = inputs.numbers
        move = camera_moves(numbers, settings)
        warp = view_warps(self._preprocessing, extent.top, move, inputs.flipped)
        horizon = warp.horizon_row(extent.width, extent.rows).astype(int)
        # from pixels below the horizon, whose rows are counted from there
        ground = warp.ground.copy()
        ground[:, :, 2] += horizon[:, np.newaxis] * ground[:, :, 1]
        # a mirror image is always warped: into the view of the real camera
        moved = (inputs.flipped | settings.moves_camera).tolist()

        light = light_of(numbers, settings.appearance, self._to_rgb)
        colors = np.concatenate([light.colors, light.offset[:, :, np.newaxis]], axis=2)
        # gamma: a new value for each level, float32 (samples, 256)
        lit = 255 * np.exp(light.gamma[:, np.newaxis] * _LOGARITHMS)
        lit_tables = np.rint(lit).astype(np.uint8)
        # only some samples have a shadow: sample -> its index among them
        dark = np.flatnonzero(numbers["shadow"][:, 0] < settings.shadows)
        shaded = {sample: index for index, sample in enumerate(dark.tolist())}
        of_dark = AugmentationInputs(*(values[dark] for values in inputs))
        shadows = shadows_of(of_dark.numbers, settings.shadows, extent)
        factor = shadows.factor[:, np.newaxis]
        shaded_tables = np.rint(np.minimum(lit[dark] * factor, 255)).astype(np.uint8)
        gains = 1 + (factor - 1) * _LEVELS / 255  # of a soft shadow's levels
        shades = self._shades_of(shadows)

        # OpenCV warps four channels in half the time of three
        source = np.empty((*images.shape[2:4], 4), np.uint8)
        seen = np.empty((extent.rows, extent.width, 4), np.uint8)
        for sample, frames in enumerate(images):
            index = shaded.get(sample)
            for image, view in zip(frames, views[sample], strict=True):
                if moved[sample]:
                    cv2.cvtColor(image, cv2.COLOR_RGB2RGBA, dst=source)
                    _warp(source, seen, warp.sky[sample], ground[sample], horizon[sample])
                    cv2.cvtColor(seen, cv2.COLOR_RGBA2RGB, dst=view)
                    image = view
                else:
                    image = image[extent.top : extent.top + extent.rows]
                cv2.transform(image, colors[sample], dst=view)
                if index is None:
                    cv2.LUT(view, lit_tables[sample], dst=view)
                elif shadows.soft[index]:
                    gain = cv2.cvtColor(cv2.LUT(shades[index], gains[index]), cv2.COLOR_GRAY2RGB)
                    cv2.LUT(view, lit_tables[sample], dst=view)
                    cv2.multiply(view, gain, dst=view, dtype=cv2.CV_8U)
                else:
                    in_shade = cv2.LUT(view, shaded_tables[index])
                    cv2.LUT(view, lit_tables[sample], dst=view)
                    cv2.copyTo(in_shade, shades[index], view)

    def _shades_of(self, shadows: Shadows) -> list[Image]:
        """Return how much of each pixel is in a shadow: 0 to 255, uint8 (rows, width)."""
        first = np.ceil(shadows.left).astype(np.intp)
        after = np.floor(shadows.right).astype(np.intp) + 1
        shades = []
        for is_soft, begin, end in zip(shadows.soft, first, after, strict=True):
            # a row of pixels is looked up for each row of each shape; "clip": columns may be
            # outside of the image
            before_end = self._before.take(end, axis=0, mode="clip")
            before_begin = self._before.take(begin, axis=0, mode="clip")
            shade: Image = np.bitwise_or.reduce(before_end & ~before_begin)
            if is_soft:
                cv2.blur(shade, (5, 5), dst=shade)
            shades.append(shade)
        return shades

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
    width = view.shape[1]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    for part, matrix in ((view[:horizon], sky), (view[horizon:], ground)):
        rows = part.shape[0]
        if rows:
            cv2.warpPerspective(image, matrix, (width, rows), part, flags, cv2.BORDER_REPLICATE)
