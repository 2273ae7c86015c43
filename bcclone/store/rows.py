"""Recorded rows as a data frame <-> as a table of fixed length, which is how a store has them."""

import numpy as np
import pandas as pd

from bcclone.recording import CAMERAS
from bcclone.samples import RowTable


def row_table(rows: pd.DataFrame) -> RowTable:
    """Return the recorded rows as they are stored: numbers as they are, names as UTF-8 of fixed length."""
    columns = []
    for name, column in rows.items():
        values = column.to_numpy()
        if name in CAMERAS:
            values = np.array([text.encode() for text in column] or [b""])
        columns.append((str(name), values[: len(rows)]))
    table = np.zeros(len(rows), [(name, values.dtype) for name, values in columns])
    for name, values in columns:
        table[name] = values
    return table


def row_frame(table: RowTable) -> pd.DataFrame:
    """Return stored rows as a data frame: the reverse of row_table()."""
    columns = {name: table[name] for name in table.dtype.names or ()}
    for name, values in columns.items():
        if values.dtype.kind == "S":
            columns[name] = np.array([text.decode() for text in values], dtype=object)
    return pd.DataFrame(columns)
