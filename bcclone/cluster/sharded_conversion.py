"""Convert recordings into a folder of shards, which workers write side by side, and complete it
with a manifest.

In: `ShardingSettings`. Out: a folder of shards and a `Conversion` that counts it.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bcclone.cluster.cluster_settings import ShardingSettings
from bcclone.cluster.dask_workers import open_pool
from bcclone.cluster.shard_task import SHARD_FILES, ShardPlan, ShardTask, WrittenShard, write_shard
from bcclone.dataset import conversion
from bcclone.dataset.conversion import NO_CHECKSUMS, Conversion, OneFile, Written
from bcclone.dataset.conversion_plan import ConversionPlan, frame_numbers
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.rows import NO_FRAME
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.dataset.shards import MANIFEST_NAME, Manifest, open_store, read_shards
from bcclone.dataset.store import Store, StoreContent
from bcclone.dataset.store_writer import content_hash
from bcclone.system.arrays import IndexArray
from bcclone.system.errors import UserError
from bcclone.system.location import Location, as_local, check_writable, is_url, reaching
from bcclone.system.output import BUSY, NEW_FOLDER, check_output, locked
from bcclone.system.progress import Notify, ProgressBar
from bcclone.system.task_pool import TaskPool


def convert(settings: ShardingSettings, notify: Notify = lambda line: None) -> Conversion:
    """Convert recordings to a folder of shards, which its manifest completes.

    notify: called with a line for each log that was read. Raises ForeignLog for a file that is not
    a driving log, and UserError for all other problems that the user can fix.
    """
    return conversion.convert(settings, notify, _Shards(settings, notify))


@dataclass
class _Shards(OneFile):
    """A folder of shards. cluster: the workers, None for processes of this machine."""

    settings: ShardingSettings
    notify: Notify = lambda line: None
    cluster: TaskPool | None = None

    @contextmanager
    def opened(self) -> Iterator[Store | None]:
        settings, folder = self.settings, self.settings.output
        with (
            nullcontext() if is_url(folder) else locked(as_local(folder), BUSY),
            open_store(folder) if settings.adding else nullcontext() as old,
        ):
            _check_folder(settings)
            # a cluster that does not answer is found before hours of reading logs
            with (
                open_pool(settings.scheduler, notify=self.notify)
                if settings.scheduler
                else nullcontext() as pool
            ):
                self.cluster = pool
                yield old

    def write(
        self,
        preprocessing: Preprocessing,
        samples: SampleSettings,
        plan: ConversionPlan,
        old: Store | None,
    ) -> Written:
        """Write the shards of the plan, side by side, and a manifest that names them after those of
        the old store.
        """
        settings, folder = self.settings, self.settings.output.absolute()
        first, size = _first_free_number(folder), settings.shard_mb * 10**6
        shards = ShardPlan(folder, first, plan, preprocessing, samples, size, settings.resume)
        if (
            settings.resume
            and not settings.adding
            and not settings.force
            and (folder / MANIFEST_NAME).exists()
        ):
            if Manifest.read(folder).origin != _joint_origin(shards.tasks()):
                raise UserError(
                    f"{folder} is a complete store, of other recordings or with other options; overwrite it with "
                    "--force, add to it with --add, or name another -o"
                )
            return Written(
                open_store(folder), plan.skips, NO_CHECKSUMS, (f"{folder} is complete already",)
            )
        if not is_url(folder):
            as_local(folder).mkdir(exist_ok=True)
        with nullcontext(self.cluster) if self.cluster else open_pool("", settings.jobs) as pool:
            written = write_shards(shards, pool)
            unusable = {
                int(block.files[index]): reason
                for block, result in zip(shards.blocks, written, strict=True)
                for index, reason in result.unusable.items()
                if index < block.own
            }
            skips = plan.skips_with(unusable, settings.allow_skips)
            before = Manifest.read(folder) if old else Manifest(preprocessing, samples, (), ())
            manifest = replace(before, recordings=(*before.recordings, *plan.recordings))
            frames = frame_numbers(len(plan.files), unusable, len(old.frames) if old else 0)
            content, checksums = _complete(shards, written, frames, manifest)
        kept = f"{sum(one.was_kept for one in written)} of {len(written)} shards were kept from an interrupted run"
        return Written(
            Store(settings.output, content), skips, checksums, (kept,) if settings.resume else ()
        )


def _check_folder(settings: ShardingSettings) -> None:
    """Raise UserError if the output is not a folder of shards that may be completed or replaced."""
    folder, replaceable = settings.output, settings.force or settings.adding or settings.resume
    if is_url(folder):
        check_writable(folder)
    elif not folder.exists():
        check_output(as_local(folder), NEW_FOLDER)
        return
    with reaching(folder):
        if not folder.exists():
            return
        names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
        shards = {path.name for path in folder.glob(SHARD_FILES)}
    if others := names - {MANIFEST_NAME} - shards:
        raise UserError(
            f"{folder} holds other files than a store's, such as {min(others)}; name another -o"
        )
    if MANIFEST_NAME in names and not replaceable:
        raise UserError(
            f"{folder} exists already; overwrite it with --force, add to it with --add, or name another -o"
        )
    if names and not replaceable:
        raise UserError(
            f"{folder} holds shards of an interrupted run; complete it with --resume, or begin anew with --force"
        )


def write_shards(shards: ShardPlan, pool: TaskPool) -> list[WrittenShard]:
    """Write the shards, with a progress bar; raises UserError when a worker cannot."""
    written: dict[int, WrittenShard] = {}
    with ProgressBar("decoding", len(shards.plan.files), "images") as bar:

        def advance(count: float) -> None:
            bar.advance(count, f"{len(written)}/{len(shards.blocks)} shards")

        for number, result in pool.run(write_shard, shards.tasks(), advance):
            written[number] = result
    return [written[number] for number in range(len(shards.blocks))]


def _joint_origin(shards: Iterable[ShardTask | WrittenShard]) -> str:
    """Return a digest of what all of these shards are made of, in their order."""
    return hashlib.sha256("".join(shard.origin for shard in shards).encode()).hexdigest()


def _complete(
    shards: ShardPlan, written: Sequence[WrittenShard], frames: IndexArray, manifest: Manifest
) -> tuple[StoreContent, npt.NDArray[np.uint32]]:
    """Write the manifest, delete the shards that it does not name; return what the store holds, and
    its checksums.

    frames: of each file, as frame_numbers() returns them; manifest: the store's, without the shards
    that are added.
    """
    folder, added = shards.folder, []
    for block, result in zip(shards.blocks, written, strict=True):
        copied = frames[[block.files[index] for index in range(block.own, len(block.files))
                         if index not in result.unusable]]  # fmt: skip
        if (copied == NO_FRAME).any():
            raise UserError(
                f"{folder / result.shard.name}: images of this shard changed while they were read; run the same "
                "command with --resume"
            )
        added.append(replace(result.shard, copied=tuple(copied.tolist())))
    manifest = replace(manifest, shards=(*manifest.shards, *added), origin=_joint_origin(written))
    content, tables = read_shards(folder, manifest, ["checksums"])
    checksums = np.concatenate(
        [
            np.asarray(table)[: shard.frames]
            for shard, (table,) in zip(manifest.shards, tables, strict=True)
        ]
    )
    digest = content_hash(manifest.preprocessing, checksums)  # that of a store of one file
    digest.update(content.rows.tobytes())
    digest.update(content.samples.tobytes())
    content = replace(content, content_hash=digest.hexdigest())
    replace(manifest, content_hash=content.content_hash).write(folder)
    with reaching(folder):
        named = {shard.name for shard in manifest.shards}
        for path in [*folder.glob(SHARD_FILES), *folder.glob(".[0-9]*.partial.h5")]:
            if path.name not in named:  # of another store, or of a killed worker
                path.unlink()
    return content, checksums


def _first_free_number(folder: Location) -> int:
    """Return the number after the last shard that the manifest in the folder names, 0 without a
    readable one.
    """
    try:
        return (
            max((int(Path(shard.name).stem) for shard in Manifest.read(folder).shards), default=-1)
            + 1
        )
    except UserError:
        return 0  # no store, which may be overwritten
