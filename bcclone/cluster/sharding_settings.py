"""Settings of a conversion into one file or into a folder of shards; loads no large package, so that --help is fast."""

from dataclasses import dataclass
from pathlib import Path

from bcclone.dataset.preprocess_settings import PreprocessSettings
from bcclone.system.location import Location, is_url, parse_location
from bcclone.system.settings import Jobs, Megabytes, Scheduler, SettingError, check_one_pool, setting

_SHARDS = "folder of shards"
_OF_SHARDS = ("scheduler", "resume", "jobs")


@dataclass(frozen=True)
class ShardingSettings(PreprocessSettings):
    """Which recordings to convert, and into which store: one file, or a folder of shards that workers write."""

    output: Location = setting(
        Path("data.h5"),
        "store to write: one file, or a folder of shards if the name has no ending such as .h5; the folder may be at a "
        "URL such as s3://BUCKET/STORE",
        unit="PATH",
        parse=parse_location,
    )
    resume: bool = setting(
        False, "keep the shards that an interrupted run has left in the folder, and write the others"
    )
    scheduler: Scheduler = setting("", group=_SHARDS)
    jobs: Jobs = setting(0, group=_SHARDS)
    shard_mb: Megabytes = setting(256, "size of the frames of a shard, about", group=_SHARDS)

    def __post_init__(self) -> None:
        super().__post_init__()
        if is_url(self.output) and self.output.suffix:
            raise SettingError(
                "{output} {path}: one file is written to a local path; name a folder of shards, without {suffix}, or a "
                "local path",
                path=self.output,
                suffix=self.output.suffix,
            )
        if not self.is_sharded and (option := next((name for name in _OF_SHARDS if getattr(self, name)), None)):
            raise SettingError(
                f"{{{option}}} writes a folder of shards, and {{output}} {{path}} is one file; name one without "
                "{suffix}",
                path=self.output,
                suffix=self.output.suffix,
            )
        check_one_pool(self.scheduler, self.jobs)

    @property
    def is_sharded(self) -> bool:
        return is_url(self.output) or self.output.is_dir() or not (self.output.suffix or self.output.exists())
