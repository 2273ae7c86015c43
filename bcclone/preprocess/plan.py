"""Logs -> the rows that a store will hold, and the image files that they need, each once."""

import hashlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from bcclone.errors import UserError
from bcclone.preprocess.settings import Skip
from bcclone.recording import CAMERAS, ImageIndex, Log, find_logs, read_log
from bcclone.samples import NO_FRAME
from bcclone.store import Store, row_frame

Source = dict[str, Any]  # what a recording was: path, SHA-256, rows, bad rows, episodes, dialect

_MOST_SKIPPED = 0.05
_LISTED = 10


@dataclass
class Plan:
    """What is to be done.

    rows: those to be stored, with `recording`, `episode` and, for each camera, `frame_CAMERA`: which of `files`
    is its image, or NO_FRAME; first_use: log and row that named each file first; rows_read and images_named
    count the bad ones too.
    """

    rows: pd.DataFrame
    sources: list[Source] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    first_use: list[tuple[str, int]] = field(default_factory=list)
    skips: list[Skip] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    rows_read: int = 0
    bad_rows: int = 0
    images_named: int = 0

    def skip_image(self, file: str, row: int, name: str, reason: str) -> None:
        """List an image that cannot be used."""
        self.skips.append(Skip(file, row, f"image {name} {reason}"))


def make_plan(inputs: tuple[str, ...], cameras: tuple[str, ...], old: Store | None) -> Plan:
    """Read the logs and number recordings, episodes and images, on from those of the store that is added to.

    Raises ForeignLog for a file that is no log. The plan has no rows when all of them are in the store.
    """
    plan = Plan(pd.DataFrame())
    number_of: dict[str, int] = {}
    recording, episode = len(old.recordings) if old else 0, int(old.rows["episode"].max()) + 1 if old else 0
    tables = []
    for path in find_logs(inputs):
        log = read_log(path)
        rows = _new_rows(plan, log, old)
        if rows.empty:
            continue
        _count(plan, log, len(rows))
        rows = rows.assign(recording=recording, episode=rows["episode"] - rows["episode"].min() + episode)
        index = ImageIndex(log.path)
        for camera in CAMERAS:
            rows[f"frame_{camera}"] = NO_FRAME
            if camera in cameras:
                rows[f"frame_{camera}"] = _number_files(plan, number_of, index, log, rows[["line", camera]])
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


def _new_rows(plan: Plan, log: Log, old: Store | None) -> pd.DataFrame:
    """Return the log's rows without repetitions and without those that the store has of this very log."""
    rows = log.rows.drop_duplicates("center", ignore_index=True)
    if len(rows) < len(log.rows):
        plan.notices.append(f"{log.path}: {len(log.rows) - len(rows)} repeated rows left out")
    if old is None:
        return rows
    before = row_frame(old.rows)
    same_log = [number for number, source in enumerate(old.recordings) if source["path"] == str(log.path.resolve())]
    known = rows["center"].isin(before["center"][before["recording"].isin(same_log)])
    if known.any():
        plan.notices.append(f"{log.path}: {int(known.sum())} rows are in the store already; left out")
    if rows["time_ms"][~known].isin(before["time_ms"]).any():
        plan.notices.append(f"{log.path}: the store holds rows of the same times; is this a copy of what is in it?")
    return rows[~known].reset_index(drop=True)


def _count(plan: Plan, log: Log, rows: int) -> None:
    plan.rows_read += log.row_count
    plan.bad_rows += len(log.bad_rows)
    plan.skips.extend(Skip(str(log.path), bad.row, bad.reason) for bad in log.bad_rows)
    plan.sources.append({
        "path": str(log.path.resolve()), "sha256": hashlib.sha256(log.path.read_bytes()).hexdigest(),
        "rows": rows, "bad_rows": len(log.bad_rows), "episodes": log.episodes, "dialect": asdict(log.dialect),
    })  # fmt: skip


def _number_files(
    plan: Plan, number_of: dict[str, int], index: ImageIndex, log: Log, lines_and_names: pd.DataFrame
) -> list[int]:
    """Return for each row which of plan.files is its image, or NO_FRAME where it has none."""
    numbers = []
    for line, name in lines_and_names.itertuples(index=False, name=None):
        path = index.find(name)
        plan.images_named += bool(name)
        if name and path is None:
            plan.skip_image(str(log.path), line, name, "is missing")
        if path is not None and path not in number_of:
            number_of[path] = len(plan.files)
            plan.files.append(path)
            plan.first_use.append((str(log.path), line))
        numbers.append(NO_FRAME if path is None else number_of[path])
    return numbers
