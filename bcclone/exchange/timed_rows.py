"""The rows of a table with their times -> the values at any time, as a film needs them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

import numpy as np

from bcclone.exchange.control_table import ControlTable
from bcclone.exchange.exchanged_row import LeftOut
from bcclone.exchange.film_fit import LONGEST_GAP_SECONDS, SteeredTimes
from bcclone.exchange.foreign_table import ForeignTable
from bcclone.exchange.frame_numbers import frame_numbers
from bcclone.exchange.written_times import Times
from bcclone.system.errors import UserError
from bcclone.system.numbers import FloatArray

# largest distance from a frame to the nearest row whose values it takes, where it is not between
# two rows that are close to each other
FARTHEST_SECONDS = 0.12


@dataclass(frozen=True)
class TimedRows:
    """The rows of a table, in order of time."""

    times: Times  # of all rows of the table, in its own order
    start_ms: int  # time of the video's first frame
    seconds: FloatArray  # time of each row since the first frame, (rows,), rising
    rows: Sequence[int]  # index of each row in the table
    values: Mapping[str, Sequence[float]]  # name in NUMBERS -> value of each row
    left_out: Sequence[LeftOut]  # the rows without a time or a number

    def values_at(self, seconds: float) -> dict[str, float] | None:
        """Return the values at a time.

        Returns None in a gap between two rows, before the first row and after the last one; but
        near a row, its values are returned.
        """
        after = int(np.searchsorted(self.seconds, seconds))
        around = self.seconds[max(after - 1, 0) : after + 1]
        is_between = len(around) > 1 and np.ptp(around) <= LONGEST_GAP_SECONDS
        if not is_between and np.abs(around - seconds).min() > FARTHEST_SECONDS:
            return None
        return {
            name: float(np.interp(seconds, self.seconds, values))
            for name, values in self.values.items()
        }

    @property
    def steered(self) -> SteeredTimes:
        """Return the steering at its times."""
        speed = self.values.get("speed_mph")
        return SteeredTimes(
            seconds=self.seconds,
            steering=np.array(self.values["steering"]),
            speed=None if speed is None else np.array(speed),
        )

    def seconds_of_frames(self, table: ForeignTable) -> FloatArray:
        """Return the time of each frame if row N is of frame N; NaN for none, (frames,)."""
        _, numbers = frame_numbers(table, self.times)
        # lines at the end that could not be read belong to frames, too
        broken_at_end = sum(line > table.lines[-1] for line in table.broken)
        seconds = np.full(int(max(numbers)) + 1 + broken_at_end, np.nan)
        for number, time_ms in zip(numbers, self.times.milliseconds, strict=True):
            if time_ms is not None:
                seconds[int(number)] = (time_ms - self.start_ms) / 1000
        return seconds


def timed_rows(labelled: ControlTable, times: Times) -> TimedRows:
    """Return the rows of a table with their times; raises UserError if no row has one."""
    table = labelled.table
    timed: list[tuple[int, int, dict[str, float]]] = []  # time, row, numbers
    left_out: list[LeftOut] = []
    for row, time_ms in enumerate(times.milliseconds):
        if time_ms is None:
            left_out.append(LeftOut(table.place(row), "it has no time"))
            continue
        try:
            timed.append((time_ms, row, labelled.numbers(row)))
        except ValueError as error:
            left_out.append(LeftOut.of(table.place(row), error))
    if not timed:
        raise UserError(f"{table.path}: no row has a time and a steering; correct the table")
    timed.sort(key=itemgetter(0, 1))
    start_ms = timed[0][0] if times.is_since_1970 else 0
    return TimedRows(
        times=times,
        start_ms=start_ms,
        seconds=np.array([time_ms - start_ms for time_ms, _, _ in timed], float) / 1000,
        rows=[row for _, row, _ in timed],
        values={name: [numbers[name] for _, _, numbers in timed] for name in labelled.values},
        left_out=left_out,
    )
