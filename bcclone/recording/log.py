"""Read a driving log of any dialect into a table of checked rows, in order of time.

In: the path of a log. Out: a `Log`: its dialect, usable rows, bad rows with reasons, and deleted
rows.

Standard logs are parsed by one regular expression; the others line by line, which takes more than
three times as long.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice, takewhile
from operator import itemgetter
from pathlib import Path

import numpy as np
import pandas as pd

from bcclone.recording.dialect import (
    BLANK,
    COLUMNS,
    FEWEST_COLUMNS,
    LONGEST_LINE,
    LONGEST_NAME,
    NUMBER,
    Dialect,
    Fields,
    header_error,
    is_header,
    is_known_header,
    numbers_of,
    row_ends,
    split_line,
    text_of,
    with_decimal_point,
)
from bcclone.recording.edits import Edits, edited_rows, read_edits
from bcclone.recording.files import UNFINISHED
from bcclone.recording.foreign_log import ForeignLog, other_file
from bcclone.recording.row import (
    CAMERAS,
    NUMBERS,
    RANGES,
    ROUNDING,
    RowError,
    camera_of,
    check_numbers,
    time_of,
)
from bcclone.system.codec import UnfetchedFile, explained, read_bytes
from bcclone.system.errors import UserError
from bcclone.system.location import Location
from bcclone.system.process import note

_MOST_LINES = 10_000_000


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used."""

    row: int  # number of the line in the file, from 1
    reason: str


@dataclass(frozen=True)
class Log:
    """A log and its usable rows, in order of time.

    The columns of `rows` and `deleted`: `line`, the number of the line in the file, from 1;
    `time_ms`, milliseconds since 1970 by the recorder's clock; `center`, `left`, `right`, base
    names of the images, "" for none; `steering`, -1 to 1, right positive, 1 is 25 degrees;
    `throttle`, -1 to 1; `brake`, 0 to 1; `speed_mph`; `extras`, the text of any further columns.
    `rows` also has `episode`, a number from 0; a new one begins after a gap of more than 1 s, and
    after deleted rows.
    """

    path: Location
    dialect: Dialect
    rows: pd.DataFrame
    bad_rows: tuple[BadRow, ...]
    deleted: pd.DataFrame  # the rows that edits leave out

    @property
    def row_count(self) -> int:
        """Count all rows but the deleted ones, the bad ones included."""
        return len(self.rows) + len(self.bad_rows)

    @property
    def episodes(self) -> int:
        """Count the episodes of the rows."""
        return int(self.rows["episode"].max()) + 1


def read_log(path: Location, edited: bool = True) -> Log:
    """Read a log of any dialect in docs/reference/dialects.md, and leave out what edits delete.

    Raises ForeignLog for an empty file, a git-LFS pointer, and any table that is not the
    simulator's; UserError if the file or its edits cannot be read, and if every row is deleted.

    edited: False to return all rows as recorded, as if there were no edits
    """
    _note_early_end(path)
    lines = _read_text(path).split("\n")
    bad_rows: tuple[BadRow, ...] = ()
    if standard := _read_standard(lines):
        dialect, table = standard
    else:
        dialect, table, bad_rows = _read_line_by_line(path, lines)
    # table[:0]: no row is deleted yet, but the columns are there
    as_recorded = Log(path, dialect, table, bad_rows, table[:0])
    edits = read_edits(path) if edited else Edits()
    return with_edits(as_recorded, edits)


def _note_early_end(path: Location) -> None:
    """Tell the user of a recording whose program was killed, so that it is not taken for whole."""
    if isinstance(path, Path) and (path.parent / UNFINISHED).exists():
        note(
            f"{path.parent} ended early: what recorded it was interrupted or killed, or still "
            f"records; the rows until then are complete (remove {UNFINISHED} to drop this note)"
        )


def with_edits(as_recorded: Log, edits: Edits) -> Log:
    """Return a log that was read without edits, with the edits applied to it.

    Raises UserError if every row is deleted.
    """
    rows, deleted = edited_rows(as_recorded.path, as_recorded.rows, edits)
    return replace(as_recorded, rows=rows, deleted=deleted)


def _read_text(path: Location) -> str:
    try:
        with explained(path, "", "check the file and its permissions, or name another"):
            data = read_bytes(path, "table")
    except UnfetchedFile as error:
        raise ForeignLog(path, f"it is {error.what}") from None
    if what := other_file(path, data[:512]):
        raise ForeignLog(path, f"it is {what}")
    text = text_of(data)
    count = text.count("\n")
    if count > _MOST_LINES:
        raise UserError(
            f"{path}: {count} lines, expected at most {_MOST_LINES}; "
            "divide it into several recordings"
        )
    if not text.strip():
        raise ForeignLog(path, f"the file is empty, expected rows of {COLUMNS}", empty=True)
    return text


# ---- a log in the simulator's own dialect

# lines that are parsed at once; if it were all lines, their texts would take 500 bytes a row
_LINES_AT_ONCE = 10_000
# the cell of an image: perhaps folders, and the name, which is a group; {} becomes the camera
_STANDARD_IMAGE = r'(?:[^",;\t]*[/\\])?({}_\d[^",;\t/\\]*(?i:\.jpe?g))'
# \2 is the separator after the first image, so all separators of a line must be alike
_STANDARD_LINE = re.compile(
    "(, ?)".join(_STANDARD_IMAGE.format(camera) for camera in CAMERAS[:2])
    + rf"\2{_STANDARD_IMAGE.format(CAMERAS[2])}"
    + rf"\2({NUMBER.pattern})" * 4
)


def _read_standard(lines: Sequence[str]) -> tuple[Dialect, pd.DataFrame] | None:
    """Return the dialect and table of a standard log, in order of time; None for any other log.

    In a standard log every line holds three images named after their cameras and four valid numbers
    with decimal points; blank lines are ignored.
    """
    numbered = (
        (number, text) for number, text in enumerate(lines, 1) if text and not text.isspace()
    )
    tables = []
    spaced_count = 0
    while part := list(islice(numbered, _LINES_AT_ONCE)):
        read = _read_standard_part(part)
        if read is None:
            return None
        table, spaced = read
        tables.append(table)
        spaced_count += spaced
    if not tables:
        return None
    whole = pd.concat(tables, ignore_index=True)
    dialect = Dialect(
        spaced=spaced_count * 2 > len(whole),
        decimal_comma=False,
        header=False,
        cameras=CAMERAS,
        extra_columns=0,
    )
    return dialect, whole.sort_values("time_ms", kind="stable", ignore_index=True)


def _read_standard_part(part: Sequence[tuple[int, str]]) -> tuple[pd.DataFrame, int] | None:
    """Return the table of some lines, and in how many of them a space follows the separators.

    Returns None if a line is not of a standard log.

    part: (number, text) of each line
    """
    # a generator, so that no line is matched after the first one that takewhile() refuses
    found = (
        _STANDARD_LINE.fullmatch(text) if len(text) <= LONGEST_LINE else None for _, text in part
    )
    # `if match` only tells the type checker what takewhile() does
    matches = [match.groups() for match in takewhile(bool, found) if match]
    if len(matches) < len(part):
        return None
    center, separators, left, right, *numbers = zip(*matches, strict=True)
    # time_ms gets its place among the columns here, and its values below
    table = pd.DataFrame({"line": [number for number, _ in part], "time_ms": 0})
    table = table.assign(center=center, left=left, right=right)
    for name, texts in zip(NUMBERS, numbers, strict=True):
        lowest, highest = RANGES[name]
        table[name] = np.array([float(text) for text in texts])
        if not table[name].between(lowest - ROUNDING, highest + ROUNDING).all():
            return None
    # for a bad name, None makes read_log() read line by line, which tells the row of the name
    if max(len(name.encode()) for name in chain(center, left, right)) > LONGEST_NAME:
        return None
    try:
        table["time_ms"] = [time_of(name) for name in center]
    except RowError:
        return None
    return table.assign(extras=""), separators.count(", ")


# ---- a log of any dialect

_COLUMNS = ("line", "time_ms", *CAMERAS, *NUMBERS, "extras")
# from when on a steering beyond -1 to 1 is in another unit, and no accident: the fewest such rows,
# and their smallest share of the rows that steer
_FEWEST_BEYOND = 5
_LEAST_BEYOND = 0.1
_MOST_DEGREES = 1000.0  # greatest angle of a steering wheel; more is no steering


def _read_line_by_line(
    path: Location, lines: list[str]
) -> tuple[Dialect, pd.DataFrame, tuple[BadRow, ...]]:
    """Read a log of any dialect. Raises ForeignLog if no row can be used."""
    first_line = next((text for text in lines if text.strip(BLANK)), "")
    has_header = is_header(first_line)
    bad: list[BadRow] = []
    split = list(_split_lines(path, lines, first_line if has_header else "", bad))
    if not split and not bad:
        reason = f"it has a header and no rows, expected rows of {COLUMNS}"
        raise ForeignLog(path, reason, empty=has_header)
    _refuse_bare_commas(path, split)
    _refuse_other_unit(path, split)

    # a row without its end, whose decimal commas split_line() took for separators
    is_spaced = any(
        fields.separator == ", " and "," in "".join(fields.numbers[:4]) for fields in split
    )
    timed = [(time_of(fields.images[0]), fields) for fields in split]
    rows = []
    for time_ms, fields in sorted(timed, key=itemgetter(0)):  # a log may be shuffled
        try:
            if is_spaced and fields.columns < FEWEST_COLUMNS:
                raise row_ends(fields.columns)
            numbers = numbers_of(fields.numbers)
            check_numbers(*numbers)
            _check_cameras(fields.images)
        except RowError as error:
            bad.append(BadRow(fields.line, str(error)))
            continue
        extras = ",".join(fields.numbers[4:])
        rows.append((fields.line, time_ms, *fields.images, *numbers, extras))
    bad.sort(key=lambda bad_row: bad_row.row)
    # a file without any usable row is a foreign table, whose columns the user has to name
    if not rows:
        reason = (
            f"no row can be used; the first bad one is line {bad[0].row}: {bad[0].reason} "
            f"(the file begins with {first_line.strip()[:60]!r})"
        )
        raise ForeignLog(path, reason, is_table=True)
    dialect = Dialect(
        spaced=sum(fields.separator == ", " for fields in split) * 2 > len(split),
        decimal_comma=any(
            with_decimal_point(number) != number
            for fields in split
            for number in fields.numbers[:4]
        ),
        header=has_header,
        cameras=tuple(
            camera
            for index, camera in enumerate(CAMERAS)
            if any(fields.images[index] for fields in split)
        ),
        extra_columns=max(len(fields.numbers) for fields in split) - 4,
    )
    return dialect, pd.DataFrame(rows, columns=list(_COLUMNS)), tuple(bad)


def _split_lines(
    path: Location, lines: list[str], header: str, bad: list[BadRow]
) -> Iterator[Fields]:
    """Yield the fields of each line that is no header; add broken lines to `bad`.

    A file of several logs may have several headers. Raises ForeignLog for a header that contradicts
    the columns of a log.
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
                raise ForeignLog(path, reason, is_table=True) from None
            if text != header and not is_known_header(text):
                bad.append(BadRow(number, str(error)))


def _check_cameras(images: Sequence[str]) -> None:
    """Raise RowError for an image in the column of another camera."""
    for camera, image in zip(CAMERAS, images, strict=True):
        if camera_of(image) not in (None, camera):
            raise RowError(
                f"column {camera} names an image of the {camera_of(image)} camera, expected "
                f"{camera}_..."
            )


def _refuse_bare_commas(path: Location, split: Sequence[Fields]) -> None:
    """Raise ForeignLog for a log whose commas are both separators and decimal marks.

    0,5,1,0,30,18 can be read in several ways.
    """
    with_points = sum(fields.has_points and len(fields.numbers) > 4 for fields in split)
    bare = [fields for fields in split if fields.has_bare_commas]
    if len(bare) > with_points:
        raise ForeignLog(
            path,
            f"line {bare[0].line}: its commas divide columns and may be decimal marks, too; write "
            "its numbers with decimal points, or record with an English language of the system",
        )


def _refuse_other_unit(path: Location, split: Sequence[Fields]) -> None:
    """Raise ForeignLog for a steering in another unit than -1 to 1.

    Without this check, only the rows with a steering near 0 would be used, which look like straight
    driving.
    """
    written = [with_decimal_point(fields.numbers[0]) for fields in split]
    steering = [abs(float(number)) for number in written if NUMBER.fullmatch(number)]
    beyond = [value for value in steering if 1 + ROUNDING < value <= _MOST_DEGREES]
    steering_rows = sum(value > 0 for value in steering)
    if len(beyond) >= max(_FEWEST_BEYOND, _LEAST_BEYOND * steering_rows):
        raise ForeignLog(
            path,
            f"the steering of {len(beyond)} of {len(split)} rows is beyond -1 to 1, the greatest "
            f"is {max(beyond):g}, as in degrees or another unit",
            is_table=True,
        )
