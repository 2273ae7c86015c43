"""Draw the random numbers of a batch, and augment its images on the processor; the numbers alone
determine the result.

In: images, steering and `AugmentationInputs`. Out: changed images, and the steering that they call
for.

Numba compiles warp, light and shadows into one loop over rows, since they meet in one look-up. The
compiled code allocates nothing and releases the interpreter lock, so that threads do not wait for
each other.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from bcclone.camera.geometry import CameraMove
from bcclone.camera.images import Image
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.feed.augment import (
    AugmentationInputs,
    Extent,
    LensChange,
    Numbers,
    lighting,
    viewpoint,
)
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
from bcclone.feed.augment.viewpoint import (
    Cameras,
    camera_moves,
    spread_channels,
    steering_change,
    warp_row,
)
from bcclone.feed.feed_settings import LENS_SETTINGS, AugmentSettings
from bcclone.system.arrays import Float32Array
from bcclone.system.compiled import compiled, source_checksum

_SOURCES = source_checksum(
    f"{__package__}.{module}" for module in ("blur", "lighting", "on_cpu", "viewpoint")
)

# ---- the random numbers

# the kind of a setting is the KIND of the module with its name
LENS: tuple[LensChange, ...] = tuple(
    import_module(f"{__package__}.{name}").KIND for name in LENS_SETTINGS
)
# drawn in one table with viewpoint, light and shadows, so that earlier trainings can be repeated
_DRAWN_TOGETHER = ("blur", "patches", "noise")


def _columns_of(kinds: Iterable[Mapping[str, int]]) -> dict[str, slice]:
    """Return the columns of each name. kinds: how many numbers a sample has of each name, kind by
    kind.
    """
    columns: dict[str, slice] = {}
    end = 0
    for name, width in (pair for kind in kinds for pair in kind.items()):
        columns[name] = slice(end, end := end + width)
    return columns


_NORMAL = _columns_of([viewpoint.NORMALS, lighting.NORMALS])
_ALONE = tuple(kind for kind in LENS if kind.setting not in _DRAWN_TOGETHER)
_FIRST: list[Mapping[str, int]] = [viewpoint.UNIFORMS, lighting.UNIFORMS]
_FIRST += [kind.uniforms for kind in LENS if kind.setting in _DRAWN_TOGETHER]
_UNIFORM = _columns_of([*_FIRST, *(kind.uniforms for kind in _ALONE)])
NORMALS, UNIFORMS = (
    max(column.stop for column in columns.values()) for columns in (_NORMAL, _UNIFORM)
)  # per sample


def draw(
    samples: int, seed: Sequence[int], alone: Sequence[LensChange] = _ALONE
) -> tuple[Float32Array, Float32Array]:
    """Return random numbers: standard normal, (samples, NORMALS), and from 0 to 1, (samples,
    UNIFORMS).

    seed: for example training seed, epoch and first sample; alone: kinds that came later; each
    draws by its name, so that a new kind leaves the numbers of all others as they are.
    """
    random = np.random.default_rng(seed)
    normal = random.standard_normal((samples, NORMALS), np.float32)
    tables = [random.random((samples, sum(sum(kind.values()) for kind in _FIRST)), np.float32)]
    for kind in alone:
        own = np.random.default_rng([*seed, *kind.setting.encode()])
        tables.append(own.random((samples, sum(kind.uniforms.values())), np.float32))
    return normal, np.concatenate(tables, axis=1)


def numbers_of(normal: Any, uniform: Any) -> Numbers:
    """Return the random numbers of a batch by name, float32 (samples, numbers) each."""
    named = {name: normal[:, columns] for name, columns in _NORMAL.items()}
    return named | {name: uniform[:, columns] for name, columns in _UNIFORM.items()}


# ---- the images


class Parameters(NamedTuple):
    """The changes of each image of a batch, arrays of (samples, ...).

    sky, ground: float32 (3, 3), from pixels (column, row, 1) of the view to pixels of the image,
    above the row `horizon` and from it on; moved: bool, whether to apply them; matrix: float32 (3,
    4), from the image's colors to those in another light; levels: float32 (256,), the new value of
    each level; band_rows: of lighting.band_rows().
    """

    sky: Any
    ground: Any
    horizon: Any
    moved: Any
    matrix: Any
    levels: Any
    shadows: Shadows
    band_rows: tuple[float, float]


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
            np.empty(height * width, np.uint64),
            np.empty(width, np.int32),
            np.empty((4, width), np.int32),
            np.empty(width, np.uint64),
            np.empty((3, width), np.int32),
            np.empty((3, width), np.int32),
            np.empty((rows, width), np.int32),
            np.empty((rows, width), np.int32),
            np.empty((FULL_SHADE + 1, 256), np.uint8),
        )


def _make_draw_views(sources: int) -> Callable[..., None]:
    """Return draw_views(); `sources` makes Numba compile it again when a source has changed."""

    @compiled(error_model="numpy", cache=True)
    def draw_views(
        images: Any, into: Any, top: int, parameters: Parameters, scratch: Scratch
    ) -> None:
        """Write the changed rows of views into `into`.

        images, into: uint8 (samples, frames, height, width, 3); all frames of a sample change
        alike; top: the first changed row; the scratch determines their number.
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
    moved, horizon = parameters.moved[sample], parameters.horizon[sample]
    if moved:
        spread_channels(image, scratch.spread)
    if not is_shaded:
        scratch.shade[0] = 0
    for row in range(view.shape[0]):
        if moved:
            pixels = parameters.sky[sample] if row < horizon else parameters.ground[sample]
            warp_row(image.shape[0], pixels, np.float32(row), scratch)
        else:
            for x in range(view.shape[1]):
                for channel in range(3):
                    scratch.planes[channel, x] = np.int32(image[top + row, x, channel]) << 8
        light_row(
            parameters.matrix[sample], scratch.shade[row if is_shaded else 0], scratch, view[row]
        )


draw_views = _make_draw_views(_SOURCES)


class CpuAugmenter:
    """Augments samples of one preprocessing; may be used by several threads.

    whole_images: change all rows, not only those that the networks of bcclone see.
    """

    def __init__(
        self, settings: AugmentSettings, preprocessing: Preprocessing, whole_images: bool = False
    ) -> None:
        self._settings, self._preprocessing = settings, preprocessing
        self._extent = Extent.of(preprocessing, whole_images)
        self._cameras = Cameras(preprocessing, self._extent.top)
        self._thread = threading.local()
        nothing = np.empty((0, *preprocessing.shape), np.uint8)
        no_inputs = AugmentationInputs(
            np.empty(0, np.bool_), np.empty(0, np.float32), *draw(0, (0,))
        )
        # compile now, which takes seconds the first time, and not while the network waits for its
        # first batch
        self.augment(nothing, np.empty((0, 1), np.float32), no_inputs, nothing)

    def augment(
        self, images: Image, steering: Float32Array, inputs: AugmentationInputs, into: Image
    ) -> Float32Array:
        """Write augmented images into `into` and return the steering that they call for, float32
        (samples, 1).

        images, into: uint8 (samples, height, width, channels) or windows of them, whose frames
        change alike; steering: float32 (samples, 1), -1 to 1.
        """
        settings, extent, numbers = (
            self._settings,
            self._extent,
            numbers_of(inputs.normal, inputs.uniform),
        )
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
        draw_views(
            frames, rgb, extent.top, self._parameters(numbers, move, inputs), self._thread.scratch
        )
        for kind in LENS:
            if fraction := getattr(settings, kind.setting):
                kind.on_cpu(rgb, extent, kind.parameters(numbers, fraction, extent, np))
        if self._preprocessing.color != "RGB":
            changed = (each[:, :, extent.top : below] for each in (rgb, views))
            for image, target in zip(
                *(each.reshape(-1, *each.shape[2:]) for each in changed), strict=True
            ):
                target[:] = self._preprocessing.convert_colors(image)
        if not settings.moves_camera:
            return steering
        change = steering_change(move, inputs.lookahead_m)
        return np.asarray((steering + change[:, np.newaxis]).clip(-1.0, 1.0), np.float32)

    def _parameters(
        self, numbers: Numbers, move: CameraMove, inputs: AugmentationInputs
    ) -> Parameters:
        """Return the parameters of the views; kinds that are turned off have values that change
        nothing.
        """
        settings, extent = self._settings, self._extent
        warp = self._cameras.warps(move, inputs.flipped)
        light = light_of(numbers, settings.appearance, self._preprocessing.color_matrices[1])
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
