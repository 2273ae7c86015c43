"""Settings of the benchmarks; loads nothing large, so that --help answers at once."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bcclone.drive.drive_settings import ASYNC_MODES
from bcclone.system.settings import check_settings, parse_names, setting
from bcclone.train.train_settings import TrainSettings

SYNTHETIC_FRAMES, SYNTHETIC_IMAGES = 40_000, 12_000  # of a synthetic store, and of a synthetic recording


def _refuse_both(settings: Any, source: str) -> None:
    """Raise ValueError if something to measure on is given, and also the size of a synthetic one."""
    if getattr(settings, source) is not None and settings.frames is not None:
        raise ValueError(f"--{source} and --frames exclude each other; leave one out")


def _model() -> Any:
    return setting(None, "model to measure with", unit="PATH", shown="an untrained network, which is as fast")


def _recording() -> Any:
    return setting(None, "driving_log.csv whose frames are sent", unit="PATH", shown="rendered frames")


def _store() -> Any:
    return setting(None, "store to measure on", unit="PATH", shown="a synthetic one")


def _store_frames() -> Any:
    text = "number of distinct frames of the synthetic store"
    return setting(None, text, minimum=60, shown=str(SYNTHETIC_FRAMES))


def rounds_setting(figure: str = "the figures are medians") -> Any:
    """Return the field for the number of rounds. figure: what is reported of them."""
    return setting(3, f"number of rounds; {figure}", minimum=1)


def seconds_setting() -> Any:
    """Return the field for the time of a measurement."""
    return setting(
        4.0,
        "time to measure each loader in a round, after its warm-up, in seconds",
        unit="SECONDS",
        minimum=0,
        maximum=60,
        above_minimum=True,
    )


@dataclass(frozen=True)
class DriveBenchSettings:
    """How fast the drive server answers."""

    rounds: int = setting(2000, "number of requests to each server", minimum=10)
    model: Path | None = _model()
    recording: Path | None = _recording()

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class SoakSettings:
    """Whether the drive server stays as fast and as small for a long time, whatever disturbs it."""

    minutes: float = setting(
        60.0,
        "duration of the drive, in minutes",
        unit="MINUTES",
        minimum=0,
        maximum=100_000,
        above_minimum=True,
        below_maximum=True,
    )
    async_mode: str = setting(ASYNC_MODES[0], "--async-mode of the server", choices=ASYNC_MODES)
    pages: int = setting(0, "pages that watch all the time, with the saliency overlay", minimum=0, maximum=8)
    reconnect_seconds: float = setting(
        0.0,
        "cut the car's connection after this time, while an answer is on its way, and connect again",
        unit="SECONDS",
        minimum=1,
        maximum=1e6,
        zero="never",
        option="reconnect",
    )
    record: Path | None = setting(None, "folder to record the drive in", unit="DIR", shown="nothing is recorded")
    disk_fills: int = setting(
        0,
        "how often the disk of --record is filled for a twelfth of the drive; it must be smaller than 4 GB, so that no "
        "other program suffers",
        minimum=0,
        maximum=3,
    )
    model: Path | None = _model()
    recording: Path | None = _recording()

    def __post_init__(self) -> None:
        check_settings(self)
        if self.disk_fills and self.record is None:
            raise ValueError("--disk-fills fills the disk of a recording; name its folder with --record")


@dataclass(frozen=True)
class PreprocessBenchSettings:
    """How fast a recording becomes a store."""

    frames: int | None = setting(
        None, "number of camera images of the synthetic recording", minimum=3, shown=str(SYNTHETIC_IMAGES)
    )
    recording: Path | None = setting(
        None, "recording to convert: a folder or its log", unit="PATH", shown="a synthetic one"
    )

    def __post_init__(self) -> None:
        check_settings(self)
        _refuse_both(self, "recording")


@dataclass(frozen=True)
class SimulatorBenchSettings:
    """How fast the simulator renders and drives."""

    frames: int = setting(200, "number of frames to render for each measurement", minimum=1)

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class EnvironmentBenchSettings:
    """How many steps a second the environment makes."""

    road: str = setting("lake", "road to drive: lake, mountain, random:SEED, or a .json file of points")
    steps: int = setting(300, "number of steps of each measurement", minimum=10)
    rounds: int = rounds_setting("the figures are those of the best one")

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class FeedsBenchSettings:
    """How fast the feeds, and the loaders that they are compared with, deliver batches.

    only: names of loaders and further measurements, empty for all.
    """

    only: tuple[str, ...] = setting(
        (),
        "measure only these loaders and measurements, separated by commas",
        unit="NAMES",
        parse=parse_names,
        shown="all",
    )
    batch_size: int = setting(
        TrainSettings().batch_size, "batch size of the measurement gpu, which trains", minimum=1, maximum=1 << 16
    )
    store: Path | None = _store()
    frames: int | None = _store_frames()
    shards: int = setting(
        0,
        "also measure the feeds that read a store on a copy of it in this many shards",
        minimum=2,
        maximum=10_000,
        zero="only one file",
    )
    rounds: int = rounds_setting()
    seconds: float = seconds_setting()
    chart: Path | None = setting(
        None,
        "draw the samples per second into this picture, and GPU utilization into a second one with -gpu in its name; "
        "with --only gpu, draw only the utilization",
        unit="PNG",
        shown="none",
    )

    def __post_init__(self) -> None:
        check_settings(self)
        _refuse_both(self, "store")

    def wants(self, name: str) -> bool:
        """Return whether a loader or a further measurement was asked for."""
        return not self.only or name in self.only
