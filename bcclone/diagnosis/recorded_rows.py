"""The log of a recording -> its rows in order of time, as arrays."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from bcclone.recording.edits import Span
from bcclone.recording.log import Log
from bcclone.system.arrays import BoolArray, FloatArray, IndexArray
from bcclone.system.statistics import runs

LEAST_MPH = 2.0  # a slower car stands


@dataclass(frozen=True)
class RecordedRows:
    """What the log says of each row. Arrays are (rows,), or (steps,) from each row to the next."""

    times_ms: IndexArray
    numbers: IndexArray  # as `bcclone edit` shows them: from 1, deleted and repeated rows counted
    seconds: FloatArray  # since the first row, with shortened pauses
    stretch: IndexArray  # how many pauses come before
    follows: BoolArray  # (steps,), the next row follows without a pause
    cut: BoolArray  # (steps,), rows are deleted in between
    line: IndexArray  # of the file
    steering: FloatArray  # -1 left to 1 right
    throttle: FloatArray  # -1 to 1
    speed_mph: FloatArray  # all 0 if unknown
    all_times_ms: IndexArray  # of the deleted and repeated rows, too, rising

    @classmethod
    def of(cls, log: Log) -> "RecordedRows":
        times_ms = log.rows["time_ms"].to_numpy()
        all_times_ms = np.sort(np.concatenate([times_ms, log.deleted["time_ms"].to_numpy()]))
        # a step is as long as a pause if it takes several times as long as usual
        pause_steps = 3.0
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
            line=log.rows["line"].to_numpy(),
            steering=log.rows["steering"].to_numpy(np.float64),
            throttle=log.rows["throttle"].to_numpy(np.float64),
            speed_mph=log.rows["speed_mph"].to_numpy(np.float64),
            all_times_ms=all_times_ms,
        )

    def __len__(self) -> int:
        return len(self.times_ms)

    def with_steering(self, steering: FloatArray) -> "RecordedRows":
        return replace(self, steering=steering)

    @property
    def too_few(self) -> str:
        """Return why the driving cannot be judged, "" if it can."""
        fewest_rows = 200
        if len(self) >= fewest_rows:
            return ""
        return f"{len(self)} rows are too few to judge the driving, expected {fewest_rows}"

    @property
    def middles(self) -> FloatArray:
        """Return the times between successive rows, (steps,)."""
        return (self.seconds[1:] + self.seconds[:-1]) / 2

    @property
    def has_speed(self) -> bool:
        return bool(np.mean(self.speed_mph > LEAST_MPH) > 0.5)

    @property
    def stands(self) -> BoolArray:
        """Return the rows in which the car stands, (rows,).

        It is told by the speed, or by the throttle if speeds are unknown.
        """
        if self.has_speed:
            return np.asarray(self.speed_mph <= LEAST_MPH)
        least_throttle = 0.02  # of a car that drives; some drive forwards with a negative one
        still = np.abs(self.throttle) <= least_throttle
        return np.asarray(still & (not still.all()))

    def spans(self, rows: BoolArray | IndexArray) -> tuple[Span, ...]:
        """Return the numbers of rows as spans. rows: whether each counts, or their indices."""
        times, begins = self._numbers_of_times
        ends = np.append(begins[1:], len(self.all_times_ms))
        found = runs(np.searchsorted(times, self.times_ms[rows]))
        # of rows with the same time, which are edited together, all are in a span
        return tuple((int(begins[first]) + 1, int(ends[last])) for first, last in found)

    @cached_property
    def _numbers_of_times(self) -> tuple[IndexArray, IndexArray]:
        """Return all times, each once, and the index of the first row that has each."""
        times, begins = np.unique(self.all_times_ms, return_index=True)
        return times, begins
