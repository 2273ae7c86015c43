"""The log of a recording -> its rows in order of time, as arrays."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from bcclone.recording.edits import Span
from bcclone.system.arrays import BoolArray, FloatArray, IndexArray, runs

LEAST_MPH = 2.0  # a car that is not faster counts as standing


@dataclass(frozen=True)
class DriveRows:
    """What the log says of each row. Arrays are (rows,), or (steps,) from each row to the next."""

    table: pd.DataFrame  # the rows of the log from which the arrays are made
    deleted: pd.DataFrame  # the rows that are left out, the repeated ones too
    times_ms: IndexArray  # as in a log
    numbers: IndexArray  # as `bcclone edit` shows them: from 1, deleted and repeated rows counted
    seconds: FloatArray  # from the first row, with shortened pauses
    stretch: IndexArray  # number of the stretch without a pause that a row is in, from 0
    follows: BoolArray  # (steps,), whether the next row follows without a pause
    steering: FloatArray  # -1 left to 1 right
    throttle: FloatArray  # -1 to 1
    speed_mph: FloatArray | None  # None if it is unknown
    all_times_ms: IndexArray  # (all rows,), of the deleted and repeated rows, too; rising

    @classmethod
    def of(cls, table: pd.DataFrame, deleted: pd.DataFrame) -> "DriveRows":
        """Return what the rows of a table say.

        table: in order of time, with the columns line, time_ms, steering, throttle and speed_mph
        deleted: rows that were left out, of which only time_ms is read
        """
        pause_steps = 3.0  # a step that takes this many times as long as usual is a pause
        times_ms = table["time_ms"].to_numpy()
        all_times_ms = np.sort(np.concatenate([times_ms, deleted["time_ms"].to_numpy()]))
        steps = np.diff(times_ms) / 1000
        usual_step = 0.1
        if (steps > 0).any():
            usual_step = float(np.median(steps[steps > 0]))
        longest_step = pause_steps * usual_step
        follows = steps < longest_step
        speed_mph = table["speed_mph"].to_numpy(np.float64)
        # a car moves in most rows of a recording, so speeds that are mostly 0 were not recorded
        is_speed_known = np.mean(speed_mph > LEAST_MPH) > 0.5
        return cls(
            table=table,
            deleted=deleted,
            times_ms=times_ms,
            numbers=np.searchsorted(all_times_ms, times_ms) + 1,
            seconds=np.concatenate([[0.0], np.cumsum(np.minimum(steps, longest_step))]),
            stretch=np.concatenate([[0], np.cumsum(~follows)]),
            follows=follows,
            steering=table["steering"].to_numpy(np.float64),
            throttle=table["throttle"].to_numpy(np.float64),
            speed_mph=speed_mph if is_speed_known else None,
            all_times_ms=all_times_ms,
        )

    def __len__(self) -> int:
        return len(self.times_ms)

    def only(self, kept: IndexArray) -> "DriveRows":
        """Return some of the rows, given by rising indices; the others become deleted ones."""
        left_out = np.ones(len(self), np.bool_)
        left_out[kept] = False
        return DriveRows.of(
            self.table.iloc[kept].reset_index(drop=True),
            pd.concat([self.deleted, self.table[left_out]]),
        )

    def with_steering(self, steering: FloatArray) -> "DriveRows":
        return replace(self, table=self.table.assign(steering=steering), steering=steering)

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

    def lasting(self, concerned: BoolArray, least_seconds: float) -> BoolArray:
        """Return which of the concerned rows lie in runs that last so long, (rows,)."""
        lasting = np.zeros(len(self), np.bool_)
        for first, last in runs(np.flatnonzero(concerned)):
            # a row lasts until the next one
            until = min(last + 1, len(self) - 1)
            if self.seconds[until] - self.seconds[first] >= least_seconds:
                lasting[first : last + 1] = True
        return lasting

    def window(self, seconds: float) -> int:
        """Return how many rows last so long, 3 at least."""
        seconds_a_row = max(float(np.median(np.diff(self.seconds))), 1e-3)
        return max(3, round(seconds / seconds_a_row))

    def spans(self, rows: BoolArray | IndexArray) -> tuple[Span, ...]:
        """Return the spans of row numbers (see `numbers`) that cover the given rows.

        rows: which rows, (rows,), or their indices
        """
        # rows with the same time are edited together, so a span holds all of them or none
        times, begins = np.unique(self.all_times_ms, return_index=True)
        ends = np.append(begins[1:], len(self.all_times_ms))
        successive = runs(np.searchsorted(times, self.times_ms[rows]))
        return tuple((int(begins[first]) + 1, int(ends[last])) for first, last in successive)
