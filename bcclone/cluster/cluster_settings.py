"""Settings of a store of many shards, and of training on several machines.

The workers of a training are named by options, or by the environment variable TF_CONFIG, which
find_workers() reads. No large package is loaded.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bcclone.dataset.sample_settings import PreprocessSettings
from bcclone.system.codec import explained, parse_json
from bcclone.system.location import Location, is_url, parse_location
from bcclone.system.pool_settings import Jobs, Scheduler, check_one_pool
from bcclone.system.settings import Checked, Megabytes, Names, SettingError, setting

_OF_SHARDS = ("scheduler", "resume", "jobs")  # options with which the output must be a folder
_EXAMPLE = "host1:2345,host2:2345"
_HIGHEST_PORT = 65_535
_shards = partial(setting, group="folder of shards")
_workers = partial(setting, group="several machines")


@dataclass(frozen=True)
class ShardingSettings(PreprocessSettings):
    """Which recordings to convert, and into which store: one file, or a folder of shards."""

    output: Location = setting(
        Path("data.h5"),
        "store to write: one file, or a folder of shards if the name has no ending such as .h5; "
        "the folder may be at a URL such as s3://BUCKET/STORE",
        unit="PATH",
        parse=parse_location,
    )
    resume: bool = setting(
        False,
        "keep the shards that an interrupted run has left in the folder, and write the others",
    )
    scheduler: Scheduler = _shards("")
    jobs: Jobs = _shards(0)
    shard_mb: Megabytes = _shards(256, "size of the frames of a shard, about")

    def validate(self) -> None:
        super().validate()
        if is_url(self.output) and self.output.suffix:
            raise SettingError(
                "{output} {path}: one file is written to a local path; name a folder of shards, "
                "without {suffix}, or a local path",
                path=self.output,
                suffix=self.output.suffix,
            )
        option = next((name for name in _OF_SHARDS if getattr(self, name)), None)
        if option and not is_sharded(self.output):
            text = (
                "{OPTION} writes a folder of shards, and {output} {path} is one file; "
                "name one without {suffix}"
            )
            # SettingError replaces {resume}, for example, by the name of this setting
            raise SettingError(
                text.replace("OPTION", option), path=self.output, suffix=self.output.suffix
            )
        check_one_pool(self.scheduler, self.jobs)


def is_sharded(output: Location) -> bool:
    """Return whether an output is, or becomes, a folder of shards, and not one file."""
    if is_url(output) or output.is_dir():
        return True
    return not output.suffix and not output.exists()


@dataclass(frozen=True)
class WorkerSettings(Checked):
    """The workers of a training on several machines. Worker 0 is the chief."""

    workers: Names = _workers(
        (),
        "train on several machines, one worker on each: the addresses of all workers, the same on "
        "every one; worker 0 writes the model",
        unit="HOST:PORT,...",
        shown="those of TF_CONFIG, else one machine alone",
    )
    worker_index: int | None = _workers(
        None, "number of this worker in --workers, from 0", shown="that of TF_CONFIG"
    )

    def validate(self) -> None:
        for address in self.workers:
            host, _, port = address.rpartition(":")
            if not host or not port.isdecimal() or not 0 < int(port) <= _HIGHEST_PORT:
                # whoever gives a number, such as --workers 4, means the threads of --feed-workers
                raise SettingError(
                    "{workers} {address}, expected HOST:PORT of each worker, such as {example}; "
                    "the threads that load samples are --feed-workers",
                    address=repr(address),
                    example=_EXAMPLE,
                )
        if len(set(self.workers)) < self.count:
            raise SettingError(
                "{workers} {all}, expected different addresses", all=",".join(self.workers)
            )
        if bool(self.workers) != (self.worker_index is not None):
            raise SettingError(
                "give both, such as {workers} {example} and {worker_index} 0", example=_EXAMPLE
            )
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
        """Return the number of this worker; 0 is the chief, which decides and writes."""
        return self.worker_index or 0

    def describe(self, index: int) -> str:
        """Return a worker's number and address, as messages name it."""
        return f"worker {index} ({self.workers[index]})"

    def host_and_port(self, index: int) -> tuple[str, int]:
        host, _, port = self.workers[index].rpartition(":")
        return host, int(port)


_TF_CONFIG = (  # example for messages
    '{"cluster": {"worker": ["host1:2345", "host2:2345"]}, "task": {"type": "worker", "index": 0}}'
)


def find_workers(settings: WorkerSettings, environment: Mapping[str, str]) -> WorkerSettings | None:
    """Return the workers that train together, None for one worker alone.

    Options name them, or else TF_CONFIG. Raises UserError for a TF_CONFIG of another form.

    environment: variables of the environment
    """
    text = environment.get("TF_CONFIG", "")
    if text and not settings.workers:
        what = f"the description of a worker ({text[:200]!r})"
        with explained("TF_CONFIG", what, f"expected {_TF_CONFIG}"):
            settings = _workers_of(text)
    return settings if settings.count > 1 else None


def _workers_of(text: str) -> WorkerSettings:
    """Return the workers that TF_CONFIG names, as TensorFlow's TFConfigClusterResolver reads it.

    Raises ValueError, and errors such as KeyError and TypeError for JSON of another form.

    text: JSON, such as _TF_CONFIG
    """
    stored = parse_json(text)
    jobs = stored["cluster"]
    task = stored["task"]
    kind = task.get("type", "worker")
    index = int(task["index"])
    chiefs = list(jobs.get("chief", ()))
    workers = list(jobs.get("worker", ()))
    if set(jobs) - {"chief", "worker"} or kind not in jobs or not chiefs + workers:
        raise ValueError("its jobs must be chief and worker")
    if kind == "worker":  # TensorFlow numbers chiefs and workers apart; here, chiefs come first
        index += len(chiefs)
    return WorkerSettings(tuple(map(str, chiefs + workers)), index)
