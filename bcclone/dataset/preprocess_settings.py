"""Settings and result of a conversion; loads neither OpenCV nor pandas, so that --help is fast."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bcclone.dataset.sample_settings import SampleSettings
from bcclone.system.location import Location, is_url, parse_location, reaching
from bcclone.system.settings import (
    PRESET_NAMES,
    check_one_pool,
    check_one_size,
    check_settings,
    jobs_setting,
    preprocess_setting,
    scheduler_setting,
    setting,
    size_setting,
)

if TYPE_CHECKING:
    from bcclone.dataset.images import Preprocessing

_SHARDS = "folder of shards"
_OF_SHARDS = ("scheduler", "resume", "jobs")


@dataclass(frozen=True)
class PreprocessSettings:
    """Which recordings to convert, and into which store.

    inputs: folders, CSV files or patterns, see recording.find_logs(); size: width and height of the stored images, in
    pixels; preprocess: the name of a preset; preprocessing: a preprocessing of your own; samples: how samples are made
    of the rows. With add, the defaults for images and samples are those of the existing store. given: names of the
    fields of `samples` that were given, where the others follow the existing store, too; None for all of them.
    """

    inputs: tuple[str, ...]
    output: Location = setting(
        Path("data.h5"),
        "store to write: one file, or a folder of shards if the name has no ending such as .h5; the folder may be at a "
        "URL such as s3://BUCKET/STORE",
        unit="PATH",
        parse=parse_location,
        short="-o",
    )
    force: bool = setting(
        False, "overwrite an existing store; with --add, add to a store of `simulate roads` all the same"
    )
    add: bool = setting(False, "add the recordings to an existing store, with the settings of that store")
    resume: bool = setting(
        False, "keep the shards that an interrupted run has left in the folder, and write the others"
    )
    allow_skips: bool = setting(False, "continue even if more than 5 % of the rows or images cannot be used")
    size: tuple[int, int] | None = size_setting()
    preprocess: str | None = preprocess_setting(
        "preset of crop, size and colours for the stored images, to fine-tune an older model or to train in grey, "
        "instead of --size",
        shown=PRESET_NAMES[0],
    )
    scheduler: str = scheduler_setting("workers that write shards", _SHARDS)
    jobs: int = jobs_setting("number of processes that write shards, without --scheduler", _SHARDS)
    shard_mb: int = setting(
        256, "size of the frames of a shard, about", unit="MB", minimum=1, maximum=1 << 20, group=_SHARDS
    )
    preprocessing: "Preprocessing | None" = None
    samples: SampleSettings | None = None
    given: frozenset[str] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.output, str):
            object.__setattr__(self, "output", parse_location(self.output))
        check_settings(self)
        if is_url(self.output) and self.output.suffix:
            raise ValueError(
                f"{self.output}: one file is written to a local path; name a folder of shards, without "
                f"{self.output.suffix}, or another -o"
            )
        check_one_size(self.preprocess, self.size)
        if self.preprocess and self.preprocessing:
            raise ValueError(f"preprocess {self.preprocess} and a preprocessing are given; leave one out")
        if not self.is_sharded and (option := next((name for name in _OF_SHARDS if getattr(self, name)), None)):
            raise ValueError(
                f"--{option} writes a folder of shards, and {self.output} is one file; name another -o, without "
                f"{self.output.suffix}"
            )
        check_one_pool(self.scheduler, self.jobs)
        if unknown := (self.given or frozenset()) - {each.name for each in fields(SampleSettings)}:
            raise ValueError(f"samples have no setting {min(unknown)!r}")

    @property
    def is_sharded(self) -> bool:
        """Return True if the store is a folder of shards."""
        return is_url(self.output) or self.output.is_dir() or not (self.output.suffix or self.output.exists())

    @property
    def adding(self) -> bool:
        """Return True if there is a store to add to."""
        with reaching(self.output):
            return self.add and self.output.exists()


@dataclass(frozen=True)
class Skip:
    """A row or image that was left out. row: its number in the file, from 1."""

    file: str
    row: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}, row {self.row}: {self.reason}"


@dataclass(frozen=True)
class LogRead:
    """A log that was read.

    rows: number of usable rows, repeated ones included; bad_rows: number of the others; deleted_rows: of those that
    `bcclone edit` leaves out.
    """

    path: str
    rows: int
    bad_rows: int
    deleted_rows: int = 0

    def __str__(self) -> str:
        others = f", and {self.bad_rows} bad ones" if self.bad_rows else ""
        return f"{self.path}: {self.rows} rows{others}" + (
            f"; {self.deleted_rows} deleted ones are left out" if self.deleted_rows else ""
        )


@dataclass(frozen=True)
class Conversion:
    """The result of a conversion.

    recordings, rows, episodes, frames, train, validation: counts of the whole store, the last two of its samples;
    logs: the logs that were read; skips: rows and images that were left out; notices: warnings; split_pairs:
    number of samples left out because the split puts their frame on one side and their steering on the other.
    """

    recordings: int
    rows: int
    episodes: int
    frames: int
    train: int
    validation: int
    split_pairs: int
    skips: tuple[Skip, ...]
    notices: tuple[str, ...]
    logs: tuple[LogRead, ...]
    seconds: float
    output: Location

    def as_json(self) -> dict[str, Any]:
        """Return the result with the keys of --json."""
        return {
            "recordings": self.recordings,
            "rows": self.rows,
            "episodes": self.episodes,
            "frames": self.frames,
            "logs": [asdict(log) for log in self.logs],
            "samples": {"train": self.train, "validation": self.validation},
            "torn": self.split_pairs,
            "skipped": len(self.skips),
            "seconds": round(self.seconds, 3),
            "output": str(self.output),
        }
