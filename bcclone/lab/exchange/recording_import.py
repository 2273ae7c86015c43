"""Import a recording: find out its format, and write it in the simulator's, whole or not at all."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bcclone.lab.exchange import csv_table, lerobot, tub
from bcclone.lab.exchange.exchange_settings import CSV, IMPORT_FORMATS, LEROBOT, TUB, ImportSettings
from bcclone.lab.exchange.recording_folder import write_recordings
from bcclone.lab.exchange.rows import ExchangedRow
from bcclone.system import atomic
from bcclone.system.errors import UserError

_READERS: dict[str, Callable[[Path], Iterator[ExchangedRow]]] = {
    CSV: csv_table.read,
    TUB: tub.read,
    LEROBOT: lerobot.read,
}
_FILES = {CSV: csv_table.TABLE, TUB: tub.MANIFEST, LEROBOT: lerobot.INFO}  # by which a folder is recognised


@dataclass(frozen=True)
class ImportResult:
    """What was imported. recordings: more than one are in the folders 1, 2 and so on of the output.

    deleted: rows that the source marks as deleted, and `bcclone edit` shows as such; converted: images that were not
    JPEGs of 320x160 pixels, and are now.
    """

    output: Path
    format: str
    recordings: int
    rows: int
    deleted: int
    converted: int
    seconds: float


def import_recording(settings: ImportSettings) -> ImportResult:
    """Write a donkeycar tub, a LeRobot data set or our CSV as a recording.

    Raises UserError for a source that cannot be read, a target that is not empty, and a disk that refuses.
    """
    begun = time.monotonic()
    source, output = settings.source, settings.output
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"{output} is not an empty folder; name another -o")
    if not output.absolute().parent.is_dir():
        raise UserError(f"{output}: the folder {output.absolute().parent} does not exist; make it first")
    format = settings.format or _format_of(source)
    with atomic.replacing_folder(output) as folder:
        try:
            written = write_recordings(_READERS[format](source), folder)
        except UserError as error:
            raise UserError(str(error) if str(source) in str(error) else f"{source}: {error}") from None
        if not written:
            raise UserError(f"{source}: it has no rows")
        if len(written) == 1:
            for path in (folder / "1").iterdir():
                path.rename(folder / path.name)
            (folder / "1").rmdir()
    return ImportResult(
        output=output,
        format=format,
        recordings=len(written),
        rows=sum(each.rows for each in written),
        deleted=sum(each.deleted for each in written),
        converted=sum(each.converted for each in written),
        seconds=round(time.monotonic() - begun, 2),
    )


def _format_of(source: Path) -> str:
    if source.is_file() and source.suffix.lower() == ".csv":
        return CSV
    for format, name in _FILES.items():
        if (source / name).is_file():
            return format
    expected = ", ".join(f"{name} ({format})" for format, name in _FILES.items())
    what = "no such file or folder" if not source.exists() else f"none of the formats {', '.join(IMPORT_FORMATS)}"
    raise UserError(f"{source}: {what}; expected a folder with {expected}, or a CSV file", exit_code=2)
