"""Write one shard of a store, in a worker.

In: a `ShardTask`. Out: the file of the shard, and a `WrittenShard` that describes it.
"""

import errno
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from bcclone.cluster.manifest import Shard
from bcclone.dataset.conversion_plan import frame_numbers, with_stored_frames
from bcclone.dataset.images import read_file
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.rows import row_table
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.dataset.samples import SampleTable, sample_chunks
from bcclone.dataset.store_reader import RecordingInfo, StoreContent, read_store
from bcclone.dataset.store_writer import RECORDING_BYTES, StoreWriter, store_files, table_bytes
from bcclone.system.codec import parse_json
from bcclone.system.errors import UserError
from bcclone.system.hdf5_file import Table
from bcclone.system.json_values import from_json, json_text
from bcclone.system.location import Location, Unreachable, is_url, local_copy, names_url, replacing
from bcclone.system.task_pool import WorkerFault, report_progress

_PROBED = 3  # files


@dataclass(frozen=True)
class ShardOrigin:
    """What a shard was made of.

    digest: of its rows, its settings and its image files; unusable: index among those files -> why it has no frame.
    """

    digest: str
    unusable: Mapping[int, str]


@dataclass(frozen=True)
class ShardTask:
    """A shard to write.

    path: of the shard; number: of its recording; rows: first `context` rows before the shard, whose frames its samples
    need, then its own rows, with the columns `label` and `validation`, and for each camera `frame_CAMERA`: index among
    `files`, or NO_FRAME; files: paths; the first `own` of them are in no earlier shard; origin: digest of all of this;
    reuse: keep a shard that an interrupted run has left, if its origin is the same.
    """

    path: Location
    number: int
    recording: RecordingInfo
    rows: pd.DataFrame
    context: int
    files: Sequence[str]
    own: int
    preprocessing: Preprocessing
    samples: SampleSettings
    origin: str
    reuse: bool

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class WrittenShard:
    """A shard that has been written; its copied frames have no numbers yet.

    origin: as in its task; unusable: index among the task's files -> why it has no frame; copied: index among them
    of each copied frame; was_kept: whether an interrupted run has left it.
    """

    shard: Shard
    origin: str
    unusable: dict[int, str]
    copied: tuple[int, ...]
    was_kept: bool = False


def write_shard(task: ShardTask) -> WrittenShard:
    """Write a shard, or keep the one that is there; raises WorkerFault when this worker cannot read or write."""
    try:
        origin = _origin_of(task)
        return (_reused(task, origin) if task.reuse else None) or _write(task, origin)
    except Unreachable as error:
        raise WorkerFault(str(error)) from None
    except OSError as error:
        raise WorkerFault(f"{error.filename or task.path}: {error.strerror or error}") from None


def _origin_of(task: ShardTask) -> str:
    """Return the digest of the task, with size and time of each local image file."""
    digest = hashlib.sha256(task.origin.encode())
    for path in () if task.files and names_url(task.files[0]) else task.files:
        try:
            status = os.stat(path)  # noqa: PTH116 called for each image
            digest.update(f"{status.st_size} {status.st_mtime_ns} ".encode())
        except OSError:
            digest.update(b"- ")
    return digest.hexdigest()


def _reused(task: ShardTask, origin: str) -> WrittenShard | None:
    """Return the shard that an interrupted run has left, or None if it is not complete or of another origin."""
    with local_copy(task.path) as path:
        try:
            described = _read_shard(path) if path else None
        except UserError:
            return None
        if path is None or described is None or described[1].digest != origin:
            return None
        report_progress(task.own)
        return replace(_describe(task, path, *described), was_kept=True)


def _read_shard(path: Path) -> tuple[StoreContent, ShardOrigin]:
    """Read what has been written; raises UserError if it is not a complete shard."""
    content, (origin,) = read_store(path, ["origin"])
    try:
        (text,) = origin
        return content, from_json(ShardOrigin, parse_json(text))
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: not a complete shard: {error}; write it again") from None


def _write(task: ShardTask, origin: str) -> WrittenShard:
    folder = task.path.parent
    if not is_url(folder) and not folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, "the folder of the store is not there", str(folder))
    with replacing(task.path) as temporary:
        _write_file(task, origin, temporary)
        return _describe(task, temporary, *_read_shard(temporary))


def _write_file(task: ShardTask, origin: str, path: Path) -> None:
    space = table_bytes(task.rows, task.samples) + RECORDING_BYTES
    with StoreWriter(path, task.preprocessing, len(task.files), space) as writer:
        left = [task.own]  # files that the other shards do not count

        def advance(count: int) -> None:
            report_progress(min(count, left[0]))
            left[0] -= min(count, left[0])

        unusable = store_files(task.files, writer, advance, threads=1)
        if task.files and not writer.count:
            _check_readable(task.files[:_PROBED])
        rows = with_stored_frames(task.rows, frame_numbers(len(task.files), unusable))
        extras = rows["extras"].tolist()[task.context :]
        chunks = _own_samples(sample_chunks(rows.drop(columns="extras"), task.samples), task.context)
        table = row_table(rows[task.context :])
        writer.finish(chunks, table, extras if any(extras) else [], [task.recording], task.samples)
    with h5py.File(path, "r+") as file:
        content = json_text(ShardOrigin(origin, unusable))
        file.create_dataset("origin", data=content, dtype=h5py.string_dtype())
        file.create_dataset("checksums", data=np.array(writer.checksums, np.uint32))


def first_checksums(table: Table, count: int) -> npt.NDArray[np.uint32]:
    """Return the CRC-32 of the first frames of a shard, (count,), from its table; raises ValueError for any other."""
    if not isinstance(table, np.ndarray) or table.dtype != np.uint32 or table.ndim != 1 or len(table) < count:
        raise ValueError("it has no checksums of some of its frames")
    return table[:count]


def _check_readable(files: Sequence[str]) -> None:
    """Raise an OSError if one of these files cannot be read by this worker."""
    for path in files:
        read_file(path)


def _own_samples(chunks: Iterator[SampleTable], context: int) -> Iterator[SampleTable]:
    """Yield the samples of the shard's own rows, numbered from 0."""
    for chunk in chunks:
        own = chunk[chunk["row"] >= context]
        own["row"] -= context
        yield own


def _describe(task: ShardTask, path: Path, content: StoreContent, origin: ShardOrigin) -> WrittenShard:
    """Describe what has been written. path: of the shard or a copy of it."""
    unusable = dict(origin.unusable)
    frames = task.own - sum(index < task.own for index in unusable)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    shard = Shard(
        name=task.path.name,
        recording=task.number,
        rows=len(content.rows),
        samples=len(content.samples),
        frames=frames,
        copied=(),
        content_hash=content.content_hash,
        bytes=content.frames[0].version[0],
        sha256=sha256,
    )
    copied = tuple(index for index in range(task.own, len(task.files)) if index not in unusable)
    return WrittenShard(shard, task.origin, unusable, copied)
