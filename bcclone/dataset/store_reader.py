"""Read the tables of stores, each in one HDF5 file, and find where their frames lie.

In: a path. Out: a `StoreContent`: all tables, checked against each other, and the place of the frames.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
import numpy.typing as npt

from bcclone.dataset.frames import FrameFile
from bcclone.dataset.framing import Framing
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.rows import FRAME_COLUMNS, RowTable, check_rows
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.dataset.samples import SAMPLE, SampleTable, check_samples
from bcclone.recording.dialect import Dialect
from bcclone.system.atomic import file_version
from bcclone.system.codec import explained, parse_json
from bcclone.system.errors import UserError
from bcclone.system.file_kinds import kind_of
from bcclone.system.hdf5_file import Place, Table, read_hdf5
from bcclone.system.json_values import from_json, to_json
from bcclone.system.location import Location, as_local

SCHEMA_VERSION = 2
_SCHEMA = {
    "@preprocessing": str,
    "@preprocessing_hash": str,
    "@sample_settings": str,
    "@content_hash": str,
    "frames": Place,
    "samples": SAMPLE,
    "rows": None,
    "extras": str,
    "recordings": str,
}


@dataclass(frozen=True)
class RecordingInfo:
    """A recording whose rows a store holds.

    path: of its log, absolute, where the store was made; sha256: of the log; rows: number in the store; bad_rows,
    episodes: numbers in the log; dialect: how the log is written; framing: how its frames were made of the pictures of
    another camera, None for the simulator's.
    """

    path: Location
    sha256: str
    rows: int
    bad_rows: int
    episodes: int
    dialect: Dialect
    framing: Framing | None = None

    def __post_init__(self) -> None:
        if min(self.rows, self.bad_rows, self.episodes) < 0:
            raise ValueError(
                f"the recording {self.path} has {self.rows} rows and {self.episodes} episodes, expected 0 or more"
            )

    def to_json(self) -> str:
        """Return the JSON text that a store holds."""
        stored = to_json(self)
        if not self.framing:
            del stored["framing"]
        return json.dumps(stored)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a text of to_json(); raises ValueError for any other."""
        return from_json(cls, parse_json(text))


def common_framing(recordings: Sequence[RecordingInfo]) -> Framing | None:
    """Return the framing of all recordings, None if they are of several cameras."""
    framings = {recording.framing for recording in recordings}
    return framings.pop() if len(framings) == 1 else None


@dataclass(frozen=True)
class StoreContent:
    """What a store holds, but for the frames themselves.

    samples: SAMPLE table; rows: the recorded rows; extras: text of the further columns of each row, or nothing;
    recordings: where the rows come from; frames: the file of the frames, or several files of a folder of shards.
    """

    preprocessing: Preprocessing
    sample_settings: SampleSettings
    content_hash: str
    samples: SampleTable
    rows: RowTable
    extras: Sequence[str]
    recordings: Sequence[RecordingInfo]
    frames: Sequence[FrameFile]

    def __post_init__(self) -> None:
        for name, table in (("samples", self.samples), ("rows", self.rows)):
            if table.ndim != 1:
                raise ValueError(f"its table of {name} has {table.ndim} axes, expected one")
        check_rows(self.rows)
        check_samples(self.samples)
        frames = sum(file.count for file in self.frames)
        _check_numbers("samples", "frame", self.samples["frame"], frames)
        _check_numbers("samples", "row", self.samples["row"], len(self.rows))
        _check_numbers("rows", "recording", self.rows["recording"], len(self.recordings))
        for column in FRAME_COLUMNS:
            _check_numbers("rows", "frame", self.rows[column], frames)
        if len(self.extras) not in (0, len(self.rows)):
            raise ValueError(f"it has further columns of {len(self.extras)} rows, expected {len(self.rows)} or none")


def _check_numbers(table: str, of: str, numbers: npt.NDArray[Any], count: int) -> None:
    last = int(numbers.max()) if len(numbers) else -1
    if last >= count:
        raise ValueError(f"its {table} refer to {of}s up to {last}, expected less than {count}")


def read_store(
    path: Location,
    others: Sequence[str] = (),
    opened: tuple[IO[bytes], tuple[int, int]] | None = None,
) -> tuple[StoreContent, Sequence[Table]]:
    """Read a store of one file, and other tables of that file.

    others: names of these; opened: an open file with the content of one at a URL, and its version. Raises UserError if
    it is no store, is truncated, or has another schema.
    """
    remedy = "make one with: bcclone preprocess RECORDING... -o data.h5"
    with explained(path, "a complete store", remedy):
        try:
            if isinstance(path, Path) and kind_of(path) == "model":
                raise ValueError("it is a model")
            source, version = opened or (as_local(path), file_version(as_local(path)))
            (schema_version,) = read_hdf5(source, {"@schema_version": int}).values()
            if schema_version != SCHEMA_VERSION:
                raise ValueError(f"schema version {schema_version}, expected {SCHEMA_VERSION}")
            parts = read_hdf5(source, _SCHEMA | dict.fromkeys(others))
        except PermissionError:
            raise UserError(f"{path}: no permission to read it; change its permissions, or name another") from None
        return _content(parts, path, version), [parts[name] for name in others]


def _content(parts: Mapping[str, Any], path: Location, file_version: tuple[int, int]) -> StoreContent:
    preprocessing = Preprocessing.from_json(parts["@preprocessing"])
    if parts["@preprocessing_hash"] != preprocessing.digest:
        raise ValueError("the hash of its preprocessing does not match")
    return StoreContent(
        preprocessing=preprocessing,
        sample_settings=SampleSettings.stored(parse_json(parts["@sample_settings"])),
        content_hash=parts["@content_hash"],
        samples=parts["samples"],
        rows=np.asarray(parts["rows"]),
        extras=parts["extras"],
        recordings=[RecordingInfo.from_json(text) for text in parts["recordings"]],
        frames=[_frame_file(parts["frames"], preprocessing, path, file_version)],
    )


def _frame_file(place: Place, preprocessing: Preprocessing, path: Location, version: tuple[int, int]) -> FrameFile:
    """Return where the frames lie; raises ValueError if there are others than expected."""
    count, *shape = place.shape or (0,)
    if place.dtype != np.uint8 or tuple(shape) != preprocessing.shape:
        raise ValueError(
            f"its frames are {place.dtype} of shape {tuple(shape)}, expected uint8 of {preprocessing.shape}"
        )
    if not count:
        return FrameFile(path, 0, 0, version)
    if place.offset is None:
        raise ValueError("its frames do not lie one after the other")
    if place.offset + count * math.prod(shape) > version[0]:
        raise ValueError("some of its frames are missing from the file")
    return FrameFile(path, place.offset, count, version)
