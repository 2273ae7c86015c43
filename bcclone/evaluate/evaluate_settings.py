"""Settings of evaluations; loads neither TensorFlow nor the renderer, so that --help answers at once."""

from dataclasses import dataclass, field
from pathlib import Path

from bcclone.lab.monitor.monitor_settings import WatchSettings, monitor_setting
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
    check_one_pool,
    check_settings,
    jobs_setting,
    preprocess_setting,
    scheduler_setting,
    setting,
)

SUITE_GROUP = "suite"
SUITES = ("standard", "testing", "roads")


@dataclass(frozen=True)
class EvaluateSettings:
    """Settings of a simulated drive: track, direction, speed, disturbances and appearance of the world."""

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
    run_folder: Path | None = setting(
        None,
        "new run folder to record the drive into, with the car's position at each frame, for video.py",
        unit="RUN",
        shown="none",
        option="run",
    )
    learned_speed: bool = setting(
        False, "drive as fast as the model has learned, up to --speed; for a model trained to predict the throttle"
    )
    in_process: bool = setting(False, "drive without a server: faster, and with the same result each time")
    preprocess: str | None = preprocess_setting()
    monitor: Path | None = monitor_setting(note="; drives without a server then, in simulated time")
    on_doubt: str = WatchSettings.on_doubt

    def __post_init__(self) -> None:
        check_settings(self)
        WatchSettings(self.monitor, self.on_doubt)
        if self.monitor is not None and self.run_folder is not None:
            raise ValueError("a run is recorded by the drive server, a monitor drives without one; leave --run out")
        if self.in_process and self.run_folder is not None:
            raise ValueError("a run is recorded by the drive server; leave --run or --in-process out")


@dataclass(frozen=True)
class SuiteSettings:
    """Which scenarios of the suite and which recordings are driven, and by how many processes, or on which cluster.

    recordings: folders, logs or patterns, see recording.find_logs(); kept: folder of finished drives.
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
        "with --suite: Dask cluster that drives, whose workers find models and recordings at the same paths",
        group=SUITE_GROUP,
    )
    suite: str = setting("standard", "scenarios to drive", choices=SUITES, hidden=True)
    kept: Path | None = setting(None, "folder in which finished drives are kept", hidden=True)
    track: str = setting("", "road to drive instead of the lake", shown="each row's own", hidden=True)
    preprocess: str | None = preprocess_setting()
    monitor: Path | None = monitor_setting()
    on_doubt: str = WatchSettings.on_doubt

    def __post_init__(self) -> None:
        check_settings(self)
        check_one_pool(self.scheduler, self.jobs)
        WatchSettings(self.monitor, self.on_doubt)
