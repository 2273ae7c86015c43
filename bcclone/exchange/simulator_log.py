"""The format recording: a log of the simulator -> rows.

It is for recordings whose images have another size than 320x160 pixels: preprocess refuses them.
"""

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.exchanged_row import (
    MISSING,
    LeftOut,
    SourceFacts,
    SourceItem,
    UnusableImage,
)
from bcclone.exchange.formats import Format, rows_of_log
from bcclone.exchange.source_files import file_of, read_image
from bcclone.recording.files import LOG_NAME, ImageIndex
from bcclone.recording.log import read_log
from bcclone.recording.run_tables import SIDECARS
from bcclone.system.errors import UserError


def _read(settings: ImportSettings) -> Generator[SourceItem, None, None]:
    """Yield the rows of a log; those without usable images are left out."""
    path = file_of(settings.source, LOG_NAME)
    log = read_log(path)
    for table in SIDECARS:
        file_of(settings.source, table.name)  # raises UserError for a link out of the folder
    index = ImageIndex(path)
    for bad in log.bad_rows:
        yield LeftOut(f"{path}: line {bad.row}", bad.reason)
    named: list[str] = []  # names of the images that rows name
    for row in rows_of_log(log, index):
        named += [name for name, _ in row.images.values()]
        try:
            images = {
                camera: _content(name, file) for camera, (name, file) in row.images.items() if name
            }
        except ValueError as error:
            yield LeftOut.of(row.place, error)
            continue
        yield replace(row, images=images)
    yield SourceFacts(images_without_record=len(index.orphans(named)))


def _content(name: str, file: str | None) -> bytes:
    """Return the content of an image; raises RowError. A link is followed, as in preprocess."""
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
