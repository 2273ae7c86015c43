"""What a format is: how its sources are recognized, read into rows, and written."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from bcclone.exchange.exchange_settings import IMPORT_FORMATS, ImportSettings
from bcclone.exchange.exchanged_row import ExchangedRow, recorded_row
from bcclone.exchange.left_out import Findings
from bcclone.recording.files import ImageIndex
from bcclone.recording.log import Log
from bcclone.recording.row import CAMERAS
from bcclone.recording.run_tables import BY_MODEL, read_drivers, read_trace
from bcclone.system.errors import require_package
from bcclone.system.progress import ProgressBar


@dataclass(frozen=True)
class ExportedRows:
    """Rows to export, each recording in order of time.

    Iterating reads their images, and shows the progress.
    """

    cameras: tuple[str, ...]  # of every row
    size: tuple[int, int]  # height and width of the images
    rows: Sequence[ExchangedRow]  # with something that says where an image is, instead of it
    read: Callable[[Any], bytes]  # returns for that the content of an image file
    skipped: Sequence[str]  # a line for each row that is left out

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

    name: str  # as in exchange_settings
    detect: Callable[[Path], bool]  # says whether a path is a source of it
    # yields the rows that can be used, and counts the others
    read: Callable[[ImportSettings, Findings], Iterator[ExchangedRow]]
    # writes rows into an empty folder; None where the format is only imported
    write: Callable[[ExportedRows, Path], None] | None = None
    needs: tuple[str, str] | None = None  # a package, and the extra that installs it
    options: frozenset[str] = frozenset()  # the settings of tables that it reads
    expected: str = ""  # what is in a folder of it, for messages

    def check_package(self) -> None:
        """Raise UserError if the package that it needs is missing."""
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

    Their images are camera -> name and path, None for a missing file. first_episode: the number of
    the recording's first episode.
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
