"""Plan a conversion: read the logs, and list the rows to convert and each image file they need.

In: recordings, and the store to add to, if any. Out: a `ConversionPlan`. No image is opened here.
A `StorePart` of the plan is what one file of a store is written from. The `part` of a row or a log
is another thing: one of sample_settings.PARTS, for training, validation or test.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Self

import numpy as np
import pandas as pd

from bcclone.dataset.labels import steering_labels
from bcclone.dataset.new_rows import NewRecording, new_rows
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.rows import FRAME_COLUMNS, NO_FRAME, row_frame
from bcclone.dataset.sample_settings import ALL_ROWS, PARTS, TRAINING, SampleSettings
from bcclone.dataset.samples import assign_validation
from bcclone.dataset.skips import MAX_SKIPPED, Skip, no_usable_image, too_many_skips
from bcclone.dataset.store import RecordingInfo, Store
from bcclone.dataset.take_overs import LEFT_OUT, choose_rows
from bcclone.recording.files import find_logs
from bcclone.recording.log import Log, read_log
from bcclone.recording.row import CAMERAS
from bcclone.system.errors import UserError
from bcclone.system.location import Location
from bcclone.system.numbers import IndexArray
from bcclone.system.process import Notify


@dataclass(frozen=True)
class LogRead:
    """The counts of a log that was read."""

    path: str
    rows: int  # number of usable rows, the repeated ones included
    bad_rows: int  # number of unusable rows
    deleted_rows: int = 0  # number of rows that the user deleted with `bcclone edit`
    part: str = ""  # VALIDATION or TEST if the recording is held back whole, "" if it is split

    @classmethod
    def of(cls, log: Log, part: str) -> Self:
        return cls(str(log.path), len(log.rows), len(log.bad_rows), len(log.deleted), part)

    def __str__(self) -> str:
        text = f"{self.path}: {self.rows} rows"
        if self.bad_rows:
            text += f", and {self.bad_rows} bad ones"
        if self.part:
            text += f", all of them for {self.part}"
        if self.deleted_rows:
            text += f"; {self.deleted_rows} deleted ones are left out"
        return text


@dataclass(frozen=True)
class StorePart:
    """What one file of a store is written from."""

    # how frames and samples are made
    preprocessing: Preprocessing
    samples: SampleSettings
    # the rows of this file, with the columns of ConversionPlan.rows; before them are `context` rows
    # that are not written, but whose frames some samples of the file need
    rows: pd.DataFrame
    files: Sequence[str]  # paths of images; the columns `frame_CAMERA` are indices into them
    recordings: Sequence[RecordingInfo]  # the recordings of the rows
    context: int = 0  # number of the rows that are not written, at the beginning of `rows`


@dataclass(frozen=True)
class ConversionPlan:
    """The rows that a store will hold, and the image files that they name.

    The columns of the rows are those of the log, and:
        recording, episode: numbers in the whole store
        take_over: whether a person had taken over
        part: index in PARTS, 0 for rows that are split. The rows have this column only if a
            recording is held back whole
        frame_CAMERA: for each camera, the number of the frame of its image, or NO_FRAME
        validation: whether the row is held back from training
        label: the steering of its samples, as steering_labels() returns it
    """

    rows: pd.DataFrame
    logs: tuple[str, ...]  # path of each new recording's log
    logs_read: tuple[LogRead, ...]  # also those without a new row
    recordings: tuple[RecordingInfo, ...]
    files: Sequence[str]  # path of the image of each frame
    skips: tuple[Skip, ...]  # bad rows, and images without a file
    notices: tuple[str, ...]  # warnings for the user
    rows_read: int  # number of rows of the logs, with bad ones
    images_named: int  # number of images that the rows name, with those without a file

    def skips_with(self, unusable: Mapping[int, str], allowed: bool) -> tuple[Skip, ...]:
        """Return the skips of the plan, and a skip for each file that turned out to be unusable.

        Raises UserError if no image can be used, or, unless allowed, more than 5 % of the rows or
        images cannot.

        unusable: index of a file in `files` -> reason
        """
        if not self.images_named:
            raise UserError(
                f"{self.logs[0]}: the log names no image of the chosen cameras; "
                "choose others with --cameras"
            )
        skips = [*self.skips]
        for file, reason in unusable.items():
            skips.append(self._skip_of(file, reason))

        bad_rows = sum(recording.bad_rows for recording in self.recordings)
        bad_images = len(skips) - bad_rows
        if bad_images >= self.images_named:
            raise no_usable_image(self.recordings[0].path, skips, self.images_named)
        skipped = max(bad_rows / self.rows_read, bad_images / self.images_named)
        if skipped > MAX_SKIPPED and not allowed:
            raise too_many_skips(skips, bad_rows)
        return tuple(skips)

    def _skip_of(self, file: int, reason: str) -> Skip:
        """Return the skip of an unusable file, at the first row that names it."""
        names_it = np.argwhere((self.rows[FRAME_COLUMNS] == file).to_numpy())  # (n, 2)
        index, camera = names_it[0].tolist()
        row = self.rows.iloc[index]
        # recordings are numbered through the whole store, and `logs` begins with the first new one
        log = self.logs[int(row["recording"] - self.rows["recording"].iloc[0])]
        name = Path(self.files[file]).name
        reason = f"image {name} cannot be used: {reason}"
        return Skip(log, int(row["line"]), reason, CAMERAS[camera])


def frame_numbers(files: int, unusable: Collection[int], first: int = 0) -> IndexArray:
    """Return the number that the frame of each image file has in a store, or NO_FRAME, (files,).

    files: number of the files
    unusable: indices of the files without a frame
    first: number of the first frame
    """
    is_usable = np.ones(files, np.bool_)
    is_usable[list(unusable)] = False
    return np.where(is_usable, first - 1 + np.cumsum(is_usable), NO_FRAME)


def make_plan(
    inputs: tuple[str, ...],
    samples: SampleSettings,
    old: Store | None,
    notify: Notify = lambda line: None,
    held_back: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
) -> ConversionPlan:
    """Read the logs, and number recordings, episodes and images.

    The numbers continue those of the old store, if any. The plan has no rows if the old store has
    all of them. Raises ForeignLog for a file that is not a log, and UserError if no row is left, or
    a log is named for two parts.

    notify: called with a line for each log that was read
    held_back: VALIDATION or TEST -> recordings that are held back whole for this part. They are
        read first, since a row that two recordings have belongs to the one that is read first
    """
    parts = _parts_of_logs(inputs, held_back)
    logs = _read_logs(parts, notify)
    chosen = [choose_rows(log, samples.rows) for log in logs]
    left_out = _notices_of_choice(logs, chosen, samples.rows)
    compared = _compared(chosen, samples, old)
    # a log without a new row is no recording of the store
    new = [recording for recording in compared if not recording.rows.empty]
    numbered = _numbered(new, parts, old)
    rows, files = _joined(numbered, samples, old)

    notices = [notice for recording in compared for notice in recording.notices]
    notices += left_out
    if not new:
        notices.append("the store holds all of this already; nothing is added")
    return ConversionPlan(
        rows=rows,
        logs=tuple(str(recording.log.path) for recording in new),
        logs_read=tuple(LogRead.of(log, parts[log.path]) for log in logs),
        recordings=tuple(recording.info() for recording in new),
        files=files,
        skips=tuple(skip for recording in new for skip in recording.skips()),
        notices=tuple(notices),
        rows_read=sum(recording.log.row_count for recording in new),
        images_named=sum(int(recording.named.sum()) for recording in new),
    )


def _parts_of_logs(
    inputs: tuple[str, ...], held_back: Mapping[str, tuple[str, ...]]
) -> dict[Location, str]:
    """Return log -> its part: VALIDATION or TEST if it is held back whole, "" if it is split.

    Raises UserError for a log that is named for two parts.
    """
    recordings_of_part = {part: names for part, names in held_back.items() if names}
    # if no recording at all is named, find_logs() below raises the error that says so
    if inputs or not recordings_of_part:
        recordings_of_part[""] = inputs

    logs: dict[Location, tuple[Location, str]] = {}  # resolved path -> log, part
    for part, recordings in recordings_of_part.items():
        for path in find_logs(recordings):
            _, first_part = logs.setdefault(path.resolve(), (path, part))
            # an input that is held back, too, stays held back
            if part and part != first_part:
                raise UserError(
                    f"{path} is named both for {first_part} and for {part}; name it for one of them"
                )
    return dict(logs.values())


def _read_logs(parts: Mapping[Location, str], notify: Notify) -> list[Log]:
    """Read the logs, and notify of each.

    parts: log -> its part, as _parts_of_logs() returns it
    """
    logs = []
    for path, part in parts.items():
        log = read_log(path)
        notify(f"read {LogRead.of(log, part)}")
        logs.append(log)
    return logs


def _compared(
    logs: Sequence[Log], samples: SampleSettings, old: Store | None
) -> list[NewRecording]:
    """Return the new rows of each log, compared with the logs before it and with the old store.

    A log without rows is left out. A recording may have no new row.
    """
    recordings: list[NewRecording] = []
    centers: set[str] = set()  # what identifies the centre images of the logs before
    for log in logs:
        if log.rows.empty:
            continue
        recording = new_rows(log, samples, centers, old)
        centers.update(recording.centers)
        recordings.append(recording)
    return recordings


def _numbered(
    new: Sequence[NewRecording], parts: Mapping[Location, str], old: Store | None
) -> list[NewRecording]:
    """Return the recordings with numbers of recordings and episodes, which continue the old ones.

    parts: log -> its part, as _parts_of_logs() returns it
    """
    number = 0
    episode = 0
    if old:
        number = len(old.recordings)
        episode = int(old.rows["episode"].max()) + 1
    numbered = []
    for recording in new:
        episode_in_log = recording.rows["episode"]
        # a recording that is split has no part of its own: it counts as TRAINING, and `validation`
        # says which of its rows are held back
        part = parts[recording.log.path] or TRAINING
        rows = recording.rows.assign(
            recording=number,
            episode=episode_in_log - episode_in_log.min() + episode,
            part=np.uint8(PARTS.index(part)),
        )
        numbered.append(replace(recording, rows=rows))
        number += 1
        episode = int(rows["episode"].max()) + 1
    return numbered


def _notices_of_choice(logs: Sequence[Log], chosen: Sequence[Log], choice: str) -> list[str]:
    """Return the notice of rows that --rows leaves out, by who drove, if it leaves out any.

    Raises UserError if it leaves out all rows.

    chosen: the same logs, with the chosen rows only
    choice: one of sample_settings.ROWS
    """
    chosen_rows = sum(len(log.rows) for log in chosen)
    left_out = sum(len(log.rows) for log in logs) - chosen_rows
    # if all rows are chosen, there are some: read_log() refuses a log without usable rows
    if not chosen_rows:
        raise UserError(
            f"{logs[0].path}: no row is left, since all {left_out} are rows "
            f"{LEFT_OUT[choice]}; name a recording with take-overs, or use --rows {ALL_ROWS}"
        )
    if not left_out:
        return []
    return [f"--rows {choice}: {left_out} rows left out, {LEFT_OUT[choice]}"]


def _joined(
    recordings: Sequence[NewRecording], samples: SampleSettings, old: Store | None
) -> tuple[pd.DataFrame, Sequence[str]]:
    """Return the rows of all recordings, and the files of their frames.

    The files are in the order of the rows, so that the frames of neighbouring rows are next to each
    other in the store.
    """
    if not recordings:
        return pd.DataFrame(), ()
    rows = pd.concat([recording.rows for recording in recordings], ignore_index=True)
    if not rows["part"].any():
        rows = rows.drop(columns="part")

    # factorize() numbers equal paths alike, and None by -1, which is NO_FRAME
    paths = pd.concat([recording.paths for recording in recordings])
    numbers, files = pd.factorize(paths.to_numpy(object).ravel())
    numbers_of_camera = dict(zip(paths.columns, numbers.reshape(paths.shape).T, strict=True))
    for camera in CAMERAS:
        rows[f"frame_{camera}"] = numbers_of_camera.get(camera, NO_FRAME)

    # computed here for all rows, since each StorePart lacks the rows before and after it
    old_rows = row_frame(old.rows) if old else None
    rows = rows.assign(
        validation=assign_validation(rows, samples, old_rows),
        label=steering_labels(rows, samples.smooth_seconds, samples.lead_seconds),
    )
    return rows, files.tolist()
