"""The frames of a recording, each read once -> the figures by which they are judged."""

import math
import zlib
from collections.abc import Callable, Iterator, Mapping
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
from bcclone.recording.files import ImageIndex, Images
from bcclone.recording.log import Log
from bcclone.recording.row import CAMERAS
from bcclone.system.numbers import BoolArray, IndexArray

ReadFrame = Callable[[int], Image | None]  # index of a row -> its centre frame; None: unreadable
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
        figures.turns.shifts = [self._shift_to(row, row - 1 in places) for row in places]
        figures.sides = [
            SideShifts(places[side.row], side.shifts) for side in self.sides if side.row in places
        ]
        return figures

    def _shift_to(self, row: int, is_known: bool) -> Shift:
        """Return how far a row's frame is moved against the row before, if that is known."""
        return self.turns.shifts[row] if is_known else Shift()

    @property
    def frozen(self) -> BoolArray:
        """Return which rows have the same centre frame as the row before, (rows,)."""
        checksums = [frame.checksum for frame in self.frames]
        return np.asarray(np.diff(checksums, prepend=math.nan) == 0)


class FramesSeen(NamedTuple):
    """What the frames of a log's rows show."""

    figures: RecordingFigures
    faults: Mapping[int, list[str]]  # line of the log -> for each unusable image, the reason


def look_at(rows: pd.DataFrame, index: Images, advance: Callable[[int], None]) -> FramesSeen:
    """Read the frames of a log's rows, each once.

    index: finds the log's images
    advance: called with 1 after each row
    """
    seen = FramesSeen(RecordingFigures(len(rows)), {})
    for seen in frames_seen(rows, index):  # noqa: B007 the last one is of all rows
        advance(1)
    return seen


def frames_seen(
    rows: pd.DataFrame, index: Images, read: ReadImage = try_frame
) -> Iterator[FramesSeen]:
    """Yield what the frames show after each row of a log, whose frames are read once.

    It is the same object each time, which grows.

    index: finds the log's images
    """
    figures = RecordingFigures(len(rows))
    faults = dict[int, list[str]]()
    seen = FramesSeen(figures, faults)
    for line, *names in rows[["line", *CAMERAS]].itertuples(index=False):
        frames = dict[str, Image | None]()
        faults[line] = []
        for camera, name in zip(CAMERAS, names, strict=True):
            if not name:
                continue
            frames[camera], fault = read(index.find(name))
            if fault:
                # a fault continues after the name: " is missing" or ": reason"
                faults[line].append(f"line {line}: image {name}{fault}")
        figures.add(frames)
        yield seen


def read_center(
    log: Log, row: int, index: Images | None = None, read: ReadImage = try_frame
) -> Image | None:
    """Return the centre frame of a row, by its index, RGB uint8 (160, 320, 3); None: unreadable."""
    if index is None:
        index = ImageIndex(log.path)
    frame, _ = read(index.find(log.rows["center"].iloc[row]))
    return frame
