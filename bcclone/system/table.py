"""Tables: rows of values -> the text of a printed table, or of a CSV file."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bcclone.system.errors import printable


@dataclass(frozen=True)
class TableColumn:
    """A column of a table; the value None is printed as "-"."""

    key: str  # the column's name in CSV
    words: Callable[[Any], str] = str  # value -> text of the printed cell; not called for None
    heading: str = ""  # heading in the printed table; "" for the key


@dataclass(frozen=True)
class Table:
    """Rows of values, a value for each column.

    A column whose values are all texts is aligned to the left, any other to the right.
    """

    columns: Sequence[TableColumn]
    rows: Sequence[Sequence[Any]]

    def cells(self) -> list[list[str]]:
        """Return the printed cells, the headings first; a newline in a cell is escaped."""
        cells = [[column.heading or column.key for column in self.columns]]
        for row in self.rows:
            cells.append(
                [
                    "-" if value is None else printable(column.words(value), kept="")
                    for column, value in zip(self.columns, row, strict=True)
                ]
            )
        return cells

    def __str__(self) -> str:
        cells = self.cells()
        aligned = []
        for number, texts in enumerate(zip(*cells, strict=True)):
            width = max(map(len, texts))
            is_text = all(isinstance(row[number], str) for row in self.rows)
            align = str.ljust if is_text else str.rjust
            aligned.append([align(text, width) for text in texts])
        return "\n".join("  ".join(line).rstrip() for line in zip(*aligned, strict=True))

    def csv(self) -> str:
        """Return the text of a CSV file; numbers are exact, and None is an empty cell."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([column.key for column in self.columns])
        writer.writerows(self.rows)
        return text.getvalue()
