"""Export recordings or a store in another format, whole or not at all."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bcclone.lab.exchange import csv_table, lerobot, minari, robomimic, tub
from bcclone.lab.exchange.exchange_settings import CSV, LEROBOT, MINARI, ROBOMIMIC, TUB, ExportSettings
from bcclone.lab.exchange.rows import ExchangedRow, Source
from bcclone.lab.exchange.source import open_source
from bcclone.system import atomic
from bcclone.system.errors import UserError
from bcclone.system.progress import ProgressBar

_WRITERS: dict[str, Callable[[Source, Path, str], None]] = {
    CSV: csv_table.write,
    TUB: tub.write,
    LEROBOT: lerobot.write,
    MINARI: minari.write,
    ROBOMIMIC: robomimic.write,
}


@dataclass(frozen=True)
class ExportResult:
    """What was exported.

    format: its name; size: height and width of the images; skipped: a line for each row that is left out.
    """

    output: Path
    format: str
    rows: int
    episodes: int
    recordings: int
    cameras: tuple[str, ...]
    size: tuple[int, int]
    skipped: tuple[str, ...]
    seconds: float


def export(settings: ExportSettings) -> ExportResult:
    """Write recordings or a store in another format.

    Raises UserError for a source that cannot be read, a target that exists, a missing package, and a disk that refuses.
    """
    start = time.monotonic()
    _check_output(settings)
    if settings.to == LEROBOT:
        lerobot.load_pyarrow()
    episodes: set[int] = set()
    recordings: set[int] = set()
    with open_source(settings) as source, ProgressBar(f"writing {settings.output.name}", source.rows, "rows") as bar:

        def counted() -> Iterator[ExchangedRow]:
            for row in source:
                episodes.add(row.episode)
                recordings.add(row.recording)
                yield row
                bar.advance(1)

        replacing = atomic.replacing if settings.to == ROBOMIMIC else atomic.replacing_folder
        with replacing(settings.output, new=True) as temporary:
            _WRITERS[settings.to](replace(source, read=counted), temporary, settings.output.name)
    return ExportResult(
        output=settings.output,
        format=settings.to,
        rows=source.rows,
        episodes=len(episodes),
        recordings=len(recordings),
        cameras=source.cameras,
        size=source.size,
        skipped=source.skipped,
        seconds=round(time.monotonic() - start, 2),
    )


def _check_output(settings: ExportSettings) -> None:
    output = settings.output
    if settings.to == ROBOMIMIC:
        if output.suffix not in (".hdf5", ".h5"):
            raise UserError(f"{output}: robomimic's data sets are HDF5 files; name an -o that ends in .hdf5")
        atomic.check_output(output, False, "remove it, or name another -o")
    else:
        atomic.check_new_folder(output)
