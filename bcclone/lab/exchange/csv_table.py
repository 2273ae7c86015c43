"""The format csv: table.csv, one line for each row, and the image files as they were recorded.

UTF-8, separated by commas, quoted where needed (RFC 4180), with a header and decimal points; paths are relative to the
table and have forward slashes. An unknown value is empty.
"""

import csv
import math
from collections.abc import Iterator, Mapping
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

from bcclone.lab.exchange.exchange_settings import ImportSettings
from bcclone.lab.exchange.findings import Findings
from bcclone.lab.exchange.rows import ExchangedRow, Source, read_image, suffix_of
from bcclone.recording.drivers import DrivenRow
from bcclone.recording.row import CAMERAS, NUMBERS, RowError
from bcclone.recording.run_tables import TracePoint
from bcclone.system.errors import UserError
from bcclone.system.reading import MOST_TABLE, open_limited, path_inside

TABLE = "table.csv"
_LONGEST_LINE = 100_000  # characters
_POINT = ("trace_seconds", "x_m", "z_m", "cross_track_m")
COLUMNS = (
    "recording", "episode", "time_ms", *CAMERAS, *NUMBERS, "driver", "take_over", "track", *_POINT,
)  # fmt: skip


def write(source: Source, folder: Path) -> None:
    """Write the rows into an empty folder."""
    with (folder / TABLE).open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, restval="")
        table.writeheader()
        for index, row in enumerate(source):
            table.writerow(_cells(row) | _write_images(row, index, folder))


def _write_images(row: ExchangedRow, index: int, folder: Path) -> dict[str, str]:
    """Write the images of a row; return camera -> path in the folder."""
    paths = {}
    for camera, image in row.images.items():
        path = Path("images") / str(row.recording) / f"{index:07d}_{camera}{suffix_of(image)}"
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(image)
        paths[camera] = path.as_posix()
    return paths


def _cells(row: ExchangedRow) -> dict[str, object]:
    cells: dict[str, object] = {"recording": row.recording, "episode": row.episode, "time_ms": row.time_ms}
    cells |= {name: repr(value) for name, value in zip(NUMBERS, row.numbers, strict=True)}
    if row.driven:
        cells |= {"driver": row.driver, "take_over": row.take_over or ""}
    if row.point:
        cells |= {"track": row.track} | {name: repr(value) for name, value in zip(_POINT, row.position, strict=True)}
    return cells


_NEEDED = ("center", "time_ms", "steering")


def is_own(path: Path) -> bool:
    """Return whether a table, or table.csv in a folder, has the columns of this format; no error for what is none."""
    try:
        with TextIOWrapper(
            open_limited(_table_of(path), MOST_TABLE), encoding="utf-8-sig", errors="replace", newline=""
        ) as file:
            names = set(next(csv.reader(lines_of(file)), []))
    except (UserError, OSError, csv.Error):
        return True  # read() says what is wrong
    return names >= {"center", "time_ms"} or names >= {"recording", "episode"}  # one that lacks another column


def read(settings: ImportSettings, findings: Findings) -> Iterator[ExchangedRow]:
    """Yield the rows of a table, or of the folder that holds table.csv; rows that cannot be read are counted.

    A table needs the columns center, time_ms and steering; other numbers that are missing are 0.
    Raises UserError for a table that cannot be read.
    """
    path = _table_of(settings.source)
    try:
        with TextIOWrapper(open_limited(path, MOST_TABLE), encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(lines_of(file))
            missing = [name for name in _NEEDED if name not in (table.fieldnames or ())]
            if missing:
                raise UserError(
                    f"{path}: no column {missing[0]!r}, expected a table with center, time_ms, steering and perhaps "
                    f"others of {','.join(COLUMNS)}; a driving_log.csv needs no import: name it to preprocess.py"
                )
            findings.columns_left_out = tuple(str(name) for name in table.fieldnames or () if name not in COLUMNS)
            yield from _rows(path, table, findings)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UserError(
            f"{path}: cannot be read: {reason}; expected a table that bcclone export --to csv writes"
        ) from None


def _rows(path: Path, table: "csv.DictReader[str]", findings: Findings) -> Iterator[ExchangedRow]:
    for cells in table:
        place = f"{path}: line {table.line_num}"
        try:
            if None in cells or None in cells.values():
                raise RowError(f"not {len(table.fieldnames or ())} cells, as in the first line")
            yield _row(path.parent, place, cells)
        except RowError as error:
            findings.leave_out(place, error)


def _table_of(path: Path) -> Path:
    """Return the path of a table, which in a folder that was named must not lead out of it."""
    if not path.is_dir():
        return path
    try:
        path_inside(path, TABLE)
    except ValueError as error:
        raise UserError(f"{path / TABLE}: {error}; name the table itself") from None
    return path / TABLE


def lines_of(file: TextIO) -> Iterator[str]:
    """Yield the lines of a table; raises csv.Error for one that is too long."""
    while line := file.readline(_LONGEST_LINE + 1):
        if len(line) > _LONGEST_LINE:
            raise csv.Error(f"a line of more than {_LONGEST_LINE} characters")
        yield line


def _row(folder: Path, place: str, cells: Mapping[str, str]) -> ExchangedRow:
    """Return a row; raises RowError."""
    try:
        filled = {name: text for name, text in cells.items() if text}
        driver, take_over, track = (filled.get(name, "") for name in ("driver", "take_over", "track"))
        driven = DrivenRow(driver, int(take_over) if take_over else None) if driver else None
        return ExchangedRow(
            recording=int(filled.get("recording", 0)),
            episode=int(filled.get("episode", 0)),
            time_ms=int(filled["time_ms"]),
            images={camera: read_image(folder, filled[camera]) for camera in CAMERAS if camera in filled},
            steering=_number(filled, "steering"),
            throttle=_number(filled, "throttle", 0.0),
            brake=_number(filled, "brake", 0.0),
            speed_mph=_number(filled, "speed_mph", 0.0),
            driven=driven,
            point=_point(filled, track) if track else None,
            place=place,
        )
    except KeyError as error:
        raise RowError(f"{error} is empty") from None
    except RowError:
        raise
    except ValueError as error:
        raise RowError(str(error)) from None


def _point(filled: Mapping[str, str], track: str) -> TracePoint:
    seconds, x_m, z_m, cross_track_m = (_number(filled, name) for name in _POINT)
    return TracePoint(seconds, track, x_m, z_m, cross_track_m)


def _number(filled: Mapping[str, str], name: str, default: float | None = None) -> float:
    if name not in filled and default is not None:
        return default
    try:
        value = float(filled[name])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{name} is {filled[name][:40]!r}, expected a number with a decimal point")
    return value
