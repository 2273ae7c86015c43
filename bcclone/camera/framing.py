"""Turn pictures of another camera into frames of the simulator's camera: the only definition of how
that is done.

In: a picture of any size. Out: a frame, 320x160. Without a lens, rows and columns of the picture
are kept and stretched. With one, the picture is warped as if the simulator's camera (geometry.py)
stood where the other one stands and looked along the road; the equidistant fisheye is that of J.
Kannala, S. Brandt, "A generic camera model", 2006.
"""

import json
import math
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from bcclone.camera.geometry import FOCAL_PX, rotation, simulated_camera
from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, BadImage, Image
from bcclone.system.arrays import BoolArray, FloatArray
from bcclone.system.codec import read_json
from bcclone.system.errors import UserError
from bcclone.system.json_values import to_json
from bcclone.system.location import Location
from bcclone.system.opencv import cv2, resized

FRAMING_NAME = "framing.json"  # next to the log of an imported recording
FRACTION = 32  # positions in a picture are in whole 32nds of a pixel, as cv2.remap() interpolates
_LARGEST = 1 << 14  # width or height of a picture
_SAME_ASPECT = 0.02


@dataclass(frozen=True)
class Lens:
    """What a camera sees where, in pixels of its picture; coordinate 0 is the centre of the first
    pixel.

    focal_px: focal length; horizon_row, vanishing_column: where a straight level road ends;
    roll_degrees: by which the picture is turned clockwise about that point; fisheye: the distance
    from the picture's middle grows with the angle and not with its tangent.
    """

    focal_px: float
    horizon_row: float
    vanishing_column: float
    roll_degrees: float = 0.0
    fisheye: bool = False

    def __post_init__(self) -> None:
        numbers = self.focal_px, self.horizon_row, self.vanishing_column, self.roll_degrees
        if not all(map(math.isfinite, numbers)) or self.focal_px < 1 or abs(self.roll_degrees) > 90:
            raise ValueError(
                f"a lens of {asdict(self)}, expected finite numbers, a focal length of 1 pixel or more"
            )

    def degrees_across(self, width: int) -> float:
        """Return the horizontal angle of view of a picture of this width."""
        half = width / 2 / self.focal_px
        return math.degrees(2 * half if self.fisheye else 2 * math.atan(half))

    def scaled(self, across: float, down: float) -> Self:
        """Return the same lens for a picture with more or fewer pixels."""
        return replace(
            self,
            focal_px=self.focal_px * across,
            horizon_row=(self.horizon_row + 0.5) * down - 0.5,
            vanishing_column=(self.vanishing_column + 0.5) * across - 0.5,
        )

    def pixels(self, rays: FloatArray, width: int, height: int) -> FloatArray:
        """Return the pixels, (2, rays), column and row, that show the rays, (3, rays): right, down,
        ahead in the car.

        Rays from behind the camera give pixels outside of the picture.
        """
        middle = np.array([(width - 1) / 2, (height - 1) / 2])
        end = np.array([self.vanishing_column, self.horizon_row])
        distance = math.hypot(*(end - middle))
        angle = distance / self.focal_px if self.fisheye else math.atan(distance / self.focal_px)
        x, y = (end - middle) / max(distance, 1e-12) * math.sin(angle)
        # from the car's axes to the camera's, in which the road's end is straight ahead
        right, down, ahead = (
            rotation(np.float64(math.atan2(x, math.cos(angle))), np.float64(math.asin(-y))) @ rays
        )
        across = np.hypot(right, down)
        if self.fisheye:
            distance = np.arctan2(across, ahead) * self.focal_px
        else:
            distance = across / np.maximum(ahead, 1e-3) * self.focal_px
        scale = distance / np.maximum(across, 1e-12)
        seen = middle[:, np.newaxis] + np.stack([right * scale, down * scale])
        sine, cosine = (
            math.sin(math.radians(self.roll_degrees)),
            math.cos(math.radians(self.roll_degrees)),
        )
        roll = np.array([[cosine, -sine], [sine, cosine]])
        return np.asarray(roll @ (seen - end[:, np.newaxis]) + end[:, np.newaxis])


@dataclass(frozen=True)
class Sampling:
    """Where the pixels of a frame are in a picture that was first reduced.

    width, height: of the reduced picture; corner: column and row of the upper left one of four
    pixels, int16 (160, 320, 2); part: from there to the frame's pixel, in 32nds of a pixel, int32
    (160, 320, 2).
    """

    width: int
    height: int
    corner: npt.NDArray[np.int16]
    part: npt.NDArray[np.int32]

    @property
    def shows(self) -> BoolArray:
        """Return which pixels of a frame show the picture, and not its edge repeated, (160, 320)."""
        limits = np.array([self.width, self.height]) - 2
        return np.asarray(((self.corner > 0) & (self.corner < limits)).all(axis=2))

    def apply(self, picture: Image) -> Image:
        """Return the frame of a picture, RGB uint8 (160, 320, 3)."""
        if picture.shape[1::-1] != (self.width, self.height):
            picture = resized(picture, (self.width, self.height))
        table = (self.part[..., 1] * FRACTION + self.part[..., 0]).astype(np.uint16)
        frame = cv2.remap(
            picture, self.corner, table, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(frame, np.uint8)


@dataclass(frozen=True)
class Framing:
    """How pictures of a camera become frames; the pictures may have more or fewer pixels, in the
    same shape.

    width, height: of the pictures; rows, columns: which of them to use, without a lens, from the
    first up to but not including the second, None for all; lens: makes the frame the view of the
    simulator's camera, which repeats the picture's edge beyond it. Raises BadImage for rows and
    columns that the pictures do not have.
    """

    width: int
    height: int
    rows: tuple[int, int] | None = None
    columns: tuple[int, int] | None = None
    lens: Lens | None = None

    def __post_init__(self) -> None:
        if not (0 < self.width <= _LARGEST and 0 < self.height <= _LARGEST):
            raise BadImage(
                f"pictures of {self.width}x{self.height} pixels, expected 1 to {_LARGEST} each"
            )
        for name, kept, size in (
            ("rows", self.rows, self.height),
            ("columns", self.columns, self.width),
        ):
            if kept and not 0 <= kept[0] < kept[1] <= size:
                raise BadImage(
                    f"{self.width}x{self.height} pixels, which have no {name} {kept[0]} to {kept[1]}"
                )
        if self.lens and (self.rows or self.columns):
            raise BadImage("a lens, and rows or columns to keep, expected one of them")

    @classmethod
    def of(cls, picture: Image, rows: tuple[int, int] | None = None) -> Self:
        """Return the plain framing of a picture, (height, width, 3); raises BadImage for rows that
        it does not have.
        """
        return cls(picture.shape[1], picture.shape[0], rows)

    def for_size(self, width: int, height: int) -> Self:
        """Return the framing for pictures of this size from the same camera; raises BadImage for
        another shape.
        """
        if (width, height) == (self.width, self.height):
            return self
        across, down = width / self.width, height / self.height
        if abs(across / down - 1) > _SAME_ASPECT:
            raise BadImage.wrong_size(width, height, self.width, self.height)
        return replace(
            self,
            width=width,
            height=height,
            rows=_scaled(self.rows, down),
            columns=_scaled(self.columns, across),
            lens=self.lens and self.lens.scaled(across, down),
        )

    def apply(self, picture: Image) -> Image:
        """Return the frame of a picture, RGB uint8 (height, width, 3) to (160, 320, 3); raises
        BadImage as for_size().

        What is already a frame, 320x160, stays as it is, unless it has the shape of the pictures.
        """
        height, width = picture.shape[:2]
        if (width, height) == (FRAME_WIDTH, FRAME_HEIGHT) and not self.has_shape_of_frames:
            return picture
        fitting = self.for_size(width, height)
        if fitting.lens:
            return sampling_of(fitting).apply(picture)
        kept = picture[slice(*(fitting.rows or (None,))), slice(*(fitting.columns or (None,)))]
        if kept.shape[:2] == (FRAME_HEIGHT, FRAME_WIDTH):
            return kept
        return resized(kept, (FRAME_WIDTH, FRAME_HEIGHT))

    @property
    def cuts(self) -> bool:
        """Return whether it does more than to stretch the whole picture."""
        return bool(self.lens or self.rows or self.columns)

    @property
    def has_shape_of_frames(self) -> bool:
        """Return whether its pictures are twice as wide as high: then a frame counts as one of
        them.
        """
        return abs(self.width * FRAME_HEIGHT / (self.height * FRAME_WIDTH) - 1) <= _SAME_ASPECT

    def describe(self) -> str:
        """Return a short description: "160x120 pixels, rows 40 to 120, stretched to 320x160"."""
        size = f"{self.width}x{self.height} pixels"
        if lens := self.lens:
            roll = f", turned by {lens.roll_degrees:.1f} degrees" if lens.roll_degrees else ""
            return (
                f"{size}{', fisheye' if lens.fisheye else ''}, focal length {lens.focal_px:.0f} px "
                f"({lens.degrees_across(self.width):.0f} degrees across), horizon at row {lens.horizon_row:.0f}, "
                f"straight ahead at column {lens.vanishing_column:.0f}{roll}"
            )
        kept = [
            f"{name} {part[0]} to {part[1]}"
            for name, part in (("rows", self.rows), ("columns", self.columns))
            if part is not None
        ]
        return f"{size}, {', '.join(kept) or 'all rows'}, stretched to {FRAME_WIDTH}x{FRAME_HEIGHT}"

    def to_json(self) -> str:
        """Return the framing as JSON, as framing.json and a model file hold it."""
        return json.dumps(to_json(self))


def read_framing(path: Path) -> Framing:
    """Return the framing in a file; raises UserError."""
    return read_json(
        path, Framing, "a framing", f"expected a {FRAMING_NAME}, such as bcclone calibrate writes"
    )


def framing_of(log: Location) -> Framing | None:
    """Return the framing in the file next to a log, None without such a file; raises UserError."""
    path = log.parent / FRAMING_NAME
    return read_framing(path) if isinstance(path, Path) and path.is_file() else None


def check_framed(log: Path, model: str, framing: Framing | None) -> None:
    """Raise UserError if the frames of a recording were made by another framing than the one that a
    model needs.
    """
    recorded = framing_of(log)
    if framing and recorded and recorded != framing:
        raise UserError(
            f"{log.parent}: its frames were made as {recorded.describe()}, and {model} drives on {framing.describe()}; "
            f"import the recording again with its {FRAMING_NAME}: bcclone import SOURCE --framing FILE"
        )


def _scaled(kept: tuple[int, int] | None, by: float) -> tuple[int, int] | None:
    return kept and (round(kept[0] * by), max(round(kept[1] * by), round(kept[0] * by) + 1))


@lru_cache(maxsize=64)
def sampling_of(framing: Framing) -> Sampling:
    """Return where the pixels of a frame lie in a picture; raises ValueError for a framing without
    a lens.

    A picture with more detail than the frame is first reduced by a whole factor, so that none of
    its pixels is skipped.
    """
    if framing.lens is None:
        raise ValueError("a framing without a lens, expected one")
    factor = max(1, int(framing.lens.focal_px / FOCAL_PX))
    width, height = max(1, framing.width // factor), max(1, framing.height // factor)
    lens = framing.lens.scaled(width / framing.width, height / framing.height)
    columns, rows = np.meshgrid(
        np.arange(FRAME_WIDTH, dtype=float), np.arange(FRAME_HEIGHT, dtype=float)
    )
    rays = simulated_camera()[0] @ np.stack([columns.ravel(), rows.ravel(), np.ones(columns.size)])
    pixels = lens.pixels(rays, width, height)
    limits = np.array([[width - 1], [height - 1]])
    fixed = (
        np.rint(np.clip(pixels, 0, limits) * FRACTION)
        .astype(np.int32)
        .T.reshape(FRAME_HEIGHT, FRAME_WIDTH, 2)
    )
    return Sampling(width, height, (fixed // FRACTION).astype(np.int16), fixed % FRACTION)
