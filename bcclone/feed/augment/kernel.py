"""Draw the views of images by given parameters, compiled by Numba: warp, light and shadows, row by row.

The compiled code allocates nothing and releases the interpreter lock, so that threads do not wait for each other.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from bcclone.feed.augment.light import light_row
from bcclone.feed.augment.shadows import FULL_SHADE, Shadows, cast_shadows, fill_tables
from bcclone.feed.augment.viewpoint import spread_channels, warp_row
from bcclone.system.compiled import compiled, source_checksum

_SOURCES = source_checksum(
    f"bcclone.feed.augment.{module}" for module in ("blur", "kernel", "light", "shadows", "viewpoint")
)


class Parameters(NamedTuple):
    """The changes of each image of a batch, arrays of (samples, ...).

    sky, ground: float32 (3, 3), from pixels (column, row, 1) of the view to pixels of the image, above the row
    `horizon` and from it on; moved: bool, whether to apply them; matrix: float32 (3, 4), from the image's colors to
    those in another light; levels: float32 (256,), the new value of each level; band_rows: as shadows.band_rows()
    returns them.
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
        """Return new working arrays."""
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
    def draw_views(images: Any, into: Any, top: int, parameters: Parameters, scratch: Scratch) -> None:
        """Write the changed rows of views into `into`.

        images, into: uint8 (samples, frames, height, width, 3); all frames of a sample change alike; top: the first
        changed row; the scratch determines their number.
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
def _draw_view(sample: Any, image: Any, view: Any, top: Any, is_shaded: Any, parameters: Any, scratch: Any) -> None:
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
        light_row(parameters.matrix[sample], scratch.shade[row if is_shaded else 0], scratch, view[row])


draw_views = _make_draw_views(_SOURCES)
