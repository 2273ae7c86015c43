"""Read a store of one file: its tables are read, and its frames are memory-mapped.

In: the path of a file. Out: a `Store`, to be used in a `with` block. shards.open_store() opens any
store; the frames of one that conversion.open_in_place() makes are the image files of recordings.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
import numpy.typing as npt

from bcclone.camera.framing import Framing
from bcclone.dataset.fingerprint import Fingerprint, fingerprints_of
from bcclone.dataset.frames import FrameFile, Frames
from bcclone.dataset.labels import RowTable
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.sample_settings import TRAINING, SampleSettings
from bcclone.dataset.samples import (
    FRAME_COLUMNS,
    NO_FRAME,
    SAMPLE,
    SampleTable,
    check_rows,
    indices_of,
)
from bcclone.recording.dialect import Dialect
from bcclone.recording.files import ImageIndex
from bcclone.recording.row import CAMERAS
from bcclone.system.arrays import IndexArray
from bcclone.system.codec import explained, from_text, parse_json
from bcclone.system.errors import UserError, shown_command
from bcclone.system.files import FileVersion, file_version
from bcclone.system.hdf5_file import Place, Table, kind_of, read_hdf5
from bcclone.system.location import Location, as_local
from bcclone.system.values import to_json

SCHEMA_VERSION = 2
_SCHEMA = {
    "@preprocessing": str,
    "@sample_settings": str,
    "@content_hash": str,
    "frames": Place,
    "samples": SAMPLE,
    "rows": None,  # of any type here: a log may have more columns; check_rows() looks at them
    "recordings": str,
}


@dataclass(frozen=True)
class RecordingInfo:
    """A recording whose rows a store holds."""

    path: Location  # absolute path of the log, on the machine where the store was made
    sha256: str  # SHA-256 of the log
    rows: int  # number of its rows in the store
    bad_rows: int  # number of unusable rows in the log
    episodes: int  # number of episodes in the log
    dialect: Dialect  # how the log is written
    # how frames were cut from the pictures of a real camera; None for the simulator's camera
    framing: Framing | None = None

    def to_json(self) -> str:
        stored = to_json(self)
        if not self.framing:
            del stored["framing"]
        return json.dumps(stored)


def common_framing(recordings: Sequence[RecordingInfo]) -> Framing | None:
    """Return the framing of all recordings; None if it differs, or if they have no framing."""
    framings = {recording.framing for recording in recordings}
    return framings.pop() if len(framings) == 1 else None


@dataclass(frozen=True, eq=False)
class Store:
    """A store opened for reading: its tables, which nobody changes, and its frames.

    shards.open_store() opens one. Making one raises ValueError if a table refers to a row, a frame
    or a recording that is missing. The end of a `with` block unmaps the frames.
    """

    path: Location
    preprocessing: Preprocessing
    sample_settings: SampleSettings
    content_hash: str
    samples: SampleTable
    rows: RowTable  # the recorded rows
    recordings: Sequence[RecordingInfo]  # where the rows come from
    frames: Frames  # uint8 (frames, height, width, channels), memory-mapped, read-only
    # number of a recording -> its images
    _images: dict[int, ImageIndex] = field(init=False, default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        check_rows(self.rows)
        _check_references(self.samples["frame"], "frame", len(self.frames))
        _check_references(self.samples["row"], "row", len(self.rows))
        _check_references(self.rows["recording"], "recording", len(self.recordings))
        for column in FRAME_COLUMNS:
            _check_references(self.rows[column], "frame", len(self.frames), NO_FRAME)
        for table in (self.samples, self.rows):
            table.flags.writeable = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.frames.close()
        self.frames.copies.close()

    def split_indices(self, part: str) -> IndexArray:
        """Return the indices of the samples of one of sample_settings.PARTS, as indices_of()."""
        return indices_of(self.samples, self.rows, part)

    @cached_property
    def fingerprints(self) -> list[Fingerprint]:
        """Return the fingerprints of the recordings, of the rows with training samples."""
        used = np.unique(self.samples["row"][self.split_indices(TRAINING)])
        rows = self.rows[used]
        center = [name.decode() for name in rows["center"].tolist()]
        recorded = (rows["speed_mph"], rows["throttle"], rows["steering"])
        return fingerprints_of(center, *recorded, rows["recording"])

    def image_path(self, index: int) -> str | None:
        """Return the path of the camera image of a sample, in its recording; None if it is gone."""
        sample = self.samples[index]
        row = self.rows[int(sample["row"]) - int(sample["frame_offset"])]
        number = int(row["recording"])
        if number not in self._images:
            self._images[number] = ImageIndex(self.recordings[number].path)
        return self._images[number].find(row[CAMERAS[sample["camera"]]].decode())


def _check_references(numbers: npt.NDArray[Any], what: str, count: int, lowest: int = 0) -> None:
    """Raise ValueError if a number is not the index of one of `count` things.

    what: name of the things for the error, such as "frame"
    lowest: smallest number; NO_FRAME where that stands for none
    """
    if not numbers.size:
        return
    for number in (numbers.min(), numbers.max()):
        if not lowest <= number < count:
            raise ValueError(f"it refers to {what} {number} of {count}, counted from 0")


def read_store(
    path: Location,
    others: Sequence[str] = (),
    opened: tuple[IO[bytes], FileVersion] | None = None,
) -> tuple[Store, Sequence[Table]]:
    """Read the tables of a store of one file, and other tables of that file.

    Raises UserError if it is not a store, is truncated, or has another schema.

    others: names of the other tables
    opened: for a file at a URL, the open file and its version; None to open `path`
    """
    make = shown_command("preprocess", "RECORDING...", "-o", "data.h5")
    remedy = f"make one with: {make}"
    with explained(path, "a complete store", remedy):
        try:
            if isinstance(path, Path) and kind_of(path) == "model":
                raise ValueError("it is a model")
            source, version = opened or (as_local(path), file_version(as_local(path)))
            (schema_version,) = read_hdf5(source, {"@schema_version": int}).values()
            if schema_version != SCHEMA_VERSION:
                raise ValueError(f"schema version {schema_version}, expected {SCHEMA_VERSION}")
            stored = read_hdf5(source, _SCHEMA | dict.fromkeys(others))
        except PermissionError:
            raise UserError(
                f"{path}: no permission to read it; change its permissions, or name another"
            ) from None
        preprocessing = Preprocessing.from_json(stored["@preprocessing"])
        frame_file = _frame_file(stored["frames"], preprocessing, path, version)
        store = Store(
            path=path,
            preprocessing=preprocessing,
            sample_settings=SampleSettings.stored(parse_json(stored["@sample_settings"])),
            content_hash=stored["@content_hash"],
            samples=stored["samples"],
            rows=stored["rows"],
            recordings=[from_text(RecordingInfo, text) for text in stored["recordings"]],
            frames=Frames([frame_file], preprocessing.shape),
        )
        return store, [stored[name] for name in others]


def _frame_file(
    place: Place, preprocessing: Preprocessing, path: Location, version: FileVersion
) -> FrameFile:
    """Return where the frames are in the file; raises ValueError if they are not as expected."""
    count, *shape = place.shape or (0,)  # a single number, which is not a frame, has the shape ()
    if place.dtype != np.uint8 or tuple(shape) != preprocessing.shape:
        raise ValueError(
            f"its frames are {place.dtype} of shape {tuple(shape)}, "
            f"expected uint8 of {preprocessing.shape}"
        )
    if not count:
        return FrameFile(path, offset=0, count=0, version=version)
    if place.offset is None:
        raise ValueError("its frames do not lie one after the other")
    if place.offset + count * math.prod(shape) > version.size:
        raise ValueError("some of its frames are missing from the file")
    return FrameFile(path, place.offset, count, version)
