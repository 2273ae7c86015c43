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
from dataclasses import dataclass, replace
from dataclasses import fields as dataclass_fields
from itertools import chain, islice, takewhile
from operator import itemgetter

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
from bcclone.system.errors import UserError, shown_command
from bcclone.system.location import Location

EPISODE_GAP_MS = 1000  # longest time between two rows of an episode
_MOST_LINES = 10_000_000

# answer of kind_of_content() -> remedy for a user who names such a file as a log
_IMPORT = "make a recording of its tub or data set: bcclone import FOLDER -o recordings/NAME"
_REMEDIES = {
    "a file of JSON": _IMPORT,
    "a Parquet file": _IMPORT,
    "an HDF5 file": "expected a recording; training takes recordings alone, or one store: "
    "bcclone model {path}; a model drives: bcclone drive {path}",
    "a picture": "name the folder of its recording, or make one of pictures and a table: "
    "bcclone import {folder} -o recordings/NAME",
    "a video": "make a recording of it and a table with its steering: "
    "bcclone import {path} -o recordings/NAME",
}


class ForeignLog(UserError):
    """A file that is not a log of the simulator. Exit code 1 for an empty file, 2 for any other.

    options: what follows `bcclone import SOURCE -o TARGET` in the message, which recommends this
        command, such as " --unit deg"; None if the file cannot be another program's table
    """

    def __init__(
        self, path: Location, reason: str, empty: bool = False, options: str | None = None
    ) -> None:
        if options is not None:
            reason += (
                "; a table of another program, with pictures beside it, becomes a recording with: "
                f"bcclone import {shlex.quote(str(path))} -o recordings/NAME{options}"
            )
        exit_code = 1 if empty else 2
        super().__init__(f"{path}: not a log of the simulator: {reason}", exit_code=exit_code)
        self.reason = reason


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used."""

    row: int  # number of the line in the file, from 1
    reason: str


@dataclass(frozen=True)
class Log:
    """A log and its usable rows, in order of time.

    `rows` and `deleted` have the columns of LogRow. `rows` also has the column `episode`, a number
    from 0; a new episode begins after a gap of more than 1 s, and after deleted rows.
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


# a log as it was read, before edits are applied: dialect, table without `episode`, bad rows
_Read = tuple[Dialect, pd.DataFrame, tuple[BadRow, ...]]


def read_log(path: Location, edited: bool = True) -> Log:
    """Read a log of any dialect in docs/reference/dialects.md, and leave out what edits delete.

    Raises ForeignLog for an empty file, a git-LFS pointer, and any table that is not the
    simulator's; UserError if the file or its edits cannot be read, and if every row is deleted.

    edited: False to return all rows as recorded, as if there were no edits
    """
    lines = _read_text(path).split("\n")
    dialect, table, bad_rows = read_standard(lines) or _read_line_by_line(path, lines)
    # table[:0]: no row is deleted yet, but the columns are there
    as_recorded = Log(path, dialect, table, bad_rows, table[:0])
    edits = read_edits(path) if edited else Edits()
    return with_edits(as_recorded, edits)


def with_edits(as_recorded: Log, edits: Edits) -> Log:
    """Return a log that was read without edits, with the edits applied to it.

    Raises UserError if every row is deleted.
    """
    path = as_recorded.path
    table = as_recorded.rows
    if "episode" in table:  # episodes are numbered anew below
        table = table.drop(columns="episode")
    deleted = edits.deleted(table["time_ms"].to_numpy(np.int64))
    if deleted.all():
        undo = shown_command("edit", path, "--undo")
        raise UserError(f"{path}: all {len(table)} rows are deleted; restore some: {undo}")
    table = table.assign(steering=corrected_steering(table, edits))
    after_gap = table["time_ms"].diff() > EPISODE_GAP_MS
    begins = after_gap | pd.Series(deleted).shift(fill_value=False)
    rows = table.assign(episode=begins.cumsum().astype("int64"))[~deleted].reset_index(drop=True)
    # an episode of which all rows are deleted leaves no gap in the numbers
    rows["episode"] = rows["episode"].rank(method="dense").astype("int64") - 1
    return replace(as_recorded, rows=rows, deleted=table[deleted].reset_index(drop=True))


def corrected_steering(rows: pd.DataFrame, edits: Edits) -> FloatArray:
    """Return the steering of all rows, mirrored and advanced as edits ask for, (rows,).

    rows: all rows as recorded, in order of time
    """
    steering = rows["steering"].to_numpy(np.float64)
    if edits.mirrors:
        steering = 0.0 - steering  # unlike -steering, this never gives -0.0
    if not edits.advance_seconds:
        return steering
    times = rows["time_ms"].to_numpy(np.float64)
    # the steering is taken from the same stretch between two pauses
    pauses = np.flatnonzero(np.diff(times) > EPISODE_GAP_MS) + 1
    stretches = zip(np.split(times, pauses), np.split(steering, pauses), strict=True)
    advance_ms = 1000 * edits.advance_seconds
    corrected = [np.interp(at + advance_ms, at, values) for at, values in stretches]
    return np.concatenate(corrected)


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


def read_standard(lines: Sequence[str]) -> _Read | None:
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
    return dialect, whole.sort_values("time_ms", kind="stable", ignore_index=True), ()


def _read_standard_part(part: Sequence[tuple[int, str]]) -> tuple[pd.DataFrame, int] | None:
    """Return the table of some lines, and in how many of them a space follows the separators.

    Returns None if a line is not of a standard log.

    part: (number, text) of each line
    """
    # a generator, so that no line is matched after the first one that takewhile() refuses
    found = (
        _STANDARD_LINE.fullmatch(text) if len(text) <= LONGEST_LINE else None for _, text in part
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
    # for a bad name, None makes read_log() read line by line, which tells the row of the name
    if max(len(name.encode()) for name in chain(center, left, right)) > LONGEST_NAME:
        return None
    try:
        table["time_ms"] = [time_of(name) for name in center]
    except RowError:
        return None
    return table.assign(extras=""), separators.count(", ")


def _read_text(path: Location) -> str:
    with explained(path, "", "check the file and its permissions, or name another"):
        data = read_bytes(path, "table")
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


def other_file(path: Location, begin: bytes) -> str:
    """Return what a file is instead of a table, with the remedy; "" if it may be a table.

    begin: the first bytes of the file
    """
    what = kind_of_content(begin)
    if what in _REMEDIES:
        what += "; " + _REMEDIES[what]
    folder = shlex.quote(str(path.parent))
    return what.format(path=shlex.quote(str(path)), folder=folder)


def _read_line_by_line(path: Location, lines: list[str]) -> _Read:
    """Read a log of any dialect. Raises ForeignLog if no row can be used."""
    first_line = next((text for text in lines if text.strip(BLANK)), "")
    has_header = is_header(first_line)
    header = first_line if has_header else ""
    bad: list[BadRow] = []
    split = list(_split_lines(path, lines, header, bad))
    # a first line without images may be a header, too, with a number among its names
    begins_with_names = has_header or (bad and "image path" in bad[0].reason)
    if not split and not bad:
        reason = f"it has a header and no rows, expected rows of {COLUMNS}"
        raise ForeignLog(path, reason, empty=has_header)
    _check_unit(path, split)

    # commas may be both separators and decimal marks, without spaces that distinguish them
    dialect, has_bare_commas = _dialect_of(split, has_header)
    has_spaced_commas = any(
        fields.separator == ", " and "," in "".join(fields.numbers[:4]) for fields in split
    )
    rows = list(_checked_rows(split, has_bare_commas, has_spaced_commas, bad))
    bad.sort(key=lambda bad_row: bad_row.row)

    # a file without any usable row is a foreign table, whose columns the user has to name
    if not rows:
        options = _unit_option(first_line)
        if not begins_with_names:
            options = " --steering-column 4" + options
        reason = (
            f"no row can be used; the first bad one is line {bad[0].row}: {bad[0].reason} "
            f"(the file begins with {first_line.strip()[:60]!r})"
        )
        raise ForeignLog(path, reason, options=options)
    columns = [column.name for column in dataclass_fields(LogRow)]
    table = pd.DataFrame({column: [getattr(row, column) for row in rows] for column in columns})
    return dialect, table, tuple(bad)


def _dialect_of(split: Sequence[Fields], has_header: bool) -> tuple[Dialect, bool]:
    """Return the dialect, and whether bare commas are both its separators and decimal marks."""
    with_points = sum(fields.has_points and len(fields.numbers) > 4 for fields in split)
    has_bare_commas = sum(fields.has_bare_commas for fields in split) > with_points
    decimal_comma = has_bare_commas or any(
        with_decimal_point(number) != number for fields in split for number in fields.numbers[:4]
    )
    cameras = tuple(
        camera
        for index, camera in enumerate(CAMERAS)
        if any(fields.images[index] for fields in split)
    )
    extra_columns = 0
    if not has_bare_commas:
        extra_columns = max((len(fields.numbers) for fields in split), default=4) - 4
    dialect = Dialect(
        spaced=sum(fields.separator == ", " for fields in split) * 2 > len(split),
        decimal_comma=decimal_comma,
        header=has_header,
        cameras=cameras,
        extra_columns=extra_columns,
    )
    return dialect, has_bare_commas


_STATED_UNIT = re.compile(r"steer[^,;\t|]*(?:deg|rad|°)", re.IGNORECASE)


def _unit_option(header: str) -> str:
    """Return the option of `bcclone import` for the unit of the steering, for a message.

    Returns "" if the name of its column states the unit.
    """
    if _STATED_UNIT.search(header):
        return ""
    return " --unit ratio (or deg, rad: that of its steering)"


@dataclass(frozen=True)
class _OtherUnit:
    """From when on a steering beyond -1 to 1 is in another unit, and no accident."""

    fewest_rows: int = 5  # fewest rows with a steering beyond -1 to 1
    fewest_share: float = 0.1  # their smallest share of the rows that steer
    full_degrees: float = 25.0  # greatest angle of the simulator's wheels
    largest_radians: float = 10.0  # greatest angle of a steering wheel, if it is in radians
    largest: float = 1000.0  # greatest angle of a steering wheel in degrees; more is no steering


_OTHER_UNIT = _OtherUnit()


def _check_unit(path: Location, split: list[Fields]) -> None:
    """Raise ForeignLog for a steering in another unit than -1 to 1.

    Without this check, only the rows with a steering near 0 would be used, which look like straight
    driving.
    """
    written = [
        with_decimal_point(fields.numbers[0]) for fields in split if not fields.has_bare_commas
    ]
    steering = [abs(float(number)) for number in written if NUMBER.fullmatch(number)]
    beyond = [value for value in steering if 1 + ROUNDING < value <= _OTHER_UNIT.largest]
    steering_rows = sum(value > 0 for value in steering)
    if len(beyond) < max(_OTHER_UNIT.fewest_rows, _OTHER_UNIT.fewest_share * steering_rows):
        return
    # the greatest value tells which unit it can be
    greatest = max(beyond)
    full_degrees = math.ceil(greatest / (1 + ROUNDING))
    options = " --unit deg"
    if greatest <= _OTHER_UNIT.largest_radians:
        options += " (or rad)"
    elif full_degrees > _OTHER_UNIT.full_degrees:
        options += f" --max-degrees {full_degrees} (or, of a steering wheel, --steering-ratio 15)"
    reason = (
        f"the steering of {len(beyond)} of {len(split)} rows is beyond -1 to 1, "
        f"the greatest is {greatest:g}, as in degrees or another unit"
    )
    raise ForeignLog(path, reason, options=options)


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
                raise ForeignLog(path, reason, options=_unit_option(text)) from None
            if text != header and not is_known_header(text):
                bad.append(BadRow(number, str(error)))


def _checked_rows(
    split: list[Fields], bare_commas: bool, spaced_commas: bool, bad: list[BadRow]
) -> Iterator[LogRow]:
    """Yield the usable rows in order of time, because a log may be shuffled; add others to `bad`.

    bare_commas: whether the log has decimal commas, and commas without a space as separators
    spaced_commas: whether it has decimal commas, and commas with a space as separators
    """
    timed = [(time_of(fields.images[0]), fields) for fields in split]
    speed_mph = 0.0  # speed of the row before
    for time_ms, fields in sorted(timed, key=itemgetter(0)):
        try:
            # a row without its end, whose decimal commas split_line() took for separators
            if spaced_commas and fields.columns < FEWEST_COLUMNS:
                raise row_ends(fields.columns)
            if bare_commas and fields.separator == "," and not fields.has_points:
                numbers = resolve_decimal_commas(fields.numbers, speed_mph)
                extras = ""
            else:
                numbers = numbers_of(fields.numbers)
                extras = ",".join(fields.numbers[4:])
            row = LogRow(fields.line, time_ms, *fields.images, *numbers, extras)
        except RowError as error:
            bad.append(BadRow(fields.line, str(error)))
            continue
        speed_mph = row.speed_mph
        yield row
