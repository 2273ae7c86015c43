"""What the wings add to the commands of the line; where a wing is missing on the disk, its options are, too."""

import argparse
import os
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bcclone.commands.options import add_settings, chosen
from bcclone.dataset.preprocess_settings import PreprocessSettings

HAS_CLUSTER, HAS_LAB = (find_spec(f"bcclone.{wing}") is not None for wing in ("cluster", "lab"))


def conversion_settings() -> type[PreprocessSettings]:
    """Return the settings of a conversion; with the cluster, those of a folder of shards, too."""
    if not HAS_CLUSTER:
        return PreprocessSettings
    from bcclone.cluster.sharding_settings import ShardingSettings

    return ShardingSettings


def converter() -> Callable[..., Any]:
    """Return the function that converts recordings by these settings."""
    if not HAS_CLUSTER:
        from bcclone.dataset.conversion import convert

        return convert
    from bcclone.cluster.sharded_conversion import convert as convert_into_shards

    return convert_into_shards


def unfinished_shards(output: Any) -> int:
    """Return how many shards an interrupted conversion has left."""
    if not HAS_CLUSTER:
        return 0
    from bcclone.cluster.sharded_store import count_unfinished_shards

    return count_unfinished_shards(output)


def store_opener() -> Callable[..., Any]:
    """Return the function that opens a store of one file, and with the cluster, one of shards."""
    if not HAS_CLUSTER:
        from bcclone.dataset.store import open_if_store

        return open_if_store
    from bcclone.cluster.shards import open_if_store as open_if_any_store

    return open_if_any_store


def pool_opener() -> Callable[..., Any]:
    """Return the function that connects to the workers of a --scheduler, which only the cluster has."""
    from bcclone.cluster.dask_workers import open_pool

    return open_pool


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add the options of a training on several machines."""
    if HAS_CLUSTER:
        from bcclone.cluster.workers import WorkerSettings

        add_settings(parser, WorkerSettings)


def trainers(arguments: argparse.Namespace, gpus: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return run() and resume(): of one device, or with the cluster, of several devices or machines."""
    if HAS_CLUSTER:
        from bcclone.cluster.workers import WorkerSettings, find_cluster

        cluster = find_cluster(chosen(WorkerSettings, arguments), os.environ)
        if cluster or gpus != 1:
            from bcclone.cluster.train_together import resume_together, run_together

            return (
                lambda settings, notify, _: run_together(cluster, settings, notify),
                lambda files, changes, notify, _: resume_together(cluster, files, changes, notify),
            )
    from bcclone.train.run import resume, run

    return run, resume


def add_monitor(parser: argparse.ArgumentParser, only: Sequence[str] = ()) -> None:
    """Add the options of a monitor that watches a drive."""
    if HAS_LAB:
        from bcclone.lab.monitor.monitor_settings import WatchSettings

        add_settings(parser, WatchSettings, only=only)


def monitor_of(arguments: argparse.Namespace) -> tuple[Path | None, dict[str, str]]:
    """Return the monitor that the options name, if any, and the field of SpeedSettings that they set."""
    if not HAS_LAB:
        return None, {}
    from bcclone.lab.monitor.monitor_settings import WatchSettings

    watch = chosen(WatchSettings, arguments)
    return watch.monitor, {"when_uncertain": watch.when_uncertain}


def watch_opener(monitor: Path | None, model: Path) -> Callable[..., Any] | None:
    """Return the function that opens the watch of a drive, None without a monitor."""
    if monitor is None:
        return None
    from bcclone.lab.monitor.monitor_watch import watch_opener as opener_of

    return opener_of(monitor, model)
