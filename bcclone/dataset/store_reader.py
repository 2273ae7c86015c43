"""Read the tables of stores, each in one HDF5 file, and find where their frames lie.

In: a path. Out: a `StoreContent`: all tables, checked against each other, and the place of the frames. The files are
opened in a process of its own, the program store_tables.py.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

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
from bcclone.system.errors import UserError, first_line
from bcclone.system.hdf5_child import Answer, Hdf5Process, Parts, Table
from bcclone.system.json_values import from_json, to_json
from bcclone.system.location import Location, as_local
from bcclone.system.reading import parse_json

SCHEMA_VERSION = 2
_TABLES = 4  # of every store: samples, rows, extras, recordings


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


class StoreReader:
    """Reads the tables of stores, one store after the other, in a process of its own. A context manager."""

    def __init__(self) -> None:
        self._process = Hdf5Process("bcclone.dataset.store_tables")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.__exit__()

    def read(self, path: Location, parts: Parts | None = None) -> StoreContent:
        """Read a store of one file; raises UserError if it is no store, is truncated, or has another schema.

        parts: of a file at a URL, all but the frames.
        """
        return self.read_with(path, (), parts)[0]

    def read_with(
        self, path: Location, others: Sequence[str], parts: Parts | None = None
    ) -> tuple[StoreContent, list[Table]]:
        """Read a store, as read(), and other tables of its file."""
        try:
            version = (parts.size, parts.state) if parts else file_version(as_local(path))
            answer = self._process.read(parts or as_local(path), [SCHEMA_VERSION, others])
            return _content(answer, path, version), list(answer.tables[_TABLES:])
        except PermissionError:
            raise UserError(f"{path}: no permission to read it; change its permissions, or name another") from None
        except (OSError, KeyError, ValueError, TypeError, MemoryError) as error:
            reason = getattr(error, "strerror", None) or first_line(error)
            raise UserError(
                f"{path}: not a complete store: {reason}; make one with: bcclone preprocess RECORDING... -o data.h5"
            ) from None


def _content(answer: Answer, path: Location, file_version: tuple[int, int]) -> StoreContent:
    head = answer.head
    preprocessing = Preprocessing.from_json(head["preprocessing"])
    if head["preprocessing_hash"] != preprocessing.digest:
        raise ValueError("the hash of its preprocessing does not match")
    frames = _frame_file(head["frames"], preprocessing, path, file_version)
    samples, rows, extras, recordings = answer.tables[:_TABLES]
    if not isinstance(samples, np.ndarray) or samples.dtype != SAMPLE:
        found = getattr(samples, "dtype", np.dtype(str))
        raise ValueError(f"the columns of 'samples' are {found.names or found}, expected {SAMPLE.names}")
    return StoreContent(
        preprocessing=preprocessing,
        sample_settings=SampleSettings.stored(parse_json(head["sample_settings"])),
        content_hash=head["content_hash"],
        samples=samples,
        rows=np.asarray(rows),
        extras=list(extras),
        recordings=[RecordingInfo.from_json(text) for text in recordings],
        frames=[frames],
    )


def _frame_file(place: Any, preprocessing: Preprocessing, path: Location, version: tuple[int, int]) -> FrameFile:
    """Return where the frames lie; raises ValueError if there are others than expected. place: what the file states."""
    dtype, (count, *shape), offset = place
    if dtype != "uint8" or tuple(shape) != preprocessing.shape:
        raise ValueError(f"its frames are {dtype} of shape {tuple(shape)}, expected uint8 of {preprocessing.shape}")
    if not count:
        return FrameFile(path, 0, 0, version)
    if offset is None:
        raise ValueError("its frames do not lie one after the other")
    if offset + count * math.prod(shape) > version[0]:
        raise ValueError("some of its frames are missing from the file")
    return FrameFile(path, offset, count, version)
