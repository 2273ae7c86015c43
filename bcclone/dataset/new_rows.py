"""Find the rows of a log that a store does not hold yet, and the files of their images.

In: a log, and what was read before it. Out: a `NewRecording`.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bcclone.camera.framing_files import framing_of
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.dataset.skips import Skip
from bcclone.dataset.store import RecordingInfo, Store
from bcclone.recording.files import ImageIndex
from bcclone.recording.log import Log
from bcclone.recording.row import CAMERAS
from bcclone.system.location import reaching
from bcclone.system.numbers import BoolArray


@dataclass(frozen=True)
class NewRecording:
    """The rows of a log that the store does not hold yet."""

    log: Log  # the whole log
    rows: pd.DataFrame  # the new rows
    # paths of the new rows' images, a column for each used camera; None if there is no file
    paths: pd.DataFrame
    # for each row of the log, what identifies its centre image: the path; or if there is no file, a
    # text with the log and the image's name
    centers: Collection[str]
    notices: Sequence[str]  # messages for the user on rows that are left out

    def info(self) -> RecordingInfo:
        log = self.log
        with reaching(log.path):
            content = log.path.read_bytes()
        return RecordingInfo(
            path=log.path.resolve(),
            sha256=hashlib.sha256(content).hexdigest(),
            rows=len(self.rows),
            bad_rows=len(log.bad_rows),
            episodes=log.episodes,
            dialect=log.dialect,
            framing=framing_of(log.path),
        )

    @property
    def named(self) -> BoolArray:
        """Return whether each row names an image of each used camera, (rows, cameras)."""
        return np.asarray(self.rows[self.paths.columns] != "")

    def skips(self) -> list[Skip]:
        """Return the bad rows, and the images without a file."""
        path = str(self.log.path)
        skips = [Skip(path, bad.row, bad.reason) for bad in self.log.bad_rows]
        names = self.rows[self.paths.columns].to_numpy()
        lines = self.rows["line"].to_numpy()
        is_missing = self.named & self.paths.isna().to_numpy()
        for row, camera in np.argwhere(is_missing).tolist():
            reason = f"image {names[row, camera]} is missing"
            skips.append(Skip(path, int(lines[row]), reason, str(self.paths.columns[camera])))
        return skips


def new_rows(
    log: Log, samples: SampleSettings, earlier_centers: Collection[str], old: Store | None
) -> NewRecording:
    """Return the log's rows, except those whose centre image is known already.

    The image may be known from an earlier row or a log that was read before (the row is repeated),
    or from the old store (the row is stored).

    earlier_centers: what identifies the centre images of the logs that were read before, see
        NewRecording
    """
    rows = log.rows
    index = ImageIndex(log.path)
    notices: list[str] = []

    # a path identifies an image; if there is no file, the name together with the log does
    # paths are objects: a text of pandas cannot hold a name whose bytes are no UTF-8
    centers = pd.Series(
        [index.find(name) or f"{log.path}: no file {name}" for name in rows["center"]],
        rows.index,
        dtype=object,
    )
    is_repeated = centers.duplicated() | centers.isin(list(earlier_centers))
    if is_repeated.any():
        notices.append(f"{log.path}: {int(is_repeated.sum())} repeated rows left out")

    is_stored = pd.Series(False, rows.index)
    if old is not None:
        is_stored = rows["center"].isin(_centers_of_same_folder(log, old))
    if is_stored.any():
        count = int(is_stored.sum())
        notices.append(f"{log.path}: {count} rows are in the store already; left out")

    new = rows[~is_stored & ~is_repeated].reset_index(drop=True)
    used = [camera for camera in CAMERAS if camera in samples.cameras]
    return NewRecording(
        log=log,
        rows=new,
        paths=_paths_of(new[used], index),
        centers=centers,
        notices=notices,
    )


def _paths_of(names: pd.DataFrame, index: ImageIndex) -> pd.DataFrame:
    """Return the paths of the images with these names, as objects; None for no file."""
    paths = {camera: list(map(index.find, names[camera])) for camera in names}
    return pd.DataFrame(paths, names.index, dtype=object)


def _centers_of_same_folder(log: Log, old: Store) -> list[str]:
    """Return the names of the centre images that the old store has of logs in the log's folder."""
    folder = log.path.resolve().parent  # logs in one folder share its images
    recordings = [
        number for number, recording in enumerate(old.recordings) if recording.path.parent == folder
    ]
    is_of_folder = np.isin(old.rows["recording"], recordings)
    return [name.decode() for name in old.rows["center"][is_of_folder].tolist()]
