"""The frames of a recording, each read once -> the figures by which they are judged."""

import math
import zlib
from collections.abc import Callable, Mapping
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
from bcclone.diagnosis.motion import Shift, TurnMeter, side_shift
from bcclone.recording.files import Images
from bcclone.recording.row import CAMERAS
from bcclone.system.numbers import BoolArray, IndexArray

# path of an image, or None -> its frame and "", or None and what is wrong, as try_frame() says it
ReadImage = Callable[[str | None], tuple[Image | None, str]]


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


class SideShifts(NamedTuple):
    """How the ground is moved in the frames of the side cameras of one row."""

    row: int  # index of the row
    shifts: Mapping[str, Shift]  # "left" and "right" -> shift against the centre camera's frame


class RecordingFigures:
    """Gathers figures of the frames while they are read; add() the rows in order of time.

    Side cameras are measured on every Nth row only; other rows may be added with the frame of the
    centre camera alone.
    """

    def __init__(self, rows: int) -> None:
        enough_sides = 150  # rows that are enough to see whether cameras are exchanged
        self.frames: list[FrameFigures] = []
        self.turns = TurnMeter()
        self.sides: list[SideShifts] = []
        # index of a row with an unusable image -> for each of its unusable images, the reason
        self.faults: dict[int, list[str]] = {}
        self.every = max(1, rows // enough_sides)  # the N of every Nth row

    def add(self, frames: Mapping[str, Image | None]) -> None:
        """Take a row's frames: camera -> RGB uint8 (160, 320, 3), None for an unreadable one."""
        center = frames.get("center")
        self.turns.add(center)
        if center is None:
            self.frames.append(FrameFigures())
            return
        self.frames.append(FrameFigures.of(center))
        if len(self.frames) % self.every == 0:
            shifts = {
                camera: side_shift(center, frame)
                for camera, frame in frames.items()
                if camera != "center" and frame is not None
            }
            if len(shifts) == 2:
                self.sides.append(SideShifts(len(self.frames) - 1, shifts))

    def of_rows(self, rows: IndexArray) -> "RecordingFigures":
        """Return the figures of some rows.

        If the row before a row is left out, the turn between them is unknown.

        rows: indices of the rows, rising
        """
        places = {row: place for place, row in enumerate(rows.tolist())}
        figures = RecordingFigures(len(rows))
        figures.frames = [self.frames[row] for row in places]
        figures.turns.shifts = [
            self.turns.shifts[row] if row - 1 in places else Shift() for row in places
        ]
        figures.sides = [
            SideShifts(places[side.row], side.shifts) for side in self.sides if side.row in places
        ]
        figures.faults = {
            places[row]: faults for row, faults in self.faults.items() if row in places
        }
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
) -> RecordingFigures:
    """Read the frames of a log's rows, each once.

    index: finds the log's images
    advance: called with 1 after each row
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
    return figures


def read_center(
    rows: pd.DataFrame, row: int, index: Images, read: ReadImage = try_frame
) -> Image | None:
    """Return the centre frame of a row, by its index, RGB uint8 (160, 320, 3); None: unreadable."""
    frame, _ = read(index.find(rows["center"].iloc[row]))
    return frame
