"""A log file -> its rows in order of time, checked, with the bad ones listed and the foreign files refused."""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path

import pandas as pd

from bcclone.errors import UserError
from bcclone.recording.dialect import (
    COLUMNS,
    LONGEST_LINE,
    NUMBER,
    Dialect,
    Fields,
    Numbers,
    header_fault,
    is_known_header,
    names_an_image,
    resolve,
    take_apart,
    with_point,
)
from bcclone.recording.plain import read_plain
from bcclone.recording.row import CAMERAS, Row, RowError, time_of

EPISODE_GAP_MS = 1000
_NUMBER_COLUMNS = COLUMNS.split(",")[3:]


class ForeignLog(UserError):
    """A file that is no log of the simulator; an empty one ends a conversion with exit code 1, another with 2."""

    def __init__(self, path: Path, reason: str, empty: bool = False) -> None:
        super().__init__(f"{path}: not a log of the simulator: {reason}", exit_code=1 if empty else 2)
        self.reason = reason


@dataclass(frozen=True)
class BadRow:
    """A row that was left out. row: its number in the file, from 1."""

    row: int
    reason: str


@dataclass(frozen=True)
class Log:
    """A log that was read.

    rows: a table with the columns of `Row` and `episode` (from 0; a gap over 1 s begins a new one), in order
    of time; row_count includes the bad ones.
    """

    path: Path
    dialect: Dialect
    rows: pd.DataFrame
    bad_rows: tuple[BadRow, ...]

    @property
    def row_count(self) -> int:
        """Count rows, good and bad."""
        return len(self.rows) + len(self.bad_rows)

    @property
    def episodes(self) -> int:
        """Count stretches of driving without a gap over 1 s."""
        return int(self.rows["episode"].max()) + 1


def read_log(path: Path) -> Log:
    """Read a log of any dialect in docs/reference/dialects.md.

    Raises ForeignLog for an empty file, a git-LFS pointer, and any table that is not the simulator's;
    UserError when the file cannot be read.
    """
    lines = _read_text(path).split("\n")
    plain = read_plain(lines)
    return Log(path, plain[0], _with_episodes(plain[1]), ()) if plain else _read_line_by_line(path, lines)


def _read_line_by_line(path: Path, lines: list[str]) -> Log:
    taken = _take_apart(path, lines)
    bad = taken.bad
    ambiguous = _has_bare_decimal_commas(taken.fields)
    decimal_comma = ambiguous or any(with_point(n) != n for f in taken.fields for n in f.numbers[:4])
    dialect = Dialect(
        spaced=sum(f.spaced for f in taken.fields) * 2 > len(taken.fields),
        decimal_comma=decimal_comma,
        header=taken.header,
        cameras=tuple(c for place, c in enumerate(CAMERAS) if any(f.images[place] for f in taken.fields)),
        extra_columns=0 if ambiguous else max(len(f.numbers) for f in taken.fields) - 4,
    )
    rows = list(_rows(taken.fields, ambiguous, bad))
    if not rows:
        raise ForeignLog(path, f"no row can be used; row {bad[0].row}: {bad[0].reason}")
    return Log(path, dialect, _table(rows), tuple(sorted(bad, key=lambda b: b.row)))


@dataclass
class _Taken:
    """The lines of a log, taken apart."""

    header: bool
    fields: list[Fields] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}; mend that, or name another") from None
    if data.startswith(b"version https://git-lfs"):
        raise ForeignLog(path, "it is a git-LFS pointer, not the data; fetch it with: git lfs pull")
    text = _decode(data).replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise ForeignLog(path, f"the file is empty, expected rows of {COLUMNS}", empty=True)
    return text


def _decode(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace")
    if b"\0" in data[1:2] + data[3:4]:
        return data.decode("utf-16-le", errors="replace")
    data = data.replace(b"\0", b"")  # a machine that lost its power leaves such blocks
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def _take_apart(path: Path, lines: list[str]) -> _Taken:
    first = next(place for place, text in enumerate(lines) if text.strip())
    taken = _Taken(header=not names_an_image(lines[first]))
    if taken.header and (fault := header_fault(lines[first])):
        raise ForeignLog(path, f"its header has {fault}")
    for number in range(first + taken.header, len(lines)):
        text = lines[number]
        if not text.strip():
            continue
        try:
            if len(text) > LONGEST_LINE:
                raise RowError(f"the line has {len(text)} characters, expected at most {LONGEST_LINE}")
            taken.fields.append(take_apart(number + 1, text))
        except RowError as error:
            if not names_an_image(text) and is_known_header(text):
                continue  # logs that were joined repeat the header
            taken.bad.append(BadRow(number + 1, str(error)))
    if not taken.fields:
        raise ForeignLog(path, _reason(taken.bad, lines[first]), empty=taken.header and not taken.bad)
    return taken


def _reason(bad: list[BadRow], first: str) -> str:
    if not bad:
        return f"it has a header and no rows, expected rows of {COLUMNS}"
    return f"row {bad[0].row}: {bad[0].reason} (the file begins with {first.strip()[:60]!r})"


def _has_bare_decimal_commas(taken: list[Fields]) -> bool:
    """Return True when the commas in the numbers must be sorted out by meaning (see decimal_comma)."""
    return any(len(f.numbers) > 4 for f in taken) and not any(
        "." in number or "," in number or not number for f in taken for number in f.numbers
    )


def _rows(taken: list[Fields], ambiguous: bool, bad: list[BadRow]) -> Iterator[Row]:
    """Yield the rows that are in order, by time, and add the others to `bad`."""
    speed = 0.0
    for time_ms, parts in _by_time(taken, bad):
        try:
            if ambiguous:
                numbers, extras = resolve(parts.numbers, speed), ""
            else:
                numbers, extras = _plain_numbers(parts.numbers), ",".join(parts.numbers[4:])
            row = Row(parts.line, time_ms, *parts.images, *numbers, extras)
        except RowError as error:
            bad.append(BadRow(parts.line, str(error)))
            continue
        speed = row.speed_mph
        yield row


def _by_time(taken: list[Fields], bad: list[BadRow]) -> list[tuple[int, Fields]]:
    """Return the lines in order of time, since a log can have been shuffled."""
    timed = []
    for parts in taken:
        try:
            timed.append((time_of(parts.images[0]), parts))
        except RowError as error:
            bad.append(BadRow(parts.line, str(error)))
    return sorted(timed, key=lambda pair: pair[0])


def _plain_numbers(numbers: tuple[str, ...]) -> Numbers:
    values = []
    for name, written in zip(_NUMBER_COLUMNS, numbers, strict=False):
        number = with_point(written)
        if not NUMBER.fullmatch(number):
            raise RowError(f"{name} is {written!r}, expected a number")
        values.append(float(number))
    return values[0], values[1], values[2], values[3]


def _table(rows: list[Row]) -> pd.DataFrame:
    columns = {column.name: [getattr(row, column.name) for row in rows] for column in fields(Row)}
    return _with_episodes(pd.DataFrame(columns))


def _with_episodes(table: pd.DataFrame) -> pd.DataFrame:
    table["episode"] = (table["time_ms"].diff() > EPISODE_GAP_MS).cumsum().astype("int64")
    return table
