"""What the wings add to the commands of the line: options, and calls that fall back on the line without the wing."""

import argparse
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from bcclone.commands import HAS_CLUSTER, HAS_LAB
from bcclone.commands.options import add_settings, chosen
from bcclone.dataset.preprocess_settings import Conversion, PreprocessSettings
from bcclone.system.errors import UserError
from bcclone.system.location import Location

if TYPE_CHECKING:  # they load more than --help needs
    from bcclone.dataset.store import Store
    from bcclone.evaluate.watched import WatchFile
    from bcclone.system.progress import Notify
    from bcclone.system.task_pool import TaskPool
    from bcclone.train.worker import Worker


def conversion_settings() -> type[PreprocessSettings]:
    """Return the settings of a conversion; with the cluster, those of a folder of shards, too."""
    if not HAS_CLUSTER:
        return PreprocessSettings
    from bcclone.cluster.sharding_settings import ShardingSettings

    return ShardingSettings


def convert(settings: PreprocessSettings, notify: "Notify") -> Conversion:
    """Convert recordings to a store, by settings of the type that conversion_settings() returns."""
    if HAS_CLUSTER:
        from bcclone.cluster.sharded_conversion import convert as convert_into_shards
        from bcclone.cluster.sharding_settings import ShardingSettings

        if isinstance(settings, ShardingSettings):
            return convert_into_shards(settings, notify)
    from bcclone.dataset.conversion import convert as convert_into_file

    return convert_into_file(settings, notify)


def unfinished_shards(output: Location) -> int:
    """Return how many shards an interrupted conversion has left."""
    if not HAS_CLUSTER:
        return 0
    from bcclone.cluster.sharded_store import count_unfinished_shards

    return count_unfinished_shards(output)


def open_if_store(path: Location) -> "Store | None":
    """Open a store of one file, and with the cluster, one of shards; return None for a recording."""
    if HAS_CLUSTER:
        from bcclone.cluster.shards import open_if_store
    else:
        from bcclone.dataset.store import open_if_store
    return open_if_store(path)


def open_pool(scheduler: str, notify: "Notify") -> "AbstractContextManager[TaskPool | None]":
    """Connect to the workers of a --scheduler, which only the cluster has; give None without one."""
    if not scheduler:
        return nullcontext()
    if not HAS_CLUSTER:
        raise UserError(f"--scheduler {scheduler} needs bcclone.cluster, which is not installed; leave it out")
    from bcclone.cluster import dask_workers

    return dask_workers.open_pool(scheduler, notify=notify)


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add the options of a training on several machines."""
    if HAS_CLUSTER:
        from bcclone.cluster.workers import WorkerSettings

        add_settings(parser, WorkerSettings)


def open_worker(
    arguments: argparse.Namespace, chosen_settings: Mapping[str, Any], notify: "Notify"
) -> "AbstractContextManager[Worker]":
    """Give the worker of a training: alone on one device, or connected with the machines that the options name.

    chosen_settings: those of the training that the user chose, by name.
    """
    if HAS_CLUSTER:
        from bcclone.cluster.workers import WorkerSettings, find_cluster

        cluster = find_cluster(chosen(WorkerSettings, arguments), os.environ)
        if cluster or chosen_settings.get("gpus", 1) != 1:
            from bcclone.cluster import joint_training

            return joint_training.open_worker(cluster, chosen_settings, notify)
    from bcclone.train.worker import Worker

    return nullcontext(Worker())


def add_monitor(parser: argparse.ArgumentParser, only: Sequence[str] = ()) -> None:
    """Add the options of a monitor that watches a drive; --when-uncertain sets the field of SpeedSettings, too."""
    if HAS_LAB:
        from bcclone.lab.monitor.monitor_settings import WatchSettings

        add_settings(parser, WatchSettings, only=only)


def find_watch(arguments: argparse.Namespace) -> "WatchFile | None":
    """Return the monitor that the options name, which is not opened yet; None without one."""
    if not HAS_LAB:
        return None
    from bcclone.lab.monitor.monitor_settings import WatchSettings

    monitor = chosen(WatchSettings, arguments).monitor
    if monitor is None:
        return None
    from bcclone.evaluate.watched import WatchFile
    from bcclone.lab.monitor.monitor_watch import open_watch

    return WatchFile(monitor, open_watch)
