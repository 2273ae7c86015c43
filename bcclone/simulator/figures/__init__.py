"""The figures of the two tracks, as CSV files; the first lines of each say what it holds."""

import csv
from importlib import resources

import numpy as np

from bcclone.system.arrays import FloatArray


def read_figures(name: str, kinds: tuple[str, ...] = ()) -> FloatArray:
    """Return the numbers of a CSV file of this folder, (lines, columns).

    kinds: keep only the lines that begin with one of these words, and drop the word; () keeps all
    """
    path = resources.files(__name__) / name
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [row for row in csv.reader(lines) if row and not row[0].startswith("#")]
    if kinds:
        rows = [row[1:] for row in rows if row[0] in kinds]
    elif any(cell.isidentifier() for cell in rows[0]):  # the names of the columns
        rows = rows[1:]
    return np.array([[float(cell) for cell in row] for row in rows])
