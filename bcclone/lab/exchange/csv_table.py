"""The format csv: table.csv, one line for each row, and the image files as they were recorded.

UTF-8, separated by commas, quoted where needed (RFC 4180), with a header and decimal points; paths are relative to the
table and have forward slashes. An unknown value is empty.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

from bcclone.lab.exchange.exchange_settings import ImportSettings
from bcclone.lab.exchange.foreign_table import TABLE_ENDINGS, read_foreign
from bcclone.lab.exchange.formats import (
    FIELDS,
    ExchangedRow,
    ExportedRows,
    Format,
    file_of,
    read_image,
    row_of,
    suffix_of,
)
from bcclone.lab.exchange.left_out import Findings
from bcclone.recording.row import CAMERAS
from bcclone.system.errors import UserError

TABLE = "table.csv"
COLUMNS = (*FIELDS[:3], *CAMERAS, *FIELDS[3:])
_NEEDED = ("center", "time_ms", "steering")


def _write(source: ExportedRows, folder: Path) -> None:
    with (folder / TABLE).open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, restval="")
        table.writeheader()
        for index, row in enumerate(source):
            values = row.values()
            for camera, image in row.images.items():
                path = Path("images") / str(row.recording) / f"{index:07d}_{camera}{suffix_of(image)}"
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(image)
                values[camera] = path.as_posix()
            table.writerow(values)


def _is_ours(path: Path) -> bool:
    """Return whether a table, or table.csv in a folder, has the columns of this format, of which one may be missing."""
    table = path / TABLE if path.is_dir() else path
    if not (table.name.lower().endswith(TABLE_ENDINGS) and table.exists()):
        return False
    try:
        names = read_foreign(file_of(path, TABLE)).cells.keys()
    except UserError:
        return path.is_dir()  # _read() says what is wrong
    return names >= {"center", "time_ms"} or names >= {"recording", "episode"}


def _read(settings: ImportSettings, findings: Findings) -> Iterator[ExchangedRow]:
    """Yield the rows of a table, or of the folder that holds table.csv; throttle, brake or speed may have no column."""
    path = file_of(settings.source, TABLE)
    table = read_foreign(path, findings)
    if missing := [name for name in _NEEDED if name not in table.cells]:
        raise UserError(
            f"{path}: no column {missing[0]!r}, expected a table with center, time_ms, steering and perhaps others of "
            f"{','.join(COLUMNS)}"
        )
    findings.columns_left_out = tuple(name for name in table.cells if name not in COLUMNS)
    for index, cells in enumerate(zip(*table.cells.values(), strict=True)):
        values, place = dict(zip(table.cells, cells, strict=True)), table.place(index)
        with findings.usable(place):
            images = {camera: read_image(path.parent, name) for camera in CAMERAS if (name := values.get(camera))}
            yield row_of({name: values[name] for name in FIELDS if name in values}, images, place)


FORMAT = Format("csv", _is_ours, _read, _write, expected=TABLE)
