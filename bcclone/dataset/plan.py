"""Plan a conversion: read the logs, and list the rows to convert and each image file they need.

In: recordings, and the store to add to, if any. Out: a `Plan`. No image is opened here.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd

from bcclone.camera.framing import framing_of
from bcclone.camera.images import size_remedy
from bcclone.dataset.labels import steering_labels
from bcclone.dataset.sample_settings import (
    ALL_ROWS,
    CORRECTIONS,
    GOOD_ROWS,
    MAX_SKIPPED,
    PARTS,
    TRAINING,
    SampleSettings,
)
from bcclone.dataset.samples import FRAME_COLUMNS, NO_FRAME, assign_validation, row_frame
from bcclone.dataset.store import RecordingInfo, Store
from bcclone.recording.files import ImageIndex, find_logs
from bcclone.recording.log import Log, read_log
from bcclone.recording.row import CAMERAS
from bcclone.recording.run_tables import BY_MODEL, HUMAN, MODEL, DrivenBy, read_drivers
from bcclone.system.errors import UserError
from bcclone.system.location import Location, reaching
from bcclone.system.progress import Notify

_MOST_LISTED = 10  # skips that an error lists

# a log -> the centre images of the rows that no model should learn from, such as those of a
# simulated car that was off the road
UnfitImages = Callable[[Log], Collection[str]]


def none_unfit(log: Log) -> Collection[str]:
    return ()


@dataclass(frozen=True)
class LogRead:
    """Counts of a log that was read."""

    path: str
    rows: int  # number of usable rows
    bad_rows: int
    deleted_rows: int
    part: str  # VALIDATION or TEST if all rows are held back for it; "" if they are divided

    def as_text(self) -> str:
        text = f"read {self.path}: {self.rows} rows"
        if self.bad_rows:
            text += f", and {self.bad_rows} bad ones"
        if self.part:
            text += f", all of them for {self.part}"
        if self.deleted_rows:
            text += f"; {self.deleted_rows} deleted ones are left out"
        return text


@dataclass(frozen=True)
class Plan:
    """The rows that a store will hold, and the image files that they name.

    The columns of the rows are those of the log, and:
        recording, episode: numbers in the whole store
        take_over: whether a person had taken over
        part: index in PARTS; 0 for rows of recordings that are divided between training and
            validation. The rows have this column only if a recording is held back whole
        frame_CAMERA: for each camera, the number of the frame of its image, or NO_FRAME
        validation: whether the row is held back from training
        label: the steering of its samples, as steering_labels() returns it
    """

    rows: pd.DataFrame
    files: Sequence[str]  # path of the image of each frame
    recordings: Sequence[RecordingInfo]  # the new recordings
    logs_read: Sequence[LogRead]  # also of logs without a new row
    skips: Sequence[str]  # a line for each bad row, and for each image without a file
    notices: Sequence[str]  # warnings for the user
    rows_read: int  # number of rows of the new recordings' logs, with bad ones
    images_named: int  # number of images that the rows name, with those without a file

    def skips_with(self, unusable: Mapping[int, str], allowed: bool) -> tuple[str, ...]:
        """Return the skips of the plan, and a skip for each file that turned out to be unusable.

        Raises UserError if no image can be used, or if more than 5 % of the rows or images are
        unusable and that is not allowed.

        unusable: index of a file in `files` -> reason
        """
        skips = [*self.skips]
        for file, reason in unusable.items():
            # the first row that names the file
            names_it = np.argwhere((self.rows[FRAME_COLUMNS] == file).to_numpy())  # (n, 2)
            row = self.rows.iloc[names_it[0, 0]]
            # recording numbers continue after those of the old store
            number = int(row["recording"] - self.rows["recording"].iloc[0])
            image = Path(self.files[file]).name
            skips.append(
                f"{self.recordings[number].path}, line {row['line']}: image {image} cannot be "
                f"used: {reason}"
            )

        bad_rows = sum(recording.bad_rows for recording in self.recordings)
        bad_images = len(skips) - bad_rows  # a skip is of a bad row or of an image
        listed = "".join(f"\n  {skip}" for skip in skips[:_MOST_LISTED])
        is_useless = bad_images >= self.images_named
        is_too_bad = (
            bad_rows > MAX_SKIPPED * self.rows_read or bad_images > MAX_SKIPPED * self.images_named
        )
        if is_useless or (is_too_bad and not allowed):
            log_path = self.recordings[0].path
            folders = ", ".join(map(str, ImageIndex(log_path).folders))
            leave_out = "" if is_useless else ", or leave these out with --allow-skips"
            raise UserError(
                f"{log_path}: {bad_rows} rows and {bad_images} of {self.images_named} images "
                f"cannot be used, expected at most {MAX_SKIPPED:.0%}, and images in {folders}; "
                f"repair the recording, choose other --cameras, {size_remedy(log_path)}"
                f"{leave_out}; the first:{listed}"
            )
        return tuple(skips)


def make_plan(
    inputs: tuple[str, ...],
    samples: SampleSettings,
    old: Store | None,
    notify: Notify = lambda line: None,
    held_back: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
    unfit: UnfitImages = none_unfit,
) -> Plan:
    """Plan the conversion of all logs in the recordings, in order.

    A row that is in an earlier log or in the old store is left out; a notice says so. Raises
    UserError, or ForeignLog for a file that is not a driving log.

    notify: called with a line for each log that was read
    held_back: VALIDATION or TEST -> recordings that are held back whole for this part. They are
        read first, since a row that two recordings have belongs to the one that is read first
    unfit: tells the rows that --rows leaves out besides
    """
    logs_read = []
    chosen = []
    off_road = 0
    for path, part in _parts_of_logs(inputs, held_back).items():
        log = read_log(path)
        counts = LogRead(str(path), len(log.rows), len(log.bad_rows), len(log.deleted), part)
        notify(counts.as_text())
        logs_read.append(counts)
        chosen.append(choose_rows(log, samples.rows))
        if samples.rows != ALL_ROWS:
            fit = choose_rows(log, samples.rows, unfit(log))
            off_road += len(chosen[-1].rows) - len(fit.rows)
            chosen[-1] = fit
    notices = []
    left_out = sum(counts.rows for counts in logs_read) - sum(len(log.rows) for log in chosen)
    if left_out:
        which = f", {off_road} of them because the car was off the road" if off_road else ""
        notices.append(f"--rows {samples.rows}: {left_out} rows left out{which}")
    # only --rows can leave none: read_log() refuses a log without usable rows
    if all(log.rows.empty for log in chosen):
        raise UserError(
            f"{chosen[0].path}: --rows {samples.rows} leaves none of the {left_out} rows; name a "
            f"recording with take-overs, or use --rows {ALL_ROWS}"
        )

    known = _known_images(old)
    added = []
    for log, counts in zip(chosen, logs_read, strict=True):
        rows = _new_rows(log, known)
        if repeated := len(log.rows) - len(rows):
            notices.append(
                f"{log.path}: {repeated} repeated rows left out, which an earlier row "
                "or the store has, too"
            )
        if not rows.empty:  # else it is not a recording of the store
            added.append(_added(log, rows, counts.part, samples))
    if not added:
        notices.append("the store holds all of this already; nothing is added")
    rows, files = _joined(added, samples, old)
    return Plan(
        rows=rows,
        files=files,
        recordings=tuple(one.info for one in added),
        logs_read=tuple(logs_read),
        skips=tuple(skip for one in added for skip in one.skips),
        notices=tuple(notices),
        rows_read=sum(one.rows_read for one in added),
        images_named=sum(one.images_named for one in added),
    )


@dataclass(frozen=True)
class _Added:
    """A recording that is added to the store: its new rows, and the images that they name."""

    rows: pd.DataFrame
    paths: pd.DataFrame  # of each image, with a column for each camera used; None without a file
    part: str  # as LogRead.part
    info: RecordingInfo
    skips: Sequence[str]  # as Plan.skips
    rows_read: int  # number of rows of the log, with bad ones
    images_named: int  # number of images that the rows name, with those without a file


def _new_rows(log: Log, known: defaultdict[Location, set[str]]) -> pd.DataFrame:
    """Return the rows of a log that `known` does not have yet, and add their images to `known`.

    known: as _known_images() returns it
    """
    # logs in one folder share its images, and the centre image tells a row from others
    centers = known[log.path.resolve().parent]
    is_known = log.rows["center"].duplicated() | log.rows["center"].isin(list(centers))
    centers.update(log.rows["center"])
    return log.rows[~is_known].reset_index(drop=True)


def _added(log: Log, rows: pd.DataFrame, part: str, samples: SampleSettings) -> _Added:
    """Find the images of a log's new rows."""
    used = [camera for camera in CAMERAS if camera in samples.cameras]
    index = ImageIndex(log.path)
    found = {camera: list(map(index.find, rows[camera])) for camera in used}
    # dtype object, because strings of pandas cannot hold names that are not valid UTF-8
    paths = pd.DataFrame(found, rows.index, dtype=object)
    named = (rows[used] != "").to_numpy()
    info = _info(log, len(rows))
    skips = [f"{info.path}, line {bad.row}: {bad.reason}" for bad in log.bad_rows]
    for row, camera in np.argwhere(named & paths.isna().to_numpy()).tolist():
        image = rows[used[camera]].iloc[row]
        skips.append(f"{info.path}, line {rows['line'].iloc[row]}: image {image} is missing")
    return _Added(rows, paths, part, info, skips, log.row_count, int(named.sum()))


def _known_images(old: Store | None) -> defaultdict[Location, set[str]]:
    """Return the names of the centre images in the old store, by the folder of their log."""
    known: defaultdict[Location, set[str]] = defaultdict(set)
    if old:
        for number, info in enumerate(old.recordings):
            names = old.rows["center"][old.rows["recording"] == number]
            known[info.path.parent].update(name.decode() for name in names.tolist())
    return known


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
            # a log that is named both as an input and as held back counts as held back
            if part and part != first_part:
                raise UserError(
                    f"{path} is named both for {first_part} and for {part}; name it for one of them"
                )
    return dict(logs.values())


def _info(log: Log, rows: int) -> RecordingInfo:
    """Return what a store keeps of a log; rows: how many of its rows the store has."""
    with reaching(log.path):
        content = log.path.read_bytes()
    return RecordingInfo(
        path=log.path.resolve(),
        sha256=hashlib.sha256(content).hexdigest(),
        rows=rows,
        bad_rows=len(log.bad_rows),
        episodes=log.episodes,
        dialect=log.dialect,
        framing=framing_of(log.path),
    )


def _joined(
    added: Sequence[_Added], samples: SampleSettings, old: Store | None
) -> tuple[pd.DataFrame, Sequence[str]]:
    """Return the rows of the added recordings, and the files of their frames.

    The files are in the order of the rows, so that the frames of neighbouring rows are next to each
    other in the store.
    """
    if not added:
        return pd.DataFrame(), ()
    episode = int(old.rows["episode"].max()) + 1 if old else 0
    all_rows = []
    for number, one in enumerate(added, len(old.recordings) if old else 0):
        rows = one.rows.assign(
            recording=number,
            episode=one.rows["episode"] - one.rows["episode"].min() + episode,
            # a recording that is divided has no part of its own: it counts as TRAINING, and
            # `validation` says which of its rows are held back
            part=np.uint8(PARTS.index(one.part or TRAINING)),
        )
        episode = int(rows["episode"].max()) + 1
        all_rows.append(rows)
    rows = pd.concat(all_rows, ignore_index=True)
    if not rows["part"].any():
        rows = rows.drop(columns="part")

    # factorize() numbers equal paths alike, and None by -1, which is NO_FRAME
    paths = pd.concat([one.paths for one in added])
    numbers, files = pd.factorize(paths.to_numpy(object).ravel())
    numbers_of_camera = dict(zip(paths.columns, numbers.reshape(paths.shape).T, strict=True))
    for camera in CAMERAS:
        rows[f"frame_{camera}"] = numbers_of_camera.get(camera, NO_FRAME)

    # computed here for all rows, since each shard lacks the rows before and after it
    old_rows = row_frame(old.rows) if old else None
    rows = rows.assign(
        validation=assign_validation(rows, samples, old_rows),
        label=steering_labels(rows, samples.smooth_seconds, samples.lead_seconds),
    )
    return rows, files.tolist()


# ---- who drove


def choose_rows(log: Log, choice: str, unfit: Collection[str] = ()) -> Log:
    """Return the log with the chosen rows only, and with the column `take_over`, bool.

    A take-over begins where a person takes the wheel from the model, and ends when the model drives
    again. A row that is not in drivers.csv, such as the last one of a killed program, counts as
    driven by the model, so that it is never taken for a correction. A new episode begins where rows
    were left out. A recording in which no model drove keeps all of its rows. Raises UserError for a
    drivers.csv that is wrong.

    choice: one of sample_settings.ROWS
    unfit: centre images of rows that are left out as well
    """
    went_wrong_seconds = 5  # so long before a take-over, the model's driving counts as wrong
    rows = log.rows
    drivers = read_drivers(log.path.parent)
    if not drivers and not unfit:
        return replace(log, rows=rows.assign(take_over=False))
    by_default = BY_MODEL if drivers else DrivenBy(HUMAN)
    driven = [drivers.get(image, by_default) for image in rows["center"]]
    take_overs = np.array([row.take_over or 0 for row in driven], np.int64)
    by_model = np.array([row.driver == MODEL for row in driven], np.bool_)

    is_kept = np.ones(len(rows), np.bool_)
    if choice == CORRECTIONS and by_model.any():
        is_kept = take_overs > 0
    elif choice == GOOD_ROWS:
        # the model's rows of the same episode in the last seconds before each take-over
        time_ms = rows["time_ms"].to_numpy(np.int64)
        episode = rows["episode"].to_numpy()
        begins = (take_overs > 0) & (take_overs != np.append(0, take_overs[:-1]))
        for row in np.flatnonzero(begins).tolist():
            first = int(np.searchsorted(time_ms, time_ms[row] - went_wrong_seconds * 1000))
            is_kept[first:row] &= ~(by_model[first:row] & (episode[first:row] == episode[row]))
    is_kept &= ~rows["center"].isin(list(unfit)).to_numpy()
    chosen = rows.assign(take_over=take_overs > 0)[is_kept].reset_index(drop=True)

    # steering is smoothed within an episode, so it must not reach over a gap
    after_gap = np.diff(np.flatnonzero(is_kept)) > 1
    in_next_episode = np.diff(chosen["episode"]) != 0
    episode = np.append(0, np.cumsum(after_gap | in_next_episode))
    # without any row, `episode` still has its first 0
    return replace(log, rows=chosen.assign(episode=episode[: len(chosen)]))
