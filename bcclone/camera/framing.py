"""Turn pictures of another camera into frames of the simulator's camera.

A `Framing` says how; it is kept as JSON, in framing.json beside a recording and in model files.
Without a lens, the chosen rows and columns of the picture are stretched to a frame. With a `Lens`,
the picture is warped as if the simulator's camera (geometry.py) stood where the other one stands
and looked along the road. The equidistant fisheye is that of J. Kannala, S. Brandt, "A generic
camera model", 2006.
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
from bcclone.camera.images import (
    FRAME_HEIGHT,
    FRAME_WIDTH,
    MISSING,
    BadImage,
    Image,
    cv2,
    read_picture,
    resized,
)
from bcclone.system.arrays import BoolArray, FloatArray
from bcclone.system.codec import read_json
from bcclone.system.errors import UserError, shown_command
from bcclone.system.location import Location
from bcclone.system.values import to_json

FRAMING = "bcclone_framing"  # in model files and exported files, the attribute with their framing
FRAMING_NAME = "framing.json"  # next to the log of an imported recording
STEPS_PER_PIXEL = 32  # positions in a picture are in 32nds of a pixel, as cv2.remap() interpolates


# ---- the lens and how it is mounted


@dataclass(frozen=True)
class Lens:
    """Which pixel of a camera's picture shows which direction: its lens and its mounting.

    Coordinate 0 is the centre of the first pixel.
    """

    focal_px: float  # focal length in pixels
    horizon_row: float  # row in which a straight level road ends
    vanishing_column: float  # column in which it ends
    # angle by which the picture is turned clockwise about the end of the road
    roll_degrees: float = 0.0
    # whether it is a fisheye: the distance of a point from the middle of the picture grows with the
    # angle from the camera's axis, and not with the tangent of that angle
    fisheye: bool = False

    def __post_init__(self) -> None:
        numbers = (self.focal_px, self.horizon_row, self.vanishing_column, self.roll_degrees)
        is_finite = all(map(math.isfinite, numbers))
        if not is_finite or self.focal_px < 1 or abs(self.roll_degrees) > 90:
            raise ValueError(
                f"a lens of {asdict(self)}, expected finite numbers, a focal length of 1 pixel or "
                "more, and a roll of at most 90 degrees"
            )

    def degrees_across(self, width: int) -> float:
        """Return the horizontal angle of view of a picture of this width."""
        # from the middle of the picture to its edge, in focal lengths
        distance = width / 2 / self.focal_px
        return math.degrees(2 * (distance if self.fisheye else math.atan(distance)))

    def scaled(self, across: float, down: float) -> Self:
        """Return the lens for a picture with more or fewer columns and rows, by factors."""
        return replace(
            self,
            focal_px=self.focal_px * across,
            horizon_row=(self.horizon_row + 0.5) * down - 0.5,
            vanishing_column=(self.vanishing_column + 0.5) * across - 0.5,
        )

    def pixels(self, rays: FloatArray, width: int, height: int) -> FloatArray:
        """Return the column and row of the pixels that show rays, (2, n).

        Rays from behind the camera give pixels outside of the picture.

        rays: (3, n), their components to the right, down and ahead, in the car's axes
        """
        middle = np.array([(width - 1) / 2, (height - 1) / 2])
        end_of_road = np.array([self.vanishing_column, self.horizon_row])
        right, down, ahead = self._mount(end_of_road - middle) @ rays

        # a pinhole shows the tangent of the angle from its axis, a fisheye the angle itself; 1e-12
        # and 1e-3 avoid a division by 0 for rays along the axis and for rays from behind
        across = np.hypot(right, down)
        if self.fisheye:
            distance_px = np.arctan2(across, ahead) * self.focal_px
        else:
            distance_px = across / np.maximum(ahead, 1e-3) * self.focal_px
        scale = distance_px / np.maximum(across, 1e-12)
        seen = middle[:, np.newaxis] + np.stack([right * scale, down * scale])

        # turn the picture about the end of the road
        sine = math.sin(math.radians(self.roll_degrees))
        cosine = math.cos(math.radians(self.roll_degrees))
        roll = np.array([[cosine, -sine], [sine, cosine]])
        end = end_of_road[:, np.newaxis]
        return np.asarray(roll @ (seen - end) + end)

    def _mount(self, offset: FloatArray) -> FloatArray:
        """Return the rotation from the car's axes to the camera's, (3, 3).

        In the car's axes the road's end is straight ahead.

        offset: columns and rows from the picture's middle, where the camera's axis is, to that end
        """
        distance_px = math.hypot(*offset)
        distance = distance_px / self.focal_px  # in focal lengths
        angle = distance if self.fisheye else math.atan(distance)
        # (x, y, cos(angle)) is the unit vector to the road's end in the camera's axes; y points
        # down, and a pitch is positive upwards
        x, y = offset / max(distance_px, 1e-12) * math.sin(angle)
        yaw = np.float64(math.atan2(x, math.cos(angle)))
        pitch = np.float64(math.asin(-y))
        return np.asarray(rotation(yaw, pitch))


# ---- pictures -> frames


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
        kept = (("rows", self.rows, self.height), ("columns", self.columns, self.width))
        for name, span, size in kept:
            if span and not 0 <= span[0] < span[1] <= size:
                raise BadImage(
                    f"{self.width}x{self.height} pixels, which have no {name} {span[0]} to "
                    f"{span[1]}, expected numbers from 0 to {size}, the first one smaller"
                )
        if self.lens and (self.rows or self.columns):
            raise BadImage("both a lens and rows or columns to keep, expected only one")

    @classmethod
    def of(cls, picture: Image, rows: tuple[int, int] | None = None) -> Self:
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
        kept = picture[slice(*fitting.rows or (None,)), slice(*fitting.columns or (None,))]
        if kept.shape[:2] == (FRAME_HEIGHT, FRAME_WIDTH):
            return kept
        return resized(kept, (FRAME_WIDTH, FRAME_HEIGHT))

    def fitted(self, picture: Image) -> Image:
        """Return a picture in the framing's size, RGB uint8 (height, width, 3).

        Raises BadImage as for_size().
        """
        height, width = picture.shape[:2]
        if self.for_size(width, height) is self:
            return picture
        return resized(picture, (self.width, self.height))

    @property
    def cuts(self) -> bool:
        return bool(self.lens or self.rows or self.columns)

    @property
    def has_shape_of_frames(self) -> bool:
        return _is_about_1(self.width * FRAME_HEIGHT / (self.height * FRAME_WIDTH))

    def describe(self) -> str:
        """Return a short description: "160x120 pixels, rows 40 to 120, stretched to 320x160"."""
        parts = [f"{self.width}x{self.height} pixels"]
        if not self.lens:
            kept = (("rows", self.rows), ("columns", self.columns))
            parts += [f"{name} {span[0]} to {span[1]}" for name, span in kept if span]
            if not self.cuts:
                parts.append("all rows")
            return ", ".join([*parts, f"stretched to {FRAME_WIDTH}x{FRAME_HEIGHT}"])
        if self.lens.fisheye:
            parts.append("fisheye")
        degrees = self.lens.degrees_across(self.width)
        parts += [
            f"focal length {self.lens.focal_px:.0f} px ({degrees:.0f} degrees across)",
            f"horizon at row {self.lens.horizon_row:.0f}",
            f"straight ahead at column {self.lens.vanishing_column:.0f}",
        ]
        if self.lens.roll_degrees:
            parts.append(f"turned by {self.lens.roll_degrees:.1f} degrees")
        return ", ".join(parts)

    def to_json(self) -> str:
        return json.dumps(to_json(self))


def _is_about_1(ratio: float) -> bool:
    """Return whether the ratio of two shapes is 1, but for rounding to whole pixels."""
    return abs(ratio - 1) <= 0.02


def _scaled(kept: tuple[int, int] | None, factor: float) -> tuple[int, int] | None:
    """Return the rows or columns to use for a picture with more or fewer pixels, at least one."""
    if kept is None:
        return None
    first = round(kept[0] * factor)
    return first, max(round(kept[1] * factor), first + 1)


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
        if picture.shape[:2] != (self.height, self.width):
            picture = resized(picture, (self.width, self.height))
        # remap() takes the two fractions packed as row * 32 + column
        packed = self.fraction[..., 1] * STEPS_PER_PIXEL + self.fraction[..., 0]
        table = packed.astype(np.uint16)
        frame = cv2.remap(
            picture, self.corner, table, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(frame, np.uint8)


@lru_cache(maxsize=64)
def sampling_of(framing: Framing) -> Sampling:
    """Return where the pixels of a frame are in a picture, for a framing with a lens."""
    assert framing.lens
    # a picture with more detail than the frame is first reduced by a whole factor, so that none of
    # its pixels is skipped
    factor = max(1, int(framing.lens.focal_px / FOCAL_PX))
    width = max(1, framing.width // factor)
    height = max(1, framing.height // factor)
    lens = framing.lens.scaled(width / framing.width, height / framing.height)

    # the pixel of the picture for each pixel of the frame, (2, pixels), clipped to the picture's
    # edge
    to_ray, _ = simulated_camera()
    rows, columns = np.indices((FRAME_HEIGHT, FRAME_WIDTH), dtype=float).reshape(2, -1)
    frame_pixels = np.stack([columns, rows, np.ones(columns.size)])
    pixels = lens.pixels(to_ray @ frame_pixels, width, height)
    inside = np.clip(pixels, 0, np.array([[width - 1], [height - 1]]))

    in_32nds = np.rint(inside * STEPS_PER_PIXEL).astype(np.int32)
    positions = in_32nds.T.reshape(FRAME_HEIGHT, FRAME_WIDTH, 2)
    return Sampling(
        width=width,
        height=height,
        corner=(positions // STEPS_PER_PIXEL).astype(np.int16),
        fraction=positions % STEPS_PER_PIXEL,
    )


# ---- files


def try_stretched(path: str | None) -> tuple[Image | None, str]:
    """Return the picture in a file, stretched to a frame as by an import, as try_frame() does."""
    if not path:
        return None, MISSING
    try:
        picture = read_picture(path)
        return Framing.of(picture).apply(picture), ""
    except BadImage as error:
        return None, f": {error}"


def read_framing(path: Path) -> Framing:
    """Return the framing in a file; raises UserError."""
    return read_json(
        path, Framing, "a framing", f"expected a {FRAMING_NAME}, such as bcclone calibrate writes"
    )


def framing_of(log: Location) -> Framing | None:
    """Return the framing next to a local log, None if it has none; raises UserError."""
    path = log.parent / FRAMING_NAME
    if not isinstance(path, Path) or not path.is_file():
        return None
    return read_framing(path)


def check_framed(log: Path, model: str, framing: Framing | None) -> None:
    """Raise UserError if a recording and a model both have a framing, and these differ."""
    recorded = framing_of(log)
    if framing and recorded and recorded != framing:
        raise UserError(
            f"{log.parent}: its frames were made as {recorded.describe()}, "
            f"and {model} drives on {framing.describe()}; "
            f"import the recording again with its {FRAMING_NAME}: "
            f"{shown_command('import', 'SOURCE', '--framing', 'FILE', '-o', 'recordings/NAME')}"
        )
