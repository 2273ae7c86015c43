"""Find which frame of a film each row of a table is of: by a column, or by counting the rows."""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from bcclone.exchange.foreign_table import ForeignTable
from bcclone.exchange.table_words import number_of_cell, plain
from bcclone.exchange.written_times import Times
from bcclone.system.errors import UserError


def frame_numbers(table: ForeignTable, times: Times | None = None) -> tuple[str, Sequence[float]]:
    """Return the column that numbers the frames, "" for none, and the frame of each row, from 0.

    Raises UserError for a column that may skip frames and does not begin with the first one; with
    times, the rows then count instead.

    times: the times of the rows; the frames are in their order
    """
    counted = _counted_frames(table, times)
    named = re.compile(r"(video_)?frame(_(index|idx|id|number|num|no|nr))?")
    column = ""
    for name in table.cells:
        if named.fullmatch(plain(name)) and table.is_numeric(name):
            column = name
            break
    if not column:
        return "", counted
    numbers = [number_of_cell(cell) for cell in table.cells[column]]
    if numbers == [number + 1 for number in counted]:
        return column, counted
    is_each_once = 0 in numbers and len(set(numbers)) == len(numbers)
    if times:
        # a column beside times may number something else, such as the pictures of another camera
        most = 2 * len(counted)
        are_frames = is_each_once and all(number in range(most) for number in numbers)
        return (column, numbers) if are_frames else ("", counted)
    if is_each_once:
        return column, numbers
    raise UserError(
        f"{table.path}: column {column[:60]!r} numbers the frames from {min(numbers):g}, expected "
        "each number once, from 0, or all from 1; correct it, or rename it if row 1 is of the "
        "video's first frame, and so on",
        exit_code=2,
    )


def _counted_frames(table: ForeignTable, times: Times | None) -> Sequence[int]:
    """Return the frame of each row, from 0, if row N is of frame N.

    times: the times of the rows, if the rows are not in order of time; None if they are
    """
    if times:
        known = pd.Series(np.array(times.milliseconds, float)).ffill()
        if not known.dropna().is_monotonic_increasing:
            ranks = known.rank(method="first", na_option="top")
            return [int(rank) - 1 for rank in ranks]
    # a line that could not be read belongs to a frame, too, so the frames after it count it
    return [row + int(np.searchsorted(table.broken, line)) for row, line in enumerate(table.lines)]
