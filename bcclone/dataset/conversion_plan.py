"""Read the logs, and list the rows that a store will hold and the image files that they need, each
once.

In: recordings, and the store to add to, if any. Out: a `ConversionPlan`, of which each file of a
store takes a `StorePart`; no image has been opened yet.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath
from types import MappingProxyType

import numpy as np
import pandas as pd

from bcclone.camera.framing import framing_of
from bcclone.camera.images import import_remedy
from bcclone.dataset.labels import steering_labels
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.rows import FRAME_COLUMNS, NO_FRAME, row_frame
from bcclone.dataset.sample_settings import ALL_ROWS, PARTS, TRAINING, SampleSettings
from bcclone.dataset.samples import assign_validation
from bcclone.dataset.store import RecordingInfo, Store
from bcclone.dataset.take_overs import LEFT_OUT, choose_rows
from bcclone.recording.files import ImageIndex, find_logs
from bcclone.recording.log import Log, read_log
from bcclone.recording.row import CAMERAS, camera_of
from bcclone.system.arrays import BoolArray, IndexArray
from bcclone.system.errors import UserError
from bcclone.system.location import Location, reaching
from bcclone.system.progress import Notify

_LISTED = 10
MAX_SKIPPED = 0.05  # of the rows or of the images


@dataclass(frozen=True)
class Skip:
    """A row or image that was left out. row: its number in the file, from 1."""

    file: str
    row: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.row}: {self.reason}"


@dataclass(frozen=True)
class LogRead:
    """A log that was read.

    rows: number of usable rows, repeated ones included; bad_rows: number of the others;
    deleted_rows: of those that `bcclone edit` leaves out; part: VALIDATION or TEST if the whole
    recording is, "" if it is split by the settings.
    """

    path: str
    rows: int
    bad_rows: int
    deleted_rows: int = 0
    part: str = ""

    def __str__(self) -> str:
        others = f", and {self.bad_rows} bad ones" if self.bad_rows else ""
        kept = f", all of them for {self.part}" if self.part else ""
        return f"{self.path}: {self.rows} rows{others}{kept}" + (
            f"; {self.deleted_rows} deleted ones are left out" if self.deleted_rows else ""
        )


@dataclass(frozen=True)
class StorePart:
    """What one file of a store is written from.

    preprocessing, samples: how frames and samples are made; rows: first `context` rows before the
    part, whose frames its samples need, then its own, with the columns of ConversionPlan.rows;
    files: paths of the images that `frame_CAMERA` counts; recordings: of the rows.
    """

    preprocessing: Preprocessing
    samples: SampleSettings
    rows: pd.DataFrame
    files: Sequence[str]
    recordings: Sequence[RecordingInfo]
    context: int = 0


@dataclass(frozen=True)
class ConversionPlan:
    """The rows that a store will hold, and the image files that they name.

    rows: the rows to store, with `recording`, `episode`, `take_over`, if a recording is held back
    whole also `part` (its index in PARTS, 0 for those that are split), for each camera
    `frame_CAMERA`: number of the frame of its image, or NO_FRAME, and `validation` and `label` of
    the samples; files: path of the image of each frame; logs: path of each new recording's log;
    logs_read: all logs, also those without a new row; skips: rows and images that are unusable
    before an image is opened; rows_read, images_named: counts that include unusable ones.
    """

    rows: pd.DataFrame
    logs: tuple[str, ...]
    logs_read: tuple[LogRead, ...]
    recordings: tuple[RecordingInfo, ...]
    files: Sequence[str]
    skips: tuple[Skip, ...]
    notices: tuple[str, ...]
    rows_read: int
    images_named: int

    def skips_with(self, unusable: Mapping[int, str], allowed: bool) -> tuple[Skip, ...]:
        """Return the skips, and those of the unusable files: index -> reason.

        Raises UserError if no image can be used, or, unless allowed, more than 5 % of the rows or
        images cannot.
        """
        skips = list(self.skips)
        for index, reason in unusable.items():
            # the first row to name it
            row = self.rows.iloc[int(np.argmax((self.rows[FRAME_COLUMNS] == index).any(axis=1)))]
            log = self.logs[int(row["recording"] - self.rows["recording"].iloc[0])]
            skips.append(
                Skip(
                    log,
                    int(row["line"]),
                    f"image {Path(self.files[index]).name} cannot be used: {reason}",
                )
            )
        imports = import_remedy([skip.reason for skip in skips], skips[-1].file if skips else "")
        bad_rows = sum(recording.bad_rows for recording in self.recordings)
        bad_images = len(skips) - bad_rows
        if not self.images_named:
            raise UserError(
                f"{self.logs[0]}: the log names no image of the chosen cameras; choose others with --cameras"
            )
        if bad_images >= self.images_named:
            path = self.recordings[0].path
            raise UserError(
                f"{path}: none of the {self.images_named} images can be used; looked in "
                f"{', '.join(map(str, ImageIndex(path).folders))}; the last: line {skips[-1].row}, {skips[-1].reason}; "
                f"{imports or 'copy the images into one of these folders'}"
            )
        if (
            max(bad_rows / self.rows_read, bad_images / self.images_named) > MAX_SKIPPED
            and not allowed
        ):
            if not bad_rows and "center" not in {
                camera_of(PureWindowsPath(skip.file).name) for skip in skips
            }:
                imports = imports or "take the centre camera alone: --cameras center"
            listed = "\n".join(f"  {skip}" for skip in skips[:_LISTED])
            more = f"\n  ... and {len(skips) - _LISTED} more" if len(skips) > _LISTED else ""
            raise UserError(
                f"{bad_rows} rows and {bad_images} images cannot be used, more than {MAX_SKIPPED:.0%}; "
                f"{imports or 'repair the recording'}, or leave them out with --allow-skips:\n{listed}{more}"
            )
        return tuple(skips)


def frame_numbers(files: int, unusable: Collection[int], first: int = 0) -> IndexArray:
    """Return the number in a store of the frame of each image file, (files,), or NO_FRAME.

    unusable: indices of the files without a frame; first: number of the first frame.
    """
    usable = np.ones(files, np.bool_)
    usable[list(unusable)] = False
    return np.where(usable, first - 1 + np.cumsum(usable), NO_FRAME)


@dataclass(frozen=True)
class _NewRecording:
    """The rows of a log that are new.

    paths: of the images of the used cameras, (rows, cameras), None for no file; centers: what
    identifies the centre images of the whole log; notices: about rows that are left out.
    """

    log: Log
    rows: pd.DataFrame
    paths: pd.DataFrame
    centers: Collection[str]
    notices: Sequence[str]

    def info(self) -> RecordingInfo:
        log = self.log
        with reaching(log.path):
            digest = hashlib.sha256(log.path.read_bytes()).hexdigest()
        counts = len(self.rows), len(log.bad_rows), log.episodes
        return RecordingInfo(log.path.resolve(), digest, *counts, log.dialect, framing_of(log.path))

    @property
    def named(self) -> BoolArray:
        """Return whether a row names an image, (rows, cameras)."""
        return np.asarray(self.rows[self.paths.columns] != "")

    def skips(self) -> list[Skip]:
        """Return the bad rows, and the images without a file."""
        path, names, lines = (
            str(self.log.path),
            self.rows[self.paths.columns].to_numpy(),
            self.rows["line"],
        )
        skips = [Skip(path, bad.row, bad.reason) for bad in self.log.bad_rows]
        for row, camera in np.argwhere(self.named & self.paths.isna().to_numpy()).tolist():
            skips.append(Skip(path, int(lines.iloc[row]), f"image {names[row, camera]} is missing"))
        return skips


def make_plan(
    inputs: tuple[str, ...],
    samples: SampleSettings,
    old: Store | None,
    notify: Notify = lambda line: None,
    held_back: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
) -> ConversionPlan:
    """Read the logs, and number recordings, episodes and images; the numbers continue those of the
    old store, if any.

    The plan has no rows if the old store has all of them. notify: takes a line for each log that
    was read; held_back: part of the samples -> recordings that are this part, whole; they are read
    first, so that no other recording has their images. Raises ForeignLog for a file that is not a
    log, and UserError if no row is left, or a log is named for two parts.
    """
    recording = len(old.recordings) if old else 0
    episode = int(old.rows["episode"].max()) + 1 if old else 0
    read: list[LogRead] = []
    added: list[_NewRecording] = []
    notices: list[str] = []
    chosen, centers = 0, set[str]()
    for path, part in _parts_of_logs(inputs, held_back).items():
        log = read_log(path)
        read.append(LogRead(str(path), len(log.rows), len(log.bad_rows), len(log.deleted), part))
        notify(f"read {read[-1]}")
        log = choose_rows(log, samples.rows)
        chosen += len(log.rows)
        if log.rows.empty:
            continue
        new = _new_rows(log, samples, centers, old)
        centers.update(new.centers)
        notices += new.notices
        if new.rows.empty:
            continue
        rows = new.rows.assign(
            recording=recording + len(added),
            episode=new.rows["episode"] - new.rows["episode"].min() + episode,
            part=np.uint8(PARTS.index(part or TRAINING)),
        )
        episode = int(rows["episode"].max()) + 1
        added.append(replace(new, rows=rows))
    left_out = sum(each.rows for each in read) - chosen
    if not chosen:
        raise UserError(
            f"{read[0].path}: no row is left, since all {left_out} are rows "
            f"{LEFT_OUT[samples.rows]}; name a recording with take-overs, or use --rows {ALL_ROWS}"
        )
    if left_out:
        notices.append(f"--rows {samples.rows}: {left_out} rows left out, {LEFT_OUT[samples.rows]}")
    if not added:
        notices.append("the store holds all of this already; nothing is added")
    rows, files = _joined(added, samples, old)
    return ConversionPlan(
        rows=rows,
        logs=tuple(str(each.log.path) for each in added),
        logs_read=tuple(read),
        recordings=tuple(each.info() for each in added),
        files=files,
        skips=tuple(skip for each in added for skip in each.skips()),
        notices=tuple(notices),
        rows_read=sum(each.log.row_count for each in added),
        images_named=sum(int(each.named.sum()) for each in added),
    )


def _parts_of_logs(
    inputs: tuple[str, ...], held_back: Mapping[str, tuple[str, ...]]
) -> dict[Location, str]:
    """Return the part of the samples that each log is, "" for one that is split; raises UserError
    for two parts.
    """
    logs: dict[Location, tuple[Location, str]] = {}  # by resolved path
    named = {part: recordings for part, recordings in held_back.items() if recordings}
    for part, recordings in (named | ({"": inputs} if inputs or not named else {})).items():
        for path in find_logs(recordings):
            first = logs.setdefault(path.resolve(), (path, part))[1]
            if part and part != first:
                raise UserError(
                    f"{path} is named both for {first} and for {part}; name it for one of them"
                )
    return dict(logs.values())


def _new_rows(
    log: Log, samples: SampleSettings, centers: Collection[str], old: Store | None
) -> _NewRecording:
    """Return the log's rows except those whose centre image was named before: by a row, a log or
    the old store.

    centers: those of the logs before.
    """
    index, rows, notices = ImageIndex(log.path), log.rows, list[str]()
    # without a file, a name identifies an image only within its log
    images = rows["center"].map(lambda name: index.find(name) or f"{log.path}: no file {name}")
    repeated = images.duplicated() | images.isin(list(centers))
    if repeated.any():
        notices.append(f"{log.path}: {int(repeated.sum())} repeated rows left out")
    known = pd.Series(False, rows.index)
    if old is not None:
        home = log.path.resolve().parent  # logs in one folder share its images
        same_home = [
            number
            for number, recording in enumerate(old.recordings)
            if recording.path.parent == home
        ]
        names = old.rows["center"][np.isin(old.rows["recording"], same_home)]
        known = rows["center"].isin([name.decode() for name in names.tolist()])
        if known.any():
            notices.append(
                f"{log.path}: {int(known.sum())} rows are in the store already; left out"
            )
    rows = rows[~known & ~repeated].reset_index(drop=True)
    used = [camera for camera in CAMERAS if camera in samples.cameras]
    return _NewRecording(log, rows, rows[used].map(index.find), images, notices)


def _joined(
    added: Sequence[_NewRecording], samples: SampleSettings, old: Store | None
) -> tuple[pd.DataFrame, Sequence[str]]:
    """Return the rows of all recordings, and the files of their frames, in the order of the rows.

    So the frames of neighbouring rows are next to each other in a store.
    """
    if not added:
        return pd.DataFrame(), ()
    rows = pd.concat([each.rows for each in added], ignore_index=True)
    if not rows["part"].any():
        rows = rows.drop(columns="part")
    paths = pd.concat([each.paths for each in added])
    numbers, files = pd.factorize(paths.to_numpy(object).ravel())  # -1, which is NO_FRAME, for None
    frames = dict(zip(paths.columns, numbers.reshape(paths.shape).T, strict=True))
    rows = rows.assign(**{f"frame_{camera}": frames.get(camera, NO_FRAME) for camera in CAMERAS})
    validation = assign_validation(rows, samples, row_frame(old.rows) if old else None)
    return rows.assign(
        validation=validation,
        label=steering_labels(rows, samples.smooth_seconds, samples.lead_seconds),
    ), files.tolist()
