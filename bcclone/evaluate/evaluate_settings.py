"""The checked settings of evaluations, suites and replays; loads nothing large, so that --help answers at once."""

from dataclasses import dataclass, field
from pathlib import Path

from bcclone.drive.controller import WHEN_UNCERTAIN, SpeedSettings
from bcclone.simulator.world_settings import (
    TOP_SPEED_MPH,
    Conditions,
    WorldSettings,
    laps_setting,
    reverse_setting,
    texture_seed_setting,
    track_setting,
)
from bcclone.system.settings import (
    SettingError,
    check_one_pool,
    check_settings,
    jobs_setting,
    names_in_group,
    preprocess_setting,
    scheduler_setting,
    setting,
    settings_of,
)

SUITE_GROUP = "suite"
SUITES = ("standard", "testing", "roads")
_FARTHEST_M = 5.0  # no useful view can be made from farther away


def check_simulated_speed(speed_mph: float) -> None:
    """Raise SettingError for a speed that the simulated car cannot drive at."""
    if not 0 < speed_mph <= TOP_SPEED_MPH:
        raise SettingError(
            "{speed_mph} {speed}, expected more than 0, up to {top}", speed=f"{speed_mph:g}", top=f"{TOP_SPEED_MPH:g}"
        )


@dataclass(frozen=True)
class EvaluateSettings:
    """Settings of a simulated drive: track, direction, speed, disturbances and appearance of the world.

    speed, world and conditions are values of their own, since each goes as a whole to what is built from it, here and
    in other commands: the driver, the simulated world and the renderer.
    """

    track: str = track_setting()
    reverse: bool = reverse_setting()
    speed: SpeedSettings = SpeedSettings(30.0)
    world: WorldSettings = field(default_factory=WorldSettings)
    conditions: Conditions = field(default_factory=Conditions)
    run_folder: Path | None = setting(
        None,
        "new run folder to record the drive into, with the car's position at each frame, for video.py",
        unit="RUN",
        shown="none",
        option="run",
    )
    in_process: bool = setting(False, "drive without a server: faster, and with the same result each time")
    preprocess: str | None = preprocess_setting()

    def __post_init__(self) -> None:
        check_settings(self)
        check_simulated_speed(self.speed.speed_mph)
        if self.in_process and self.run_folder is not None:
            raise SettingError(
                "{run_folder} {run}: the drive server records a run, and {in_process} has none; leave one of them out",
                run=self.run_folder,
            )


@dataclass(frozen=True)
class SuiteSettings:
    """The scenarios and recordings of a suite, and the processes or the cluster that drive them.

    recordings: folders, logs or patterns, see recording.find_logs(); kept: folder for the results of finished drives.
    """

    rows: tuple[str, ...] = setting(
        (), "with --suite: names of the rows to drive", unit="NAME", shown="all", several=True, group=SUITE_GROUP
    )
    recordings: tuple[str, ...] = setting(
        (),
        "with --suite: also score the models on these recordings, as bcclone replay does",
        unit="RECORDING",
        several=True,
        group=SUITE_GROUP,
    )
    laps: float = laps_setting()
    most_interventions: int = setting(
        0, "end each drive at this intervention", minimum=1, maximum=1000, zero="never", hidden=True
    )
    texture_seed: int = texture_seed_setting()
    jobs: int = jobs_setting("with --suite: number of processes that drive in parallel", SUITE_GROUP)
    scheduler: str = scheduler_setting(
        "with --suite: drive on this Dask cluster, whose workers need models and recordings at the same paths",
        group=SUITE_GROUP,
    )
    suite: str = setting("standard", "scenarios to drive", choices=SUITES, hidden=True)
    kept: Path | None = setting(None, "folder for the results of finished drives", hidden=True)
    track: str = setting("", "road to drive instead of the lake", shown="each row's own", hidden=True)
    preprocess: str | None = preprocess_setting()
    when_uncertain: str = setting(
        WHEN_UNCERTAIN[0], "what the car does while its monitor is uncertain", choices=WHEN_UNCERTAIN, hidden=True
    )

    def __post_init__(self) -> None:
        check_settings(self)
        check_one_pool(self.scheduler, self.jobs)


# fields of SuiteSettings that a single drive does not have, and fields that it has, too
SUITE_ONLY = names_in_group(SuiteSettings, SUITE_GROUP)
SHARED = tuple(each.name for each, _ in settings_of(SuiteSettings) if each.name not in SUITE_ONLY)


def parse_fraction(text: str) -> tuple[float, float]:
    """Return the two fractions of "0.8:1"; raises ValueError for anything else."""
    first, mark, last = text.partition(":")
    try:
        if not mark:
            raise ValueError
        return float(first), float(last)
    except ValueError:
        raise ValueError(f"{text!r}, expected two fractions such as 0.8:1") from None


@dataclass(frozen=True)
class ReplaySettings:
    """Which rows of a recording are replayed, and which deviations count as interventions.

    limits_m: interventions are also counted for these limits, but not if a drive server replays the recording.
    """

    fraction: tuple[float, float] = setting(
        (0.0, 1.0),
        "part of the recording to replay, as two fractions of its rows; 0.8:1 is the last fifth",
        unit="FROM:TO",
        parse=parse_fraction,
        shown="0:1",
    )
    limit_m: float = setting(
        2.0,
        "deviation from the recorded path that counts as an intervention, in metres, or in camera heights where "
        "speeds are estimated; interventions are also counted for 1, 1.5, 2 and 3",
        unit="M",
        minimum=0,
        above_minimum=True,
        maximum=_FARTHEST_M,
        option="limit",
    )
    limits_m: tuple[float, ...] = (1.0, 1.5, 2.0, 3.0)
    preprocess: str | None = preprocess_setting()

    def __post_init__(self) -> None:
        check_settings(self)
        first, last = self.fraction
        if not 0 <= first < last <= 1:
            value = f"{first:g}:{last:g}"
            raise SettingError("{fraction} {value}, expected two fractions of the rows such as 0.8:1", value=value)
        for limit in self.limits_m:
            if not 0 < limit <= _FARTHEST_M:
                raise SettingError(
                    "{limits_m} {limit}, expected more than 0, up to {farthest}",
                    limit=f"{limit:g}",
                    farthest=f"{_FARTHEST_M:g}",
                )

    @property
    def all_limits_m(self) -> tuple[float, ...]:
        """Return all limits in ascending order, each once."""
        return tuple(sorted({self.limit_m, *self.limits_m}))
