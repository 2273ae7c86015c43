"""Logs -> the rows that a store will hold, and the image files that they need, each once."""

import hashlib
import os
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, overload

import numpy as np
import pandas as pd

from bcclone.errors import UserError
from bcclone.preprocess.settings import LogRead, Skip
from bcclone.recording import CAMERAS, ImageIndex, Log, find_logs, read_log
from bcclone.samples import NO_FRAME
from bcclone.store import Store

Source = dict[str, Any]  # what a recording was: path, SHA-256, rows, bad rows, episodes, dialect

_MOST_SKIPPED = 0.05
_LISTED = 10


class ImageFiles(Sequence[str]):
    """The paths of the images to be decoded; the names are shared with the rows, the folders with each other."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._folder_of = array("L")
        self._folders: list[str] = []
        self._number_of: list[dict[str, int]] = []  # by folder

    def open_folders(self, folders: Iterable[Path]) -> list[int]:
        """Return a number for each folder; the same folder has the same number for every log."""
        numbers = []
        for folder in map(os.path.realpath, folders):
            if folder not in self._folders:
                self._folders.append(folder)
                self._number_of.append({})
            numbers.append(self._folders.index(folder))
        return numbers

    def number(self, folder: int, name: str) -> int:
        """Return the place of an image in this sequence; a new one goes to its end."""
        place = self._number_of[folder].setdefault(name, len(self._names))
        if place == len(self._names):
            self._names.append(name)
            self._folder_of.append(folder)
        return place

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        return os.path.join(self._folders[self._folder_of[place]], self._names[place])  # noqa: PTH118 300,000 of them


@dataclass
class Plan:
    """What is to be done.

    rows: those to be stored, with `recording`, `episode` and, for each camera, `frame_CAMERA`: which of `files`
    is its image, or NO_FRAME; logs: the path of each recording's log; logs_read: all logs, those without a new row
    too; rows_read and images_named count the bad ones too.
    """

    rows: pd.DataFrame
    logs: list[str] = field(default_factory=list)
    logs_read: list[LogRead] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    files: ImageFiles = field(default_factory=ImageFiles)
    skips: list[Skip] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    rows_read: int = 0
    bad_rows: int = 0
    images_named: int = 0
    centers: set[tuple[int, str]] = field(default_factory=set)  # of the logs before: folder and name

    def skip_file(self, number: int, reason: str) -> None:
        """List one of the files as unusable, with the row that names it first."""
        uses = np.logical_or.reduce([self.rows[f"frame_{camera}"] == number for camera in CAMERAS])
        row = self.rows.iloc[int(np.flatnonzero(uses)[0])]
        log = self.logs[int(row["recording"] - self.rows["recording"].iloc[0])]
        name = Path(self.files[number]).name
        self.skips.append(Skip(log, int(row["line"]), f"image {name} cannot be used: {reason}"))


def make_plan(
    inputs: tuple[str, ...],
    cameras: tuple[str, ...],
    old: Store | None,
    on_log: Callable[[LogRead], None] = lambda log: None,
) -> Plan:
    """Read the logs and number recordings, episodes and images, on from those of the store that is added to.

    on_log is called with each log that was read. Raises ForeignLog for a file that is no log. The plan has no rows
    when all of them are in the store.
    """
    plan = Plan(pd.DataFrame())
    recording, episode = len(old.recordings) if old else 0, int(old.rows["episode"].max()) + 1 if old else 0
    tables = []
    for path in find_logs(inputs):
        log = read_log(path)
        plan.logs_read.append(LogRead(str(path), len(log.rows), len(log.bad_rows)))
        on_log(plan.logs_read[-1])
        index = ImageIndex(path)
        folders = plan.files.open_folders(index.folders)
        rows = _new_rows(plan, log, index, folders, old)
        if rows.empty:
            continue
        _count(plan, log, len(rows))
        rows = rows.assign(recording=recording, episode=rows["episode"] - rows["episode"].min() + episode)
        for camera in CAMERAS:
            rows[f"frame_{camera}"] = NO_FRAME
            if camera in cameras:
                rows[f"frame_{camera}"] = _number_files(plan, index, folders, rows[["line", camera]])
        recording, episode = recording + 1, int(rows["episode"].max()) + 1
        tables.append(rows)
    if tables:
        plan.rows = pd.concat(tables, ignore_index=True)
    else:
        plan.notices.append("the store holds all of this already; nothing is added")
    return plan


def refuse_many_skips(plan: Plan, allowed: bool) -> None:
    """Raise UserError when more than a twentieth of the rows or of the images cannot be used, or no image can."""
    bad_images = len(plan.skips) - plan.bad_rows
    if not plan.images_named:
        raise UserError(f"{plan.logs[0]}: names no image of the cameras chosen; choose others with --cameras")
    if bad_images >= plan.images_named:
        first = plan.skips[-1] if plan.skips else None
        places = ", ".join(str(folder) for folder in ImageIndex(Path(plan.sources[0]["path"])).folders)
        raise UserError(
            f"{plan.sources[0]['path']}: none of the {plan.images_named} images can be used; looked in {places}"
            + (f"; the last: row {first.row}, {first.reason}" if first else "")
        )
    if max(plan.bad_rows / plan.rows_read, bad_images / plan.images_named) > _MOST_SKIPPED and not allowed:
        listed = "\n".join(f"  {skip.file}, row {skip.row}: {skip.reason}" for skip in plan.skips[:_LISTED])
        more = f"\n  ... and {len(plan.skips) - _LISTED} more" if len(plan.skips) > _LISTED else ""
        raise UserError(
            f"{plan.bad_rows} rows and {bad_images} images cannot be used, more than {_MOST_SKIPPED:.0%}; "
            f"mend the recording, or go on without them with --allow-skips:\n{listed}{more}"
        )


def _new_rows(plan: Plan, log: Log, index: ImageIndex, folders: list[int], old: Store | None) -> pd.DataFrame:
    """Return the log's rows without those whose centre image an earlier row, log or conversion has named."""
    rows = log.rows
    places = [(None if (place := index.folder_of(name)) is None else folders[place], name) for name in rows["center"]]
    repeated = rows.duplicated("center") | pd.Series([place in plan.centers for place in places], rows.index)
    plan.centers.update((folder, name) for folder, name in places if folder is not None)
    if repeated.any():
        plan.notices.append(f"{log.path}: {int(repeated.sum())} repeated rows left out")
    if old is None:
        return rows[~repeated].reset_index(drop=True)
    home = log.path.resolve().parent  # logs in one folder share its images
    same_home = [number for number, source in enumerate(old.recordings) if Path(source["path"]).parent == home]
    names = old.rows["center"][np.isin(old.rows["recording"], same_home)]
    known = rows["center"].isin([name.decode() for name in names.tolist()])
    if known.any():
        plan.notices.append(f"{log.path}: {int(known.sum())} rows are in the store already; left out")
    if np.isin(rows["time_ms"][~known], old.rows["time_ms"]).any():
        plan.notices.append(f"{log.path}: the store holds rows of the same times; is this a copy of what is in it?")
    return rows[~known & ~repeated].reset_index(drop=True)


def _count(plan: Plan, log: Log, rows: int) -> None:
    plan.logs.append(str(log.path))
    plan.rows_read += log.row_count
    plan.bad_rows += len(log.bad_rows)
    plan.skips.extend(Skip(str(log.path), bad.row, bad.reason) for bad in log.bad_rows)
    plan.sources.append({
        "path": str(log.path.resolve()), "sha256": hashlib.sha256(log.path.read_bytes()).hexdigest(),
        "rows": rows, "bad_rows": len(log.bad_rows), "episodes": log.episodes, "dialect": asdict(log.dialect),
    })  # fmt: skip


def _number_files(plan: Plan, index: ImageIndex, folders: list[int], lines_and_names: pd.DataFrame) -> list[int]:
    """Return for each row which of plan.files is its image, or NO_FRAME where it has none."""
    numbers = []
    for line, name in zip(*(column.tolist() for _, column in lines_and_names.items()), strict=True):
        plan.images_named += bool(name)
        place = index.folder_of(name)
        if name and place is None:
            plan.skips.append(Skip(plan.logs[-1], line, f"image {name} is missing"))
        numbers.append(NO_FRAME if place is None else plan.files.number(folders[place], name))
    return numbers
