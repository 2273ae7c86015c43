"""Frames of several cameras in the rows of one column -> the images of each instant.

Which camera took an image is found from a column with few values that alternate from row to row
("take turns"), such as left, center, right, left, ...; or from the paths of the images.
"""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from bcclone.exchange.foreign_table import ForeignTable
from bcclone.exchange.table_times import is_too_fast
from bcclone.exchange.table_words import by_camera_in, camera_in, plain
from bcclone.exchange.written_times import Times
from bcclone.recording.row import CAMERAS
from bcclone.system.errors import UserError
from bcclone.system.numbers import FloatArray

_CENTER = CAMERAS[0]
_FEW_VALUES = 12  # a column with more different values does not tell the camera
# smallest share of the rows, in order of time, whose value must differ from that of the row before
_TURNS = 0.2


@dataclass(frozen=True)
class _Turns:
    """A column whose values take turns, as cameras do."""

    name: str
    cells: Sequence[str]
    values: Sequence[str]  # the different values, each once
    ordered: Sequence[int]  # the rows, in order of time where it is known

    def count_changes(self) -> int:
        """Return how many rows have another value than the row before."""
        return sum(self.cells[row] != self.cells[before] for before, row in pairwise(self.ordered))

    def rows_of(self, value: str) -> list[int]:
        return [row for row in self.ordered if self.cells[row] == value]


def images_by_instant(
    table: ForeignTable,
    image_column: str,
    rows: Sequence[int],
    at: FloatArray,
    stated: Times | None,
) -> tuple[str, Mapping[int, Mapping[str, str]]]:
    """Return the column that says which camera took an image, and the images of each instant.

    The images are row of the centre camera -> camera -> cell that names the image. Returns "" and
    {} if all images are of one camera. Raises UserError if no camera looks forward, or several do.

    rows: rows of the table to read
    at: time of each row in milliseconds, or a number in order of time; NaN if unknown, (rows,)
    stated: the times that `at` holds; None if `at` holds numbers of images
    """
    turns = _find_turns(table, image_column, rows, at, stated)
    if turns is None:
        return "", {}
    by_camera = by_camera_in({value: value for value in turns.values})
    if _CENTER not in by_camera:
        raise _no_center(table, turns)
    images = table.cells[image_column]
    frames = {row: {_CENTER: images[row]} for row in turns.rows_of(by_camera.pop(_CENTER))}
    for camera, value in by_camera.items():
        side = turns.rows_of(value)
        for row, other in _same_instant(list(frames), side, at, is_timed=stated is not None):
            frames[row][camera] = images[other]
    return turns.name, frames


def _no_center(table: ForeignTable, turns: _Turns) -> UserError:
    values = ", ".join(repr(value[:60])[1:-1] for value in turns.values)
    example = shlex.quote(f"{turns.name}={turns.values[0]}"[:120])
    return UserError(
        f"{table.path}: its rows take turns in column {turns.name[:60]!r}, as those of several "
        f"cameras: {values}; choose one that looks forward, such as --image-column {example}; if "
        "all are of one, name the images' column",
        exit_code=2,
    )


# ---- which column


def _find_turns(
    table: ForeignTable,
    image_column: str,
    rows: Sequence[int],
    at: FloatArray,
    stated: Times | None,
) -> _Turns | None:
    """Return the column that says which camera took an image, None if all are of one camera."""
    in_time = [rows[index] for index in np.argsort(at[rows], kind="stable")]
    times = set(at[rows])
    for name, cells in _candidates(table, image_column, stated):
        values = list(dict.fromkeys(cells[row] for row in rows))
        if not 1 < len(values) <= min(_FEW_VALUES, len(rows) // 2):
            continue
        # `at` may hold the last numbers in the images' names, and these may number the cameras:
        # then there are only as many as cameras, and they give no order of time
        ordered = in_time if len(times) > len(values) else rows
        turns = _Turns(name, cells, values, ordered)
        if turns.count_changes() < _TURNS * (len(rows) - 1):
            continue
        # one camera cannot take frames so fast
        must_be_several = stated and is_too_fast(at[rows]) and not table.is_numeric(name)
        if must_be_several or _is_called_like_cameras(turns, is_of_images=name == image_column):
            return turns
    return None


def _candidates(
    table: ForeignTable, image_column: str, stated: Times | None
) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield columns that may say which camera took an image, with their cells.

    The last two are the paths of the images: first with # in place of all numbers, then with # in
    place of all numbers but that of a camera, such as cam2.
    """
    used = {image_column}
    if stated:
        used.update(stated.columns)
    for name, cells in table.cells.items():
        if name not in used:
            yield name, cells
    any_number = re.compile(r"\d+")
    of_frames = re.compile(r"(?<!\d)(?<!cam)(?<!cam_)(?<!camera)(?<!camera_)\d+", re.IGNORECASE)
    for number in (any_number, of_frames):
        yield image_column, [number.sub("#", cell) for cell in table.cells[image_column]]


def _is_called_like_cameras(turns: _Turns, is_of_images: bool) -> bool:
    """Return whether a column or its values are called like cameras.

    is_of_images: whether the values are made from the paths of the images
    """
    cameras = [camera_in(value) for value in turns.values]
    by_camera = by_camera_in({value: value for value in turns.values})
    if all(cameras) or len(by_camera) == len(CAMERAS):
        return True
    if not is_of_images:
        named = re.compile(r"(^|_)(cameras?|cams?|frame_id|topic)(_|$)")
        return named.search(plain(turns.name)) is not None
    numbered = re.compile(r"cam(era)?_?\d", re.IGNORECASE)
    are_numbered = all(numbered.search(value) for value in turns.values)
    return "other" in cameras or are_numbered or turns.count_changes() == len(turns.ordered) - 1


# ---- which images belong together


def _same_instant(
    center: Sequence[int], side: Sequence[int], at: FloatArray, is_timed: bool
) -> Iterable[tuple[int, int]]:
    """Return pairs of a row of the centre camera and one of another camera at the same instant.

    Times of a pair differ by at most half the usual step between two frames. Without times, the
    images of a pair have the same number; if few have, and both cameras have as many rows, rows are
    paired in order.

    center, side: rows of the two cameras, in order of time
    at: time or number of each row of the table, see images_by_instant()
    """
    longest = 0
    if is_timed:
        steps = np.diff(at[center])
        steps = steps[steps > 0]
        if len(steps):
            longest = int(np.median(steps) // 2)
    of_center = pd.DataFrame({"at": at[center], "row": center}).dropna()
    of_side = pd.DataFrame({"at": at[side], "other": side}).dropna()
    merged = pd.merge_asof(of_center, of_side, on="at", direction="nearest", tolerance=longest)
    pairs = merged.dropna().astype(int)
    if not is_timed and 2 * len(pairs) < len(center) == len(side):
        return zip(center, side, strict=True)
    return zip(pairs["row"], pairs["other"], strict=True)
