"""Convert recordings into a folder of shards, which workers write side by side.

In: `ShardingSettings`. Out: a folder of shards, which a manifest completes, and a `Conversion` that
counts it.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bcclone.cluster.cluster_settings import ShardingSettings, is_sharded
from bcclone.cluster.shard_task import (
    SHARD_FILES,
    Block,
    ShardPlan,
    ShardTask,
    WrittenShard,
    write_shard,
)
from bcclone.dataset.conversion import Conversion, convert_into
from bcclone.dataset.conversion_plan import ConversionPlan, frame_numbers
from bcclone.dataset.conversion_target import NO_CHECKSUMS, Written, adds_to_store
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.rows import NO_FRAME
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.dataset.shards import MANIFEST_NAME, Manifest, open_store, read_shards
from bcclone.dataset.store import Store, StoreContent
from bcclone.dataset.store_writer import content_hash
from bcclone.system.errors import UserError
from bcclone.system.files import BUSY, NEW_FOLDER, check_output, locked
from bcclone.system.location import Location, as_local, check_writable, is_url, reaching
from bcclone.system.numbers import IndexArray
from bcclone.system.pool import open_pool, run_tasks
from bcclone.system.process import Notify, ProgressBar


def convert_to_shards(settings: ShardingSettings, notify: Notify = lambda line: None) -> Conversion:
    """Convert recordings to a folder of shards, which its manifest completes.

    Raises ForeignLog for a file that is not a driving log, and UserError for all other problems
    that the user can fix.

    notify: called with a line for each log that was read
    """
    return convert_into(settings, _shard_folder(settings, notify), notify)


@contextmanager
def _shard_folder(settings: ShardingSettings, notify: Notify) -> Iterator["ShardFolder"]:
    """Lock the output of the settings, and yield it as a target.

    Raises UserError if the folder may not be written, or the cluster does not answer.
    """
    folder = settings.output
    if not is_sharded(folder):
        raise UserError(
            f"{folder}: the name of one file, expected a folder of shards; "
            "choose a name without an ending such as .h5"
        )
    with ExitStack() as stack:
        if not is_url(folder):
            stack.enter_context(locked(as_local(folder), BUSY))
        old = None
        if adds_to_store(settings):
            old = stack.enter_context(open_store(folder))
        _check_folder(settings)
        # connect to a cluster now: a fault should not show only after hours of reading logs
        cluster = None
        if settings.scheduler:
            cluster = stack.enter_context(open_pool(scheduler=settings.scheduler))
        yield ShardFolder(settings, old, cluster)


class ShardFolder:
    """A target that is a folder of shards, as bcclone.dataset.conversion_target describes targets.

    old: the store in the folder that is added to, None for a new store
    cluster: workers of a cluster, None for processes of this machine
    """

    def __init__(
        self, settings: ShardingSettings, old: Store | None, cluster: Executor | None
    ) -> None:
        self.old = old
        self._settings = settings
        self._cluster = cluster

    def write(
        self, preprocessing: Preprocessing, samples: SampleSettings, plan: ConversionPlan
    ) -> Written:
        """Write the shards of the plan, and a manifest that names them after the old ones."""
        settings = self._settings
        folder = settings.output.absolute()
        shards = ShardPlan(
            folder=folder,
            first=_first_free_number(folder),
            plan=plan,
            preprocessing=preprocessing,
            samples=samples,
            bytes=settings.shard_mb * 10**6,
            reuse=settings.resume,
        )
        # nothing is left to do where an earlier run has completed the folder
        resumes_alone = settings.resume and not adds_to_store(settings) and not settings.force
        if resumes_alone and (folder / MANIFEST_NAME).exists():
            return _already_complete(shards)

        if not is_url(folder):
            as_local(folder).mkdir(exist_ok=True)
        with self._pool() as pool:
            written = write_shards(shards, pool)
        unusable = _unusable_files(shards, written)
        # raises UserError if more images are unusable than allowed, before the manifest is written
        skips = plan.skips_with(unusable, settings.allow_skips)

        content, checksums = _complete(shards, written, unusable, self.old)
        notices: tuple[str, ...] = ()
        if settings.resume:
            kept = sum(shard.was_kept for shard in written)
            notices = (f"{kept} of {len(written)} shards were kept from an interrupted run",)
        return Written(skips, checksums, notices, content)

    def _pool(self) -> AbstractContextManager[Executor]:
        """Return a context manager of the workers: the cluster, which stays open, or processes."""
        if self._cluster:
            return nullcontext(self._cluster)
        return open_pool(self._settings.jobs)


def _already_complete(shards: ShardPlan) -> Written:
    """Return what there is to say of a folder that an earlier run has completed.

    Raises UserError if its store is of other recordings, or made with other options.
    """
    folder = shards.folder
    _check_same_store(folder, shards)
    content, _ = read_shards(folder, Manifest.read(folder))
    notice = f"{folder} is complete already"
    return Written(shards.plan.skips, NO_CHECKSUMS, (notice,), content)


def _check_same_store(folder: Location, shards: ShardPlan) -> None:
    """Raise UserError if the store in a complete folder has another origin than these shards."""
    if Manifest.read(folder).origin != _joint_origin(shards.tasks()):
        raise UserError(
            f"{folder} is a complete store, of other recordings or with other options; "
            "overwrite it with --force, add to it with --add, or name another -o"
        )


def _unusable_files(shards: ShardPlan, written: Sequence[WrittenShard]) -> dict[int, str]:
    """Return why files of the plan have no frame: index in the plan -> reason."""
    unusable: dict[int, str] = {}
    for block, result in zip(shards.blocks, written, strict=True):
        for index, reason in result.unusable.items():
            # a file that an earlier shard holds, too, is listed by that shard
            if index < block.own_count:
                unusable[int(block.files[index])] = reason
    return unusable


def _check_folder(settings: ShardingSettings) -> None:
    """Raise UserError if the output is not a folder of shards that may be completed or replaced."""
    folder = settings.output
    may_exist = settings.force or adds_to_store(settings) or settings.resume
    if is_url(folder):
        check_writable(folder)
    elif not folder.exists():
        check_output(as_local(folder), NEW_FOLDER)
        return
    with reaching(folder):
        if not folder.exists():  # at a URL; a local folder exists here
            return
        names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
        shards = {path.name for path in folder.glob(SHARD_FILES)}
    foreign = names - {MANIFEST_NAME} - shards
    if foreign:
        raise UserError(
            f"{folder} holds other files than a store's, such as {min(foreign)}; name another -o"
        )
    if MANIFEST_NAME in names and not may_exist:
        raise UserError(
            f"{folder} exists already; overwrite it with --force, add to it with --add, "
            "or name another -o"
        )
    if names and not may_exist:
        raise UserError(
            f"{folder} holds shards of an interrupted run; complete it with --resume, "
            "or begin anew with --force"
        )


def write_shards(shards: ShardPlan, pool: Executor) -> list[WrittenShard]:
    """Write the shards, with a progress bar, and return what describes them, in their order.

    Raises UserError if the workers cannot write one.
    """
    written: dict[int, WrittenShard] = {}
    with ProgressBar("decoding", len(shards.plan.files), "images") as bar:
        for number, result in run_tasks(pool, write_shard, shards.tasks()):
            written[number] = result
            # each file counts once, in the shard that holds it first; copies do not count
            images = shards.blocks[number].own_count
            bar.advance(images, f"{len(written)}/{len(shards.blocks)} shards")
    return [written[number] for number in range(len(shards.blocks))]


def _joint_origin(shards: Iterable[ShardTask | WrittenShard]) -> str:
    """Return a digest of the origins of all of these shards, in their order."""
    return hashlib.sha256("".join(shard.origin for shard in shards).encode()).hexdigest()


def _complete(
    shards: ShardPlan,
    written: Sequence[WrittenShard],
    unusable: Mapping[int, str],
    old: Store | None,
) -> tuple[StoreContent, npt.NDArray[np.uint32]]:
    """Write the manifest, and delete the shards that it does not name.

    Returns what the store holds, and the checksums of its frames.

    written: the results of the plan's shards, in their order
    unusable: index of a file of the plan -> why it has no frame
    old: the store that is added to
    """
    folder = shards.folder
    manifest = _manifest_of(shards, written, unusable, old)

    # in each shard, its own frames come first; after them come copies of other shards' frames
    content, tables = read_shards(folder, manifest, ["checksums"])
    own_checksums = [
        np.asarray(table)[: shard.frames]
        for shard, (table,) in zip(manifest.shards, tables, strict=True)
    ]
    checksums = np.concatenate(own_checksums)

    # hash the content as a store of one file does, so that the same content has the same hash
    digest = content_hash(manifest.preprocessing, checksums)
    digest.update(content.rows.tobytes())
    digest.update(content.samples.tobytes())
    content = replace(content, content_hash=digest.hexdigest())
    replace(manifest, content_hash=content.content_hash).write(folder)
    _remove_other_shards(folder, manifest)
    return content, checksums


def _manifest_of(
    shards: ShardPlan,
    written: Sequence[WrittenShard],
    unusable: Mapping[int, str],
    old: Store | None,
) -> Manifest:
    """Return a manifest of the old shards, if any, and the new ones, without its content hash.

    Raises UserError if an image that an earlier shard holds, too, has meanwhile changed.

    written, unusable, old: as _complete() takes them
    """
    manifest = Manifest(shards.preprocessing, shards.samples, recordings=(), shards=())
    frames_before = 0
    if old:
        manifest = Manifest.read(shards.folder)
        frames_before = len(old.frames)

    # the numbers of new frames follow those of the old store
    frame_of_file = frame_numbers(len(shards.plan.files), unusable, frames_before)
    added = []
    for block, result in zip(shards.blocks, written, strict=True):
        copied = _copied_frames(block, result, frame_of_file)
        if (copied == NO_FRAME).any():
            raise UserError(
                f"{shards.folder / result.shard.name}: images of this shard changed while they "
                "were read; run the same command with --resume"
            )
        added.append(replace(result.shard, copied=tuple(copied.tolist())))
    return replace(
        manifest,
        recordings=(*manifest.recordings, *shards.plan.recordings),
        shards=(*manifest.shards, *added),
        origin=_joint_origin(written),  # of this conversion alone: --resume recognises it by that
    )


def _copied_frames(block: Block, result: WrittenShard, frame_of_file: IndexArray) -> IndexArray:
    """Return the numbers, in the whole store, of the frames of which a shard holds copies.

    frame_of_file: number of the frame of each file of the plan, (files,)
    """
    copied_files = [
        block.files[index]
        for index in range(block.own_count, len(block.files))
        if index not in result.unusable
    ]
    return frame_of_file[copied_files]


def _remove_other_shards(folder: Location, manifest: Manifest) -> None:
    """Remove shards that a manifest does not name, and temporary files of killed workers."""
    named = {shard.name for shard in manifest.shards}
    with reaching(folder):
        for path in [*folder.glob(SHARD_FILES), *folder.glob(".[0-9]*.partial.h5")]:
            if path.name not in named:
                path.unlink()


def _first_free_number(folder: Location) -> int:
    """Return the number after the last shard that the folder's manifest names, 0 if none does.

    New shards get other numbers than the old store's, which stays whole until they are complete.
    """
    try:
        shards = Manifest.read(folder).shards
    except UserError:  # there is no manifest, or it is damaged and may be overwritten
        return 0
    return max((int(Path(shard.name).stem) for shard in shards), default=-1) + 1
