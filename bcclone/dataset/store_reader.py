"""Read the tables of one HDF5 file, and find where its frames lie.

In: a path. Out: a `StoreContent`: all tables, checked against each other, and the place of the frames.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Self

import h5py
import numpy as np

from bcclone.dataset.frames import FrameFile
from bcclone.dataset.images import Preprocessing
from bcclone.dataset.rows import RowTable, check_rows
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.dataset.samples import SAMPLE, SampleTable
from bcclone.recording.dialect import Dialect
from bcclone.system.atomic import file_version
from bcclone.system.errors import UserError
from bcclone.system.json_values import from_json, to_json
from bcclone.system.location import Location, as_local

SCHEMA_VERSION = 2


@dataclass(frozen=True)
class RecordingInfo:
    """A recording whose rows a store holds.

    path: of its log, absolute, where the store was made; sha256: of the log; rows: number in the store; bad_rows,
    episodes: numbers in the log; dialect: how the log is written.
    """

    path: Location
    sha256: str
    rows: int
    bad_rows: int
    episodes: int
    dialect: Dialect

    def __post_init__(self) -> None:
        if min(self.rows, self.bad_rows, self.episodes) < 0:
            raise ValueError(
                f"the recording {self.path} has {self.rows} rows and {self.episodes} episodes, expected 0 or more"
            )

    def to_json(self) -> str:
        """Return the JSON text that a store holds."""
        return json.dumps(to_json(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a text of to_json(); raises ValueError for any other."""
        return from_json(cls, json.loads(text))


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
        check_rows(self.rows)
        for column, count in (("frame", sum(file.count for file in self.frames)), ("row", len(self.rows))):
            if len(self.samples) and (last := self.samples[column].max()) >= count:
                raise ValueError(f"its samples refer to {column}s up to {last}, expected less than {count}")
        if len(self.extras) not in (0, len(self.rows)):
            raise ValueError(f"it has further columns of {len(self.extras)} rows, expected {len(self.rows)} or none")


def read_store_file(path: Location, tables: IO[bytes] | None = None, size: int = 0) -> StoreContent:
    """Read a store of one file; raises UserError for one that is not a store, is truncated, or has another schema.

    tables: for a shard at a URL, the open file, whose frames cannot be read; size: of that file.
    """
    version = (size, 0) if tables else file_version(as_local(path))
    try:
        with h5py.File(tables or path, "r") as file:
            return _read(file, path, version)
    except PermissionError:
        raise UserError(f"{path}: no permission to read it; change its permissions, or name another") from None
    except (OSError, KeyError, ValueError, TypeError) as error:
        reason = error.args[0] if isinstance(error, KeyError) else error
        raise UserError(
            f"{path}: not a complete store: {reason}; make one with: python preprocess.py RECORDING... -o data.h5"
        ) from None


def _read(file: h5py.File, path: Location, file_version: tuple[int, int]) -> StoreContent:
    if "model_config" in file.attrs and "schema_version" not in file.attrs:
        raise ValueError("it is a model")
    version = file.attrs["schema_version"]
    if version != SCHEMA_VERSION:
        raise ValueError(f"schema version {version}, expected {SCHEMA_VERSION}")
    preprocessing = Preprocessing.from_json(file.attrs["preprocessing"])
    if file.attrs["preprocessing_hash"] != preprocessing.digest:
        raise ValueError("the hash of its preprocessing does not match")
    samples: SampleTable = file["samples"][()]
    if samples.dtype != SAMPLE:
        raise ValueError(f"the columns of its samples are {samples.dtype.names}, expected {SAMPLE.names}")
    offset = _frames_offset(file["frames"], file_version[0], preprocessing)
    frames = FrameFile(path, offset, len(file["frames"]), file_version)
    return StoreContent(
        preprocessing=preprocessing,
        sample_settings=SampleSettings.stored(json.loads(file.attrs["sample_settings"])),
        content_hash=str(file.attrs["content_hash"]),
        samples=samples,
        rows=file["rows"][()],
        extras=file["extras"].asstr()[()].tolist(),
        recordings=[RecordingInfo.from_json(text) for text in file["recordings"].asstr()[()]],
        frames=[frames],
    )


def _frames_offset(dataset: h5py.Dataset, size: int, preprocessing: Preprocessing) -> int:
    """Return the position of the first frame in the file; raises ValueError if there are others than expected.

    size: of the file, in bytes.
    """
    expected = preprocessing.shape
    if dataset.dtype != np.uint8 or dataset.shape[1:] != expected:
        raise ValueError(f"its frames are {dataset.dtype} of shape {dataset.shape[1:]}, expected uint8 of {expected}")
    if len(dataset) == 0:
        return 0
    offset = dataset.id.get_offset()
    if offset is None or offset + dataset.nbytes > size:
        raise ValueError("some of its frames are missing from the file")
    return int(offset)
