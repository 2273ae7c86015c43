"""Parse a log of any dialect line by line: its lines -> dialect, table and bad rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from operator import itemgetter

import pandas as pd

from bcclone.recording.dialect import (
    BLANK,
    COLUMNS,
    FEWEST_COLUMNS,
    Dialect,
    Fields,
    header_error,
    is_header,
    is_known_header,
    numbers_of,
    resolve_decimal_commas,
    row_ends,
    split_line,
    with_decimal_point,
)
from bcclone.recording.foreign_log import ForeignLog, check_unit, unit_option
from bcclone.recording.row import CAMERAS, LogRow, RowError, time_of
from bcclone.system.location import Location


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used."""

    row: int  # number of the line in the file, from 1
    reason: str


def read_line_by_line(
    path: Location, lines: list[str]
) -> tuple[Dialect, pd.DataFrame, tuple[BadRow, ...]]:
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
    check_unit(path, split)

    # commas may be both separators and decimal marks, without spaces that distinguish them
    dialect, has_bare_commas = _dialect_of(split, has_header)
    has_spaced_commas = any(
        fields.separator == ", " and "," in "".join(fields.numbers[:4]) for fields in split
    )
    rows = list(_checked_rows(split, has_bare_commas, has_spaced_commas, bad))
    bad.sort(key=lambda bad_row: bad_row.row)

    # a file without any usable row is a foreign table, whose columns the user has to name
    if not rows:
        options = unit_option(first_line)
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
                raise ForeignLog(path, reason, options=unit_option(text)) from None
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
