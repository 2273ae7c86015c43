"""Export recordings or a store in another format, whole or not at all."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bcclone.lab.exchange.exchange_settings import ExportSettings
from bcclone.lab.exchange.row_source import open_source
from bcclone.lab.exchange.rows import ExchangedRow, format_named
from bcclone.system import atomic
from bcclone.system.errors import UserError
from bcclone.system.progress import ProgressBar


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
    start, format = time.monotonic(), format_named(settings.to)
    if format.write is None:
        raise UserError(f"{settings.to}: recordings are not exported in this format")
    atomic.check_new_folder(settings.output)
    format.check_package()
    episodes: set[int] = set()
    recordings: set[int] = set()
    with open_source(settings) as source, ProgressBar(f"writing {settings.output.name}", source.rows, "rows") as bar:

        def counted() -> Iterator[ExchangedRow]:
            for row in source:
                episodes.add(row.episode)
                recordings.add(row.recording)
                yield row
                bar.advance(1)

        with atomic.replacing_folder(settings.output, new=True) as folder:
            format.write(replace(source, read=counted), folder)
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
