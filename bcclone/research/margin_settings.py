"""The checked settings of `bcclone margin`; nothing large is loaded."""

from dataclasses import dataclass
from pathlib import Path

from bcclone.dataset.preprocessing_text import PreprocessingText
from bcclone.simulator.world_settings import TOP_SPEED_MPH, Reverse, Track
from bcclone.system.pool import Jobs, Scheduler, check_one_pool
from bcclone.system.settings import (
    Checked,
    Mph,
    setting,
)


@dataclass(frozen=True)
class MarginSettings(Checked):
    """Which road is mapped at which speed, and by which processes."""

    # a setting without a help has that of its type
    track: Track = setting("lake")
    reverse: Reverse = setting(False)
    speed_mph: Mph = setting(20.0, "speed that the car holds", 3, TOP_SPEED_MPH, option="speed")
    preprocess: PreprocessingText | None = setting(None)
    jobs: Jobs = setting(0)
    scheduler: Scheduler = setting("")
    # folder for the finished parts, so that the same command continues where it was interrupted
    kept: Path | None = None

    def validate(self) -> None:
        check_one_pool(self.scheduler, self.jobs)
