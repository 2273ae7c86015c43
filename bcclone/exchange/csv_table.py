"""The format csv: rows to export -> table.csv, with a line for each row, and their image files.

The image files are copied as they were recorded. The table is UTF-8, separated by commas, quoted
where needed (RFC 4180), with a header and decimal points; paths are relative to the table and have
forward slashes. An unknown value is an empty cell. Such a table is read as any other in the format
frames (frame_folder.py), which also reads the columns that only this format has, such as episode
and x_m.
"""

import csv
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from bcclone.exchange.exchanged_row import FIELDS, WHOLE_NUMBERS
from bcclone.exchange.foreign_table import TABLE_ENDINGS, read_foreign
from bcclone.exchange.formats import ExportedRows, format_named
from bcclone.exchange.source_files import suffix_of
from bcclone.exchange.table_words import is_ours
from bcclone.recording.row import CAMERAS
from bcclone.system.errors import UserError

TABLE = "table.csv"
# the whole numbers, with which FIELDS begins; the path of each camera's image; all other values
COLUMNS = (*WHOLE_NUMBERS, *CAMERAS, *FIELDS[len(WHOLE_NUMBERS) :])


def _write(source: ExportedRows, folder: Path) -> None:
    """Write the table and the image files into an empty folder."""
    with (folder / TABLE).open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, restval="")
        table.writeheader()
        for index, row in enumerate(source):
            values = row.values()
            images = Path("images") / str(row.recording)
            (folder / images).mkdir(parents=True, exist_ok=True)
            for camera, image in row.images.items():
                path = images / f"{index:07d}_{camera}{suffix_of(image)}"
                (folder / path).write_bytes(image)
                values[camera] = path.as_posix()
            table.writerow(values)


def _is_source(path: Path) -> bool:
    """Return whether a path is a table that this module wrote, or a folder with such a table."""
    table = path / TABLE if path.is_dir() else path
    if table.suffix.lower() not in TABLE_ENDINGS or not table.exists():
        return False
    with suppress(UserError):
        return is_ours(read_foreign(table).cells)
    return False


FORMAT = replace(
    format_named("frames"), name="csv", detect=_is_source, write=_write, expected=TABLE
)
