"""A table of results: one value that is printed in a terminal or on a page, and written as JSON and as CSV."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bcclone.system.json_values import to_json

_APART = "  "


@dataclass(frozen=True)
class TableColumn:
    """A column. key: in JSON and CSV, and its heading unless that is given; words: value -> text of a printed cell.

    A value that is None is printed as "-".
    """

    key: str
    words: Callable[[Any], str] = str
    heading: str | None = None

    def printed(self, value: Any) -> str:
        """Return a value as a printed cell."""
        return "-" if value is None else self.words(value)


@dataclass(frozen=True)
class Table:
    """Rows of values, one for each column. Texts are printed to the left of their column, other values to the right."""

    columns: Sequence[TableColumn]
    rows: Sequence[Sequence[Any]]

    def __post_init__(self) -> None:
        if wrong := [row for row in self.rows if len(row) != len(self.columns)]:
            raise ValueError(f"{wrong[0]!r} in a table of {len(self.columns)} columns, expected a value for each")

    def cells(self) -> list[list[str]]:
        """Return the printed cells, the headings first."""
        headings = [column.key if column.heading is None else column.heading for column in self.columns]
        rows = [[column.printed(value) for column, value in zip(self.columns, row, strict=True)] for row in self.rows]
        return [headings, *rows]

    def __str__(self) -> str:
        cells = self.cells()
        aligned = []
        for number, texts in enumerate(zip(*cells, strict=True)):
            width = max(map(len, texts))
            is_text = all(isinstance(row[number], str) for row in self.rows)
            aligned.append([text.ljust(width) if is_text else text.rjust(width) for text in texts])
        return "\n".join(_APART.join(line).rstrip() for line in zip(*aligned, strict=True))

    def records(self) -> list[dict[str, Any]]:
        """Return each row as JSON values by the keys of the columns."""
        keys = [column.key for column in self.columns]
        return [dict(zip(keys, map(to_json, row), strict=True)) for row in self.rows]

    def csv(self) -> str:
        """Return the text of a CSV file; numbers are exact, and None is an empty cell."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([column.key for column in self.columns])
        writer.writerows(self.rows)
        return text.getvalue()
