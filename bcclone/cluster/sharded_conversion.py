"""Convert recordings into a folder of shards, which workers write side by side.

In: `ShardingSettings`. Out: a folder of shards and a `Conversion` that counts it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace

from bcclone.cluster.dask_workers import open_pool
from bcclone.cluster.manifest import MANIFEST_NAME, Manifest
from bcclone.cluster.sharded_store import (
    ShardPlan,
    ShardSettings,
    complete,
    first_free_number,
    joint_origin,
    unusable_files,
    write_shards,
)
from bcclone.cluster.sharding_settings import ShardingSettings
from bcclone.cluster.shards import open_store
from bcclone.dataset import conversion
from bcclone.dataset.conversion import Written
from bcclone.dataset.conversion_plan import ConversionPlan, frame_numbers, refuse_many_skips
from bcclone.dataset.preprocess_settings import Conversion
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.rows import row_frame
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.dataset.samples import assign_validation, count_samples
from bcclone.dataset.store import Store
from bcclone.system import atomic
from bcclone.system.errors import UserError
from bcclone.system.location import Location, as_local, check_writable, is_url, reaching
from bcclone.system.task_pool import TaskPool


def convert(settings: ShardingSettings, notify: Callable[[str], None] = lambda line: None) -> Conversion:
    """Convert recordings to a folder of shards, which its manifest completes.

    notify: called with a line for each log that was read. Raises ForeignLog for a file that is not a driving log, and
    UserError for all other problems that the user can fix.
    """
    return conversion.convert(settings, notify, _Shards(settings, notify))


@dataclass
class _Shards:
    """A folder of shards. cluster: the workers, None for processes of this machine."""

    settings: ShardingSettings
    notify: Callable[[str], None]
    cluster: TaskPool | None = None

    @contextmanager
    def opened(self) -> Iterator[Store | None]:
        settings = self.settings
        with open_store(settings.output) if settings.adding else nullcontext() as old:
            _check_folder(settings)
            # a cluster that does not answer is found before hours of reading logs
            with open_pool(settings.scheduler, notify=self.notify) if settings.scheduler else nullcontext() as pool:
                self.cluster = pool
                yield old

    def write(
        self, preprocessing: Preprocessing, samples: SampleSettings, plan: ConversionPlan, old: Store | None
    ) -> Written:
        shards = ShardSettings(preprocessing, samples, self.settings.shard_mb * 10**6, self.settings.resume)
        return _write_folder(self.settings, shards, plan, old, self.cluster)


def _check_folder(settings: ShardingSettings) -> None:
    """Raise UserError if the output is not a folder of shards that may be completed or replaced."""
    folder, replaceable = settings.output, settings.force or settings.adding or settings.resume
    if is_url(folder):
        check_writable(folder)
    elif not folder.exists():
        atomic.check_output(as_local(folder), False, "")
        return
    with reaching(folder):
        if not folder.exists():
            return
        names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
        shards = {path.name for path in folder.glob("[0-9]*.h5")}
    if others := names - {MANIFEST_NAME} - shards:
        raise UserError(f"{folder} holds other files than a store's, such as {min(others)}; name another -o")
    if MANIFEST_NAME in names and not replaceable:
        raise UserError(f"{folder} exists already; overwrite it with --force, add to it with --add, or name another -o")
    if names and not replaceable:
        raise UserError(
            f"{folder} holds shards of an interrupted run; complete it with --resume, or begin anew with --force"
        )


def _write_folder(
    settings: ShardingSettings,
    shard_settings: ShardSettings,
    plan: ConversionPlan,
    old: Store | None,
    cluster: TaskPool | None,
) -> Written:
    """Write the shards of the plan, side by side, and a manifest that names them after the shards of the old store.

    cluster: the workers, None for processes of this machine.
    """
    folder, samples = settings.output.absolute(), shard_settings.samples
    rows = plan.rows.assign(validation=assign_validation(plan.rows, samples, row_frame(old.rows) if old else None))
    shards = ShardPlan.of(folder, first_free_number(folder), plan, rows, shard_settings)
    if settings.resume and not settings.adding and not settings.force and (folder / MANIFEST_NAME).exists():
        return _complete_already(folder, shards)
    with _made_and_locked(folder), nullcontext(cluster) if cluster else open_pool("", settings.jobs) as pool:
        written = write_shards(shards, pool)
        unusable = unusable_files(shards, written)
        skips = tuple(plan.skip_of(index, reason) for index, reason in unusable.items())
        refuse_many_skips(plan, (*plan.skips, *skips), settings.allow_skips)
        before = Manifest.read(folder) if old else None
        manifest = Manifest(
            shard_settings.preprocessing,
            samples,
            (*(before.recordings if before else ()), *plan.recordings),
            before.shards if before else (),
        )
        frames = frame_numbers(len(plan.files), unusable, len(old.frames) if old else 0)
        content = complete(shards, written, frames, manifest)
    kept = f"{sum(one.was_kept for one in written)} of {len(written)} shards were kept from an interrupted run"
    return replace(
        Written(
            content.rows,
            count_samples(content.samples, content.rows),
            sum(file.count for file in content.frames),
            skips,
        ),
        notices=(kept,) if settings.resume else (),
    )


@contextmanager
def _made_and_locked(folder: Location) -> Iterator[None]:
    """Make a local folder, and lock it against other processes; an object store has neither folders nor locks."""
    if is_url(folder):
        yield
        return
    folder = as_local(folder)
    folder.mkdir(exist_ok=True)
    busy = f"{folder}: another process is writing this store; wait until it ends, or name another -o"
    with atomic.locked(folder, busy):
        yield


def _complete_already(folder: Location, shards: ShardPlan) -> Written:
    """Return what a complete store holds; raises UserError if it was made of something else."""
    if Manifest.read(folder).origin != joint_origin(shards.tasks()):
        raise UserError(
            f"{folder} is a complete store, of other recordings or with other options; overwrite it with --force, add "
            "to it with --add, or name another -o"
        )
    with open_store(folder) as store:
        return replace(Written.unchanged(store), notices=(f"{folder} is complete already",))
