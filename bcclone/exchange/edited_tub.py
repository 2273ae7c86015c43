"""Edit a donkeycar tub in place, by changing its own list of deleted records.

In: a tub's folder. Out: an `EditedTub`, which is edited as a recording is.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.rows import LeftOut, Row
from bcclone.exchange.seen import Seen
from bcclone.exchange.tub import deleted_file, is_tub, read_deleted, read_tub, write_deleted
from bcclone.recording.dialect import Dialect
from bcclone.recording.editing import EditedRecording
from bcclone.recording.edits import DELETE, MIRROR, UNDO, Edit, Edits, StoredEdit
from bcclone.recording.files import LOG_NAME, find_log, is_recording
from bcclone.recording.log import Log
from bcclone.recording.row import CAMERAS, image_stamp
from bcclone.recording.run_tables import DrivenBy
from bcclone.system.codec import path_inside
from bcclone.system.errors import UserError, shown_command
from bcclone.system.numbers import BoolArray, IndexArray, runs

_EPOCH = datetime(1970, 1, 1)


def open_edited(name: str) -> EditedRecording:
    """Return a recording, or a tub, to be edited; raises UserError for neither."""
    folder = Path(name)
    if is_tub(folder) and not is_recording(folder):
        return EditedTub(folder)
    return EditedRecording(find_log(name))


@dataclass(frozen=True)
class _Change:
    """What an edit changed in the list of deleted records."""

    rows: IndexArray  # the indices of the rows that it deleted or restored
    were_deleted: BoolArray  # whether each of these rows was deleted before the edit


class EditedTub(EditedRecording):
    """A tub of donkeycar, whose own list of deleted records is edited.

    A tub keeps no history. Only edits made through this object can be undone, and an undo does not
    touch records that the undone edit did not change. Raises UserError as read_tub().
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
        # of this object's edits that are not undone yet, oldest first
        self._changes: list[_Change] = []
        rows = _table_of(self._records)
        super().__init__(folder, _log_of(folder, rows), _TubImages(rows, self._records))

    @property
    def edits_file(self) -> Path:
        return deleted_file(self.path)

    def read_edits(self) -> Edits:
        return self._edits_of(np.isin(self._numbers, list(read_deleted(self.path))))

    def write_edits(self, edit: Edit, after: Edits) -> None:
        were_deleted = self.deleted
        are_deleted = after.deleted(self.times)
        without_row = read_deleted(self.path) - set(self._numbers.tolist())
        write_deleted(self.path, {*self._numbers[are_deleted].tolist(), *without_row})
        if edit.kind == UNDO:
            self._changes.pop()
        else:
            rows = np.flatnonzero(were_deleted != are_deleted)
            self._changes.append(_Change(rows, were_deleted[rows]))

    def without_last(self) -> Edits:
        """Return the edits as before the last change; write_edits() then drops the change."""
        if not self._changes:
            raise UserError(
                f"{self.path}: a tub keeps no history; restore rows with --restore FROM TO"
            )
        deleted = self.deleted  # a new array
        change = self._changes[-1]
        deleted[change.rows] = change.were_deleted
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
        names = self._names
        spans = tuple((names[first], names[last]) for first, last in runs(np.flatnonzero(deleted)))
        if not spans:
            return Edits()
        return Edits((StoredEdit(DELETE, spans),))

    @cached_property
    def _names(self) -> list[str]:
        names: list[str] = self.rows["center"].tolist()
        return names


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
        self._paths: dict[str, str] = {}
        for camera in CAMERAS:
            for name, record in zip(rows[camera], records, strict=True):
                if name:
                    self._paths[name] = record.images[camera]

    def find(self, name: str) -> str | None:
        return self._paths.get(name)

    def orphans(self, named: Iterable[str]) -> list[str]:
        return sorted(self._paths.keys() - set(named))


def _log_of(folder: Path, rows: pd.DataFrame) -> Log:
    """Return the log that an import of a tub would write, without a bad or a deleted row."""
    dialect = Dialect(
        spaced=False, decimal_comma=False, header=False, cameras=("center",), extra_columns=0
    )
    return Log(folder / LOG_NAME, dialect, rows, bad_rows=(), deleted=rows[:0])


def _path_of(folder: Path, name: str) -> str:
    """Return an image's path instead of reading it; the image is read when it is shown."""
    return str(path_inside(folder, name))


def _table_of(records: Sequence[Row]) -> pd.DataFrame:
    """Return records, in order of time, as the rows of a log."""
    times: list[int] = []
    for record in records:  # rows are edited by their times, so each gets one of its own
        earliest = times[-1] + 1 if times else record.time_ms
        times.append(max(record.time_ms, earliest))
    return pd.DataFrame(
        {
            "line": [record.record_number for record in records],
            "time_ms": times,
            **{camera: _image_names(camera, records, times) for camera in CAMERAS},
            "steering": [record.steering for record in records],
            "throttle": [record.throttle for record in records],
            "brake": [record.brake for record in records],
            "speed_mph": [record.speed_mph for record in records],
        }
    )


def _image_names(camera: str, records: Sequence[Row], times: Sequence[int]) -> list[str]:
    """Return the names that the simulator would give to the images of a camera, "" for no image.

    times: milliseconds since 1970 of each record
    """
    names = []
    for record, time_ms in zip(records, times, strict=True):
        stamp = image_stamp(_EPOCH + timedelta(milliseconds=time_ms))
        names.append(f"{camera}_{stamp}.jpg" if camera in record.images else "")
    return names
