"""Convert recorded rows from a data frame to the table that a store holds, and back.

The table is a NumPy array with a field for each column, (rows,). A text is UTF-8 of fixed length in
the table, and a string in the data frame.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from bcclone.recording.row import CAMERAS, NUMBERS

# (rows,), one field for each column of docs/reference/store.md, named as in the data frame
RowTable = npt.NDArray[np.void]

NO_FRAME = -1  # frame number of a row without an image of the camera
FRAME_COLUMNS = [f"frame_{camera}" for camera in CAMERAS]
# columns of the data frame that are not in the table: `label` and `take_over` are needed only to
# make samples, and `extras` has a table of its own
NOT_STORED = ["extras", "label", "take_over"]
# the columns that every store has -> the letters that NumPy's dtype.kind may be: "iu" for whole
# numbers, "f" for floats, "b" for bool
_COLUMNS = {
    **dict.fromkeys(("time_ms", "episode", "recording", *FRAME_COLUMNS), "iu"),
    **dict.fromkeys(NUMBERS, "f"),
    "validation": "b",
}


def check_rows(table: RowTable) -> None:
    """Raise ValueError if a column that every store has is missing, or has a wrong type."""
    names = table.dtype.names or ()
    for name, kinds in _COLUMNS.items():
        if name not in names or table.dtype[name].kind not in kinds:
            raise ValueError(f"its table of rows has no column {name} of the expected type")


def row_table(rows: pd.DataFrame) -> RowTable:
    """Return the recorded rows in the form that is stored, without NOT_STORED.

    Texts become UTF-8 of fixed length.
    """
    columns = []
    for name, column in rows.drop(columns=NOT_STORED, errors="ignore").items():
        values = column.to_numpy()
        if name in CAMERAS:
            texts = [text.encode() for text in column]
            # np.array([]) would be an array of numbers: without rows, cut an array of texts instead
            values = np.array(texts or [b""])[: len(rows)]
        columns.append((str(name), values))
    table = np.zeros(len(rows), [(name, values.dtype) for name, values in columns])
    for name, values in columns:
        table[name] = values
    return table


def row_frame(table: RowTable) -> pd.DataFrame:
    """Return stored rows as a data frame, the inverse of row_table()."""
    columns = {name: table[name] for name in table.dtype.names or ()}
    for name, values in columns.items():
        if values.dtype.kind == "S":
            columns[name] = np.array([text.decode() for text in values], dtype=object)
    return pd.DataFrame(columns)


def join_rows(tables: Sequence[RowTable]) -> RowTable:
    """Return the rows of several tables, one after the other, with the columns of all of them.

    A row whose table lacks a column has NaN there, or 0, False or an empty text.
    """
    columns: dict[str, np.dtype[np.generic]] = {}
    for table in tables:
        for name in table.dtype.names or ():
            dtype = table.dtype[name]
            # the type that holds the values of all tables, such as the longest text
            columns[name] = np.result_type(columns.get(name, dtype), dtype)
    joined = np.zeros(sum(map(len, tables)), list(columns.items()))
    first = 0
    for table in tables:
        part = joined[first : first + len(table)]
        for name, column in columns.items():
            if name in (table.dtype.names or ()):
                part[name] = table[name]
            elif column.kind == "f":
                part[name] = np.nan
        first += len(table)
    return joined
