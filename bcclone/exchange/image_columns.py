"""Find the columns of a table that name images -> camera -> column.

A column of text names images if most of its cells do. With a column of numbers this may be chance:
a steering of 0 would name picture 0. So a column of numbers counts only if it can number pictures,
which no control can, and no value that comes back after it has changed, or that leaves most of the
pictures without a row.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import PurePosixPath

from bcclone.exchange.control_table import ControlTable
from bcclone.exchange.folder_images import FolderImages, last_number, whole_number_in
from bcclone.exchange.foreign_table import ForeignTable, no_column
from bcclone.exchange.table_words import by_camera_in, is_of_pictures, is_quantity, plain
from bcclone.recording.row import CAMERAS
from bcclone.system.errors import UserError

_OPTION = "--image-column"
_CENTER = CAMERAS[0]


def find_image_columns(
    labelled: ControlTable, images: FolderImages, asked: str | None
) -> tuple[Mapping[str, str], Sequence[int]]:
    """Return camera -> column with the names of its images, and the rows to read.

    Raises UserError if no column names images, or it is not clear which column.

    asked: --image-column: a column; or COLUMN=VALUE, to read only the rows with VALUE in COLUMN,
        where # in VALUE stands for any number; None to find the columns by their values
    """
    table = labelled.table
    rows: Sequence[int] = range(len(table.lines))
    if asked is not None:
        name, equals, value = asked.partition("=")
        if asked in table.cells or not equals:
            return {_CENTER: table.find_column(asked, "the images", _OPTION)}, rows
        rows = _rows_with(table, name, value)

    possible = _possible_columns(labelled)
    naming = [name for name in possible if _names_images(table, images, name)]
    of_text = [name for name in naming if not table.is_numeric(name)]
    if len(of_text) > 1:
        return _columns_of_cameras(table, of_text), rows
    if of_text:
        return {_CENTER: of_text[0]}, rows
    if naming:
        return _columns_of_numbers(table, images, naming), rows
    raise _no_images(table, images, possible or list(table.cells))


def _rows_with(table: ForeignTable, name: str, value: str) -> list[int]:
    """Return the rows with a value in a column; raises UserError if no row has it.

    value: the text of a cell, in which # stands for any number
    """
    cells = table.cells[table.find_column(name, "the cameras", _OPTION)]
    form = re.compile(re.escape(value).replace(r"\#", r"\d+"))
    rows = [row for row, cell in enumerate(cells) if cell == value or form.fullmatch(cell)]
    if not rows:
        option = f"{_OPTION} {name}=VALUE"
        values = list(dict.fromkeys(cells))
        raise no_column(table.path, "the cameras", option, values, f"{value[:60]!r} has no row")
    return rows


def _no_images(table: ForeignTable, images: FolderImages, possible: Sequence[str]) -> UserError:
    """Return the error for a table without a column that names images.

    possible: the columns that may be expected to name some
    """
    best = max(possible, key=lambda name: images.share_named(table.first_cells(name)))
    example = table.first_cells(best)[0]
    return UserError(
        f"{table.path}: no column names images of the folder, which has {len(images)}; expected "
        f"names with or without ending, such as those in column {best[:60]!r}: {example[:60]!r}; "
        f"name the folder that holds both, or a column of such names with {_OPTION}; if the table "
        "has none, add one with the name of each row's image",
        exit_code=2,
    )


# ---- which columns can name images


def _possible_columns(labelled: ControlTable) -> list[str]:
    """Return the columns of text, and those of numbers that can number pictures."""
    table = labelled.table
    controls = {column.name for column in labelled.controls.columns.values()}
    possible = []
    for name in table.cells:
        if not table.is_numeric(name):
            possible.append(name)
        elif name in controls or is_quantity(plain(name)):
            continue
        elif _can_number_pictures(table.first_cells(name)):
            possible.append(name)
    return possible


def _can_number_pictures(cells: Sequence[str]) -> bool:
    """Return whether a column of numbers goes from picture to picture.

    Several successive rows may have the same picture, such as those of several cameras, or of a
    sensor that is faster than the camera; but a picture hardly comes back later, as the value of a
    brake or of a gear does.
    """
    most_rows = 10  # of one picture, in the mean
    most_runs = 1.5  # runs of successive rows with the same number, for each different number
    different = len(set(cells))
    if different < min(len(cells), 2) or len(cells) > most_rows * different:
        return False
    runs = 1 + sum(cell != before for before, cell in pairwise(cells))
    return runs <= most_runs * different


def _names_images(table: ForeignTable, images: FolderImages, name: str) -> bool:
    """Return whether a column names images of the folder.

    Rows that share numbers, such as those of a lap or of a part of the road, name no images if
    these are only a part of the images, and the column is not called like pictures.
    """
    if images.share_named(table.first_cells(name)) < 0.5:
        return False
    cells = table.cells[name]
    are_shared = len(set(cells)) < len(cells)
    if not are_shared or not table.is_numeric(name) or is_of_pictures(plain(name)):
        return True
    named = set(images.named(cells))
    names_several = not named.isdisjoint(cells)  # images of several cameras have the same number
    return names_several or 2 * len(named - {""}) >= len(images)


# ---- numbers that are written, or counted, in another way than those of the images


def with_numbers_of_images(
    table: ForeignTable, images: FolderImages, column: str, may_shift: bool
) -> tuple[ForeignTable, str]:
    """Return a table whose column has the numbers of the images, and a note, or "" for none.

    12.0 becomes 12, or it would be read as a time. If rows count from 1 and as many images from 0,
    or the reverse, nearly all rows would name an image, but that of their neighbour.

    may_shift: whether the numbers may be changed
    """
    cells = [
        cell.partition(".")[0] if whole_number_in(cell) is not None else cell
        for cell in table.cells[column]
    ]
    shift = _shift_to_images(cells, images) if may_shift else 0
    note = ""
    if shift:
        first = min(map(int, cells))
        cells = [str(int(cell) + shift) for cell in cells]
        note = f", which counts from {first}, the images from {first + shift}"
    return replace(table, cells={**table.cells, column: cells}), note


def _shift_to_images(cells: Sequence[str], images: FolderImages) -> int:
    """Return 1 or -1 if numbers that count the rows plus this are those of the images; else 0."""
    of_rows = {whole_number_in(cell) for cell in cells}
    of_images = {last_number(PurePosixPath(path).stem) for path in images}
    if None in of_rows or len(of_images) < len(images):
        return 0
    for shift in (1, -1):
        if of_images == {number + shift for number in of_rows if number is not None}:
            return shift
    return 0


# ---- which of several columns


def _columns_of_cameras(table: ForeignTable, names: Sequence[str]) -> Mapping[str, str]:
    """Return camera -> column, by the names of columns or of their images; raises UserError."""
    examples = {name: next(filter(None, table.first_cells(name)), "") for name in names}
    for texts in ({name: name for name in names}, examples):
        cameras = by_camera_in(texts)
        if _CENTER in cameras:
            return cameras
    raise _several_columns(table, names)


def _columns_of_numbers(
    table: ForeignTable, images: FolderImages, names: Sequence[str]
) -> Mapping[str, str]:
    """Return camera -> column, of columns whose numbers name images.

    Several cameras have columns of their names. Otherwise the column that is called like pictures
    is taken; if that does not decide, the one that names the most different images.

    Raises UserError if several columns are as good, and name different images.
    """
    cameras = by_camera_in({name: name for name in names})
    if _CENTER in cameras and len(cameras) > 1:
        return cameras
    named = {name: images.named(table.first_cells(name)) for name in names}
    ranks = {name: (is_of_pictures(plain(name)), len(set(named[name]))) for name in names}
    best_rank = max(ranks.values())
    best = [name for name in names if ranks[name] == best_rank]
    if any(named[name] != named[best[0]] for name in best):
        raise _several_columns(table, best)
    return {_CENTER: best[0]}


def _several_columns(table: ForeignTable, names: Sequence[str]) -> UserError:
    listed = table.examples(names)
    return no_column(table.path, "the images", _OPTION, listed, "several columns name images")
