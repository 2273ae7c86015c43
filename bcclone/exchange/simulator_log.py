"""The format recording: a log of the simulator with images of another size, which preprocess does
not take.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.formats import (
    MISSING,
    ExchangedRow,
    Format,
    UnusableImage,
    file_of,
    read_image,
    rows_of_log,
)
from bcclone.exchange.left_out import Findings
from bcclone.recording.files import LOG_NAME, ImageIndex
from bcclone.recording.log import read_log
from bcclone.recording.run_tables import SIDECARS
from bcclone.system.errors import UserError


def _read(settings: ImportSettings, findings: Findings) -> Iterator[ExchangedRow]:
    """Yield the rows of a log; those without usable images are counted."""
    log = read_log(path := file_of(settings.source, LOG_NAME))
    for table in SIDECARS:
        file_of(settings.source, table.name)  # none leads out of the folder
    index, named = ImageIndex(path), list[str]()
    for bad in log.bad_rows:
        findings.leave_out(f"{path}: line {bad.row}", bad.reason)
    for row in rows_of_log(log, index):
        with findings.usable(row.place):
            named += (name for name, _ in row.images.values())
            yield replace(
                row,
                images={
                    camera: _content(*image) for camera, image in row.images.items() if image[0]
                },
            )
    findings.images_without_record = len(index.orphans(named))


def _content(name: str, file: str | None) -> bytes:
    """Return the content of an image, also where it is a link, as in preprocess; raises RowError."""
    if file is None:
        raise UnusableImage(MISSING, f"image {name} is missing")
    path = Path(file).resolve()
    return read_image(path.parent, path.name)


def _is_log(source: Path) -> bool:
    try:
        path = file_of(source, LOG_NAME)
        return path.suffix.lower() == ".csv" and path.is_file() and bool(read_log(path).row_count)
    except UserError:
        return False


FORMAT = Format("recording", _is_log, _read, expected=f"a {LOG_NAME} of the simulator")
