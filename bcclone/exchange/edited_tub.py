"""Edit a tub of donkeycar in place: its own list of deleted records.

In: a tub's folder. Out: an `EditedTub`, which is edited as a recording is.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from bcclone.exchange.deleted_records import deleted_file, read_deleted, write_deleted
from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.left_out import Findings
from bcclone.exchange.tub import FORMAT, read_tub
from bcclone.recording import EditSettings
from bcclone.recording.editing import EditedRecording, EditResult
from bcclone.recording.edits import DELETE, Edit, Edits
from bcclone.recording.files import find_log, is_recording
from bcclone.recording.row import image_stamp
from bcclone.system.arrays import BoolArray, IndexArray
from bcclone.system.codec import path_inside
from bcclone.system.errors import UserError
from bcclone.system.statistics import runs

_EPOCH = datetime(1970, 1, 1)


class EditedTub(EditedRecording):
    """A tub of donkeycar, whose own list of deleted records is edited.

    A tub keeps no history: what can be undone is what this object has edited, and an undo leaves
    what others did to other records. numbers: of the records, (rows,); images: of each, camera ->
    path; unusable: why others have no row. Raises UserError as read_tub().
    """

    def __init__(self, folder: Path) -> None:
        def path_of(home: Path, name: str) -> str:
            return str(path_inside(home, name))

        findings, times = Findings(), list[int]()
        rows = sorted(
            read_tub(ImportSettings(folder), findings, path_of), key=lambda row: row.time_ms
        )
        if not rows:
            raise UserError(f"{folder}: a tub without a record that can be used")
        for row in rows:  # rows are edited by their times, so each gets one of its own
            times.append(max(row.time_ms, times[-1] + 1) if times else row.time_ms)
        count = findings.left_out.total()
        self.unusable = (
            f"{count} records cannot be used, and have no row: {findings.examples[0]}"
            if count
            else ""
        )
        self.numbers, self.driven = (
            np.array([row.number for row in rows]),
            [row.driven for row in rows],
        )
        self.images = [row.images for row in rows]
        self._done, self._undoes = (
            list[tuple[IndexArray, BoolArray]](),
            False,
        )  # rows, and whether they were deleted
        table = pd.DataFrame({
            "time_ms": times,
            "center": [f"center_{image_stamp(_EPOCH + timedelta(milliseconds=time_ms))}.jpg" for time_ms in times],
            "steering": [row.steering for row in rows],
            "throttle": [row.throttle for row in rows],
            "brake": [row.brake for row in rows],
            "speed_mph": [row.speed_mph for row in rows],
        })  # fmt: skip
        super().__init__(folder, table)

    @property
    def edits_file(self) -> Path:
        return deleted_file(self.path)

    def read_edits(self) -> Edits:
        return self._edits_of(np.isin(self.numbers, list(read_deleted(self.path))))

    def _edits_of(self, deleted: BoolArray) -> Edits:
        names = self.rows["center"].tolist()
        spans = tuple((names[first], names[last]) for first, last in runs(np.flatnonzero(deleted)))
        return Edits((Edit(DELETE, spans),)) if spans else Edits()

    def write_edits(self, edits: Edits) -> None:
        before, after = self.edits.deleted(self.times), edits.deleted(self.times)
        others = read_deleted(self.path) - set(self.numbers.tolist())
        write_deleted(self.path, {*self.numbers[after].tolist(), *others})
        if self._undoes:
            self._done.pop()
        else:
            rows = np.flatnonzero(before != after)
            self._done.append((rows, before[rows]))

    def edited(self, settings: EditSettings) -> Edits:
        if settings.mirror_steering or settings.advance_steering:
            raise UserError(
                f"{self.path}: a tub keeps its steering; import it to correct it: bcclone import"
            )
        self._undoes = settings.undo
        if not settings.undo:
            return super().edited(settings)
        if not self._done:
            raise UserError(
                f"{self.path}: a tub keeps no history; restore rows with --restore FROM TO"
            )
        deleted, (rows, before) = self.edits.deleted(self.times), self._done[-1]
        deleted[rows] = before
        return self._edits_of(deleted)

    def edit(self, settings: EditSettings) -> EditResult:
        return replace(super().edit(settings), edits=len(self._done))


def open_edited(name: str) -> EditedRecording:
    """Return a recording, or a tub, to be edited; raises UserError for neither."""
    folder = Path(name)
    is_tub = FORMAT.detect(folder) and not is_recording(folder)
    return EditedTub(folder) if is_tub else EditedRecording(find_log(name))
