"""Find the columns of a table that name images -> camera -> column.

A column of text names images if most of its cells do. With a column of numbers this may be chance:
a steering of 0 would name picture 0. So a column of numbers counts only if it can number pictures,
which no control can, and no value that comes back after it has changed.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

from bcclone.exchange.control_table import ControlTable
from bcclone.exchange.folder_images import FolderImages
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
    naming = [name for name in possible if images.share_named(table.first_cells(name)) >= 0.5]
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
        f"name the folder that holds both, or a column of such names with {_OPTION}",
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
