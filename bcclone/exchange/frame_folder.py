"""The format frames: a folder of images, and a table of any form with a row for each of them.

The images of several cameras may stand in a column each, or in the rows of one column. Then a
column of few values that take turns, or the paths of the images, say which camera took each.
"""

import itertools
import re
import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from bcclone.exchange.control_columns import read_controls
from bcclone.exchange.exchange_settings import OF_TABLES, ImportSettings
from bcclone.exchange.foreign_table import (
    TABLE_ENDINGS,
    ForeignTable,
    by_camera_in,
    camera_in,
    is_ours,
    no_column,
    plain,
)
from bcclone.exchange.formats import (
    FIELDS,
    IMAGE_ENDINGS,
    MISSING,
    ExchangedRow,
    Format,
    UnusableImage,
    read_image,
    row_of,
)
from bcclone.exchange.left_out import Findings
from bcclone.exchange.table_times import (
    Times,
    check_rate,
    counted,
    find_times,
    is_too_fast,
    times_in_names,
)
from bcclone.recording.files import walk_once
from bcclone.recording.row import CAMERAS, NUMBERS, RowError
from bcclone.system.arrays import FloatArray
from bcclone.system.errors import UserError

_LEAST_SHARE = 0.5  # of the first rows, whose image a column must name
_NUMBER = re.compile(r"(\d{1,19})\D*$")  # the last number in a name
_OPTION = "--image-column"
_FEW_VALUES = 12
_TURNS = 0.2  # share of the rows, in order of time, of another camera than the row before
_FURTHER = {*FIELDS} - {*NUMBERS}  # columns of our export
_DIGITS, _OF_FRAMES = (
    re.compile(r"\d+"),
    re.compile(r"(?<!\d)(?<!cam)(?<!cam_)(?<!camera)(?<!camera_)\d+", re.IGNORECASE),
)
_OF_CAMERA = re.compile(r"cam(era)?_?\d", re.IGNORECASE)
_CAMERA_COLUMN = re.compile(
    r"(^|_)(cameras?|cams?|frame_id|topic)(_|$)"
)  # a plain name of a column


def _read(settings: ImportSettings, findings: Findings) -> Iterator[ExchangedRow]:
    """Yield the rows of a table whose image is in the folder; others are counted.

    Raises UserError for a table without steering or images, and where it is not clear which columns
    these are, or which camera took an image.
    """
    labelled = read_controls(settings, findings)
    table = labelled.table
    folder = table.path.parent if settings.source.is_file() else settings.source
    images = _ImageNames(folder)
    columns, rows = _image_columns(table, images, settings.image_column)
    further = {
        name: cells
        for name, cells in table.cells.items()
        if name in _FURTHER and is_ours(table.cells)
    }
    is_chosen = further or len(columns) > 1 or settings.image_column in table.cells
    stated, at = _instants(table, columns["center"], settings)
    of_camera, frames = (
        ("", {}) if is_chosen else _of_cameras(table, columns["center"], rows, at, stated)
    )
    frames = frames or {
        row: {camera: table.cells[name][row] for camera, name in columns.items()} for row in rows
    }
    if stated and not further:
        check_rate(
            at[list(frames)],
            f"{table.path}: {stated.words}",
            "name another column with --time-column, or ",
        )
    times = stated or counted(range(len(frames)), settings)
    findings.notes += [f"times: {times.words}", f"images: by {', '.join(columns.values())}"]
    findings.notes += [f"cameras: by {of_camera}"] * bool(of_camera)
    findings.columns_left_out = labelled.others(
        *columns.values(), *times.columns, of_camera, *further
    )
    named: set[str] = set()
    for number, (row, cells) in enumerate(frames.items()):
        place = table.place(row)
        with findings.usable(place):
            paths = {c: images.find(cell, c) for c, cell in cells.items() if cell or c == "center"}
            # one picture is of one camera
            paths = {
                c: path for c, path in paths.items() if c == "center" or path != paths["center"]
            }
            named.update(paths.values())
            values: dict[str, Any] = {"time_ms": times.milliseconds[row if stated else number]}
            values |= labelled.numbers(row) | {name: cells[row] for name, cells in further.items()}
            files = {
                camera: folder / path for camera, path in paths.items()
            }  # their folders may be links
            contents = {
                camera: read_image(file.parent.resolve(), file.name)
                for camera, file in files.items()
            }
            yield row_of(values, contents, place, called={"time_ms": "time"})
    findings.images_without_record = len(images) - len(named)


def rows_without_table(settings: ImportSettings, findings: Findings) -> Iterator[ExchangedRow]:
    """Yield a row for each image of a folder, of the centre camera where names say which, in the
    order of times.
    """
    folder = settings.source if settings.source.is_dir() else settings.source.parent
    paths = sorted(
        _ImageNames(folder), key=lambda path: [part.zfill(20) for part in re.split(r"(\d+)", path)]
    )
    paths = [path for path in paths if camera_in(PurePosixPath(path).name) in ("", CAMERAS[0])]
    stems = [PurePosixPath(path).stem for path in paths]
    stated = None if settings.frame_rate else next(times_in_names(stems), None)
    times = stated or counted(range(len(paths)), settings)
    findings.notes.append(f"times: {times.words}")
    for path, time_ms in sorted(
        zip(paths, times.milliseconds, strict=True), key=lambda pair: pair[1] or 0
    ):
        with findings.usable(str(folder / path)):
            image = read_image((folder / path).parent.resolve(), PurePosixPath(path).name)
            yield row_of(
                {"time_ms": time_ms, "steering": 0.0}, {"center": image}, str(folder / path)
            )


def _instants(
    table: ForeignTable, images: str, settings: ImportSettings
) -> tuple[Times | None, FloatArray]:
    """Return the times that a table states, and the place of each row in order of time, by these or
    by its image.

    images: the column of these. The place is NaN where it is unknown.
    """
    names = [cell.replace("\\", "/") for cell in table.cells[images]]
    # a point in a time is no ending
    stems = [
        (PurePosixPath(n).stem if n.lower().endswith(IMAGE_ENDINGS) else PurePosixPath(n).name)
        for n in names
    ]
    times = find_times(table, settings, stems)
    numbers = [int(found[1]) if (found := _NUMBER.search(stem)) else None for stem in stems]
    stated = times if times and times.unit else None
    return stated, np.array(stated.milliseconds if stated else numbers, float)


class _ImageNames:
    """The images of a folder and the folders in it, found by path, name, name without ending, or
    number.
    """

    def __init__(self, folder: Path) -> None:
        self._paths: set[str] = set()
        self._named: defaultdict[tuple[str, str], list[str]] = defaultdict(
            list
        )  # kind of a name, name -> paths
        for where, names in walk_once([str(folder)]):
            inner = Path(where).relative_to(folder)
            self._paths.update(
                (inner / name).as_posix() for name in names if name.lower().endswith(IMAGE_ENDINGS)
            )
        for each in self._paths:
            path = PurePosixPath(each)
            number = _NUMBER.search(path.stem)
            for key in (
                ("name", path.name),
                ("stem", path.stem),
                ("number", str(int(number[1])) if number else ""),
            ):
                self._named[key].append(each)

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def find(self, cell: str, camera: str = "") -> str:
        """Return the path in the folder of the image that a cell names; raises RowError for none
        and for several.

        camera: whose image it is, where folders say so.
        """
        name = cell.replace("\\", "/").removeprefix("./")
        if name in self._paths:
            return name
        last = PurePosixPath(name).name
        number = [("number", str(int(last)))] if last.isdecimal() and len(last) < 20 else []  # noqa: PLR2004
        for key in (("name", last), ("stem", last), *number):
            if paths := self._named.get(key):
                ends = [
                    path
                    for path in paths
                    if f"/{name}".endswith(f"/{path}") or path.endswith(f"/{name}")
                ]
                paths = ends if len(ends) == 1 else paths
                of_camera = (
                    paths
                    if len(paths) == 1
                    else [path for path in paths if camera_in(path) == camera]
                )
                if len(of_camera) == 1:
                    return of_camera[0]
                raise RowError(f"several images are called {cell[:60]!r}")
        raise UnusableImage(
            MISSING, f"image {cell[:60]!r} is not in the folder" if cell else "it names no image"
        )

    def share_named(self, cells: Sequence[str]) -> float:
        """Return the share of cells that name an image, or several."""
        missing = 0
        for cell in cells:
            try:
                self.find(cell)
            except RowError as error:
                missing += isinstance(error, UnusableImage)
        return 1 - missing / len(cells)


def _image_columns(
    table: ForeignTable, images: _ImageNames, asked: str | None
) -> tuple[Mapping[str, str], Sequence[int]]:
    """Return camera -> column, and the rows to read; raises UserError if none names images, or it
    is not clear which.

    asked: a column, or COLUMN=VALUE for the rows with this value in a column, with # for any
    number.
    """
    rows: Sequence[int] = range(len(table.lines))
    name, is_value, value = (asked or "").partition("=")
    if asked is not None and (asked in table.cells or not is_value):
        return {"center": table.named(asked, "the images", _OPTION)}, rows
    if asked is not None:
        cells = table.cells[table.named(name, "the cameras", _OPTION)]
        form = re.compile(re.escape(value).replace(r"\#", r"\d+"))
        rows = [row for row, cell in enumerate(cells) if cell == value or form.fullmatch(cell)]
        if not rows:
            values = list(dict.fromkeys(cells))
            raise no_column(
                table.path,
                "the cameras",
                f"{_OPTION} {name}=VALUE",
                values,
                f"{value[:60]!r} has no row",
            )
    shares = {name: images.share_named(table.first_cells(name)) for name in table.cells}
    naming = [name for name, share in shares.items() if share >= _LEAST_SHARE]
    of_text = [
        name for name in naming if any(not cell.isdecimal() for cell in table.first_cells(name))
    ]
    naming = of_text or naming  # a counter may be the number of an image, too
    images_of = {name: next(filter(None, table.first_cells(name)), "") for name in naming}
    for cameras in (by_camera_in(dict(zip(naming, naming, strict=True))), by_camera_in(images_of)):
        if "center" in cameras and len(naming) > 1:
            return cameras, rows
    if len(naming) == 1:
        return {"center": naming[0]}, rows
    if naming:
        raise no_column(
            table.path, "the images", _OPTION, table.examples(naming), "several columns name images"
        )
    best = max(shares, key=lambda name: shares[name])
    example = table.first_cells(best)[0]
    raise UserError(
        f"{table.path}: no column names images of the folder, which has {len(images)}; expected names with or "
        f"without ending, such as those in column {best[:60]!r}: {example[:60]!r}; name the folder that holds both",
        exit_code=2,
    )


# ---- rows of several cameras


def _of_cameras(
    table: ForeignTable, images: str, rows: Sequence[int], at: FloatArray, stated: Times | None
) -> tuple[str, dict[int, dict[str, str]]]:
    """Return the column that says which camera took an image, and the images of an instant; "" and
    {} for one camera.

    images: the column of these; at: place of each row in order of time, by the times that the table
    states, or others. The images are by the row of the centre camera, and by camera. Raises
    UserError where no camera looks forward, or several do.
    """
    in_time = [rows[index] for index in np.argsort(at[rows], kind="stable")]
    others = {
        name: cells
        for name, cells in table.cells.items()
        if name not in (images, *(stated.columns if stated else ()))
    }
    names = [
        (images, [number.sub("#", cell) for cell in table.cells[images]])
        for number in (_DIGITS, _OF_FRAMES)
    ]
    for name, cells in (*others.items(), *names):
        values = list(dict.fromkeys(cells[row] for row in rows))
        if not 1 < len(values) <= min(_FEW_VALUES, len(rows) // 2):
            continue
        ordered = (
            in_time if len({*at[rows]}) > len(values) else rows
        )  # the last number may be the camera's
        turns = sum(cells[row] != cells[before] for before, row in itertools.pairwise(ordered))
        by_camera, called = (
            by_camera_in({value: value for value in values}),
            list(map(camera_in, values)),
        )
        is_called_so = all(called) or len(by_camera) == len(CAMERAS) or (
            _CAMERA_COLUMN.search(plain(name)) if name in others
            else "other" in called or all(map(_OF_CAMERA.search, values)) or turns == len(rows) - 1
        )  # fmt: skip
        must_be = stated and is_too_fast(at[rows]) and not table.is_numeric(name)
        if turns < _TURNS * (len(rows) - 1) or not (is_called_so or must_be):
            continue
        if "center" not in by_camera:
            raise UserError(
                f"{table.path}: its rows take turns in column {name[:60]!r}, as those of several cameras: "
                f"{', '.join(repr(value[:60])[1:-1] for value in values)}; choose one that looks forward, such as "
                f"{_OPTION} {shlex.quote(f'{name}={values[0]}'[:120])}; if all are of one, name the images' column",
                exit_code=2,
            )
        of_camera = {
            camera: [row for row in ordered if cells[row] == value]
            for camera, value in by_camera.items()
        }
        frames = {row: {"center": table.cells[images][row]} for row in of_camera.pop("center")}
        for camera, side in of_camera.items():
            for row, other in _same_instant(list(frames), side, at, is_timed=stated is not None):
                frames[row][camera] = table.cells[images][other]
        return name, frames
    return "", {}


def _same_instant(
    center: Sequence[int], side: Sequence[int], at: FloatArray, is_timed: bool
) -> Iterable[tuple[int, int]]:
    """Return pairs of a row of the centre camera and one of another camera at the same instant;
    both are in order.

    Times differ by less than half a step; without times, numbers are the same, or both cameras have
    as many rows.
    """
    steps = np.diff(at[center])
    longest = int(np.median(steps[steps > 0]) // 2) if is_timed and np.any(steps > 0) else 0
    left, right = (
        pd.DataFrame({"at": at[rows], name: rows}).dropna()
        for name, rows in (("row", center), ("other", side))
    )
    pairs = (
        pd.merge_asof(left, right, on="at", direction="nearest", tolerance=longest)
        .dropna()
        .astype(int)
    )
    if not is_timed and 2 * len(pairs) < len(center) == len(side):
        return zip(center, side, strict=True)
    return zip(pairs["row"], pairs["other"], strict=True)


def _has_frames(path: Path) -> bool:
    if path.is_dir():
        return any(
            each.name.lower().endswith(TABLE_ENDINGS + IMAGE_ENDINGS) for each in path.iterdir()
        )
    return path.is_file() and path.name.lower().endswith(TABLE_ENDINGS)


FORMAT = Format(
    "frames",
    _has_frames,
    lambda settings, findings: (rows_without_table if settings.steering else _read)(
        settings, findings
    ),
    options=OF_TABLES | {"table", "image_column", "time_column", "frame_rate"},
    expected=f"a table ({', '.join(TABLE_ENDINGS)}) beside frames",
)
