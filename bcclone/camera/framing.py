"""Turn pictures of another camera into frames of the simulator's camera.

In: a picture of any size. Out: a frame, 320x160. A `Framing` says how; nothing else does.

Without a lens, the chosen rows and columns of the picture are stretched to a frame. With a lens
(lens.py), the picture is warped as if the simulator's camera (geometry.py) stood where the other
one stands and looked along the road.
"""

import json
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Self

import numpy as np
import numpy.typing as npt

from bcclone.camera.geometry import FOCAL_PX, simulated_camera
from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, BadImage, Image, cv2, resized
from bcclone.camera.lens import Lens
from bcclone.system.numbers import BoolArray
from bcclone.system.values import to_json

STEPS_PER_PIXEL = 32  # positions in a picture are in 32nds of a pixel, as cv2.remap() interpolates


@dataclass(frozen=True)
class Sampling:
    """For each pixel of a frame, the point of the reduced picture whose colour it gets."""

    # size to which the picture is reduced first
    width: int
    height: int
    # column and row of the upper left of the four pixels around the point, (160, 320, 2)
    corner: npt.NDArray[np.int16]
    # from the corner to the point, columns and rows in 32nds of a pixel, (160, 320, 2)
    fraction: npt.NDArray[np.int32]

    @property
    def shows(self) -> BoolArray:
        """Return which pixels of a frame show the picture, (160, 320); others repeat its edge.

        A margin of one pixel counts as edge.
        """
        limits = np.array([self.width, self.height]) - 2
        is_inside = (self.corner > 0) & (self.corner < limits)
        return np.asarray(is_inside.all(axis=2))

    def apply(self, picture: Image) -> Image:
        """Return the frame of a picture, RGB uint8 (160, 320, 3)."""
        height, width = picture.shape[:2]
        if (width, height) != (self.width, self.height):
            picture = resized(picture, (self.width, self.height))
        # remap() takes the two fractions packed as row * 32 + column
        packed = self.fraction[..., 1] * STEPS_PER_PIXEL + self.fraction[..., 0]
        table = packed.astype(np.uint16)
        frame = cv2.remap(
            picture, self.corner, table, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(frame, np.uint8)


@dataclass(frozen=True)
class Framing:
    """How pictures of a camera become frames.

    The pictures may have more or fewer pixels, in the same shape. Raises BadImage for rows and
    columns that the pictures do not have.
    """

    # size of the pictures
    width: int
    height: int
    # without a lens, which rows and columns to use: from the first number up to but not including
    # the second; None for all
    rows: tuple[int, int] | None = None
    columns: tuple[int, int] | None = None
    # warps the picture to the simulator's view; where that reaches beyond the picture, the
    # picture's edge is repeated
    lens: Lens | None = None

    def __post_init__(self) -> None:
        largest = 1 << 14  # pixels; far more than any camera has
        if not (0 < self.width <= largest and 0 < self.height <= largest):
            raise BadImage(
                f"pictures of {self.width}x{self.height} pixels, expected 1 to {largest} each"
            )
        self._check_kept("rows", self.rows, self.height)
        self._check_kept("columns", self.columns, self.width)
        if self.lens and (self.rows or self.columns):
            raise BadImage("both a lens and rows or columns to keep, expected only one")

    def _check_kept(self, name: str, kept: tuple[int, int] | None, size: int) -> None:
        """Raise BadImage if a picture does not have the rows or columns to use.

        name: "rows" or "columns"
        size: how many of them a picture has
        """
        if kept is None:
            return
        first, end = kept
        if not 0 <= first < end <= size:
            raise BadImage(
                f"{self.width}x{self.height} pixels, which have no {name} {first} to {end}, "
                f"expected numbers from 0 to {size}, the first one smaller"
            )

    @classmethod
    def of(cls, picture: Image, rows: tuple[int, int] | None = None) -> Self:
        """Return the framing of a picture, (height, width, 3), without a lens.

        Raises BadImage for rows that the picture does not have.
        """
        height, width = picture.shape[:2]
        return cls(width, height, rows)

    def for_size(self, width: int, height: int) -> Self:
        """Return the framing for pictures of this size from the same camera.

        Raises BadImage for another shape.
        """
        if (width, height) == (self.width, self.height):
            return self
        across = width / self.width
        down = height / self.height
        if not _is_about_1(across / down):
            raise BadImage.wrong_size(width, height, self.width, self.height)
        lens = self.lens.scaled(across, down) if self.lens else None
        return replace(
            self,
            width=width,
            height=height,
            rows=_scaled(self.rows, down),
            columns=_scaled(self.columns, across),
            lens=lens,
        )

    def apply(self, picture: Image) -> Image:
        """Return the frame of a picture, RGB uint8 (height, width, 3) to (160, 320, 3).

        A 320x160 image is taken for a finished frame and returned as it is, unless this camera's
        pictures are 2:1 themselves; then it is treated as a picture. Raises BadImage as for_size().
        """
        height, width = picture.shape[:2]
        is_frame = (width, height) == (FRAME_WIDTH, FRAME_HEIGHT)
        if is_frame and not self.has_shape_of_frames:
            return picture
        fitting = self.for_size(width, height)
        if fitting.lens:
            return sampling_of(fitting).apply(picture)
        kept = picture[_slice_of(fitting.rows), _slice_of(fitting.columns)]
        if kept.shape[:2] == (FRAME_HEIGHT, FRAME_WIDTH):
            return kept
        return resized(kept, (FRAME_WIDTH, FRAME_HEIGHT))

    def fitted(self, picture: Image) -> Image:
        """Return a picture in the framing's size, RGB uint8 (height, width, 3).

        Raises BadImage as for_size().
        """
        height, width = picture.shape[:2]
        self.for_size(width, height)  # refuses pictures of another shape
        if (width, height) == (self.width, self.height):
            return picture
        return resized(picture, (self.width, self.height))

    @property
    def cuts(self) -> bool:
        """Return whether the framing does more than stretch the whole picture."""
        return bool(self.lens or self.rows or self.columns)

    @property
    def has_shape_of_frames(self) -> bool:
        """Return whether the pictures are 2:1, as frames are."""
        return _is_about_1(self.width * FRAME_HEIGHT / (self.height * FRAME_WIDTH))

    def describe(self) -> str:
        """Return a short description: "160x120 pixels, rows 40 to 120, stretched to 320x160"."""
        parts = [f"{self.width}x{self.height} pixels"]
        if self.lens:
            return ", ".join([*parts, *self._described_lens(self.lens)])
        if self.rows:
            first, end = self.rows
            parts.append(f"rows {first} to {end}")
        if self.columns:
            first, end = self.columns
            parts.append(f"columns {first} to {end}")
        if not self.cuts:
            parts.append("all rows")
        parts.append(f"stretched to {FRAME_WIDTH}x{FRAME_HEIGHT}")
        return ", ".join(parts)

    def _described_lens(self, lens: Lens) -> list[str]:
        parts = []
        if lens.fisheye:
            parts.append("fisheye")
        degrees = lens.degrees_across(self.width)
        parts.append(f"focal length {lens.focal_px:.0f} px ({degrees:.0f} degrees across)")
        parts.append(f"horizon at row {lens.horizon_row:.0f}")
        parts.append(f"straight ahead at column {lens.vanishing_column:.0f}")
        if lens.roll_degrees:
            parts.append(f"turned by {lens.roll_degrees:.1f} degrees")
        return parts

    def to_json(self) -> str:
        """Return the framing as JSON, as framing.json and a model file hold it."""
        return json.dumps(to_json(self))


def _is_about_1(ratio: float) -> bool:
    """Return whether the ratio of two shapes is 1, but for rounding to whole pixels."""
    return abs(ratio - 1) <= 0.02


def _slice_of(kept: tuple[int, int] | None) -> slice:
    if kept is None:
        return slice(None)
    first, end = kept
    return slice(first, end)


def _scaled(kept: tuple[int, int] | None, factor: float) -> tuple[int, int] | None:
    """Return the rows or columns to use for a picture with more or fewer pixels, at least one."""
    if kept is None:
        return None
    first = round(kept[0] * factor)
    end = round(kept[1] * factor)
    return first, max(end, first + 1)


@lru_cache(maxsize=64)
def sampling_of(framing: Framing) -> Sampling:
    """Return where the pixels of a frame are in a picture.

    Raises ValueError for a framing without a lens.
    """
    if framing.lens is None:
        raise ValueError("a framing without a lens, expected one")
    # a picture with more detail than the frame is first reduced by a whole factor, so that none of
    # its pixels is skipped
    factor = max(1, int(framing.lens.focal_px / FOCAL_PX))
    width = max(1, framing.width // factor)
    height = max(1, framing.height // factor)
    lens = framing.lens.scaled(width / framing.width, height / framing.height)

    # the pixel of the picture for each pixel of the frame, (2, pixels), clipped to the picture's
    # edge
    to_ray, _ = simulated_camera()
    columns, rows = np.meshgrid(
        np.arange(FRAME_WIDTH, dtype=float), np.arange(FRAME_HEIGHT, dtype=float)
    )
    frame_pixels = np.stack([columns.ravel(), rows.ravel(), np.ones(columns.size)])
    pixels = lens.pixels(to_ray @ frame_pixels, width, height)
    limits = np.array([[width - 1], [height - 1]])
    inside = np.clip(pixels, 0, limits)

    in_32nds = np.rint(inside * STEPS_PER_PIXEL).astype(np.int32)
    positions = in_32nds.T.reshape(FRAME_HEIGHT, FRAME_WIDTH, 2)
    return Sampling(
        width=width,
        height=height,
        corner=(positions // STEPS_PER_PIXEL).astype(np.int16),
        fraction=positions % STEPS_PER_PIXEL,
    )
