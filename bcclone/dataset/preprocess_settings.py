"""Settings and result of a conversion; loads neither OpenCV nor pandas, so that --help is fast."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bcclone.dataset.sample_settings import SampleSettings
from bcclone.system.errors import number_of
from bcclone.system.location import Location, parse_location, reaching
from bcclone.system.settings import PRESET_NAMES, Preset, SettingError, Size, check_one_size, check_settings, setting

if TYPE_CHECKING:
    from bcclone.dataset.preprocessing import Preprocessing

MOST_SKIPPED = 0.05  # of the rows or of the images


@dataclass(frozen=True)
class PreprocessSettings:
    """Which recordings to convert, and into which store.

    inputs: folders, CSV files or patterns, see recording.find_logs(); size: width and height of the stored images, in
    pixels; preprocess: the name of a preset; preprocessing: a preprocessing of your own; samples: how samples are made
    of the rows, values of SampleSettings by name. The others have their defaults. With add, images and samples are made
    as in the existing store, where they are not set here. validation_recordings, test_recordings: as `inputs`; with the
    first, a new store holds back no blocks of the others.
    """

    inputs: tuple[str, ...]
    output: Location = setting(Path("data.h5"), "store to write: one file", unit="PATH", parse=parse_location)
    force: bool = setting(
        False, "overwrite an existing store; with --add, add to a store of `simulate roads` all the same"
    )
    add: bool = setting(False, "add the recordings to an existing store, with the settings of that store")
    allow_skips: bool = setting(False, "continue even if more than 5 % of the rows or images cannot be used")
    size: Size | None = setting(None, "size of the stored images, N or WIDTHxHEIGHT", shown="128")
    preprocess: Preset | None = setting(
        None,
        "preset of crop, size and colours for the stored images, to fine-tune an older model or to train in grey, "
        "instead of --size",
        shown=PRESET_NAMES[0],
    )
    validation_recordings: tuple[str, ...] = setting(
        (),
        "recording that is the validation set, whole, instead of blocks of the others; repeatable",
        unit="RECORDING",
        option="validation-recording",
    )
    test_recordings: tuple[str, ...] = setting(
        (),
        "recording that no training sees, on which model.py scores the model at the end; repeatable",
        unit="RECORDING",
        option="test-recording",
    )
    preprocessing: "Preprocessing | None" = None
    samples: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.output, str):
            object.__setattr__(self, "output", parse_location(self.output))
        check_settings(self)
        check_one_size(self.preprocess, self.size)
        if self.preprocess and self.preprocessing:
            raise SettingError(
                "{preprocess} {name} and {preprocessing} are both set; leave one out", name=self.preprocess
            )
        if unknown := set(self.samples) - {each.name for each in fields(SampleSettings)}:
            raise ValueError(f"samples have no setting {min(unknown)!r}; expected fields of SampleSettings")
        SampleSettings(**self.samples)
        if self.validation_recordings and "validation" in self.samples:
            raise SettingError("{validation_recordings} are the validation set, whole; leave out {validation}")

    @property
    def adding(self) -> bool:
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
    `bcclone edit` leaves out; part: VALIDATION or TEST if the whole recording is, "" if it is split by the settings.
    """

    path: str
    rows: int
    bad_rows: int
    deleted_rows: int = 0
    part: str = ""

    def __str__(self) -> str:
        others = f", and {self.bad_rows} bad ones" if self.bad_rows else ""
        kept = f", all of them for {self.part}" if self.part else ""
        return f"{self.path}: {self.rows} rows{others}{kept}" + (
            f"; {self.deleted_rows} deleted ones are left out" if self.deleted_rows else ""
        )


@dataclass(frozen=True)
class Conversion:
    """The result of a conversion.

    recordings, rows, episodes, frames, train, validation, test: counts of the whole store, the last three of samples;
    logs: the logs that were read; skips: rows and images that were left out; notices: warnings; split_pairs:
    number of samples left out because the split puts their frame on one side and their steering on the other.
    """

    recordings: int
    rows: int
    episodes: int
    frames: int
    train: int
    validation: int
    test: int
    split_pairs: int
    skips: tuple[Skip, ...]
    notices: tuple[str, ...]
    logs: tuple[LogRead, ...]
    seconds: float
    output: Location

    def as_json(self) -> dict[str, Any]:
        return {
            "recordings": self.recordings,
            "rows": self.rows,
            "episodes": self.episodes,
            "frames": self.frames,
            "logs": [asdict(log) for log in self.logs],
            "samples": {"train": self.train, "validation": self.validation, "test": self.test},
            "torn": self.split_pairs,
            "skipped": len(self.skips),
            "seconds": round(self.seconds, 3),
            "output": str(self.output),
        }

    def as_text(self) -> str:
        """Return the counts in words, and the next command."""
        return (
            f"{self.output}: {number_of(self.recordings, 'recording')}, {self.rows} rows in "
            f"{number_of(self.episodes, 'episode')}, {self.frames} frames, {self.train} training, {self.validation} "
            f"validation and {self.test} test samples, {len(self.skips)} skipped, {self.seconds:.1f} s\n"
            f"next: bcclone model {self.output} -o model.h5"
        )
