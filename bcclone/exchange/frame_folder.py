"""The format frames: a folder of images, and a table of any form that names them -> rows.

A row whose image is not in the folder is left out. Without a table, for a film whose steering will
be estimated, each image is a row with a steering of 0.
"""

import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from bcclone.exchange.control_table import ControlTable, read_controls
from bcclone.exchange.exchange_settings import OF_TABLES, ImportSettings
from bcclone.exchange.exchanged_row import FIELDS, LeftOut, SourceFacts, SourceItem, row_of
from bcclone.exchange.folder_images import FolderImages, last_number
from bcclone.exchange.foreign_table import TABLE_ENDINGS, ForeignTable
from bcclone.exchange.formats import Format
from bcclone.exchange.image_columns import find_image_columns, with_numbers_of_images
from bcclone.exchange.several_cameras import images_by_instant
from bcclone.exchange.source_files import IMAGE_ENDINGS, read_image
from bcclone.exchange.table_times import check_rate, counted, find_times, times_in_names
from bcclone.exchange.table_words import camera_in, is_ours
from bcclone.exchange.written_times import Times
from bcclone.recording.row import CAMERAS, NUMBERS
from bcclone.system.location import is_hidden
from bcclone.system.numbers import FloatArray

_CENTER = CAMERAS[0]


def _read(settings: ImportSettings) -> Generator[SourceItem, None, None]:
    if settings.steering:
        return _rows_without_table(settings)
    return _rows_of_table(settings)


# ---- without a table


def _rows_without_table(settings: ImportSettings) -> Generator[SourceItem, None, None]:
    """Yield a row for each image of a folder, in the order of times, with a steering of 0.

    Where names say which camera took an image, only those of the centre camera are read.
    """
    folder = settings.source
    if not folder.is_dir():
        folder = folder.parent
    paths = [
        path
        for path in sorted(FolderImages(folder), key=_by_numbers)
        if camera_in(PurePosixPath(path).name) in ("", _CENTER)
    ]
    stated = None
    if not settings.frame_rate:
        stems = [PurePosixPath(path).stem for path in paths]
        stated = next(times_in_names(stems), None)
    times = stated or counted(range(len(paths)), settings)
    timed = zip(paths, times.milliseconds, strict=True)
    in_time = sorted(timed, key=lambda pair: pair[1] or 0)  # no time counts as 0
    for path, time_ms in in_time:
        place = str(folder / path)
        try:
            image = _read_linked(folder / path)
            row = row_of({"time_ms": time_ms, "steering": 0.0}, {_CENTER: image}, place)
        except ValueError as error:
            yield LeftOut.of(place, error)
            continue
        yield row
    yield SourceFacts(notes=[f"times: {times.words}"])


def _by_numbers(path: str) -> list[str]:
    """Return the sort key of a path, in which frame2 comes before frame10."""
    return [part.zfill(20) for part in re.split(r"(\d+)", path)]


def _read_linked(path: Path) -> bytes:
    """Return the content of an image, whose folder may be a link; raises RowError."""
    return read_image(path.parent.resolve(), path.name)


# ---- with a table


def _rows_of_table(settings: ImportSettings) -> Generator[SourceItem, None, None]:
    """Yield the rows of a table; those whose image is not in the folder are left out.

    Raises UserError for a table without steering or image names, and where it is not clear which
    columns hold them, or which camera took an image.
    """
    labelled = read_controls(settings)  # the table with its steering
    table = labelled.table
    yield from table.left_out()
    folder = settings.source
    if folder.is_file():
        folder = table.path.parent
    images = FolderImages(folder)
    frames = _frames_of(labelled, images, settings)

    named: set[str] = set()  # images that rows name
    for row, cells in frames.cells.items():
        place = table.place(row)
        try:
            paths = _paths_of(cells, images)
            named.update(paths.values())
            values: dict[str, Any] = {"time_ms": frames.times[row], **labelled.numbers(row)}
            values |= {name: table.cells[name][row] for name in frames.further}
            contents = {camera: _read_linked(folder / path) for camera, path in paths.items()}
            frame = row_of(values, contents, place, called={"time_ms": "time"})
        except ValueError as error:
            yield LeftOut.of(place, error)
            continue
        yield frame
    yield SourceFacts(
        notes=[*labelled.notes, *frames.notes],
        columns_left_out=frames.columns_left_out,
        images_without_record=len(images) - len(named),
    )


@dataclass(frozen=True)
class _Frames:
    """The rows of a table that become frames of the recording, with images and times."""

    # row of the table -> camera -> cell with the image's name; in the order of the frames
    cells: Mapping[int, Mapping[str, str]]
    times: Mapping[int, int | None]  # row of the table -> time in milliseconds
    # columns that only a table exported by bcclone has, such as episode and x_m; else none
    further: Sequence[str]
    notes: Sequence[str]  # where times, images and cameras are from, in words
    columns_left_out: Sequence[str]  # columns that are not read


def _frames_of(labelled: ControlTable, images: FolderImages, settings: ImportSettings) -> _Frames:
    """Return the frames of a table."""
    table = labelled.table
    columns, rows = find_image_columns(labelled, images, settings.image_column)
    shifted = ""
    if len(columns) == 1:
        may_shift = settings.image_column is None
        table, shifted = with_numbers_of_images(table, images, columns[_CENTER], may_shift)
    further: list[str] = []
    if is_ours(table.cells):
        of_export = set(FIELDS) - set(NUMBERS)
        further = [name for name in table.cells if name in of_export]
    stated, at = _instants(table, columns[_CENTER], settings)

    # either each camera has a column, or one column holds the images of several cameras, whose
    # rows are then grouped by their time or number
    camera_column = ""
    cells: Mapping[int, Mapping[str, str]] = {}
    is_chosen = further or len(columns) > 1 or settings.image_column in table.cells
    if not is_chosen:
        camera_column, cells = images_by_instant(table, columns[_CENTER], rows, at, stated)
    if not cells:
        cells = {
            row: {camera: table.cells[name][row] for camera, name in columns.items()}
            for row in rows
        }

    # the times that the table states, or the numbers of the frames
    if stated and not further:
        remedy = "name another column with --time-column, or "
        check_rate(at[list(cells)], f"{table.path}: {stated.words}", remedy)
    times = stated or counted(range(len(cells)), settings)
    # stated times are of all rows of the table, counted times of the frames alone
    indices = cells if stated else range(len(cells))
    milliseconds = [times.milliseconds[index] for index in indices]
    times_of_rows = dict(zip(cells, milliseconds, strict=True))

    notes = [f"times: {times.words}", f"images: by {', '.join(columns.values())}{shifted}"]
    if camera_column:
        notes.append(f"cameras: by {camera_column}")
    others = labelled.others(*columns.values(), *times.columns, camera_column, *further)
    return _Frames(cells, times_of_rows, further, notes, others)


def _instants(
    table: ForeignTable, image_column: str, settings: ImportSettings
) -> tuple[Times | None, FloatArray]:
    """Return the times that a table states, or None; and for each row, a number to order it by.

    The number, (rows,), is the time in milliseconds, or without stated times the last number in
    the name of the row's image; NaN where it is unknown.
    """
    stems = []
    for cell in table.cells[image_column]:
        path = PurePosixPath(cell.replace("\\", "/"))
        # a name may end with a time such as 12.345, whose point begins no ending of a file
        has_ending = path.name.lower().endswith(IMAGE_ENDINGS)
        stems.append(path.stem if has_ending else path.name)
    times = find_times(table, settings, stems)
    if times and times.unit:
        return times, np.array(times.milliseconds, float)
    numbers = [last_number(stem) for stem in stems]
    return None, np.array(numbers, float)


def _paths_of(cells: Mapping[str, str], images: FolderImages) -> dict[str, str]:
    """Return camera -> path of the image that its cell names; raises RowError for no such image.

    A camera at the side may have an empty cell; it is then left out.
    """
    paths = {
        camera: images.find(cell, camera)
        for camera, cell in cells.items()
        if cell or camera == _CENTER
    }
    # a side camera whose cell names the centre camera's image has no image of its own
    center = paths[_CENTER]
    return {camera: path for camera, path in paths.items() if camera == _CENTER or path != center}


def _has_frames(path: Path) -> bool:
    if path.is_dir():
        endings = TABLE_ENDINGS + IMAGE_ENDINGS
        names = [file.name for file in path.iterdir() if not is_hidden(file.name)]
        return any(name.lower().endswith(endings) for name in names)
    return path.is_file() and path.name.lower().endswith(TABLE_ENDINGS)


FORMAT = Format(
    "frames",
    _has_frames,
    _read,
    options=OF_TABLES | {"table", "image_column", "time_column", "frame_rate"},
    expected=f"a table ({', '.join(TABLE_ENDINGS)}) beside frames",
)
