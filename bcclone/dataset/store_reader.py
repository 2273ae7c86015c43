"""Read the tables of one HDF5 file, and find where its frames lie.

In: a path. Out: a `StoreContent`: all tables, checked against each other, and the place of the frames.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any, Self

import h5py
import numpy as np
import numpy.typing as npt

from bcclone.dataset.frames import FrameFile
from bcclone.dataset.images import Preprocessing
from bcclone.dataset.rows import FRAME_COLUMNS, RowTable, check_rows
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.dataset.samples import SAMPLE, SampleTable, check_samples
from bcclone.recording.dialect import Dialect
from bcclone.system.atomic import file_version
from bcclone.system.errors import UserError, first_line
from bcclone.system.hdf5_file import Source, dataset_of, open_hdf5, read_array, read_integer, read_text, read_texts
from bcclone.system.json_values import from_json, to_json
from bcclone.system.location import Location, as_local
from bcclone.system.reading import parse_json

SCHEMA_VERSION = 2
_LONGEST_HASH = 200  # characters


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
        return from_json(cls, parse_json(text))


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


def read_store_file(path: Location, tables: IO[bytes] | None = None, size: int = 0) -> StoreContent:
    """Read a store of one file; raises UserError for one that is not a store, is truncated, or has another schema.

    tables: for a shard at a URL, the open file, whose frames cannot be read; size: of that file.
    """
    try:
        version = (size, 0) if tables else file_version(as_local(path))
        source = tables or as_local(path)
        with open_hdf5(source) as file:
            return _read(file, source, path, version)
    except PermissionError:
        raise UserError(f"{path}: no permission to read it; change its permissions, or name another") from None
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise UserError(
            f"{path}: not a complete store: {reason}; make one with: python preprocess.py RECORDING... -o data.h5"
        ) from None


def _read(file: h5py.File, source: Source, path: Location, file_version: tuple[int, int]) -> StoreContent:
    if "model_config" in file.attrs and "schema_version" not in file.attrs:
        raise ValueError("it is a model")
    version = read_integer(file, "schema_version")
    if version != SCHEMA_VERSION:
        raise ValueError(f"schema version {version}, expected {SCHEMA_VERSION}")
    preprocessing = Preprocessing.from_json(read_text(file, "preprocessing"))
    if read_text(file, "preprocessing_hash") != preprocessing.digest:
        raise ValueError("the hash of its preprocessing does not match")
    frames = dataset_of(file, "frames")
    offset = _frames_offset(frames, preprocessing)
    return StoreContent(
        preprocessing=preprocessing,
        sample_settings=SampleSettings.stored(parse_json(read_text(file, "sample_settings"))),
        content_hash=read_text(file, "content_hash", _LONGEST_HASH),
        samples=read_array(file, "samples", SAMPLE),
        rows=read_array(file, "rows"),
        extras=read_texts(file, "extras", source),
        recordings=[RecordingInfo.from_json(text) for text in read_texts(file, "recordings", source)],
        frames=[FrameFile(path, offset, len(frames), file_version)],
    )


def _frames_offset(dataset: h5py.Dataset, preprocessing: Preprocessing) -> int:
    """Return the position of the first frame in the file; raises ValueError if there are others than expected."""
    expected = preprocessing.shape
    if dataset.dtype != np.uint8 or dataset.shape[1:] != expected:
        raise ValueError(f"its frames are {dataset.dtype} of shape {dataset.shape[1:]}, expected uint8 of {expected}")
    if len(dataset) == 0:
        return 0
    if (offset := dataset.id.get_offset()) is None:
        raise ValueError("its frames do not lie one after the other")
    return int(offset)
