"""Settings of a map of margins; loads nothing large, so that --help answers at once."""

from dataclasses import dataclass
from pathlib import Path

from bcclone.simulator.world_settings import TOP_SPEED_MPH, reverse_setting, track_setting
from bcclone.system.settings import (
    check_one_pool,
    check_settings,
    jobs_setting,
    preprocess_setting,
    scheduler_setting,
    setting,
)


@dataclass(frozen=True)
class MarginSettings:
    """Which road is mapped at which speed, how finely, and how many cars are driven to check the map.

    kept: folder for the finished parts, so that the same command goes on where it was interrupted.
    """

    track: str = track_setting()
    reverse: bool = reverse_setting()
    speed_mph: float = setting(
        20.0, "speed that the car holds, in mph", unit="MPH", minimum=3, maximum=TOP_SPEED_MPH, option="speed"
    )
    fine: bool = setting(
        False, "where cars leave the road, also map each metre, half a metre and 4 degrees: up to ten times as long"
    )
    whole_frames: bool = setting(
        False,
        "render whole frames and compress them, as a drive does, and not at the size that the network sees: some four "
        "times as long",
    )
    check: int = setting(
        0,
        "then drive so many cars from random states from which they should come back, and count those that leave the "
        "road",
        unit="CARS",
        maximum=10_000_000,
        minimum=1,
        zero="none",
    )
    seed: int = setting(0, "seed of the random states of --check", minimum=0, maximum=2**32 - 1)
    preprocess: str | None = preprocess_setting()
    jobs: int = jobs_setting("number of processes that render and predict")
    scheduler: str = scheduler_setting("workers that render and predict, which need the models at the same paths")
    kept: Path | None = setting(None, "folder for the finished parts", hidden=True)

    def __post_init__(self) -> None:
        check_settings(self)
        check_one_pool(self.scheduler, self.jobs)
