"""Write a store as a folder of shards, each by a worker, and complete it with a manifest.

In: a `ConversionPlan`. Out: files of shards and their manifest.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from bcclone.cluster.manifest import Manifest, Shard
from bcclone.cluster.shard_task import ShardTask, WrittenShard, first_checksums, write_shard
from bcclone.cluster.shards import read_shards
from bcclone.dataset.conversion_plan import ConversionPlan
from bcclone.dataset.labels import steering_labels
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.rows import FRAME_COLUMNS, NO_FRAME
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.dataset.store_reader import StoreContent
from bcclone.dataset.store_writer import ContentHash
from bcclone.system.arrays import IndexArray
from bcclone.system.errors import UserError
from bcclone.system.hdf5_file import Table
from bcclone.system.location import Location, reaching
from bcclone.system.progress import ProgressBar
from bcclone.system.task_pool import TaskPool

_SHARD_NAME, _SHARDS = "{:05d}.h5", "[0-9]*.h5"


@dataclass(frozen=True)
class ShardSettings:
    """How the shards of a store are made.

    bytes: of the frames of a shard, about; reuse: keep the shards of an interrupted run that are whole.
    """

    preprocessing: Preprocessing
    samples: SampleSettings
    bytes: int
    reuse: bool


@dataclass(frozen=True)
class ShardPlan:
    """The shards that a conversion adds to a folder: each has a block of the rows of one recording.

    first: number of the first shard; rows: of the conversion plan, with `validation` and `label`; blocks: first
    row and end of each shard; files_before: number of files in the shards before each one, (shards,).
    """

    folder: Location
    first: int
    plan: ConversionPlan
    rows: pd.DataFrame
    settings: ShardSettings
    blocks: Sequence[tuple[int, int]]
    files_before: IndexArray

    @classmethod
    def of(
        cls, folder: Location, first: int, plan: ConversionPlan, rows: pd.DataFrame, settings: ShardSettings
    ) -> Self:
        """Divide the rows of a plan, which have `validation`: each recording into blocks of about the same length."""
        samples = settings.samples
        rows = rows.assign(label=steering_labels(rows, samples.smooth_seconds, samples.lead_seconds))
        frame_bytes = settings.preprocessing.width * settings.preprocessing.height * 3
        most = max(settings.bytes // (frame_bytes * len(samples.cameras)), 1)
        blocks = list(_blocks(rows["recording"].to_numpy(), most))
        latest = rows[FRAME_COLUMNS].to_numpy().max(axis=1)
        files_before = np.append(0, np.maximum.accumulate(latest) + 1)[[begin for begin, _ in blocks]]
        return cls(folder, first, plan, rows, settings, blocks, files_before)

    def __len__(self) -> int:
        return len(self.blocks)

    def files(self, number: int) -> tuple[IndexArray, int]:
        """Return the files of a shard, as indices into the plan's, and how many of them are in no earlier shard.

        Files that are in earlier shards, too, come last.
        """
        rows, _ = self._rows(number)
        named = np.unique(rows[FRAME_COLUMNS])
        named = named[named != NO_FRAME]
        own = named[named >= self.files_before[number]]
        return np.concatenate([own, named[named < self.files_before[number]]]), len(own)

    def task(self, number: int) -> ShardTask:
        """Return the task that writes a shard."""
        rows, context = self._rows(number)
        files, own = self.files(number)
        begin, end = self.blocks[number]
        recording = int(self.rows["recording"].iloc[begin])
        info = self.plan.recordings[recording - int(self.rows["recording"].iloc[0])]
        rows = _with_local_files(rows, files).assign(recording=0)
        paths = tuple(self.plan.files[index] for index in files.tolist())
        settings = self.settings
        digest = hashlib.sha256(f"{settings.preprocessing.digest} {settings.samples} {info.sha256}".encode())
        digest.update(pd.util.hash_pandas_object(rows, index=False).to_numpy().tobytes())
        digest.update("\n".join(paths).encode())
        return ShardTask(
            path=self.folder / _SHARD_NAME.format(self.first + number),
            number=recording,
            recording=replace(info, rows=end - begin),
            rows=rows,
            context=context,
            files=paths,
            own=own,
            preprocessing=settings.preprocessing,
            samples=settings.samples,
            origin=digest.hexdigest(),
            reuse=settings.reuse,
        )

    def tasks(self) -> Iterator[ShardTask]:
        """Yield the tasks that write the shards, in their order."""
        return map(self.task, range(len(self)))

    def _rows(self, number: int) -> tuple[pd.DataFrame, int]:
        """Return the rows of a shard, behind the rows before it whose frames it needs, and the number of the latter."""
        begin, end = self.blocks[number]
        recording = self.rows["recording"].to_numpy()
        context = min(self.settings.samples.frame_offsets, begin - int(np.searchsorted(recording, recording[begin])))
        return self.rows.iloc[begin - context : end], context


def _blocks(recording: IndexArray, most: int) -> Iterator[tuple[int, int]]:
    """Yield the first row and the end of each block: rows of one recording, at most so many."""
    ends = [*(np.flatnonzero(np.diff(recording)) + 1).tolist(), len(recording)]
    for start, end in zip([0, *ends], ends, strict=False):
        count = -(-(end - start) // most)
        edges = np.linspace(start, end, count + 1).round().astype(int).tolist()
        yield from zip(edges, edges[1:], strict=False)


def _with_local_files(rows: pd.DataFrame, files: IndexArray) -> pd.DataFrame:
    """Return the rows with frame_CAMERA as an index among some of the plan's files, which include all of the rows'."""
    order = np.argsort(files)

    def local(column: str) -> IndexArray:
        named = rows[column].to_numpy()
        places = np.append(order, NO_FRAME)[np.searchsorted(files, named, sorter=order)]
        return np.where(named == NO_FRAME, NO_FRAME, places)

    return rows.assign(**{column: local(column) for column in FRAME_COLUMNS})


def write_shards(shards: ShardPlan, pool: TaskPool) -> list[WrittenShard]:
    """Write the shards, with a progress bar; raises UserError when a worker cannot."""
    written: dict[int, WrittenShard] = {}
    with ProgressBar("decoding", len(shards.plan.files), "images") as bar:

        def advance(count: float) -> None:
            bar.advance(count, f"{len(written)}/{len(shards)} shards")

        for number, result in pool.run(write_shard, shards.tasks(), advance):
            written[number] = result
    return [written[number] for number in range(len(shards))]


def joint_origin(shards: Iterable[ShardTask | WrittenShard]) -> str:
    """Return a digest of what all of these shards are made of, in their order."""
    digest = hashlib.sha256()
    for shard in shards:
        digest.update(shard.origin.encode())
    return digest.hexdigest()


def unusable_files(shards: ShardPlan, written: Sequence[WrittenShard]) -> dict[int, str]:
    """Return the index among the plan's files of each one that is unusable, and the reason."""
    unusable: dict[int, str] = {}
    for number, result in enumerate(written):
        files, own = shards.files(number)
        unusable |= {int(files[index]): why for index, why in result.unusable.items() if index < own}
    return unusable


def complete(
    shards: ShardPlan, written: Sequence[WrittenShard], frames: IndexArray, manifest: Manifest
) -> StoreContent:
    """Write the manifest, delete the shards that it does not name, and return what the store holds.

    frames: of each file, as frame_numbers() returns them; manifest: the store's, without the shards that are added.
    """
    added = []
    for number, result in enumerate(written):
        files, _ = shards.files(number)
        copied = frames[files[list(result.copied)]]
        if (copied == NO_FRAME).any():
            raise UserError(
                f"{shards.folder / result.shard.name}: images of this shard changed while they were read; run the same "
                "command with --resume"
            )
        added.append(replace(result.shard, copied=tuple(copied.tolist())))
    manifest = replace(manifest, shards=(*manifest.shards, *added), origin=joint_origin(written))
    content = _with_content_hash(shards.folder, manifest)
    replace(manifest, content_hash=content.content_hash).write(shards.folder)
    named = {shard.name for shard in manifest.shards}
    with reaching(shards.folder):
        present = [*shards.folder.glob(_SHARDS), *shards.folder.glob(".[0-9]*.partial.h5")]
        for path in present:  # of other stores, and of killed workers
            if path.name not in named:
                path.unlink()
    return content


def _with_content_hash(folder: Location, manifest: Manifest) -> StoreContent:
    """Read the shards, and compute the hash that a store of one file with this content has."""
    digest = ContentHash(manifest.preprocessing)

    def add(shard: Shard, tables: Sequence[Table]) -> None:
        try:
            digest.add_frames(first_checksums(tables[0], shard.frames))
        except ValueError as error:
            raise UserError(
                f"{folder / shard.name}: {error}; make the store again with: bcclone preprocess RECORDING... -o "
                f"{folder} --force"
            ) from None

    content = read_shards(folder, manifest, ["checksums"], add)
    digest.add_table(content.rows)
    digest.add_table(content.samples)
    return replace(content, content_hash=digest.hexdigest())


def first_free_number(folder: Location) -> int:
    """Return the number after the last shard that the manifest in the folder names, 0 without one."""
    return max((int(Path(name).stem) for name in _named_shards(folder)), default=-1) + 1


def count_unfinished_shards(output: Location) -> int:
    """Return how many shards a folder has that its manifest does not name; 0 for a file and for nothing."""
    with reaching(output):
        return len({path.name for path in output.glob(_SHARDS)} - _named_shards(output))


def _named_shards(folder: Location) -> set[str]:
    try:
        return {shard.name for shard in Manifest.read(folder).shards}
    except UserError:
        return set()  # no store, which may be overwritten
