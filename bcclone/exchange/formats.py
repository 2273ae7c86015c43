"""What a format is: how its sources are recognized, read into rows, and written.

A `Format` reads the source that `ImportSettings` name and yields its rows (exchanged_row.py). If it
can also write, it takes `ExportedRows` and fills an empty folder with files.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from bcclone.exchange.exchange_settings import IMPORT_FORMATS, ImportSettings
from bcclone.exchange.exchanged_row import ExchangedRow, SourceItem, recorded_row
from bcclone.recording.files import ImageIndex
from bcclone.recording.log import Log
from bcclone.recording.row import CAMERAS
from bcclone.recording.run_tables import BY_MODEL, read_drivers, read_trace
from bcclone.system.errors import require_package
from bcclone.system.process import ProgressBar


@dataclass(frozen=True)
class ExportedRows:
    """Rows to export, each recording in order of time.

    Iterating reads their images, and shows the progress.
    """

    cameras: tuple[str, ...]  # cameras that every row has an image of
    size: tuple[int, int]  # height and width of the images
    rows: Sequence[ExchangedRow]  # images are camera -> path, or index of the frame in a store
    read: Callable[[Any], bytes]  # path or index -> content of the image file
    skipped: Sequence[str]  # a message for each row that is left out

    @property
    def has_drivers(self) -> bool:
        return any(row.driven for row in self.rows)

    @property
    def has_trace(self) -> bool:
        return any(row.point for row in self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[ExchangedRow]:
        with ProgressBar("writing", len(self), "rows") as progress:
            for row in self.rows:
                images = {camera: self.read(image) for camera, image in row.images.items()}
                yield replace(row, images=images)
                progress.advance(1)


@dataclass(frozen=True)
class Format:
    """A format, which one module defines as FORMAT."""

    name: str  # key of IMPORT_FORMATS in exchange_settings
    detect: Callable[[Path], bool]  # whether a path looks like a source in this format
    # yields the rows of the source, and what is to be said of it; closing it closes the source
    read: Callable[[ImportSettings], Generator[SourceItem, None, None]]
    # writes rows into an empty folder; None for a format that is only imported
    write: Callable[[ExportedRows, Path], None] | None = None
    # the package that the format needs, and the extra of bcclone that installs it; None for none
    needs: tuple[str, str] | None = None
    options: frozenset[str] = frozenset()  # names of the settings of tables that the format reads
    expected: str = ""  # what a folder in this format holds, for messages

    def check_package(self) -> None:
        """Raise UserError if the package that the format needs is missing."""
        if self.needs:
            package, extra = self.needs
            require_package(package, f"the format {self.name}", extra)


def format_named(name: str) -> Format:
    module = import_module(f"bcclone.exchange.{IMPORT_FORMATS[name]}")
    format: Format = module.FORMAT
    return format


def rows_of_log(
    log: Log,
    index: ImageIndex,
    cameras: Sequence[str] = CAMERAS,
    recording: int = 0,
    first_episode: int = 0,
) -> Iterator[ExchangedRow]:
    """Yield the rows of a log, without those that edits leave out.

    The images of a row are camera -> (name in the log, path or None for a missing file).

    recording: number of the recording among all that are exported, from 0
    first_episode: number that the recording's first episode gets
    """
    drivers = read_drivers(log.path.parent)
    # a row that drivers.csv does not name was driven by the model
    others = BY_MODEL if drivers else None
    trace = read_trace(log.path.parent)
    for row in log.rows.to_dict("records"):
        images = {camera: (row[camera], index.find(row[camera])) for camera in cameras}
        yield recorded_row(
            row,
            recording,
            images,
            first_episode,
            driven=drivers.get(row["center"], others),
            point=trace.get(row["center"]),
            place=f"{log.path}: line {row['line']}",
        )
