"""Frames of a drive -> the frames of a camera whose horizon is where a frame's horizon belongs.

A framing that `bcclone calibrate` found suits a network, and its horizon may be off by some rows.
Where the car drives to in the frames, their focus of expansion, shows the true one.
"""

import math
from dataclasses import replace
from typing import NamedTuple

from bcclone.camera.framing import Framing
from bcclone.camera.geometry import FOCAL_PX, VANISHING_ROW, CameraMove, warp_to
from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, Image
from bcclone.diagnosis.frame_figures import ReadFrame
from bcclone.diagnosis.frame_pairs import FramePairs
from bcclone.diagnosis.heading import Heading, is_trusted, measure_heading
from bcclone.diagnosis.motion import TurnMeter, Turns
from bcclone.system.numbers import BoolArray
from bcclone.system.process import ProgressBar

_LEAST_OFF = 3.0  # rows by which a horizon is surely wrong, beside twice the standard error


class LevelFrames(NamedTuple):
    """The frames of a drive with the true horizon, as far as they show it."""

    read: ReadFrame  # index of a row -> its frame, RGB uint8 (160, 320, 3), None if unreadable
    framing: Framing  # how pictures of the camera would become these frames
    pitch_rad: float = 0.0  # by which the recorded frames were turned down for them


def level_frames(read: ReadFrame, follows: BoolArray, framing: Framing) -> LevelFrames:
    """Return the frames of a drive, turned up or down if their horizon is surely wrong.

    read: as in LevelFrames, of the recorded frames
    follows: whether the next row follows without a pause, (rows - 1,)
    framing: how pictures became the recorded frames; raises ValueError for one without a lens
    """
    if framing.lens is None:
        raise ValueError("a framing without a lens, expected one")
    heading = _heading_of(read, follows)
    if heading is None or not is_trusted(heading):
        return LevelFrames(read, framing)
    below_px = heading.row - VANISHING_ROW
    if abs(below_px) < _LEAST_OFF + 2 * heading.row_error:
        return LevelFrames(read, framing)

    pitch_rad = _angle_down(heading.row)
    warp = warp_to(CameraMove(0.0, 0.0, pitch_rad=pitch_rad))

    def read_level(row: int) -> Image | None:
        frame = read(row)
        if frame is None:
            return None
        return warp.apply(frame, FRAME_WIDTH, FRAME_HEIGHT)

    lens = framing.lens
    horizon_row = round(lens.horizon_row + below_px * lens.focal_px / FOCAL_PX, 3)
    true_lens = replace(lens, horizon_row=horizon_row)
    return LevelFrames(read_level, replace(framing, lens=true_lens), pitch_rad)


def _heading_of(read: ReadFrame, follows: BoolArray) -> Heading | None:
    """Return where the car drives to in its frames; None if they show too little."""
    meter = TurnMeter()
    with ProgressBar("finding the horizon", len(follows) + 1, "rows") as progress:
        for row in range(len(follows) + 1):
            meter.add(read(row))
            progress.advance(1)
    turns = Turns.of(meter.shifts[1:], follows)
    return measure_heading(FramePairs(read, turns, follows).straight_on)


def _angle_down(row: float) -> float:
    """Return by how much a row of a frame lies below the horizon, in radians."""
    middle = (FRAME_HEIGHT - 1) / 2
    below_axis = math.atan2(row - middle, FOCAL_PX)
    return below_axis - math.atan2(VANISHING_ROW - middle, FOCAL_PX)
