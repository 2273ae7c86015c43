"""Edit a donkeycar tub in place, by changing its own list of deleted records.

In: a tub's folder. Out: an `EditedTub`, which is edited as a recording is.
"""

import errno
import json
import os
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.exchanged_rows import LeftOut, Row, Seen
from bcclone.exchange.source_files import path_in_source, read_inside
from bcclone.exchange.tub import MANIFEST, deleted_file, is_tub, read_deleted, read_tub
from bcclone.recording.dialect import Dialect
from bcclone.recording.editing import EditedRecording, EditResult
from bcclone.recording.edits import (
    DELETE,
    MIRROR,
    OF_STEERING,
    RESTORE,
    Edit,
    Edits,
    StoredEdit,
)
from bcclone.recording.files import LOG_NAME, find_log, is_recording
from bcclone.recording.log import Log
from bcclone.recording.row import CAMERAS, NUMBERS, image_stamp
from bcclone.recording.run_tables import DrivenBy
from bcclone.system.arrays import IndexArray, runs
from bcclone.system.codec import parse_json
from bcclone.system.errors import UserError, shown_command
from bcclone.system.files import write_bytes

_EPOCH = datetime(1970, 1, 1)


def open_edited(name: str) -> EditedRecording:
    """Return a recording, or a tub, to be edited; raises UserError for neither."""
    folder = Path(name)
    if is_tub(folder) and not is_recording(folder):
        return EditedTub(folder)
    return EditedRecording(find_log(name))


class EditedTub(EditedRecording):
    """A tub of donkeycar, whose own list of deleted records is edited.

    A tub keeps no history: the first of its edits stands for the list that was found, and those
    behind it, which were made through this object, are gone when another program changes the list.
    Raises UserError as read_tub().
    """

    kind = "tub"
    own_edits = 1
    nothing_to_undo = "a tub keeps no history; restore rows with --restore FROM TO"

    def __init__(self, folder: Path) -> None:
        items = list(read_tub(ImportSettings(folder), Seen(), read=_path_of))
        records = [item for item in items if isinstance(item, Row)]
        records.sort(key=lambda record: record.time_ms)
        left_out = [item.shown for item in items if isinstance(item, LeftOut)]
        if not records:
            first = f"; the first: {left_out[0]}" if left_out else ""
            raise UserError(
                f"{folder}: a tub without a record that can be used, expected image and steering "
                f"in each{first}; copy the whole tub again"
            )
        if left_out:
            self.unusable = (
                f"{len(left_out)} records cannot be used, and have no row: {left_out[0]}"
            )
        self._records = records
        self._numbers: IndexArray = np.array([record.record_number for record in records])
        self.record_numbers = self._numbers
        rows = _table_of(records)
        dialect = Dialect(
            spaced=False, decimal_comma=False, header=False, cameras=CAMERAS[:1], extra_columns=0
        )
        # the log that an import of the tub would write, without a bad or a deleted row
        log = Log(folder / LOG_NAME, dialect, rows, bad_rows=(), deleted=rows[:0])
        super().__init__(folder, log, _TubImages(rows, records))

    @property
    def edits_file(self) -> Path:
        return deleted_file(self.path)

    def read_edits(self) -> Edits:
        deleted = np.isin(self._numbers, list(read_deleted(self.path)))
        if self.edits.edits and np.array_equal(deleted, self.deleted):
            return self.edits
        names = self.rows["center"].tolist()
        spans = tuple((names[first], names[last]) for first, last in runs(np.flatnonzero(deleted)))
        if not spans:
            return Edits((StoredEdit(RESTORE, ((names[0], names[-1]),)),))
        return Edits((StoredEdit(DELETE, spans),))

    def write_edits(self, edits: Edits) -> None:
        without_row = read_deleted(self.path) - set(self._numbers.tolist())
        deleted = self._numbers[edits.deleted(self.times)].tolist()
        _write_deleted(self.path, {*deleted, *without_row})

    def edit(self, edits: Sequence[Edit] = ()) -> EditResult:
        if any(edit.kind in OF_STEERING for edit in edits):
            raise UserError(
                f"{self.path}: of a tub, only the list of deleted records is edited; make a "
                f"recording of it, with its steering corrected: "
                f"{correcting_import(self.path, edits)}"
            )
        return super().edit(edits)

    @cached_property
    def driven(self) -> Sequence[DrivenBy | None]:
        return [record.driven for record in self._records]


def correcting_import(tub: Path, edits: Iterable[Edit]) -> str:
    """Return the commands that make a recording of a tub and correct its steering."""
    target = "recordings/NAME"
    importing: list[object] = ["import", tub, "-o", target]
    corrections = []
    for edit in edits:
        if edit == Edit(MIRROR):
            importing.append("--left-positive")
        else:
            corrections.append(shown_command("edit", target, *edit.options()))
    return " && ".join([shown_command(*importing), *corrections])


class _TubImages:
    """Finds the images of records by the names that _table_of() gives them."""

    def __init__(self, rows: pd.DataFrame, records: Sequence[Row]) -> None:
        self._paths = {
            name: record.images[camera]
            for camera in CAMERAS
            for name, record in zip(rows[camera], records, strict=True)
            if name
        }

    def find(self, name: str) -> str | None:
        return self._paths.get(name)

    def orphans(self, named: Iterable[str]) -> list[str]:
        return sorted(self._paths.keys() - set(named))


def _path_of(folder: Path, name: str, follow_links: bool) -> str:
    """Return an image's path instead of reading it; the image is read when it is shown."""
    return str(path_in_source(folder, name, follow_links))


def _table_of(records: Sequence[Row]) -> pd.DataFrame:
    """Return records, in order of time, as the rows of a log.

    They have the names that the simulator would give to their images, "" for no image.
    """
    rows = []
    latest = -1
    for record in records:  # rows are edited by their times, so each gets one of its own
        latest = max(record.time_ms, latest + 1)
        stamp = image_stamp(_EPOCH + timedelta(milliseconds=latest))
        names = [f"{name}_{stamp}.jpg" if name in record.images else "" for name in CAMERAS]
        rows.append((record.record_number, latest, *names, *record.numbers))
    return pd.DataFrame(rows, columns=["line", "time_ms", *CAMERAS, *NUMBERS])


def _write_deleted(folder: Path, deleted: Collection[int]) -> None:
    """Write which records of a tub are deleted, and change nothing else; raises OSError."""
    path = deleted_file(folder)
    content = json.dumps(sorted(deleted)).encode()
    if path.name == MANIFEST:
        *lines, last_line = read_inside(folder, MANIFEST, "json").splitlines(keepends=True)
        line_end = last_line[len(last_line.rstrip()) :]
        changed = parse_json(last_line) | {"deleted_indexes": sorted(deleted)}
        content = b"".join([*lines, json.dumps(changed).encode(), line_end])
    mode = None
    if path.exists():
        # replacing a file needs no permission to write it, but its owner has said that it stays
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, "it may not be changed", str(path))
        mode = path.stat().st_mode
    write_bytes(path, content)
    if mode is not None:
        path.chmod(mode)
