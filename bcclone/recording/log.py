"""Read a driving log of any dialect into a table of checked rows, in order of time.

In: the path of a log. Out: a `Log`: its dialect, usable rows, bad rows with reasons, and deleted
rows.

Standard logs are parsed by one regular expression; the others line by line, which is several times
slower.
"""

import math
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain, islice, takewhile
from operator import itemgetter

import numpy as np
import pandas as pd

from bcclone.recording.dialect import (
    BLANK,
    COLUMNS,
    LONGEST_LINE,
    LONGEST_NAME,
    NUMBER,
    Dialect,
    Fields,
    header_error,
    is_header,
    is_known_header,
    numbers_of,
    resolve_decimal_commas,
    row_ends,
    split_line,
    text_of,
    with_decimal_point,
)
from bcclone.recording.edits import Edits, read_edits
from bcclone.recording.row import CAMERAS, NUMBERS, RANGES, ROUNDING, LogRow, RowError, time_of
from bcclone.system.arrays import FloatArray
from bcclone.system.codec import explained, kind_of_content, read_bytes
from bcclone.system.errors import UserError
from bcclone.system.location import Location

EPISODE_GAP_MS = 1000
_LINES = 10_000_000  # at most
_LINES_AT_ONCE = 10_000
_STATED_UNIT = re.compile(r"steer[^,;\t|]*(?:deg|rad|°)", re.IGNORECASE)
# rows with a steering beyond -1 to 1 that are no accident: number, and share of the rows that steer
_FEWEST_BEYOND, _SHARE_BEYOND = 5, 0.1
_FULL_DEGREES, _LARGEST_RADIANS, _LARGEST_ANGLE = (
    25.0,
    10.0,
    1000.0,
)  # the last two of a steering wheel

_STANDARD_IMAGE = r'(?:[^",;\t]*[/\\])?({}_\d[^",;\t/\\]*(?i:\.jpe?g))'
_STANDARD_LINE = re.compile(
    "(, ?)".join(_STANDARD_IMAGE.format(camera) for camera in CAMERAS[:2])
    + rf"\2{_STANDARD_IMAGE.format(CAMERAS[2])}"
    + rf"\2({NUMBER.pattern})" * 4
)


_REMEDIES = dict.fromkeys(
    ("a file of JSON", "a Parquet file"),
    "make a recording of its tub or data set: bcclone import FOLDER -o recordings/NAME",
) | {
    "an HDF5 file": "expected a recording; training takes recordings alone, or one store: bcclone model {path}; "
    "a model drives: bcclone drive {path}",
    "a picture": "name the folder of its recording, or make one of pictures and a table: "
    "bcclone import {folder} -o recordings/NAME",
    "a video": "make a recording of it and a table with its steering: bcclone import {path} -o recordings/NAME",
}


class ForeignLog(UserError):
    """A file that is not a log of the simulator. Exit code 1 for an empty file, 2 for any other.

    options: of the command that imports it, if it may be a table of another program, for the
    message.
    """

    def __init__(
        self, path: Location, reason: str, empty: bool = False, options: str | None = None
    ) -> None:
        if options is not None:
            reason += (
                "; a table of another program, with pictures beside it, becomes a recording with: bcclone import "
                f"{shlex.quote(str(path))} -o recordings/NAME{options}"
            )
        super().__init__(
            f"{path}: not a log of the simulator: {reason}", exit_code=1 if empty else 2
        )
        self.reason = reason


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used. row: its number in the file, from 1."""

    row: int
    reason: str


@dataclass(frozen=True)
class Log:
    """A log and its usable rows.

    rows: a table with the columns of LogRow and `episode` (from 0; a gap over 1 s, or deleted rows,
    begin a new one), in order of time; deleted: the rows that edits leave out, without `episode`.
    """

    path: Location
    dialect: Dialect
    rows: pd.DataFrame
    bad_rows: tuple[BadRow, ...]
    deleted: pd.DataFrame

    @property
    def row_count(self) -> int:
        """Count all rows but the deleted ones, the bad ones included."""
        return len(self.rows) + len(self.bad_rows)

    @property
    def episodes(self) -> int:
        """Count the episodes: stretches of driving without a gap over 1 s."""
        return int(self.rows["episode"].max()) + 1


_Read = tuple[Dialect, pd.DataFrame, tuple[BadRow, ...]]


def read_log(path: Location, edited: bool = True) -> Log:
    """Read a log of any dialect in docs/reference/dialects.md, without the rows that edits leave
    out.

    edited: False to return all rows as recorded, as if there were no edits. Raises ForeignLog for
    an empty file, a git-LFS pointer, and any table that is not the simulator's; UserError if the
    file or its edits cannot be read, and if every row is deleted.
    """
    lines = _read_text(path).split("\n")
    dialect, table, bad_rows = read_standard(lines) or _read_line_by_line(path, lines)
    as_recorded = Log(path, dialect, table, bad_rows, table[:0])
    return with_edits(as_recorded, read_edits(path) if edited else Edits())


def with_edits(as_recorded: Log, edits: Edits) -> Log:
    """Return a log that was read without edits as edits leave it.

    Raises UserError if every row is deleted.
    """
    path = as_recorded.path
    table = as_recorded.rows
    if "episode" in table:  # deleted rows begin a new one
        table = table.drop(columns="episode")
    deleted = edits.deleted(table["time_ms"].to_numpy(np.int64))
    if deleted.all():
        raise UserError(
            f"{path}: all {len(table)} rows are deleted; restore some: bcclone edit {path} --undo"
        )
    table = table.assign(steering=corrected_steering(table, edits))
    begins = (table["time_ms"].diff() > EPISODE_GAP_MS) | pd.Series(deleted).shift(fill_value=False)
    rows = table.assign(episode=begins.cumsum().astype("int64"))[~deleted].reset_index(drop=True)
    rows["episode"] = rows["episode"].rank(method="dense").astype("int64") - 1
    return replace(as_recorded, rows=rows, deleted=table[deleted].reset_index(drop=True))


def corrected_steering(rows: pd.DataFrame, edits: Edits) -> FloatArray:
    """Return the recorded steering of all rows, in order of time, as edits correct it, (rows,)."""
    steering = rows["steering"].to_numpy(np.float64)
    if edits.mirrors:
        steering = 0.0 - steering
    if not edits.advance_seconds:
        return steering
    times = rows["time_ms"].to_numpy(np.float64)
    pauses = np.flatnonzero(np.diff(times) > EPISODE_GAP_MS) + 1
    stretches = zip(np.split(times, pauses), np.split(steering, pauses), strict=True)
    return np.concatenate(
        [np.interp(at + 1000 * edits.advance_seconds, at, values) for at, values in stretches]
    )


def read_standard(lines: Sequence[str]) -> _Read | None:
    """Return the dialect and a table with the columns of LogRow in order of time, or None for a log
    of another form.

    In a standard log every line holds three images named after their cameras and four valid numbers
    with decimal points; blank lines are ignored.
    """
    numbered = (
        (number, text) for number, text in enumerate(lines, 1) if text and not text.isspace()
    )
    tables, spaced = [], 0
    while part := list(
        islice(numbered, _LINES_AT_ONCE)
    ):  # the texts of all numbers would take 500 bytes a row
        found = (
            _STANDARD_LINE.fullmatch(text) if len(text) <= LONGEST_LINE else None
            for _, text in part
        )
        matches = [match.groups() for match in takewhile(bool, found) if match]
        if len(matches) < len(part):
            return None
        center, separators, left, right, *numbers = zip(*matches, strict=True)
        table = pd.DataFrame({"line": [number for number, _ in part], "time_ms": 0})
        table = table.assign(center=center, left=left, right=right)
        for name, texts in zip(NUMBERS, numbers, strict=True):
            lowest, highest = RANGES[name]
            table[name] = np.array([float(text) for text in texts])
            if not table[name].between(lowest - ROUNDING, highest + ROUNDING).all():
                return None
        if max(len(name.encode()) for name in chain(center, left, right)) > LONGEST_NAME:
            return None
        try:
            table["time_ms"] = [time_of(name) for name in center]
        except RowError:
            return None
        tables.append(table.assign(extras=""))
        spaced += separators.count(", ")
    if not tables:
        return None
    whole = pd.concat(tables, ignore_index=True)
    dialect = Dialect(spaced * 2 > len(whole), False, False, CAMERAS, 0)
    return dialect, whole.sort_values("time_ms", kind="stable", ignore_index=True), ()


def _read_text(path: Location) -> str:
    with explained(path, "", "check the file and its permissions, or name another"):
        data = read_bytes(path, "table")
    if what := other_file(path, data[:512]):
        raise ForeignLog(path, f"it is {what}")
    text = text_of(data)
    if (count := text.count("\n")) > _LINES:
        raise UserError(
            f"{path}: {count} lines, expected at most {_LINES}; divide it into several recordings"
        )
    if not text.strip():
        raise ForeignLog(path, f"the file is empty, expected rows of {COLUMNS}", empty=True)
    return text


def other_file(path: Location, begin: bytes) -> str:
    """Return what a file is that is no table, by its first bytes, and the remedy; "" if it may be
    one.
    """
    kind = kind_of_content(begin)
    return "; ".join(filter(None, (kind, _REMEDIES.get(kind)))).format(
        path=path, folder=path.parent
    )


def _read_line_by_line(path: Location, lines: list[str]) -> _Read:
    first = next((text for text in lines if text.strip(BLANK)), "")
    header = is_header(first)
    bad: list[BadRow] = []
    split = list(_split_lines(path, lines, first if header else "", bad))
    named = header or (bad and "image path" in bad[0].reason)
    if not split and not bad:
        raise ForeignLog(
            path, f"it has a header and no rows, expected rows of {COLUMNS}", empty=header
        )
    _check_unit(path, split)
    # commas are both separators and decimal marks, without spaces that distinguish them
    with_points = sum(one.has_points and len(one.numbers) > 4 for one in split)
    bare_commas = sum(one.has_bare_commas for one in split) > with_points
    decimal_comma = bare_commas or any(
        with_decimal_point(n) != n for one in split for n in one.numbers[:4]
    )
    dialect = Dialect(
        spaced=sum(one.separator == ", " for one in split) * 2 > len(split),
        decimal_comma=decimal_comma,
        header=header,
        cameras=tuple(
            c for index, c in enumerate(CAMERAS) if any(one.images[index] for one in split)
        ),
        extra_columns=0 if bare_commas else max((len(one.numbers) for one in split), default=4) - 4,
    )
    spaced_commas = any(one.separator == ", " and "," in "".join(one.numbers[:4]) for one in split)
    rows = list(_checked_rows(split, bare_commas, spaced_commas, bad))
    bad.sort(key=lambda one: one.row)
    if not rows:
        reason = f"no row can be used; the first bad one is line {bad[0].row}: {bad[0].reason}"
        options = f"{'' if named else ' --steering-column 4'}{_unit_option(first)}"
        raise ForeignLog(
            path, f"{reason} (the file begins with {first.strip()[:60]!r})", options=options
        )
    table = pd.DataFrame(
        {column.name: [getattr(row, column.name) for row in rows] for column in fields(LogRow)}
    )
    return dialect, table, tuple(bad)


def _unit_option(header: str) -> str:
    """Return the option of bcclone import for the unit of the steering, where the name of its
    column has none.
    """
    return (
        "" if _STATED_UNIT.search(header) else " --unit ratio (or deg, rad: that of its steering)"
    )


def _check_unit(path: Location, split: list[Fields]) -> None:
    """Raise ForeignLog for a steering in another unit than -1 to 1, of which only values about 0
    would be read.
    """
    written = [with_decimal_point(one.numbers[0]) for one in split if not one.has_bare_commas]
    steering = [abs(float(number)) for number in written if NUMBER.fullmatch(number)]
    beyond = [value for value in steering if 1 + ROUNDING < value <= _LARGEST_ANGLE]
    if len(beyond) < max(_FEWEST_BEYOND, _SHARE_BEYOND * sum(value > 0 for value in steering)):
        return
    most, options = max(beyond), " --unit deg"
    if most <= _LARGEST_RADIANS:
        options += " (or rad)"
    elif (full := math.ceil(most / (1 + ROUNDING))) > _FULL_DEGREES:
        options += f" --max-degrees {full} (or, of a steering wheel, --steering-ratio 15)"
    seen = f"the steering of {len(beyond)} of {len(split)} rows is beyond -1 to 1, the greatest is {most:g}"
    raise ForeignLog(path, f"{seen}, as in degrees or another unit", options=options)


def _split_lines(
    path: Location, lines: list[str], header: str, bad: list[BadRow]
) -> Iterator[Fields]:
    """Yield the fields of each line except headers, which joined logs repeat; broken lines are
    added to bad.

    Raises ForeignLog for a header that contradicts the columns of a log.
    """
    for number, text in enumerate(lines, 1):
        if not text.strip(BLANK):
            continue
        try:
            logged = split_line(number, text)
            time_of(logged.images[0])
            yield logged
        except RowError as error:
            if contradiction := header_error(text):
                reason = f"line {number}: its header has {contradiction}"
                raise ForeignLog(path, reason, options=_unit_option(text)) from None
            if text != header and not is_known_header(text):
                bad.append(BadRow(number, str(error)))


def _checked_rows(
    split: list[Fields], bare_commas: bool, spaced_commas: bool, bad: list[BadRow]
) -> Iterator[LogRow]:
    """Yield the usable rows in order of time, because a log may be shuffled; the others are added
    to bad.

    bare_commas, spaced_commas: whether the log has decimal commas, and separators without or with a
    space after it.
    """
    speed = 0.0
    for time_ms, logged in sorted(
        ((time_of(one.images[0]), one) for one in split), key=itemgetter(0)
    ):
        try:
            if spaced_commas and logged.columns < 7:
                raise row_ends(logged.columns)
            if bare_commas and logged.separator == "," and not logged.has_points:
                numbers, extras = resolve_decimal_commas(logged.numbers, speed), ""
            else:
                numbers, extras = numbers_of(logged.numbers), ",".join(logged.numbers[4:])
            row = LogRow(logged.line, time_ms, *logged.images, *numbers, extras)
        except RowError as error:
            bad.append(BadRow(logged.line, str(error)))
            continue
        speed = row.speed_mph
        yield row
