"""Augment images on the processor.

In: images, steering and `AugmentationInputs`. Out: changed images, and the steering that they call
for.

Numba compiles warp, light and shadows into one loop over rows, since they meet in one look-up. The
compiled code allocates nothing and releases the interpreter lock, so that threads do not wait for
each other.
"""

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from bcclone.camera.geometry import CameraMove
from bcclone.camera.images import Image
from bcclone.dataset.colors import color_matrices
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.feed.augment import AugmentationInputs, Extent, Numbers
from bcclone.feed.augment.lighting import (
    FULL_SHADE,
    Shadows,
    band_rows,
    cast_shadows,
    fill_tables,
    levels_of,
    light_of,
    light_row,
    shadows_of,
)
from bcclone.feed.augment.random_numbers import LENS, draw, numbers_of
from bcclone.feed.augment.viewpoint import (
    Cameras,
    camera_moves,
    spread_channels,
    steering_change,
    warp_row,
)
from bcclone.feed.feed_settings import AugmentSettings
from bcclone.system.compiled import compiled, source_checksum
from bcclone.system.numbers import Float32Array


class Parameters(NamedTuple):
    """The changes of each image of a batch."""

    # float32 (samples, 3, 3), from pixels (column, row, 1) of the view to those of the image:
    sky: Any  # above the horizon
    ground: Any  # from the horizon on
    horizon: Any  # float32 (samples,), a row of the view
    moved: Any  # bool (samples,), whether to apply sky and ground
    matrix: Any  # float32 (samples, 3, 4), from the image's colors to those in another light
    levels: Any  # float32 (samples, 256), the new value of each level
    shadows: Shadows
    band_rows: tuple[float, float]  # of lighting.band_rows()


class Scratch(NamedTuple):
    """Working arrays for images of (height, width) of which `rows` are changed."""

    spread: Any  # uint64 (height x width,): one number per pixel, 16 bits per channel
    indices: Any  # int32 (width,)
    weights: Any  # int32 (4, width)
    mixed: Any  # uint64 (width,)
    planes: Any  # int32 (3, width), in 256ths of a level
    levels: Any  # int32 (3, width)
    shade: Any  # int32 (rows, width): 0, outside of any shadow, to FULL_SHADE
    sums: Any  # int32 (rows, width)
    tables: Any  # uint8 (FULL_SHADE + 1, 256)

    @classmethod
    def of(cls, height: int, width: int, rows: int) -> "Scratch":
        return cls(
            spread=np.empty(height * width, np.uint64),
            indices=np.empty(width, np.int32),
            weights=np.empty((4, width), np.int32),
            mixed=np.empty(width, np.uint64),
            planes=np.empty((3, width), np.int32),
            levels=np.empty((3, width), np.int32),
            shade=np.empty((rows, width), np.int32),
            sums=np.empty((rows, width), np.int32),
            tables=np.empty((FULL_SHADE + 1, 256), np.uint8),
        )


def _make_draw_views(sources: int) -> Callable[..., None]:
    """Return draw_views(); `sources` makes Numba compile it again when a source has changed."""

    @compiled(error_model="numpy", cache=True)
    def draw_views(
        images: Any, into: Any, top: int, parameters: Parameters, scratch: Scratch
    ) -> None:
        """Write the changed rows of views into `into`; all frames of a sample change alike.

        images, into: uint8 (samples, frames, height, width, 3).
        top: the first changed row; the scratch determines their number.
        """
        _ = sources
        rows = scratch.shade.shape[0]
        for sample in range(images.shape[0]):
            is_shaded = cast_shadows(sample, parameters, scratch)
            fill_tables(sample, is_shaded, parameters, scratch)
            for frame in range(images.shape[1]):
                view = into[sample, frame, top : top + rows]
                _draw_view(sample, images[sample, frame], view, top, is_shaded, parameters, scratch)

    return draw_views


@compiled(error_model="numpy")
def _draw_view(
    sample: Any, image: Any, view: Any, top: Any, is_shaded: Any, parameters: Any, scratch: Any
) -> None:
    """Write the view of an image in another light, with shadows."""
    moved = parameters.moved[sample]
    horizon = parameters.horizon[sample]
    if moved:
        spread_channels(image, scratch.spread)
    if not is_shaded:
        scratch.shade[0] = 0  # this row without shade serves all rows of the view
    for row in range(view.shape[0]):
        if moved:
            pixels = parameters.sky[sample] if row < horizon else parameters.ground[sample]
            warp_row(image.shape[0], pixels, np.float32(row), scratch)
        else:
            _copy_row(image[top + row], scratch.planes)
        shade_row = row if is_shaded else 0
        light_row(parameters.matrix[sample], scratch.shade[shade_row], scratch, view[row])


@compiled(error_model="numpy")
def _copy_row(pixels: Any, planes: Any) -> None:
    """Write a row, uint8 (width, 3), into the planes, in 256ths of a level."""
    for x in range(pixels.shape[0]):
        for channel in range(3):
            planes[channel, x] = np.int32(pixels[x, channel]) << 8


# the modules whose functions are compiled into draw_views()
_COMPILED_MODULES = ("blur", "lighting", "on_cpu", "viewpoint")
draw_views = _make_draw_views(
    source_checksum(f"{__package__}.{module}" for module in _COMPILED_MODULES)
)


class CpuAugmenter:
    """Augments samples of one preprocessing; may be used by several threads.

    whole_images: change all rows, not only those that the networks of bcclone see.
    """

    def __init__(
        self, settings: AugmentSettings, preprocessing: Preprocessing, whole_images: bool = False
    ) -> None:
        self._settings = settings
        self._preprocessing = preprocessing
        self._extent = Extent.of(preprocessing, whole_images)
        self._cameras = Cameras(preprocessing, self._extent.top)
        self._of_thread = threading.local()  # each thread has a scratch of its own
        self._compile()

    def _compile(self) -> None:
        """Compile now, by augmenting no images: in the first batch, the network would wait for it.

        Compiling takes seconds the first time.
        """
        no_images = np.empty((0, *self._preprocessing.shape), np.uint8)
        no_steering = np.empty((0, 1), np.float32)
        normal, uniform = draw(samples=0, seed=(0,))
        no_inputs = AugmentationInputs(
            flipped=np.empty(0, np.bool_),
            lookahead_m=np.empty(0, np.float32),
            normal=normal,
            uniform=uniform,
        )
        self.augment(no_images, no_steering, no_inputs, no_images)

    def augment(
        self, images: Image, steering: Float32Array, inputs: AugmentationInputs, into: Image
    ) -> Float32Array:
        """Write augmented images into `into` and return the steering that they call for.

        images, into: uint8 (samples, height, width, channels) or windows of them, whose frames
            change alike.
        steering: float32 (samples, 1), -1 to 1, like the result.
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
        below = extent.top + extent.rows
        # rows that the network does not see
        views[:, :, : extent.top] = images[:, :, : extent.top]
        views[:, :, below:] = images[:, :, below:]

        # a grey image is changed as one of three equal channels
        rgb = views
        if self._preprocessing.channels == 1:
            images = images.repeat(3, axis=-1)
            rgb = np.empty_like(images)

        parameters = self._parameters(numbers, move, flipped)
        draw_views(images, rgb, extent.top, parameters, self._scratch())
        for kind in LENS:
            fraction = getattr(self._settings, kind.setting)
            if fraction:
                kind.on_cpu(rgb, extent, kind.parameters(numbers, fraction, extent, np))

        # views are drawn in RGB, whatever the colours of the images
        if self._preprocessing.color != "RGB":
            for rgb_frames, view_frames in zip(rgb, views, strict=True):
                for rgb_frame, view in zip(rgb_frames, view_frames, strict=True):
                    changed = rgb_frame[extent.top : below]
                    view[extent.top : below] = self._preprocessing.convert_colors(changed)

    def _scratch(self) -> Scratch:
        """Return the working arrays of this thread."""
        if not hasattr(self._of_thread, "scratch"):
            extent = self._extent
            self._of_thread.scratch = Scratch.of(extent.height, extent.width, extent.rows)
        scratch: Scratch = self._of_thread.scratch
        return scratch

    def _parameters(self, numbers: Numbers, move: CameraMove, flipped: Any) -> Parameters:
        """Return the parameters of the views.

        Kinds that are turned off have values that change nothing.
        """
        settings = self._settings
        extent = self._extent
        warp = self._cameras.warps(move, flipped)
        _, to_rgb = color_matrices(self._preprocessing.color)
        light = light_of(numbers, settings.appearance, to_rgb)
        return Parameters(
            sky=warp.sky,
            ground=warp.ground,
            horizon=warp.horizon_row(extent.width, extent.rows),
            # a mirror image is always warped: into the view of the real camera, see Cameras.warps()
            moved=flipped | settings.moves_camera,
            matrix=np.concatenate([light.colors, light.offset[:, :, np.newaxis]], axis=2),
            levels=levels_of(light),
            shadows=shadows_of(numbers, settings.shadows, extent),
            band_rows=band_rows(extent),
        )
