"""The log of a recording -> its rows in order of time, as arrays; how sharply they turn."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from bcclone.camera.geometry import FOCAL_PX
from bcclone.camera.vehicle import MPH
from bcclone.diagnosis.motion import Turns
from bcclone.recording.edits import Span
from bcclone.system.numbers import BoolArray, FloatArray, IndexArray, mean_around, runs

LEAST_MPH = 2.0  # a car that is not faster counts as standing
# radii that separate the kinds of bends; a larger radius than the last counts as straight
RADII_M = (15, 25, 40, 70, 150)
# keys are pressed and released several times a second, and a car turns more slowly; averaging over
# this time evens the presses out
SMOOTH_SECONDS = 0.6
FINE_SECONDS = 0.2  # to measure a delay, which smoothing blurs


@dataclass(frozen=True)
class Rows:
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
    speed_mph: FloatArray  # all 0 if unknown
    all_times_ms: IndexArray  # (all rows,), of the deleted and repeated rows, too; rising

    @classmethod
    def of(cls, table: pd.DataFrame, deleted: pd.DataFrame) -> "Rows":
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
            speed_mph=table["speed_mph"].to_numpy(np.float64),
            all_times_ms=all_times_ms,
        )

    def __len__(self) -> int:
        return len(self.times_ms)

    def only(self, kept: IndexArray) -> "Rows":
        """Return some of the rows, given by rising indices; the others become deleted ones."""
        left_out = np.ones(len(self), np.bool_)
        left_out[kept] = False
        return Rows.of(
            self.table.iloc[kept].reset_index(drop=True),
            pd.concat([self.deleted, self.table[left_out]]),
        )

    def with_steering(self, steering: FloatArray) -> "Rows":
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

    @property
    def has_speed(self) -> bool:
        """Return whether the log has the car's speeds.

        A car moves in most rows of a recording, so speeds that are mostly 0 were not recorded.
        """
        return bool(np.mean(self.speed_mph > LEAST_MPH) > 0.5)

    @property
    def stands(self) -> BoolArray:
        """Return in which rows the car stands: by its speed, or else by its throttle, (rows,)."""
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

    def window(self, seconds: float) -> int:
        """Return how many rows last so long, 3 at least."""
        seconds_a_row = max(float(np.median(np.diff(self.seconds))), 1e-3)
        return max(3, round(seconds / seconds_a_row))

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


# ---- how sharply the camera turned


def turn_rate(rows: Rows, turns: Turns, smooth_seconds: float = SMOOTH_SECONDS) -> FloatArray:
    """Return how sharply the camera turned from each row to the next, (steps,), right positive.

    In pixels a second, divided by the speed in mph if it is known.
    """
    shortest_seconds = 1e-3  # so that rows of one time divide by no zero
    rate = turns.right / np.maximum(np.diff(rows.seconds), shortest_seconds)
    if rows.has_speed:
        speed = (rows.speed_mph[1:] + rows.speed_mph[:-1]) / 2
        rate = np.where(speed > LEAST_MPH, rate / np.maximum(speed, LEAST_MPH), 0.0)
    # the largest and the smallest hundredth are mistaken matches
    rate = np.clip(rate, *np.percentile(rate, [1, 99]))
    usable = turns.usable.astype(np.float64)
    return mean_around(rows.middles, rate, smooth_seconds, usable, rows.stretch[1:])


def seconds_of_bends(rows: Rows, turns: Turns, has_simulator_lens: bool) -> FloatArray:
    """Return the seconds of bends, (2, kinds): to the left and to the right, by kind.

    RADII_M separate the kinds; the sharpest comes first. The radii are 10 to 20 % too small in our
    simulator: there, nearby objects also shift the picture, which is taken for turning. Without
    speeds or a known lens there is one kind, which sharp steering shows.
    """
    if has_simulator_lens and rows.has_speed:
        curvature_per_m = turn_rate(rows, turns) / (FOCAL_PX * MPH)
        seconds = np.diff(rows.seconds)
        # a histogram's edges rise, so the gentlest kind comes first here; reversed at the end
        edges = [*(1 / np.array(RADII_M[::-1])), np.inf]
        sums = [np.histogram(side * curvature_per_m, edges, weights=seconds)[0] for side in (-1, 1)]
        return np.array(sums)[:, ::-1]
    sharp = 0.25  # share of the driver's usual sharpest steering from which steering is sharp
    usual_quantile = 0.98  # of the absolute steering: the usual sharpest steering
    # the steering has a value for each row, not for each step: the last row lasts no time
    seconds = np.diff(rows.seconds, append=rows.seconds[-1])
    least_steering = sharp * float(np.quantile(np.abs(rows.steering), usual_quantile))
    return np.array([[seconds[side * rows.steering > least_steering].sum()] for side in (-1, 1)])
