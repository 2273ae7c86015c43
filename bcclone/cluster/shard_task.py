"""Divide a conversion into shards, and write one of them, in a worker.

In: a `ConversionPlan`. Out: a `ShardTask` for each block of its rows; of each task, the file of a
shard, which is an ordinary store, and a `WrittenShard` that describes it.
"""

import errno
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np
import pandas as pd

from bcclone.camera.images import read_file
from bcclone.dataset.conversion_plan import ConversionPlan, StorePart
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.rows import FRAME_COLUMNS, NO_FRAME
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.dataset.shards import Shard
from bcclone.dataset.store import read_store
from bcclone.dataset.store_writer import write_store
from bcclone.system.arrays import IndexArray
from bcclone.system.atomic import sha256_of
from bcclone.system.codec import from_text
from bcclone.system.errors import UserError
from bcclone.system.json_values import json_text
from bcclone.system.location import (
    Location,
    Unreachable,
    as_local,
    is_url,
    names_url,
    reaching,
    replacing,
)
from bcclone.system.task_pool import WorkerFault, report_progress

SHARD_FILES = "[0-9]*.h5"
_PROBED = 3  # files


@dataclass(frozen=True)
class _Block:
    """The rows of a shard, as positions in the plan's, all of one recording.

    context: rows before them whose frames they need; files: indices into the plan's; the first
    `own` of them are in no earlier shard.
    """

    begin: int
    end: int
    context: int
    files: IndexArray
    own: int


@dataclass(frozen=True)
class ShardTask:
    """A shard to write.

    number: of its recording; own: as in _Block; origin: digest of all that it is made of; reuse: as
    in ShardPlan.
    """

    path: Location
    number: int
    part: StorePart
    own: int
    origin: str
    reuse: bool

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class WrittenShard:
    """A shard that has been written; its copied frames have no numbers yet.

    origin: as in its task; unusable: index among the task's files -> why it has no frame; was_kept:
    whether an interrupted run has left it.
    """

    shard: Shard
    origin: str
    unusable: Mapping[int, str]
    was_kept: bool = False


@dataclass(frozen=True)
class _Origin:
    """What a shard was made of, as its file says: digest of its rows, settings and image files;
    unusable files.
    """

    digest: str
    unusable: dict[int, str]


@dataclass(frozen=True)
class ShardPlan:
    """The shards that a conversion adds to a folder.

    first: number of the first one; bytes: of the frames of a shard, about; reuse: keep the shards
    of an interrupted run that are whole and were made of the same.
    """

    folder: Location
    first: int
    plan: ConversionPlan
    preprocessing: Preprocessing
    samples: SampleSettings
    bytes: int
    reuse: bool = False

    @cached_property
    def blocks(self) -> Sequence[_Block]:
        """The rows of the plan: each recording in blocks of about the same length."""
        plan, samples, frame_bytes = (
            self.plan,
            self.samples,
            self.preprocessing.width * self.preprocessing.height * 3,
        )
        most = max(self.bytes // (frame_bytes * len(samples.cameras)), 1)
        named, recording = plan.rows[FRAME_COLUMNS].to_numpy(), plan.rows["recording"].to_numpy()
        ends = [0, *(np.flatnonzero(np.diff(recording)) + 1).tolist(), len(recording)]
        blocks, before = [], 0  # files in earlier shards
        for start, end in pairwise(ends):
            count = -(-(end - start) // most)
            edges = np.linspace(start, end, count + 1).round().astype(int).tolist()
            for first_row, last in pairwise(edges):
                context = min(samples.frame_offsets, first_row - start)
                files = np.unique(named[first_row - context : last])
                files = files[files != NO_FRAME]
                own = files[files >= before]
                blocks.append(
                    _Block(
                        first_row,
                        last,
                        context,
                        np.concatenate([own, files[files < before]]),
                        len(own),
                    )
                )
                before = max(before, int(files.max(initial=NO_FRAME)) + 1)
        return blocks

    def tasks(self) -> Iterator[ShardTask]:
        """Yield the tasks that write the shards, in their order."""
        plan, samples, first_recording = (
            self.plan,
            self.samples,
            int(self.plan.rows["recording"].iloc[0]),
        )
        for number, block in enumerate(self.blocks, start=self.first):
            rows = plan.rows.iloc[block.begin - block.context : block.end]
            recording = int(rows["recording"].iloc[0])
            info = replace(
                plan.recordings[recording - first_recording], rows=block.end - block.begin
            )
            rows = _with_local_files(rows, block.files).assign(recording=0)
            paths = tuple(plan.files[index] for index in block.files.tolist())
            digest = hashlib.sha256(f"{self.preprocessing.digest} {samples} {info.sha256}".encode())
            digest.update(pd.util.hash_pandas_object(rows, index=False).to_numpy().tobytes())
            digest.update("\n".join(paths).encode())
            part = StorePart(self.preprocessing, samples, rows, paths, (info,), block.context)
            path = self.folder / f"{number:05d}.h5"
            yield ShardTask(path, recording, part, block.own, digest.hexdigest(), self.reuse)


def _with_local_files(rows: pd.DataFrame, files: IndexArray) -> pd.DataFrame:
    """Return the rows with frame_CAMERA as an index among some of the plan's files, which include
    all of the rows'.
    """
    order = np.argsort(files)

    def local(named: IndexArray) -> IndexArray:
        places = np.append(order, NO_FRAME)[np.searchsorted(files, named, sorter=order)]
        return np.where(named == NO_FRAME, NO_FRAME, places)

    return rows.assign(**{column: local(rows[column].to_numpy()) for column in FRAME_COLUMNS})


def write_shard(task: ShardTask) -> WrittenShard:
    """Write a shard, or keep the one that is there; raises WorkerFault when this worker cannot read
    or write.
    """
    try:
        digest = hashlib.sha256(task.origin.encode())
        for path in () if names_url(next(iter(task.part.files), "")) else task.part.files:
            try:
                status = os.stat(path)  # noqa: PTH116 called for each image
                digest.update(f"{status.st_size} {status.st_mtime_ns} ".encode())
            except OSError:
                digest.update(b"- ")
        origin = digest.hexdigest()
        if task.reuse and (reused := _reused(task, origin)):
            return reused
        folder = task.path.parent
        if not is_url(folder) and not folder.is_dir():
            raise FileNotFoundError(
                errno.ENOENT, "the folder of the store is not there", str(folder)
            )
        with replacing(task.path) as temporary:
            _write(task, origin, temporary)
            if written := _described(task, temporary, origin):
                return written
            raise WorkerFault(f"{temporary}: cannot be read after it was written")
    except Unreachable as error:
        raise WorkerFault(str(error)) from None
    except OSError as error:
        raise WorkerFault(f"{error.filename or task.path}: {error.strerror or error}") from None


def _reused(task: ShardTask, origin: str) -> WrittenShard | None:
    """Return the shard that an interrupted run has left, if there is one of this origin."""
    path = task.path
    with TemporaryDirectory(prefix="bcclone-") as folder, reaching(path):
        if not path.is_file():
            return None
        if is_url(path):
            path.fs.get_file(path.path, copy := str(Path(folder, path.name)))
            path = Path(copy)
        kept = _described(task, as_local(path), origin)
    if kept:
        report_progress(task.own)
    return kept and replace(kept, was_kept=True)


def _write(task: ShardTask, origin: str, path: Path) -> None:
    left = [task.own]  # files that the other shards do not count

    def advance(count: int) -> None:
        report_progress(min(count, left[0]))
        left[0] -= min(count, left[0])

    unusable, checksums = write_store(path, task.part, on_progress=advance, threads=1)
    if len(unusable) == len(task.part.files):
        for file in task.part.files[:_PROBED]:
            read_file(file)  # raises OSError if this worker cannot read any
    with h5py.File(path, "r+") as file:
        file.create_dataset(
            "origin", data=json_text(_Origin(origin, unusable)), dtype=h5py.string_dtype()
        )
        file.create_dataset("checksums", data=checksums)


def _described(task: ShardTask, path: Path, origin: str) -> WrittenShard | None:
    """Describe the shard in a file, None if it is not complete or of another origin."""
    try:
        content, ((text,),) = read_store(path, ["origin"])
        stored = from_text(_Origin, text)
    except (UserError, ValueError, TypeError):
        return None
    if stored.digest != origin:
        return None
    shard = Shard(
        name=task.path.name,
        recording=task.number,
        rows=len(content.rows),
        samples=len(content.samples),
        frames=task.own - sum(index < task.own for index in stored.unusable),
        copied=(),
        content_hash=content.content_hash,
        bytes=content.frames.files[0].version[0],
        sha256=sha256_of(path),
    )
    return WrittenShard(shard, task.origin, stored.unusable)
