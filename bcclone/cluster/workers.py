"""Determine the workers of a training on several machines, from options or from TF_CONFIG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from bcclone.system.codec import explained, parse_json
from bcclone.system.settings import Names, SettingError, check_settings, setting

_EXAMPLE = "host1:2345,host2:2345"
_TF_CONFIG = '{"cluster": {"worker": ["host1:2345", "host2:2345"]}, "task": {"type": "worker", "index": 0}}'
_GROUP = "several machines"
_HIGHEST_PORT = 65_535


@dataclass(frozen=True)
class WorkerSettings:
    """The workers of a training on several machines, as options name them. workers: HOST:PORT of each."""

    workers: Names = setting(
        (),
        "train on several machines, one worker on each: the addresses of all workers, the same on every one; worker 0 "
        "writes the model",
        unit="HOST:PORT,...",
        shown="those of TF_CONFIG, else one machine alone",
        group=_GROUP,
    )
    worker_index: int | None = setting(
        None, "number of this worker in --workers, from 0", shown="that of TF_CONFIG", group=_GROUP
    )

    def __post_init__(self) -> None:
        check_settings(self)
        Cluster.of(self.workers, self.worker_index)


@dataclass(frozen=True)
class Cluster:
    """The workers of a training. addresses: HOST:PORT of each worker, the chief's first; index: of this worker."""

    addresses: tuple[str, ...]
    index: int

    def __post_init__(self) -> None:
        for address in self.addresses:
            host, _, port = address.rpartition(":")
            if not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) <= _HIGHEST_PORT:
                threads = f"; the threads that load samples are --feed-workers {address}" if address.isdigit() else ""
                raise SettingError(
                    "{workers} {address}, expected HOST:PORT of each worker, such as {example}{threads}",
                    address=repr(address),
                    example=_EXAMPLE,
                    threads=threads,
                )
        if len(set(self.addresses)) < len(self.addresses):
            raise SettingError("{workers} {all}, expected different addresses", all=",".join(self.addresses))
        if not 0 <= self.index < len(self.addresses):
            raise SettingError(
                "{worker_index} {index}, expected 0 to {last}, as {workers} names {count}",
                index=self.index,
                last=len(self.addresses) - 1,
                count=len(self.addresses),
            )

    @classmethod
    def of(cls, workers: Sequence[str], index: int | None) -> Self | None:
        """Return the cluster that options describe, None without options; raises SettingError."""
        if not workers and index is None:
            return None
        cluster = cls(tuple(workers), index or 0) if workers else None
        if cluster is None or index is None:
            raise SettingError("give both, such as {workers} {example} and {worker_index} 0", example=_EXAMPLE)
        return cluster

    @classmethod
    def from_tf_config(cls, text: str) -> Self | None:
        """Return the cluster of TF_CONFIG, None when it has one worker; raises UserError.

        text: JSON, as tf.distribute.cluster_resolver.TFConfigClusterResolver reads it.
        """
        with explained("TF_CONFIG", f"the description of a worker ({text[:200]!r})", f"expected {_TF_CONFIG}"):
            stored = parse_json(text)
            jobs, task = stored["cluster"], stored["task"]
            kind, index = task.get("type", "worker"), int(task["index"])
            chiefs, workers = list(jobs.get("chief", ())), list(jobs.get("worker", ()))
            if set(jobs) - {"chief", "worker"} or kind not in jobs or not chiefs + workers:
                raise ValueError("its jobs must be chief and worker")
            index += len(chiefs) if kind == "worker" else 0
            return cls(tuple(map(str, chiefs + workers)), index) if len(chiefs + workers) > 1 else None

    def __len__(self) -> int:
        return len(self.addresses)

    def describe(self, index: int) -> str:
        """Return a worker's number and address, as messages name it."""
        return f"worker {index} ({self.addresses[index]})"

    def host_and_port(self, index: int) -> tuple[str, int]:
        host, _, port = self.addresses[index].rpartition(":")
        return host.strip("[]"), int(port)


def find_cluster(settings: WorkerSettings, environment: Mapping[str, str]) -> Cluster | None:
    """Return the workers that train together, from options or else from TF_CONFIG; None for one worker alone.

    Raises UserError.
    """
    if cluster := Cluster.of(settings.workers, settings.worker_index):
        return cluster if len(cluster) > 1 else None
    text = environment.get("TF_CONFIG", "")
    return Cluster.from_tf_config(text) if text else None
