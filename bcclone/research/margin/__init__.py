"""Map the margins of a model: from which states on a road the car comes back to the middle.

A state is a place along the road, an offset from the road's middle, and a turn: the angle between
the car's heading and the road's direction.

Importing this loads nothing large, so that --help answers at once.
"""

from dataclasses import dataclass
from pathlib import Path

from bcclone.dataset.preprocessing_text import PreprocessingText
from bcclone.simulator.world_settings import TOP_SPEED_MPH, Reverse, Track
from bcclone.system.pool import Jobs, Scheduler, check_one_pool
from bcclone.system.settings import Checked, Count, Mph, Seed, setting


@dataclass(frozen=True)
class MarginSettings(Checked):
    """Which road is mapped at which speed, and how many cars are driven to check the map."""

    # a setting without a help has that of its type; the numbers after a help are the smallest and
    # largest value
    track: Track = setting("lake")
    reverse: Reverse = setting(False)
    speed_mph: Mph = setting(20.0, "speed that the car holds", 3, TOP_SPEED_MPH, option="speed")
    check: Count = setting(
        0,
        "then drive so many cars from random states from which they should come back, and count "
        "those that leave the road",
        zero="none",
    )
    seed: Seed = setting(0, "seed of the random states of --check", rare=True)
    preprocess: PreprocessingText | None = setting(None)
    jobs: Jobs = setting(0)
    scheduler: Scheduler = setting("")
    # folder for the finished parts, so that the same command continues where it was interrupted
    kept: Path | None = None

    def validate(self) -> None:
        check_one_pool(self.scheduler, self.jobs)
