"""What a conversion is told, and what it came to."""

from dataclasses import dataclass
from pathlib import Path

from bcclone.images import Preprocessing
from bcclone.sample_settings import SampleSettings


@dataclass(frozen=True)
class PreprocessSettings:
    """What to convert, into what, and how much may be wrong with it."""

    inputs: tuple[str, ...]
    output: Path
    preprocessing: Preprocessing
    samples: SampleSettings
    force: bool = False
    add: bool = False
    allow_skips: bool = False


@dataclass(frozen=True)
class Skip:
    """Something that was left out. row: its number in the file, from 1."""

    file: str
    row: int
    reason: str


@dataclass(frozen=True)
class LogRead:
    """A log that was read. rows: those that can be used, repeated ones too; bad_rows: those that cannot."""

    path: str
    rows: int
    bad_rows: int

    def __str__(self) -> str:
        return f"{self.path}: {self.rows} rows" + (f", and {self.bad_rows} bad ones" if self.bad_rows else "")


@dataclass(frozen=True)
class Conversion:
    """What a conversion made; the counts are those of the whole store, logs are those read this time.

    torn: samples left out because the split puts their frame and their steering on different sides.
    """

    recordings: int
    rows: int
    episodes: int
    frames: int
    train: int
    validation: int
    skips: tuple[Skip, ...]
    notices: tuple[str, ...]
    seconds: float
    output: Path
    logs: tuple[LogRead, ...] = ()
    torn: int = 0
