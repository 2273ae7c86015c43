"""The log of a recording -> its rows in order of time, as arrays."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from bcclone.recording.edits import Span
from bcclone.recording.log import Log
from bcclone.system.numbers import BoolArray, FloatArray, IndexArray, runs

LEAST_MPH = 2.0  # a car that is not faster counts as standing
# a car that stands for a shorter time, as at the beginning of a recording, does no harm
STANDING_SECONDS = 4.0


@dataclass(frozen=True)
class RecordedRows:
    """What the log says of each row. Arrays are (rows,), or (steps,) from each row to the next."""

    times_ms: IndexArray  # see LogRow
    numbers: IndexArray  # as `bcclone edit` shows them: from 1, deleted and repeated rows counted
    seconds: FloatArray  # from the first row, with shortened pauses
    stretch: IndexArray  # number of the stretch without a pause that a row is in, from 0
    follows: BoolArray  # (steps,), whether the next row follows without a pause
    cut: BoolArray  # (steps,), whether rows between this one and the next are deleted
    line: IndexArray  # number of the row's line in the file of the log
    steering: FloatArray  # -1 left to 1 right
    throttle: FloatArray  # -1 to 1
    speed_mph: FloatArray  # all 0 if unknown
    all_times_ms: IndexArray  # (all rows,), of the deleted and repeated rows, too; rising

    @classmethod
    def of(cls, log: Log) -> "RecordedRows":
        """Return what a log says.

        log: repeated rows are among its deleted ones (check.py moves them there)
        """
        return cls.of_tables(log.rows, log.deleted)

    @classmethod
    def of_tables(cls, rows: pd.DataFrame, deleted: pd.DataFrame) -> "RecordedRows":
        """Return what the rows of a table say.

        rows: in order of time, with the columns line, time_ms, steering, throttle and speed_mph
        deleted: rows that were left out, of which only time_ms is read
        """
        times_ms = rows["time_ms"].to_numpy()
        all_times_ms = np.sort(np.concatenate([times_ms, deleted["time_ms"].to_numpy()]))
        pause_steps = 3.0  # a step that takes this many times as long as usual is a pause
        steps = np.diff(times_ms) / 1000
        usual_step = 0.1
        if (steps > 0).any():
            usual_step = float(np.median(steps[steps > 0]))
        longest_step = pause_steps * usual_step
        follows = steps < longest_step
        places = np.searchsorted(np.unique(all_times_ms), times_ms)
        return cls(
            times_ms=times_ms,
            numbers=np.searchsorted(all_times_ms, times_ms) + 1,
            seconds=np.concatenate([[0.0], np.cumsum(np.minimum(steps, longest_step))]),
            stretch=np.concatenate([[0], np.cumsum(~follows)]),
            follows=follows,
            cut=np.diff(places) > 1,
            line=rows["line"].to_numpy(),
            steering=rows["steering"].to_numpy(np.float64),
            throttle=rows["throttle"].to_numpy(np.float64),
            speed_mph=rows["speed_mph"].to_numpy(np.float64),
            all_times_ms=all_times_ms,
        )

    def __len__(self) -> int:
        return len(self.times_ms)

    def with_steering(self, steering: FloatArray) -> "RecordedRows":
        return replace(self, steering=steering)

    @property
    def why_too_few(self) -> str:
        """Return why the rows are too few to judge the driving, "" if they are enough."""
        fewest_rows = 200
        if len(self) >= fewest_rows:
            return ""
        return f"{len(self)} rows are too few to judge the driving, expected {fewest_rows}"

    @property
    def middles(self) -> FloatArray:
        """Return the time in the middle between two successive rows, in `seconds`, (steps,)."""
        return (self.seconds[1:] + self.seconds[:-1]) / 2

    @property
    def step_seconds(self) -> FloatArray:
        """Return how long each row lasts: from the row before it, in `seconds`, (rows,)."""
        return np.diff(self.seconds, prepend=0.0)

    @property
    def has_speed(self) -> bool:
        """Return whether the log has the car's speeds.

        A car moves in most rows of a recording, so speeds that are mostly 0 were not recorded.
        """
        return bool(np.mean(self.speed_mph > LEAST_MPH) > 0.5)

    @property
    def stands(self) -> BoolArray:
        """Return in which rows the car stands, (rows,).

        The speed decides, or the throttle if the log has no speeds.
        """
        if self.has_speed:
            return np.asarray(self.speed_mph <= LEAST_MPH)
        # smallest absolute throttle of a car that drives; some cars drive with a negative throttle
        least_throttle = 0.02
        still = np.abs(self.throttle) <= least_throttle
        # if the throttle is 0 in all rows, it was not recorded and tells nothing
        return np.asarray(still & (not still.all()))

    def lasting(self, concerned: BoolArray, least_seconds: float) -> BoolArray:
        """Return which of the concerned rows lie in runs that last so long, (rows,)."""
        lasting = np.zeros(len(self), np.bool_)
        for first, last in runs(np.flatnonzero(concerned)):
            # a row lasts until the next one
            until = min(last + 1, len(self) - 1)
            if self.seconds[until] - self.seconds[first] >= least_seconds:
                lasting[first : last + 1] = True
        return lasting

    def spans(self, rows: BoolArray | IndexArray) -> tuple[Span, ...]:
        """Return the spans of row numbers (see `numbers`) that cover the given rows.

        rows: which rows, (rows,), or their indices
        """
        times, begins = self._numbers_of_times
        ends = np.append(begins[1:], len(self.all_times_ms))
        successive = runs(np.searchsorted(times, self.times_ms[rows]))
        # rows with the same time are edited together, so a span holds all of them or none
        return tuple((int(begins[first]) + 1, int(ends[last])) for first, last in successive)

    @cached_property
    def _numbers_of_times(self) -> tuple[IndexArray, IndexArray]:
        """Return the different times, rising, and for each the index of the first row with it."""
        times, begins = np.unique(self.all_times_ms, return_index=True)
        return times, begins
