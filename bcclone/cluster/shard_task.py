"""Divide a conversion into shards, and write one of them, in a worker.

In: a `ConversionPlan`. Out: a `ShardTask` for each block of its rows. The result of a task is the
file of a shard, which is an ordinary store, and a `WrittenShard` that describes it.
"""

import errno
import hashlib
import math
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
from bcclone.system.codec import from_text
from bcclone.system.errors import UserError
from bcclone.system.files import replacing, sha256_of
from bcclone.system.location import (
    Location,
    as_local,
    is_url,
    names_url,
    reaching,
)
from bcclone.system.numbers import IndexArray
from bcclone.system.values import json_text

SHARD_FILES = "[0-9]*.h5"  # pattern of the names of shards in their folder
# images that are read again if no image of a shard could be used, to see whether this worker can
# read any
_PROBED_FILES = 3


@dataclass(frozen=True)
class Block:
    """The rows of a shard, all of one recording, and the image files that they need."""

    begin: int  # position of the first row among the rows of the plan
    end: int  # position after the last row
    context: int  # number of rows before `begin` whose frames these rows need
    files: IndexArray  # indices into the plan's files; first those that no earlier shard holds
    own_count: int  # number of files that no earlier shard holds; they come first in `files`


@dataclass(frozen=True)
class ShardTask:
    """A shard to write."""

    path: Location
    recording: int  # number of the recording whose rows the shard holds
    part: StorePart  # settings, rows and files of the shard
    own_count: int  # number of files that no earlier shard holds; they come first in `part`
    origin: str  # digest of the settings, the log, the rows and the paths of the images
    reuse: bool  # keep the shard of an interrupted run if it is complete and has the same origin

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class WrittenShard:
    """A shard that has been written; its copied frames have no numbers yet."""

    shard: Shard
    origin: str  # origin of its task, see ShardTask
    unusable: Mapping[int, str]  # index among the task's files -> why the file has no frame
    was_kept: bool = False  # an interrupted run had written it


@dataclass(frozen=True)
class _Origin:
    """What a shard was made of, as it is stored in its file."""

    digest: str  # digest of its rows, settings and image files
    unusable: dict[int, str]  # index among its image files -> why the file has no frame


@dataclass(frozen=True)
class ShardPlan:
    """The shards that a conversion adds to a folder."""

    folder: Location
    first: int  # number of the first shard
    plan: ConversionPlan
    preprocessing: Preprocessing
    samples: SampleSettings
    bytes: int  # rough size of the frames of a shard
    # keep the shards of an interrupted run that are complete and have the same origin
    reuse: bool = False

    @cached_property
    def blocks(self) -> Sequence[Block]:
        """The rows of the plan in blocks: a recording has blocks of about the same length."""
        frame_bytes = self.preprocessing.width * self.preprocessing.height * 3
        row_bytes = frame_bytes * len(self.samples.cameras)
        most_rows = max(self.bytes // row_bytes, 1)
        recording = self.plan.rows["recording"].to_numpy()
        next_recordings = np.flatnonzero(np.diff(recording)) + 1
        recording_edges = [0, *next_recordings.tolist(), len(recording)]

        named = self.plan.rows[FRAME_COLUMNS].to_numpy()
        blocks = []
        # lower numbers than this are files of earlier shards: the plan numbers files in the order
        # in which its rows first name them
        files_before = 0
        for start, end in pairwise(recording_edges):
            block_count = math.ceil((end - start) / most_rows)
            edges = np.linspace(start, end, block_count + 1).round().astype(int).tolist()
            for block_begin, block_end in pairwise(edges):
                context = min(self.samples.frame_offsets, block_begin - start)
                # each shard can be read alone, so it also copies what earlier shards hold
                files = np.unique(named[block_begin - context : block_end])
                files = files[files != NO_FRAME]
                own = files[files >= files_before]
                copied = files[files < files_before]
                block = Block(
                    begin=block_begin,
                    end=block_end,
                    context=context,
                    files=np.concatenate([own, copied]),
                    own_count=len(own),
                )
                blocks.append(block)
                files_before = max(files_before, int(files.max(initial=NO_FRAME)) + 1)
        return blocks

    def tasks(self) -> Iterator[ShardTask]:
        """Yield the tasks that write the shards, in their order."""
        plan = self.plan
        first_recording = int(plan.rows["recording"].iloc[0])
        for number, block in enumerate(self.blocks, start=self.first):
            rows = plan.rows.iloc[block.begin - block.context : block.end]
            recording = int(rows["recording"].iloc[0])
            info = plan.recordings[recording - first_recording]
            info = replace(info, rows=block.end - block.begin)

            # a shard is an ordinary store of one recording, in which files are numbered from 0
            rows = _with_local_files(rows, block.files).assign(recording=0)
            paths = tuple(plan.files[index] for index in block.files.tolist())
            part = StorePart(self.preprocessing, self.samples, rows, paths, (info,), block.context)
            digest = hashlib.sha256(
                f"{self.preprocessing.digest} {self.samples} {info.sha256}".encode()
            )
            digest.update(pd.util.hash_pandas_object(rows, index=False).to_numpy().tobytes())
            digest.update("\n".join(paths).encode(errors="surrogateescape"))
            yield ShardTask(
                path=self.folder / f"{number:05d}.h5",
                recording=recording,
                part=part,
                own_count=block.own_count,
                origin=digest.hexdigest(),
                reuse=self.reuse,
            )


def _with_local_files(rows: pd.DataFrame, files: IndexArray) -> pd.DataFrame:
    """Return the rows, with the columns frame_CAMERA as positions in `files`.

    rows: name the files by their numbers in the plan, NO_FRAME for none
    files: (files,), numbers of all files that these rows name, in any order
    """
    order = np.argsort(files)
    # for NO_FRAME, searchsorted returns a meaningless place, even the one after the last; the
    # entry appended here keeps it in range, and local() replaces the result
    positions = np.append(order, NO_FRAME)

    def local(named: IndexArray) -> IndexArray:
        places = positions[np.searchsorted(files, named, sorter=order)]
        return np.where(named == NO_FRAME, NO_FRAME, places)

    return rows.assign(**{column: local(rows[column].to_numpy()) for column in FRAME_COLUMNS})


def write_shard(task: ShardTask) -> WrittenShard:
    """Write a shard, or keep the shard that an interrupted run has left.

    Raises UserError if this worker cannot read or write.
    """
    try:
        origin = _origin_with_files(task)
        if task.reuse and (kept := _reused(task, origin)):
            return kept
        # a worker on another machine may not see the folder, and must not make one of its own
        folder = task.path.parent
        if not is_url(folder) and not folder.is_dir():
            raise FileNotFoundError(
                errno.ENOENT,
                "the folder of the store is not there; mount it on this machine, under the same "
                "path",
                str(folder),
            )
        with replacing(task.path) as temporary:
            _write(task, origin, temporary)
            if written := _described(task, temporary, origin):
                return written
            raise UserError(
                f"{task.path}: cannot be read after it was written, expected a complete shard; "
                "check the disk, or write the store to another one"
            )
    except OSError as error:
        path = error.filename or task.path
        reason = error.strerror or str(error)
        raise UserError(f"{path}: {reason}; check that this machine can write there") from None


def _origin_with_files(task: ShardTask) -> str:
    """Return a digest of the task's origin, and of sizes and times of its local image files.

    Images at URLs count only by their paths: asking the server for each would take too long.
    """
    digest = hashlib.sha256(task.origin.encode())
    paths = task.part.files
    if paths and names_url(paths[0]):
        paths = ()
    for path in paths:
        try:
            status = os.stat(path)  # noqa: PTH116 called for each image
            digest.update(f"{status.st_size} {status.st_mtime_ns} ".encode())
        except OSError:
            digest.update(b"- ")  # a missing file
    return digest.hexdigest()


def _reused(task: ShardTask, origin: str) -> WrittenShard | None:
    """Return the shard that an interrupted run has left, None if it is missing or not of `origin`.

    origin: digest that _origin_with_files() returns
    """
    path = task.path
    with TemporaryDirectory(prefix="bcclone-") as folder, reaching(path):
        if not path.is_file():
            return None
        if is_url(path):
            copy = Path(folder, path.name)
            path.fs.get_file(path.path, str(copy))
            path = copy
        kept = _described(task, as_local(path), origin)
    if kept is None:
        return None
    return replace(kept, was_kept=True)


def _write(task: ShardTask, origin: str, path: Path) -> None:
    """Write the file of a shard: a store, what the shard was made of, and the frames' checksums."""
    unusable, checksums = write_store(path, task.part, threads=1)
    # If no file could be used, either all are bad, or this worker cannot read any file. In the
    # second case, reading a few again raises OSError.
    if len(unusable) == len(task.part.files):
        for file in task.part.files[:_PROBED_FILES]:
            read_file(file)
    with h5py.File(path, "r+") as file:
        stored = json_text(_Origin(origin, unusable))
        file.create_dataset("origin", data=stored, dtype=h5py.string_dtype())
        file.create_dataset("checksums", data=checksums)


def _described(task: ShardTask, path: Path, origin: str) -> WrittenShard | None:
    """Describe the shard in a file; return None if it is not complete or of another origin.

    path: the file, perhaps under a temporary name
    origin: digest that the file must have stored
    """
    try:
        content, (origins,) = read_store(path, ["origin"])
        (text,) = origins
        stored = from_text(_Origin, text)
    except (UserError, ValueError, TypeError):
        return None
    if stored.digest != origin:
        return None
    unusable_own = sum(index < task.own_count for index in stored.unusable)
    (frame_file,) = content.frames.files
    file_bytes, _ = frame_file.version
    shard = Shard(
        name=task.path.name,
        recording=task.recording,
        rows=len(content.rows),
        samples=len(content.samples),
        frames=task.own_count - unusable_own,
        copied=(),
        content_hash=content.content_hash,
        bytes=file_bytes,
        sha256=sha256_of(path),
    )
    return WrittenShard(shard, task.origin, stored.unusable)
