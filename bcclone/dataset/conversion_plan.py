"""Read the logs, and list the rows that a store will hold and the image files that they need, each once.

In: recordings, and the store to add to, if any. Out: a `ConversionPlan`; no image has been opened yet.
"""

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd

from bcclone.dataset.framing import framing_of
from bcclone.dataset.preprocess_settings import MOST_SKIPPED, LogRead, Skip
from bcclone.dataset.rows import FRAME_COLUMNS, NO_FRAME, RowTable
from bcclone.dataset.sample_settings import ALL_ROWS, PARTS, TRAINING, SampleSettings
from bcclone.dataset.store import Store
from bcclone.dataset.store_reader import RecordingInfo
from bcclone.dataset.take_overs import LEFT_OUT, choose_rows
from bcclone.recording.files import ImageIndex, find_logs
from bcclone.recording.log import Log, read_log
from bcclone.recording.row import CAMERAS
from bcclone.system.arrays import IndexArray
from bcclone.system.errors import UserError
from bcclone.system.location import Location, reaching

_DRIVEN = ["time_ms", "steering", "speed_mph"]  # columns that differ from one drive to the next
_LISTED = 10


@dataclass(frozen=True)
class ConversionPlan:
    """The rows that a store will hold, and the image files that they name.

    rows: the rows to store, with `recording`, `episode`, `take_over`, if a recording is held back whole also `part`
    (its index in PARTS, 0 for those that are split), and for each camera `frame_CAMERA`: number of the frame of its
    image, or NO_FRAME; files: path of the image of each frame; logs: path of each new recording's
    log; logs_read: all logs, also those without a new row; skips: rows and images known to be unusable before an image
    is opened, bad_rows of them rows; rows_read, images_named: counts that include unusable ones.
    """

    rows: pd.DataFrame
    logs: tuple[str, ...]
    logs_read: tuple[LogRead, ...]
    recordings: tuple[RecordingInfo, ...]
    files: tuple[str, ...]
    skips: tuple[Skip, ...]
    notices: tuple[str, ...]
    rows_read: int
    bad_rows: int
    images_named: int

    def __post_init__(self) -> None:
        if len(self.logs) != len(self.recordings):
            raise ValueError(f"{len(self.logs)} logs of {len(self.recordings)} recordings, expected one for each")
        if len(self.rows) and (last := self.rows[FRAME_COLUMNS].to_numpy().max()) >= len(self.files):
            raise ValueError(f"a row names image {last}, expected less than {len(self.files)}")

    def skip_of(self, index: int, reason: str) -> Skip:
        """Return the skip of an unusable file, with the first row that names it."""
        uses = np.logical_or.reduce([self.rows[name] == index for name in FRAME_COLUMNS])
        row = self.rows.iloc[int(np.flatnonzero(uses)[0])]
        log = self.logs[int(row["recording"] - self.rows["recording"].iloc[0])]
        return Skip(log, int(row["line"]), f"image {Path(self.files[index]).name} cannot be used: {reason}")


def frame_numbers(files: int, unusable: Collection[int], first: int = 0) -> IndexArray:
    """Return the number in a store of the frame of each image file, (files,), or NO_FRAME.

    unusable: indices of the files without a frame; first: number of the first frame.
    """
    usable = np.ones(files, np.bool_)
    usable[list(unusable)] = False
    return np.where(usable, first - 1 + np.cumsum(usable), NO_FRAME)


def with_stored_frames(rows: pd.DataFrame, frames: IndexArray) -> pd.DataFrame:
    """Return the rows of a plan with the numbers in the store. frames: as frame_numbers() returns them."""
    frame_of = np.append(frames, NO_FRAME)  # the last element is that of NO_FRAME
    return rows.assign(**{name: frame_of[rows[name].to_numpy()] for name in FRAME_COLUMNS})


def make_plan(
    inputs: tuple[str, ...],
    samples: SampleSettings,
    old: Store | None,
    notify: Callable[[str], None] = lambda line: None,
    held_back: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
) -> ConversionPlan:
    """Read the logs, and number recordings, episodes and images; the numbers continue those of the old store, if any.

    The plan has no rows if the old store has all of them. samples: which cameras and rows are used. notify: takes a
    line for each log that was read; held_back: recordings by the part of the samples that each is, whole; these come
    first, so that no other recording has their images. Raises ForeignLog for a file that is not a log, and UserError if
    no log has a row of those that are used, or one is held back for two parts.
    """
    builder = _PlanBuilder(samples, old)
    for path, part in _parts_of_logs(inputs, held_back).items():
        log = read_log(path)
        read = LogRead(str(path), len(log.rows), len(log.bad_rows), len(log.deleted), part)
        notify(f"read {read}")
        builder.add(log, read)
    return builder.finish()


def _parts_of_logs(inputs: tuple[str, ...], held_back: Mapping[str, tuple[str, ...]]) -> dict[Location, str]:
    """Return the part of the samples that each log is, "" for one that is split; raises UserError for two parts."""
    logs: dict[Location, tuple[Location, str]] = {}  # by resolved path
    named = {part: recordings for part, recordings in held_back.items() if recordings}
    for part, recordings in (named | ({"": inputs} if inputs or not named else {})).items():
        for path in find_logs(recordings):
            first = logs.setdefault(path.resolve(), (path, part))[1]
            if part and part != first:
                raise UserError(f"{path} is named both for {first} and for {part}; name it for one of them")
    return dict(logs.values())


def refuse_many_skips(plan: ConversionPlan, skips: Sequence[Skip], allowed: bool) -> None:
    """Raise UserError if no image can be used, or, unless allowed, more than 5 % of the rows or images cannot.

    skips: those of the plan, and of the images that were opened since.
    """
    bad_images = len(skips) - plan.bad_rows
    if not plan.images_named:
        raise UserError(f"{plan.logs[0]}: the log names no image of the chosen cameras; choose others with --cameras")
    if bad_images >= plan.images_named:
        last = skips[-1] if skips else None
        folders = ", ".join(str(folder) for folder in ImageIndex(plan.recordings[0].path).folders)
        raise UserError(
            f"{plan.recordings[0].path}: none of the {plan.images_named} images can be used; looked in {folders}"
            + (f"; the last: row {last.row}, {last.reason}" if last else "")
            + "; copy the images into one of these folders"
        )
    if max(plan.bad_rows / plan.rows_read, bad_images / plan.images_named) > MOST_SKIPPED and not allowed:
        listed = "\n".join(f"  {skip}" for skip in skips[:_LISTED])
        more = f"\n  ... and {len(skips) - _LISTED} more" if len(skips) > _LISTED else ""
        raise UserError(
            f"{plan.bad_rows} rows and {bad_images} images cannot be used, more than {MOST_SKIPPED:.0%}; "
            f"repair the recording, or leave them out with --allow-skips:\n{listed}{more}"
        )


class _PlanBuilder:
    """Collects a plan log by log; the numbers of recordings and episodes continue those of the old store, if any."""

    def __init__(self, samples: SampleSettings, old: Store | None) -> None:
        self._samples, self._old = samples, old
        self._recording = len(old.recordings) if old else 0
        self._episode = int(old.rows["episode"].max()) + 1 if old else 0
        self._tables: list[pd.DataFrame] = []
        self._logs: list[str] = []
        self._logs_read: list[LogRead] = []
        self._recordings: list[RecordingInfo] = []
        self._frames: dict[str, int] = {}  # path of an image -> number of its frame
        self._skips: list[Skip] = []
        self._notices: list[str] = []
        self._rows_read = self._bad_rows = self._images_named = self._left_out = self._chosen = 0
        self._centers: set[str] = set()  # paths of the centre images read so far

    def add(self, log: Log, read: LogRead) -> None:
        """Add the new rows of a log, and their images."""
        self._logs_read.append(read)
        log = choose_rows(log, self._samples.rows)
        self._left_out += read.rows - len(log.rows)
        self._chosen += len(log.rows)
        if log.rows.empty:
            return
        index = ImageIndex(log.path)
        rows = self._new_rows(log, index)
        if rows.empty:
            return
        self._add_recording(log, len(rows))
        episode = rows["episode"] - rows["episode"].min() + self._episode
        part = np.uint8(PARTS.index(read.part or TRAINING))
        rows = rows.assign(recording=self._recording, episode=episode, part=part)
        rows = rows.assign(**self._number_frames(rows, index))
        self._recording, self._episode = self._recording + 1, int(rows["episode"].max()) + 1
        self._tables.append(rows)

    def finish(self) -> ConversionPlan:
        """Return the plan of the logs added so far; raises UserError if no row of them is used."""
        choice = self._samples.rows
        if not self._chosen:
            raise UserError(
                f"{self._logs_read[0].path}: no row is left, since all {self._left_out} are rows "
                f"{LEFT_OUT[choice]}; name a recording with take-overs, or use --rows {ALL_ROWS}"
            )
        if self._left_out:
            self._notices.append(f"--rows {choice}: {self._left_out} rows left out, {LEFT_OUT[choice]}")
        nothing_new = () if self._tables else ("the store holds all of this already; nothing is added",)
        rows = pd.concat(self._tables, ignore_index=True) if self._tables else pd.DataFrame()
        if len(rows) and not rows["part"].any():
            rows = rows.drop(columns="part")
        return ConversionPlan(
            rows=rows,
            logs=tuple(self._logs),
            logs_read=tuple(self._logs_read),
            recordings=tuple(self._recordings),
            files=tuple(self._frames),
            skips=tuple(self._skips),
            notices=(*self._notices, *nothing_new),
            rows_read=self._rows_read,
            bad_rows=self._bad_rows,
            images_named=self._images_named,
        )

    def _new_rows(self, log: Log, index: ImageIndex) -> pd.DataFrame:
        """Return the log's rows except those whose centre image was named before: by a row, a log or the old store."""
        rows, old = log.rows, self._old
        repeated = np.zeros(len(rows), np.bool_)
        missing: set[str] = set()  # names without a file, which in another log are another image's
        for number, name in enumerate(rows["center"].tolist()):
            path = index.find(name)
            image, seen = (path, self._centers) if path else (name, missing)
            repeated[number] = image in seen
            seen.add(image)
        if repeated.any():
            self._notices.append(f"{log.path}: {int(repeated.sum())} repeated rows left out")
        if old is None:
            return rows[~repeated].reset_index(drop=True)
        home = log.path.resolve().parent  # logs in one folder share its images
        same_home = [number for number, recording in enumerate(old.recordings) if recording.path.parent == home]
        names = old.rows["center"][np.isin(old.rows["recording"], same_home)]
        known = rows["center"].isin([name.decode() for name in names.tolist()])
        if known.any():
            self._notices.append(f"{log.path}: {int(known.sum())} rows are in the store already; left out")
        if _are_mostly_in(rows[~known], old.rows):
            self._notices.append(
                f"{log.path}: most rows have times, steering and speed of rows in the store; is this a copy of a "
                "recording in it?"
            )
        return rows[~known & ~repeated].reset_index(drop=True)

    def _add_recording(self, log: Log, rows: int) -> None:
        self._logs.append(str(log.path))
        self._rows_read += log.row_count
        self._bad_rows += len(log.bad_rows)
        self._skips.extend(Skip(str(log.path), bad.row, bad.reason) for bad in log.bad_rows)
        with reaching(log.path):
            digest = hashlib.sha256(log.path.read_bytes()).hexdigest()
        framing = framing_of(log.path)
        self._recordings.append(
            RecordingInfo(log.path.resolve(), digest, rows, len(log.bad_rows), log.episodes, log.dialect, framing)
        )

    def _number_frames(self, rows: pd.DataFrame, index: ImageIndex) -> dict[str, list[int]]:
        """Return frame_CAMERA of the rows: the number of each image's path, or NO_FRAME where there is none.

        The numbers are in the order of the rows, so that the frames of neighbouring rows lie together in a store.
        """
        numbers = {name: [NO_FRAME] * len(rows) for name in FRAME_COLUMNS}
        used = [camera for camera in CAMERAS if camera in self._samples.cameras]
        columns = [(numbers[f"frame_{camera}"], rows[camera].tolist()) for camera in used]
        for number, line in enumerate(rows["line"].tolist()):
            for frames, names in columns:
                self._images_named += bool(names[number])
                if path := index.find(names[number]):
                    frames[number] = self._frames.setdefault(path, len(self._frames))
                elif names[number]:
                    self._skips.append(Skip(self._logs[-1], line, f"image {names[number]} is missing"))
        return numbers


def _are_mostly_in(rows: pd.DataFrame, stored: RowTable) -> bool:
    """Return whether most of the rows have time, steering and speed of a stored one; only times are often alike."""
    old = pd.DataFrame({name: stored[name] for name in _DRIVEN}).drop_duplicates()
    return 2 * len(rows[_DRIVEN].astype(old.dtypes).merge(old)) > len(rows)
