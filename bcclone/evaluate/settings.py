"""Settings of evaluations; loads neither TensorFlow nor the renderer, so that --help answers at once."""

from dataclasses import dataclass, field

from bcclone.settings import check_settings, setting
from bcclone.simulator.settings import (
    TOP_SPEED_MPH,
    Conditions,
    WorldSettings,
    laps_setting,
    reverse_setting,
    track_setting,
)

SUITE_GROUP = "suite"


@dataclass(frozen=True)
class EvaluateSettings:
    """A drive: the track and its direction, the speed, the disturbances and the appearance of the world."""

    track: str = track_setting()
    reverse: bool = reverse_setting()
    speed_mph: float = setting(
        30.0,
        "speed that the car holds, in mph",
        unit="MPH",
        minimum=0,
        maximum=TOP_SPEED_MPH,
        above_minimum=True,
        option="speed",
    )
    world: WorldSettings = field(default_factory=WorldSettings)
    conditions: Conditions = field(default_factory=Conditions)

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class SuiteSettings:
    """Which scenarios of the suite are driven, and by how many processes.

    rows: names of scenarios, empty for all; preprocess: name of the preprocessing for models that do not store theirs.
    """

    rows: tuple[str, ...] = ()
    laps: float = laps_setting()
    texture_seed: int = setting(0, "seed of the generated textures and plants", minimum=0)
    jobs: int = setting(
        0,
        "with --suite: number of processes that drive in parallel",
        minimum=1,
        maximum=256,
        zero="one per core",
        group=SUITE_GROUP,
    )
    preprocess: str | None = None

    def __post_init__(self) -> None:
        check_settings(self)
