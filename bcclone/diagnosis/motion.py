"""The frames of a recording, each read once -> what each shows, and how the camera turned.

When a car turns, distant objects move sideways by the same angle: the upper part of a frame looks
like that of the frame before, but shifted. Measuring the shift needs no network and no labels, and
it follows the steering more closely than any network's answer (benchmarks/lab-log).
"""

import math
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import pandas as pd

from bcclone.camera.images import (
    FRAME_HEIGHT,
    FRAME_WIDTH,
    Image,
    cv2,
    recolored,
    resized,
    try_frame,
)
from bcclone.recording.files import Images
from bcclone.recording.row import CAMERAS
from bcclone.system.arrays import BoolArray, FloatArray, IndexArray
from bcclone.system.statistics import robust_line

ReadFrame = Callable[[int], Image | None]  # index of a row -> its centre frame; None: unreadable
# path of an image, or None -> its frame and "", or None and what is wrong, as try_frame() says it
ReadImage = Callable[[str | None], tuple[Image | None, str]]

_FAR = slice(16, 72)  # rows of a frame around the horizon, with little sky
_NEAR = slice(64, 128)  # rows of a frame that show the ground, without the bonnet
_WIDTH = 160  # columns to which a frame is reduced before it is compared
_SCALE = FRAME_WIDTH / _WIDTH  # pixels of a frame in one pixel of the reduced frame


class Shift(NamedTuple):
    """How far a picture is moved against another one, in pixels of a frame."""

    right: float = math.nan
    down: float = math.nan
    match: float = 0.0  # 0 to 1, how alike the pictures are


def shift_between(before: Image | None, after: Image | None, part: slice = _FAR) -> Shift:
    """Return how far a part of a frame, usually distant objects, is moved in another frame.

    None is an unreadable frame, whose shift is unknown.
    """
    if before is None or after is None:
        return Shift()
    size = (_WIDTH, (part.stop - part.start) // 2)
    first, second = (
        resized(recolored(frame[part], cv2.COLOR_RGB2GRAY), size).astype(np.float32)
        for frame in (before, after)
    )
    window = cv2.createHanningWindow(size, cv2.CV_32F)
    (right, down), match = cv2.phaseCorrelate(first, second, window)
    return Shift(_SCALE * right, _SCALE * down, match)


def is_shift(shift: Shift) -> bool:
    """Return whether two frames show the same place."""
    least_match = 0.05
    farthest_right = 50.0  # pixels
    farthest_down = 20.0  # pixels
    return (
        shift.match > least_match
        and abs(shift.right) < farthest_right
        and abs(shift.down) < farthest_down
    )


# ---- what the frames show


class FrameFigures(NamedTuple):
    """Figures of a frame; all are NaN if the frame cannot be read."""

    mean: float = math.nan  # brightness, 0 to 255
    white: float = math.nan  # share of white pixels, 0 to 1
    sharpness: float = math.nan  # variance of the grey frame's second derivative
    checksum: float = math.nan  # equal for equal frames

    @classmethod
    def of(cls, frame: Image) -> Self:
        reduced = (FRAME_WIDTH // 2, FRAME_HEIGHT // 2)  # pixels; enough to tell the brightness
        white = 250  # of 255
        gray = recolored(frame, cv2.COLOR_RGB2GRAY)
        small = resized(gray, reduced, cv2.INTER_NEAREST)
        contrast = float(cv2.meanStdDev(cv2.Laplacian(gray, cv2.CV_16S))[1][0, 0])
        return cls(
            mean=float(small.mean()),
            white=float((small >= white).mean()),
            sharpness=contrast**2,
            checksum=zlib.crc32(frame.data),
        )


class RecordingFigures:
    """Gathers figures of the frames while they are read; add() the rows in order of time.

    Side cameras are measured on every Nth row only; other rows may be added with the frame of the
    centre camera alone.
    """

    def __init__(self, rows: int) -> None:
        enough_sides = 150  # rows that are enough to see whether cameras are exchanged
        self.frames: list[FrameFigures] = []
        self.shifts: list[Shift] = []  # how far distant objects moved from the frame before
        # index of a row -> how far the ground in the left and in the right camera's frame is moved
        # against that in the centre camera's
        self.sides: dict[int, tuple[Shift, Shift]] = {}
        # index of a row with an unusable image -> for each of its unusable images, the reason
        self.faults: dict[int, list[str]] = {}
        self.every = max(1, rows // enough_sides)  # the N of every Nth row
        self._last: Image | None = None  # the centre frame of the row before; None: unreadable

    def add(self, frames: Mapping[str, Image | None]) -> None:
        """Take a row's frames: camera -> RGB uint8 (160, 320, 3), None for an unreadable one."""
        center = frames.get("center")
        self.shifts.append(shift_between(self._last, center))
        self._last = center
        if center is None:
            self.frames.append(FrameFigures())
            return
        self.frames.append(FrameFigures.of(center))
        if len(self.frames) % self.every == 0:
            left = frames.get("left")
            right = frames.get("right")
            if left is not None and right is not None:
                self.sides[len(self.frames) - 1] = (
                    shift_between(center, left, _NEAR),
                    shift_between(center, right, _NEAR),
                )

    def of_rows(self, rows: IndexArray) -> "RecordingFigures":
        """Return the figures of some rows, given by rising indices.

        If the row before a row is left out, the turn between them is unknown.
        """
        places = {row: place for place, row in enumerate(rows.tolist())}
        figures = RecordingFigures(len(rows))
        figures.frames = [self.frames[row] for row in places]
        figures.shifts = [self.shifts[row] if row - 1 in places else Shift() for row in places]
        figures.sides = {places[row]: side for row, side in self.sides.items() if row in places}
        figures.faults = {places[row]: of for row, of in self.faults.items() if row in places}
        return figures

    @property
    def frozen(self) -> BoolArray:
        """Return which rows have the same centre frame as the row before, (rows,)."""
        checksums = [frame.checksum for frame in self.frames]
        return np.asarray(np.diff(checksums, prepend=math.nan) == 0)


def look_at(
    rows: pd.DataFrame,
    index: Images,
    advance: Callable[[int], None],
    read: ReadImage = try_frame,
    end: float = math.inf,
) -> RecordingFigures:
    """Read the frames of a log's rows, each once; `advance` is called with 1 after each row.

    end: time.monotonic() after which no further row is read
    """
    figures = RecordingFigures(len(rows))
    for row, (line, *names) in enumerate(rows[["line", *CAMERAS]].itertuples(index=False)):
        frames = dict[str, Image | None]()
        faults = []
        for camera, name in zip(CAMERAS, names, strict=True):
            if not name:
                continue
            frames[camera], fault = read(index.find(name))
            if fault:
                # a fault continues after the name: " is missing" or ": reason"
                faults.append(f"line {line}: image {name}{fault}")
        if faults:
            figures.faults[row] = faults
        figures.add(frames)
        advance(1)
        if time.monotonic() > end:
            break
    return figures


def read_center(
    rows: pd.DataFrame, row: int, index: Images, read: ReadImage = try_frame
) -> Image | None:
    """Return the centre frame of a row, by its index, RGB uint8 (160, 320, 3); None: unreadable."""
    frame, _ = read(index.find(rows["center"].iloc[row]))
    return frame


# ---- how the camera turns


@dataclass(frozen=True)
class Turns:
    """How a recording's camera turned. Arrays are (steps,): from each frame to the next."""

    right: FloatArray  # turn of the camera to the right, in pixels of a frame; 0 where not usable
    down: FloatArray  # movement of distant objects down, in pixels; 0 where not usable
    match: FloatArray  # how alike both frames are, 0 to 1
    usable: BoolArray  # whether the frames match, without a pause between them

    @classmethod
    def of(cls, shifts: Sequence[Shift], follows: BoolArray) -> Self:
        """Return the turns of the frames.

        shifts: of all frames but the first, each against the frame before
        follows: whether the next frame follows without a pause, (steps,)
        """
        right, down, match = np.array(shifts, np.float64).T
        usable = follows & np.array(list(map(is_shift, shifts)), np.bool_)
        # distant objects move to the left when the camera turns to the right
        return cls(np.where(usable, -right, 0.0), np.where(usable, down, 0.0), match, usable)

    @property
    def straight(self) -> BoolArray:
        """Return the steps in which the camera hardly turns, (steps,)."""
        most_right = 1.0  # pixels
        most_down = 2.0  # pixels
        return self._good & (np.abs(self.right) < most_right) & (np.abs(self.down) < most_down)

    def roll_degrees(self) -> tuple[float, float] | None:
        """Return by how many degrees the camera leans to the right, and the standard error.

        When the car turns, distant objects move along the horizon, which is level only for a level
        camera. Returns None if the camera hardly turns.
        """
        fewest_steps = 100
        least_turning = 0.5  # least standard deviation of the turns, in pixels
        good = self._good
        right = -self.right[good]  # movement of distant objects, opposite to the camera's turn
        down = self.down[good]
        if good.sum() < fewest_steps or right.std() < least_turning:
            return None
        slope, offset, weights = robust_line(right, down, width=1.5, rounds=24)
        spread = np.sum(weights**2 * (right - right.mean()) ** 2)
        squared_errors = (down - slope * right - offset) ** 2
        error = np.sqrt(np.average(squared_errors, weights=weights**2) / spread)
        # a camera that leans to the right sees the horizon rise, not fall, to the right
        return -float(np.degrees(np.arctan(slope))), float(np.degrees(error))

    @property
    def _good(self) -> BoolArray:
        """Return the steps whose pictures match well, (steps,)."""
        return self.usable & (self.match > 0.3)
