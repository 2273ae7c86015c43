"""Read the logs, and list the rows that a store will hold and the image files that they need, each once."""

import hashlib
import os
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import overload

import numpy as np
import pandas as pd

from bcclone.errors import UserError
from bcclone.preprocess.settings import LogRead, Skip
from bcclone.recording import CAMERAS, ImageIndex, Log, find_logs, read_log
from bcclone.samples import NO_FRAME
from bcclone.store import RecordingInfo, Store

_MOST_SKIPPED = 0.05
_LISTED = 10


class ImageFiles(Sequence[str]):
    """The paths of the images to decode; folders are stored once, and the names are the strings of the rows."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._folder_of = array("L")
        self._folders: list[str] = []
        self._index_of: list[dict[str, int]] = []  # for each folder

    def add_folders(self, folders: Iterable[Path]) -> list[int]:
        """Return a number for each folder; the same folder has the same number for every log."""
        numbers = []
        for folder in map(os.path.realpath, folders):
            if folder not in self._folders:
                self._folders.append(folder)
                self._index_of.append({})
            numbers.append(self._folders.index(folder))
        return numbers

    def add(self, folder: int, name: str) -> int:
        """Return the index of an image in this sequence; a new image is appended."""
        index = self._index_of[folder].setdefault(name, len(self._names))
        if index == len(self._names):
            self._names.append(name)
            self._folder_of.append(folder)
        return index

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        return os.path.join(self._folders[self._folder_of[index]], self._names[index])  # noqa: PTH118 called 300,000 times


@dataclass
class ConversionPlan:
    """The rows and images to convert; filled by make_plan().

    rows: the rows to store, with `recording`, `episode` and, for each camera, `frame_CAMERA`: index of its image among
    `files`, or NO_FRAME; logs: path of each new recording's log; logs_read: all logs, also those without a new row;
    rows_read, images_named: counts that include unusable ones.
    """

    rows: pd.DataFrame
    logs: list[str] = field(default_factory=list)
    logs_read: list[LogRead] = field(default_factory=list)
    recordings: list[RecordingInfo] = field(default_factory=list)
    files: ImageFiles = field(default_factory=ImageFiles)
    skips: list[Skip] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    rows_read: int = 0
    bad_rows: int = 0
    images_named: int = 0
    centers: set[tuple[int, str]] = field(default_factory=set)  # folder and name of the centre images read so far

    def skip_file(self, index: int, reason: str) -> None:
        """List one of the files as unusable, with the first row that names it."""
        uses = np.logical_or.reduce([self.rows[f"frame_{camera}"] == index for camera in CAMERAS])
        row = self.rows.iloc[int(np.flatnonzero(uses)[0])]
        log = self.logs[int(row["recording"] - self.rows["recording"].iloc[0])]
        name = Path(self.files[index]).name
        self.skips.append(Skip(log, int(row["line"]), f"image {name} cannot be used: {reason}"))


def make_plan(
    inputs: tuple[str, ...],
    cameras: tuple[str, ...],
    old: Store | None,
    notify: Callable[[str], None] = lambda line: None,
) -> ConversionPlan:
    """Read the logs, and number recordings, episodes and images; the numbers continue those of the old store, if any.

    The plan has no rows if the old store has all of them. notify: takes a line for each log that was read. Raises
    ForeignLog for a file that is not a log.
    """
    plan = ConversionPlan(pd.DataFrame())
    recording, episode = len(old.recordings) if old else 0, int(old.rows["episode"].max()) + 1 if old else 0
    tables = []
    for path in find_logs(inputs):
        log = read_log(path)
        plan.logs_read.append(LogRead(str(path), len(log.rows), len(log.bad_rows)))
        notify(f"read {plan.logs_read[-1]}")
        index = ImageIndex(path)
        folders = plan.files.add_folders(index.folders)
        rows = _new_rows(plan, log, index, folders, old)
        if rows.empty:
            continue
        _add_recording(plan, log, len(rows))
        rows = rows.assign(recording=recording, episode=rows["episode"] - rows["episode"].min() + episode)
        for camera in CAMERAS:
            rows[f"frame_{camera}"] = NO_FRAME
            if camera in cameras:
                rows[f"frame_{camera}"] = _add_files(plan, index, folders, rows[["line", camera]])
        recording, episode = recording + 1, int(rows["episode"].max()) + 1
        tables.append(rows)
    if tables:
        plan.rows = pd.concat(tables, ignore_index=True)
    else:
        plan.notices.append("the store holds all of this already; nothing is added")
    return plan


def refuse_many_skips(plan: ConversionPlan, allowed: bool) -> None:
    """Raise UserError if no image can be used, or, unless allowed, more than 5 % of the rows or images cannot."""
    bad_images = len(plan.skips) - plan.bad_rows
    if not plan.images_named:
        raise UserError(f"{plan.logs[0]}: the log names no image of the chosen cameras; choose others with --cameras")
    if bad_images >= plan.images_named:
        first = plan.skips[-1] if plan.skips else None
        folders = ", ".join(str(folder) for folder in ImageIndex(plan.recordings[0].path).folders)
        raise UserError(
            f"{plan.recordings[0].path}: none of the {plan.images_named} images can be used; looked in {folders}"
            + (f"; the last: row {first.row}, {first.reason}" if first else "")
        )
    if max(plan.bad_rows / plan.rows_read, bad_images / plan.images_named) > _MOST_SKIPPED and not allowed:
        listed = "\n".join(f"  {skip}" for skip in plan.skips[:_LISTED])
        more = f"\n  ... and {len(plan.skips) - _LISTED} more" if len(plan.skips) > _LISTED else ""
        raise UserError(
            f"{plan.bad_rows} rows and {bad_images} images cannot be used, more than {_MOST_SKIPPED:.0%}; "
            f"repair the recording, or leave them out with --allow-skips:\n{listed}{more}"
        )


def _new_rows(plan: ConversionPlan, log: Log, index: ImageIndex, folders: list[int], old: Store | None) -> pd.DataFrame:
    """Return the log's rows except those whose centre image was named before: by a row, a log or the old store."""
    rows = log.rows
    images = [(None if (found := index.folder_of(name)) is None else folders[found], name) for name in rows["center"]]
    repeated = rows.duplicated("center") | pd.Series([image in plan.centers for image in images], rows.index)
    plan.centers.update((folder, name) for folder, name in images if folder is not None)
    if repeated.any():
        plan.notices.append(f"{log.path}: {int(repeated.sum())} repeated rows left out")
    if old is None:
        return rows[~repeated].reset_index(drop=True)
    home = log.path.resolve().parent  # logs in one folder share its images
    same_home = [number for number, recording in enumerate(old.recordings) if recording.path.parent == home]
    names = old.rows["center"][np.isin(old.rows["recording"], same_home)]
    known = rows["center"].isin([name.decode() for name in names.tolist()])
    if known.any():
        plan.notices.append(f"{log.path}: {int(known.sum())} rows are in the store already; left out")
    if np.isin(rows["time_ms"][~known], old.rows["time_ms"]).any():
        plan.notices.append(f"{log.path}: the store holds rows of the same times; is this a copy of a recording in it?")
    return rows[~known & ~repeated].reset_index(drop=True)


def _add_recording(plan: ConversionPlan, log: Log, rows: int) -> None:
    plan.logs.append(str(log.path))
    plan.rows_read += log.row_count
    plan.bad_rows += len(log.bad_rows)
    plan.skips.extend(Skip(str(log.path), bad.row, bad.reason) for bad in log.bad_rows)
    digest = hashlib.sha256(log.path.read_bytes()).hexdigest()
    plan.recordings.append(
        RecordingInfo(log.path.resolve(), digest, rows, len(log.bad_rows), log.episodes, log.dialect)
    )


def _add_files(plan: ConversionPlan, index: ImageIndex, folders: list[int], lines_and_names: pd.DataFrame) -> list[int]:
    """Return for each row the index of its image among plan.files, or NO_FRAME if it has none."""
    numbers = []
    for line, name in zip(*(column.tolist() for _, column in lines_and_names.items()), strict=True):
        plan.images_named += bool(name)
        folder = index.folder_of(name)
        if name and folder is None:
            plan.skips.append(Skip(plan.logs[-1], line, f"image {name} is missing"))
        numbers.append(NO_FRAME if folder is None else plan.files.add(folders[folder], name))
    return numbers
