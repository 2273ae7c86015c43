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
from bcclone.exchange.rows import LeftOut, Row
from bcclone.exchange.seen import Seen
from bcclone.exchange.source_files import read_inside
from bcclone.exchange.tub import deleted_file, is_tub, read_deleted, read_tub
from bcclone.exchange.tub_writer import MANIFEST
from bcclone.recording.dialect import Dialect
from bcclone.recording.editing import EditedRecording
from bcclone.recording.edits import DELETE, MIRROR, UNDO, Edit, Edits, StoredEdit
from bcclone.recording.files import LOG_NAME, find_log, is_recording
from bcclone.recording.log import Log
from bcclone.recording.row import CAMERAS, NUMBERS, image_stamp
from bcclone.recording.run_tables import DrivenBy
from bcclone.system.codec import parse_json, path_inside
from bcclone.system.errors import UserError, shown_command
from bcclone.system.files import write_bytes
from bcclone.system.numbers import BoolArray, IndexArray, runs

_EPOCH = datetime(1970, 1, 1)


def open_edited(name: str) -> EditedRecording:
    """Return a recording, or a tub, to be edited; raises UserError for neither."""
    folder = Path(name)
    if is_tub(folder) and not is_recording(folder):
        return EditedTub(folder)
    return EditedRecording(find_log(name))


class EditedTub(EditedRecording):
    """A tub of donkeycar, whose own list of deleted records is edited.

    A tub keeps no history. Only edits made through this object can be undone. Raises UserError as
    read_tub().
    """

    kind = "tub"
    keeps_history = False

    def __init__(self, folder: Path) -> None:
        items = list(read_tub(ImportSettings(folder), Seen(), read=_path_of))
        records = [item for item in items if isinstance(item, Row)]
        self._records = sorted(records, key=lambda record: record.time_ms)
        left_out = [item.shown for item in items if isinstance(item, LeftOut)]
        if not self._records:
            first = ""
            if left_out:
                first = f"; the first: {left_out[0]}"
            raise UserError(
                f"{folder}: a tub without a record that can be used, expected image and steering "
                f"in each{first}; copy the whole tub again"
            )
        numbers: IndexArray = np.array([record.record_number for record in self._records])
        self._numbers = numbers
        self.record_numbers = numbers  # shown in the editor's page; None for a recording
        if left_out:
            self.unusable = (
                f"{len(left_out)} records cannot be used, and have no row: {left_out[0]}"
            )
        # for each of this object's edits that are not undone yet: the rows that it changed, and
        # whether each of them was deleted before
        self._changes: list[tuple[IndexArray, BoolArray]] = []
        rows = _table_of(self._records)
        dialect = Dialect(
            spaced=False, decimal_comma=False, header=False, cameras=CAMERAS[:1], extra_columns=0
        )
        # the log that an import of the tub would write, without a bad or a deleted row
        log = Log(folder / LOG_NAME, dialect, rows, bad_rows=(), deleted=rows[:0])
        super().__init__(folder, log, _TubImages(rows, self._records))

    @property
    def edits_file(self) -> Path:
        return deleted_file(self.path)

    def read_edits(self) -> Edits:
        return self._edits_of(np.isin(self._numbers, list(read_deleted(self.path))))

    def write_edits(self, edit: Edit, after: Edits) -> None:
        before = self.deleted
        after_it = after.deleted(self.times)
        deleted = self._numbers[after_it].tolist()
        without_row = read_deleted(self.path) - set(self._numbers.tolist())
        _write_deleted(self.path, {*deleted, *without_row})
        if edit.kind == UNDO:
            self._changes.pop()
        else:
            rows = np.flatnonzero(before != after_it)
            self._changes.append((rows, before[rows]))

    def without_last(self) -> Edits:
        """Return the edits as before the last change; write_edits() then drops the change."""
        if not self._changes:
            raise UserError(
                f"{self.path}: a tub keeps no history; restore rows with --restore FROM TO"
            )
        # an undo does not touch records that the undone edit did not change
        deleted = self.deleted
        rows, were_deleted = self._changes[-1]
        deleted[rows] = were_deleted
        return self._edits_of(deleted)

    def with_correction(self, edit: Edit) -> Edits:
        raise UserError(
            f"{self.path}: of a tub, only the list of deleted records is edited; make a "
            f"recording of it, with its steering corrected: {correcting_import(self.path, [edit])}"
        )

    @property
    def undoable(self) -> int:
        return len(self._changes)

    @cached_property
    def driven(self) -> Sequence[DrivenBy | None]:
        return [record.driven for record in self._records]

    def image_path(self, row: int, camera: str) -> str | None:
        return self._records[row].images.get(camera)

    def _edits_of(self, deleted: BoolArray) -> Edits:
        """Return the edits that delete these rows.

        deleted: whether each row is deleted, (rows,)
        """
        names = self.rows["center"].tolist()
        spans = tuple((names[first], names[last]) for first, last in runs(np.flatnonzero(deleted)))
        return Edits((StoredEdit(DELETE, spans),)) if spans else Edits()


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


def _path_of(folder: Path, name: str) -> str:
    """Return an image's path instead of reading it; the image is read when it is shown."""
    return str(path_inside(folder, name))


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
    """Write which records of a tub are deleted, and change nothing else; raises OSError.

    The file keeps its permissions; PermissionError is raised for one that is read-only.
    """
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
