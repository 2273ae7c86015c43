"""A table of results, which is printed in a terminal or on a page, and written as CSV."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

_APART = "  "


@dataclass(frozen=True)
class TableColumn:
    """A column. key: in CSV, and its heading unless that is given; words: value -> text of a
    printed cell.

    A value that is None is printed as "-".
    """

    key: str
    words: Callable[[Any], str] = str
    heading: str | None = None


@dataclass(frozen=True)
class Table:
    """Rows of values, one for each column. Texts are printed to the left of their column, other
    values to the right.
    """

    columns: Sequence[TableColumn]
    rows: Sequence[Sequence[Any]]

    def cells(self) -> list[list[str]]:
        """Return the printed cells, the headings first."""
        headings = [
            column.key if column.heading is None else column.heading for column in self.columns
        ]
        pairs = (zip(self.columns, row, strict=True) for row in self.rows)
        return [
            headings,
            *(
                ["-" if value is None else column.words(value) for column, value in row]
                for row in pairs
            ),
        ]

    def __str__(self) -> str:
        cells = self.cells()
        aligned = []
        for number, texts in enumerate(zip(*cells, strict=True)):
            width = max(map(len, texts))
            is_text = all(isinstance(row[number], str) for row in self.rows)
            aligned.append([text.ljust(width) if is_text else text.rjust(width) for text in texts])
        return "\n".join(_APART.join(line).rstrip() for line in zip(*aligned, strict=True))

    def csv(self) -> str:
        """Return the text of a CSV file; numbers are exact, and None is an empty cell."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([column.key for column in self.columns])
        writer.writerows(self.rows)
        return text.getvalue()
