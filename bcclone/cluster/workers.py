"""Determine the workers of a training on several machines, from options or from TF_CONFIG."""

from collections.abc import Mapping
from dataclasses import dataclass

from bcclone.system.codec import explained, parse_json
from bcclone.system.settings import Names, SettingError, check_settings, setting

_EXAMPLE = "host1:2345,host2:2345"
_TF_CONFIG = '{"cluster": {"worker": ["host1:2345", "host2:2345"]}, "task": {"type": "worker", "index": 0}}'
_GROUP = "several machines"
_HIGHEST_PORT = 65_535


@dataclass(frozen=True)
class WorkerSettings:
    """The workers of a training on several machines. workers: HOST:PORT of each, the chief's first."""

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
        for address in self.workers:
            host, _, port = address.rpartition(":")
            if not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) <= _HIGHEST_PORT:
                threads = f"; the threads that load samples are --feed-workers {address}" if address.isdigit() else ""
                raise SettingError(
                    "{workers} {address}, expected HOST:PORT of each worker, such as {example}{threads}",
                    address=repr(address),
                    example=_EXAMPLE,
                    threads=threads,
                )
        if len(set(self.workers)) < self.count:
            raise SettingError("{workers} {all}, expected different addresses", all=",".join(self.workers))
        if bool(self.workers) != (self.worker_index is not None):
            raise SettingError("give both, such as {workers} {example} and {worker_index} 0", example=_EXAMPLE)
        if self.workers and not 0 <= self.index < self.count:
            raise SettingError(
                "{worker_index} {index}, expected 0 to {last}, as {workers} names {count}",
                index=self.index,
                last=self.count - 1,
                count=self.count,
            )

    @property
    def count(self) -> int:
        return len(self.workers)

    @property
    def index(self) -> int:
        """Return the number of this worker; worker 0 is the chief, which decides and writes."""
        return self.worker_index or 0

    def describe(self, index: int) -> str:
        """Return a worker's number and address, as messages name it."""
        return f"worker {index} ({self.workers[index]})"

    def host_and_port(self, index: int) -> tuple[str, int]:
        host, _, port = self.workers[index].rpartition(":")
        return host.strip("[]"), int(port)


def find_workers(settings: WorkerSettings, environment: Mapping[str, str]) -> WorkerSettings | None:
    """Return the workers that train together, from options or else from TF_CONFIG; None for one worker alone.

    TF_CONFIG: JSON, as tf.distribute.cluster_resolver.TFConfigClusterResolver reads it. Raises UserError.
    """
    text = environment.get("TF_CONFIG", "")
    if text and not settings.workers:
        with explained("TF_CONFIG", f"the description of a worker ({text[:200]!r})", f"expected {_TF_CONFIG}"):
            stored = parse_json(text)
            jobs, task = stored["cluster"], stored["task"]
            kind, index = task.get("type", "worker"), int(task["index"])
            chiefs, workers = list(jobs.get("chief", ())), list(jobs.get("worker", ()))
            if set(jobs) - {"chief", "worker"} or kind not in jobs or not chiefs + workers:
                raise ValueError("its jobs must be chief and worker")
            index += len(chiefs) if kind == "worker" else 0
            settings = WorkerSettings(tuple(map(str, chiefs + workers)), index)
    return settings if settings.count > 1 else None
