"""The format frames: a folder of images, and a table that names them -> rows, and back.

A row whose image is not in the folder is left out. Without a table, for a film whose steering will
be estimated, each image is a row with a steering of 0.

An export has a table.csv, with a line for each row, and the image files as they were recorded. It
is UTF-8, separated by commas, quoted where needed (RFC 4180), with a header and decimal points;
paths are relative to the table and have forward slashes. An unknown value is an empty cell.
"""

import csv
import re
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from bcclone.exchange.controls import numbers_at, read_controls
from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.exchanged_rows import (
    FIELDS,
    WHOLE_NUMBERS,
    Items,
    LeftOut,
    Row,
    Seen,
    row_of,
)
from bcclone.exchange.source_files import (
    IMAGE_ENDINGS,
    FolderImages,
    is_image,
    read_image,
    suffix_of,
)
from bcclone.exchange.table import (
    TABLE_ENDINGS,
    SourceTable,
    camera_of_name,
    plain,
    read_table,
)
from bcclone.exchange.times import counted, no_times, read_times, times_in_names
from bcclone.recording.row import CAMERAS, NUMBERS, camera_of
from bcclone.system.errors import UserError
from bcclone.system.location import is_hidden

TABLE = "table.csv"  # of an export
# its columns: the whole numbers, with which FIELDS begins; the path of each camera's image; all
# other values
COLUMNS = (*WHOLE_NUMBERS, *CAMERAS, *FIELDS[len(WHOLE_NUMBERS) :])
_CENTER = CAMERAS[0]
# usual plain names of a column whose cells name images without their ending
_IMAGES = re.compile(
    "(?:image|img|frame|picture|photo|file)(?:_?(?:id|name|file|path|index|number))?|center|name"
)
_OF_CAMERAS = re.compile("(?:camera|cam|sensor|topic|frame)(?:_(?:id|name))?")
_MOST_CAMERAS = 12  # of a car


def is_image_folder(path: Path) -> bool:
    """Return whether a path is a table, or a folder with a table or with images."""
    if path.is_dir():
        endings = TABLE_ENDINGS + IMAGE_ENDINGS
        names = [file.name for file in path.iterdir() if not is_hidden(file.name)]
        return any(name.lower().endswith(endings) for name in names)
    return path.is_file() and path.name.lower().endswith(TABLE_ENDINGS)


def read_images(settings: ImportSettings, seen: Seen) -> Items:
    """Return the rows of a folder of images: from its table; without a table if the steering is to
    be estimated.
    """
    if settings.steering:
        return _rows_without_table(settings, seen)
    return _rows_of_table(settings, seen)


def _rows_without_table(settings: ImportSettings, seen: Seen) -> Items:
    """Yield a row for each image of a folder, in the order of times, with a steering of 0."""
    folder = settings.source if settings.source.is_dir() else settings.source.parent

    def by_numbers(path: str) -> list[str]:  # frame2 comes before frame10
        return [part.zfill(20) for part in re.split(r"(\d+)", path)]

    paths = sorted(FolderImages(folder, settings.follow_links).paths, key=by_numbers)
    times = times_in_names([PurePosixPath(path).stem for path in paths])
    if settings.frame_rate:
        times = counted(range(len(paths)), settings.frame_rate)
    if times is None:
        raise no_times(folder)
    seen.notes.append(times.words)
    for index in np.argsort(times.milliseconds, kind="stable"):
        place = folder / paths[index]
        try:
            values = {"time_ms": times.of(index), "steering": 0.0}
            image = read_image(folder, paths[index], settings.follow_links)
            row = row_of(values, {_CENTER: image}, str(place))
        except ValueError as error:
            yield LeftOut.of(str(place), error)
            continue
        yield row


# ---- with a table


def _rows_of_table(settings: ImportSettings, seen: Seen) -> Items:
    """Yield the rows of a table; those whose image is not in the folder are left out."""
    table = read_table(settings)
    yield from table.broken
    controls, control_columns = read_controls(table, settings, seen)
    columns = _image_columns(table, settings)
    _refuse_several_cameras(table, columns[_CENTER])
    times = read_times(table, settings, list(map(_stem_of, table.columns[columns[_CENTER]])))
    if times is None:
        raise no_times(table.path)
    seen.notes += [times.words, f"images: by {', '.join(columns.values())}"]
    further: list[str] = []  # columns that only our own export has, such as episode and x_m
    names = set(table.columns)
    # one column may be missing, so either of two pairs tells that the table is ours
    if {"center", "time_ms"} <= names or {"recording", "episode"} <= names:
        further = [name for name in table.columns if name in set(FIELDS) - set(NUMBERS)]
    else:
        times.check_rate(table.path, table.columns[columns[_CENTER]])
    used = {*control_columns.values(), *columns.values(), times.column, *further}
    seen.columns_left_out = [name for name in table.columns if name not in used]

    folder = settings.source if settings.source.is_dir() else table.path.parent
    images = FolderImages(folder, settings.follow_links)
    named: set[str] = set()  # images that rows name
    for row in range(len(table.lines)):
        place = table.place(row)
        try:
            cells = {camera: table.columns[name][row] for camera, name in columns.items()}
            paths = images.of_cameras(cells)
            named.update(paths.values())
            values: dict[str, Any] = {name: table.columns[name][row] for name in further}
            values |= {
                "time_ms": times.of(row),
                **numbers_at(controls, control_columns, table, row),
            }
            contents = {
                camera: read_image(folder, path, settings.follow_links)
                for camera, path in paths.items()
            }
            read_row = row_of(values, contents, place, called={"time_ms": "time"})
        except ValueError as error:
            yield LeftOut.of(place, error)
            continue
        yield replace(read_row, picture=paths.get(_CENTER, ""))
    seen.images_without_record = len(images.paths) - len(named)


def _stem_of(cell: str) -> str:
    """Return the name of an image without folders and ending."""
    path = PurePosixPath(cell.replace("\\", "/"))
    # a name may end with a time such as 12.345, whose point begins no ending of a file
    return path.stem if is_image(cell) else path.name


def _image_columns(table: SourceTable, settings: ImportSettings) -> dict[str, str]:
    """Return camera -> column of the names of its images; raises UserError for none or several.

    It is the column that --image-column names; those called center, left and right; the only one
    whose first filled cell names an image file; or the only one with a usual name.
    """
    option = "--image-column"
    if settings.image_column:
        return {_CENTER: table.find(settings.image_column, "the images", option)}
    firsts = {name: next(filter(None, cells), "") for name, cells in table.columns.items()}
    of_files = [name for name, first in firsts.items() if is_image(first)]
    by_camera: dict[str, str] = {}
    for name in of_files:
        # a column is called like its camera, or its images are, as those of the simulator
        for called in (camera_of_name(name), camera_of(PureWindowsPath(firsts[name]).name)):
            if called:
                by_camera.setdefault(called, name)
    if _CENTER in by_camera:
        return {camera: by_camera[camera] for camera in CAMERAS if camera in by_camera}
    usual = [name for name in table.columns if _IMAGES.fullmatch(plain(name))]
    fitting = of_files or usual
    if len(fitting) > 1:
        fitting = [name for name in fitting if name in usual] or fitting
    if len(fitting) == 1:
        return {_CENTER: fitting[0]}
    reason = "several columns name images" if fitting else "no column names images"
    raise table.no_column("the images", option, reason, fitting)


def _refuse_several_cameras(table: SourceTable, image_column: str) -> None:
    """Raise UserError for a table that has a row for each image, where the images of several
    cameras take turns.

    That is told by the folders and names of the images without their numbers, or by a column that
    is called like cameras.
    """
    for name, cells in table.columns.items():
        if name != image_column and not _OF_CAMERAS.fullmatch(plain(name)):
            continue
        values = [re.sub(r"\d{3,}", "#", cell) for cell in cells if cell]
        different = list(dict.fromkeys(values))
        changes = sum(before != after for before, after in pairwise(values))
        is_in_turns = changes > max(3, 0.2 * len(values))
        if is_in_turns and 1 < len(different) <= min(_MOST_CAMERAS, len(values) // 2):
            raise UserError(
                f"{table.path}: column {name[:60]!r} takes turns, as the rows of several "
                f"cameras do: {', '.join(map(repr, different))[:200]}; write a table with the rows "
                "of one camera, and name it with --table",
                exit_code=2,
            )


# ---- an export


def write_csv(rows: Iterable[Row], folder: Path) -> None:
    """Write the table and the image files into an empty folder."""
    with (folder / TABLE).open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, restval="")
        table.writeheader()
        for index, row in enumerate(rows):
            values = row.values()
            images = Path("images") / str(row.recording)
            (folder / images).mkdir(parents=True, exist_ok=True)
            for camera, image in row.images.items():
                path = images / f"{index:07d}_{camera}{suffix_of(image)}"
                (folder / path).write_bytes(image)
                values[camera] = path.as_posix()
            table.writerow(values)
