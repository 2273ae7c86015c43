"""What a recording shows: a value for each question of a judge, measured when a judge asks for it.

In: a log and the figures of its frames. Out: `Evidence`; for a film, which has no log,
`DriveEvidence`. No trained network is asked whether the steering fits the frames: it would need
TensorFlow, and show less than whether the frames turn as the car is steered.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
import pandas as pd

from bcclone.camera.images import FRAME_HEIGHT
from bcclone.diagnosis.agreement import (
    NOTHING_COMPARED,
    Agreement,
    Compared,
    compare,
    measure_agreement,
)
from bcclone.diagnosis.bends import curvature_per_m, seconds_of_bends
from bcclone.diagnosis.frame_figures import ReadFrame, RecordingFigures
from bcclone.diagnosis.frame_pairs import FramePairs
from bcclone.diagnosis.heading import (
    Heading,
    drives_backwards,
    ground_below,
    measure_heading,
    share_that_grows,
)
from bcclone.diagnosis.motion import Turns
from bcclone.diagnosis.recorded_rows import RecordedRows
from bcclone.diagnosis.stretches import Segmentation, segmented
from bcclone.recording.edits import Span
from bcclone.recording.log import Log
from bcclone.system.numbers import BoolArray, FloatArray, IndexArray, numbers_in


class DriveEvidence:
    """What the rows and frames of a drive show.

    figures: what was measured in the frames of these rows
    read_frame: index of a row -> its centre frame, RGB uint8 (160, 320, 3), None if it cannot be
        read
    is_estimated: whether the steering was estimated from the frames, so that it cannot be judged
        by them
    """

    def __init__(
        self,
        rows: RecordedRows,
        figures: RecordingFigures,
        read_frame: ReadFrame,
        is_estimated: bool = False,
    ) -> None:
        self.rows = rows
        self.figures = figures
        self.read_frame = read_frame
        self.is_estimated = is_estimated

    @property
    def has_simulator_lens(self) -> bool:
        """Return whether the recording has three cameras, as the simulator's car alone has."""
        return bool(self.figures.sides)

    @cached_property
    def turns(self) -> Turns:
        # nothing comes before the first frame, so that it has no shift
        return Turns.of(self.figures.turns.shifts[1:], self.rows.follows)

    @cached_property
    def pairs(self) -> FramePairs:
        return FramePairs(self.read_frame, self.turns, self.rows.follows)

    @cached_property
    def heading(self) -> Heading | None:
        """Return where the car drives to in the frames; None for too few points."""
        return measure_heading(self.pairs.straight_on)

    @cached_property
    def growing_share(self) -> float | None:
        """Return the share of the pictures that grow, as they do when the car drives forwards."""
        return share_that_grows(self.pairs.straight_on)

    @cached_property
    def agreement(self) -> Agreement | None:
        """Return how steering and turns agree; None if it cannot be measured.

        None, too, for steering that was estimated from the frames: it agrees with them anyway.
        """
        # without() may leave a single row or none: then there is no step to compare
        has_step = len(self.rows.seconds) > 1
        if self.is_estimated or not has_step:
            return None
        return measure_agreement(self.rows, self.turns)

    @property
    def forwards_agreement(self) -> Agreement | None:
        """Return the agreement; None if the car drives backwards: then turns mean the opposite."""
        return None if self.drives_backwards else self.agreement

    @cached_property
    def compared(self) -> Compared:
        """Return the turns and the steering at the agreement's delay; no steps if there is none."""
        if self.agreement is None:
            return NOTHING_COMPARED
        return compare(self.rows, self.turns, self.agreement.lag)

    @cached_property
    def segmentation(self) -> Segmentation | None:
        """Return the stretches in which steering and turns agree alike; None as for `agreement`."""
        if self.is_estimated:
            return None
        return segmented(self.rows, self.turns, self.agreement)

    @cached_property
    def is_upside_down(self) -> bool:
        """Return whether near things are in the upper part of the frames, as the ground never is.

        Frames do not count as upside down if the steering clearly agrees with the turns.
        """
        clear = 0.35  # of upright frames; those that are turned by 180 degrees had 0.25 at most
        least_difference = 0.08  # between both ways to look at frames that are upside down
        lowest_row = FRAME_HEIGHT - 30.0  # a focus below it leaves no room for ground
        below = ground_below(self.pairs.straight_on, self.heading)
        if below is not None and below > clear:
            return False

        # turned by 180 degrees, frames that are upside down show more points of the ground
        turned_round = self.pairs.straight_on_turned_round
        heading = measure_heading(turned_round)
        below_turned = ground_below(turned_round, heading)
        if heading is None or below_turned is None or heading.row > lowest_row:
            return False
        least = clear if below is None else below + least_difference
        if below_turned < least:
            return False
        return self.agreement is None or not self.agreement.is_clear

    @property
    def drives_backwards(self) -> bool:
        """Return whether the pictures surely shrink from row to row."""
        return drives_backwards(self.growing_share)

    def curvature_per_m(self) -> FloatArray | None:
        """Return the curvature of the driven line, see bends.curvature_per_m()."""
        return curvature_per_m(self.rows, self.turns, self.has_simulator_lens)

    def seconds_of_bends(self) -> FloatArray:
        """Return the seconds of bends, (2, kinds), see bends.seconds_of_bends()."""
        return seconds_of_bends(self.rows, self.curvature_per_m())


class Evidence(DriveEvidence):
    """What the rows and frames of a recording show, or those of a part of it.

    log: the rows that are judged; other rows are among its deleted ones
    are_mirrored: which of them mirrored() has mirrored, (rows,); None for none
    """

    def __init__(
        self,
        log: Log,
        figures: RecordingFigures,
        read_frame: ReadFrame,
        is_estimated: bool = False,
        are_mirrored: BoolArray | None = None,
    ) -> None:
        super().__init__(RecordedRows.of(log), figures, read_frame, is_estimated)
        self.log = log
        self.are_mirrored = np.zeros(len(log.rows), np.bool_)
        if are_mirrored is not None:
            self.are_mirrored = are_mirrored

    def of_rows(self, kept: IndexArray) -> "Evidence":
        """Return the evidence of the kept rows; the others become deleted rows of the log.

        kept: indices of the rows, rising
        """
        table = self.log.rows
        left_out = np.ones(len(table), np.bool_)
        left_out[kept] = False
        log = replace(
            self.log,
            rows=table.iloc[kept].reset_index(drop=True),
            deleted=pd.concat([self.log.deleted, table[left_out]]),
        )
        return Evidence(
            log,
            self.figures.of_rows(kept),
            lambda row: self.read_frame(int(kept[row])),
            self.is_estimated,
            self.are_mirrored[kept],
        )

    def mirrored(self, spans: Sequence[Span]) -> "Evidence":
        """Return the evidence with the steering of some rows mirrored.

        spans: spans of row numbers, as in Finding.rows
        """
        concerned = np.isin(self.rows.numbers, numbers_in(spans))
        steering = np.where(concerned, 0.0 - self.rows.steering, self.rows.steering)
        log = replace(self.log, rows=self.log.rows.assign(steering=steering))
        return Evidence(
            log,
            self.figures,
            self.read_frame,
            self.is_estimated,
            self.are_mirrored | concerned,
        )

    def without(self, spans: Sequence[Span]) -> "Evidence":
        """Return the evidence without some rows.

        spans: spans of row numbers, as in Finding.rows
        """
        deleted = np.isin(self.rows.numbers, numbers_in(spans))
        return self.of_rows(np.flatnonzero(~deleted))
