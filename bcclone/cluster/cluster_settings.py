"""Settings of a store of many shards."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bcclone.dataset.sample_settings import PreprocessSettings
from bcclone.system.location import Location, is_url, parse_location
from bcclone.system.pool import Jobs, Scheduler, check_one_pool
from bcclone.system.settings import Megabytes, SettingError, setting

_OF_SHARDS = ("scheduler", "resume", "jobs")  # options with which the output must be a folder
_shards = partial(setting, group="folder of shards")


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
