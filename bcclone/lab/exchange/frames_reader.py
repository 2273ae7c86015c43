"""Read the format frames: a folder of images, and a table of any form with a row for each of them."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TypeVar

from bcclone.lab.exchange.driven_columns import find_driving, find_times, is_steering
from bcclone.lab.exchange.exchange_settings import ImportSettings
from bcclone.lab.exchange.findings import Findings
from bcclone.lab.exchange.foreign_table import TABLE_ENDINGS, ForeignTable, plain, read_foreign
from bcclone.lab.exchange.foreign_units import Times, times_of
from bcclone.lab.exchange.rows import IMAGE_ENDINGS, ExchangedRow, ImageMissing, read_image
from bcclone.recording.row import CAMERAS, RowError
from bcclone.system.errors import UserError
from bcclone.system.reading import path_inside

_MOST_IMAGES = 5_000_000
_LEAST_FOUND = 0.5  # of the first rows, whose image a column must name
_DIGITS = re.compile(r"(\d+)\D*$")
_LONGEST_NUMBER = 20  # digits
Key = TypeVar("Key", str, int)


def read(settings: ImportSettings, findings: Findings) -> Iterator[ExchangedRow]:
    """Yield the rows of a table whose image is in the folder; others are counted.

    Raises UserError for a table without steering or images, and where it is not clear which columns these are.
    """
    path = find_table(settings)
    folder = path.parent if settings.source.is_file() else settings.source
    table = read_foreign(path)
    driving = find_driving(table, settings)
    images = ImageNames(folder)
    cameras = _image_columns(table, images, settings)
    times, time_column = _times(table, cameras["center"], images, settings, findings)
    findings.notes.extend((*driving.notes, f"images: by {', '.join(cameras.values())}"))
    used = {*driving.columns, *cameras.values(), time_column}
    findings.columns_left_out = tuple(name for name in table.names if name not in used)
    for line in table.broken:
        findings.leave_out(table.place(line), f"not {len(table.names)} cells, as in the first line")
    cells = {camera: table.cells(column) for camera, column in cameras.items()}
    named: set[str] = set()
    for index, (line, _) in enumerate(table.lines):
        place = table.place(line)
        try:
            names = {
                camera: images.find(of_camera[index])
                for camera, of_camera in cells.items()
                if of_camera[index] or camera == "center"
            }
            named.update(names.values())
            time_ms = times.milliseconds[index]
            if time_ms is None:
                raise RowError("it has no time")
            contents = {camera: read_image(folder, name) for camera, name in names.items()}
            row = ExchangedRow(0, 0, time_ms, contents, *driving.numbers(index), place=place)
        except RowError as error:
            findings.leave_out(place, error)
            continue
        yield row
    findings.images_without_record = len(images) - len(named)


def find_table(settings: ImportSettings) -> Path:
    """Return the table that was named, or the only one with a steering in the folder; raises UserError."""
    if settings.table:
        return settings.table
    source = settings.source
    if source.is_file() and source.suffix.lower() in TABLE_ENDINGS:
        return source
    folder, stem = (source.parent, source.stem) if source.is_file() else (source, None)
    try:
        paths = found_inside(folder, TABLE_ENDINGS, "--table")
    except OSError as error:
        raise UserError(f"{folder}: cannot be read: {error.strerror}; name a folder with a table") from None
    paths = [path for path in paths if path.stem == stem] or paths
    if not paths:
        raise UserError(
            f"{source}: no table ({', '.join(TABLE_ENDINGS)}) with the steering lies beside the pictures; "
            "name one with --table",
            exit_code=2,
        )
    candidates = paths if len(paths) == 1 else [path for path in paths if _has_steering(path, settings)]
    if len(candidates) != 1:
        listed = ", ".join(path.name for path in (candidates or paths)[:20])
        raise UserError(
            f"{source}: which table has the steering? Name it with --table; there are: {listed}", exit_code=2
        )
    return candidates[0]


def found_inside(folder: Path, endings: tuple[str, ...], remedy: str) -> list[Path]:
    """Return a folder's files with one of the endings; raises OSError, UserError for a link out of the folder.

    remedy: how to name one of them.
    """
    paths = sorted(path for path in folder.iterdir() if path.name.lower().endswith(endings))
    for path in paths:
        try:
            path_inside(folder, path.name)
        except ValueError as error:
            raise UserError(f"{path}: {error}; name the one to read with {remedy}", exit_code=2) from None
    return paths


def _has_steering(path: Path, settings: ImportSettings) -> bool:
    try:
        table = read_foreign(path)
    except UserError:
        return False
    return settings.steering_column in table.names or any(is_steering(plain(name)) for name in table.numeric())


class ImageNames:
    """The images of a folder and the folders in it, found by path, name, name without ending, or number."""

    def __init__(self, folder: Path) -> None:
        self._by_path: set[str] = set()
        for where, _, names in os.walk(folder):
            inner = Path(where).relative_to(folder).as_posix()
            self._by_path.update(
                name if inner == "." else f"{inner}/{name}" for name in names if name.lower().endswith(IMAGE_ENDINGS)
            )
            if len(self._by_path) > _MOST_IMAGES:
                raise UserError(f"{folder}: more than {_MOST_IMAGES} images; import them in parts")
        self._by_name = _unique((PurePosixPath(path).name, path) for path in self._by_path)
        self._by_stem = _unique((PurePosixPath(path).stem, path) for path in self._by_path)
        self._by_number = _unique(
            (int(match[1]), path)
            for path in self._by_path
            if (match := _DIGITS.search(PurePosixPath(path).stem)) and len(match[1]) < _LONGEST_NUMBER
        )

    def __len__(self) -> int:
        return len(self._by_path)

    def find(self, cell: str) -> str:
        """Return the path in the folder of the image that a cell names; raises ImageMissing, RowError for several."""
        name = cell.replace("\\", "/").removeprefix("./")
        if name in self._by_path:
            return name
        last = PurePosixPath(name).name
        number = int(last) if last.isdecimal() and len(last) < _LONGEST_NUMBER else None
        for names, key in ((self._by_name, last), (self._by_stem, last), (self._by_number, number)):
            if key in names:
                path = names[key]  # type: ignore[index]
                if path is None:
                    raise RowError(f"several images are called {cell[:60]!r}")
                return path
        raise ImageMissing(f"image {cell[:60]!r} is not in the folder" if cell else "it names no image")

    def holds(self, cell: str) -> bool:
        """Return whether a cell names an image."""
        try:
            return bool(self.find(cell))
        except RowError as error:
            return not isinstance(error, ImageMissing)


def _unique(pairs: Iterable[tuple[Key, str]]) -> dict[Key, str | None]:
    """Return key -> path, None for a key of several paths."""
    paths: dict[Key, str | None] = {}
    for key, path in pairs:
        paths[key] = None if key in paths else path
    return paths


def _image_columns(table: ForeignTable, images: ImageNames, settings: ImportSettings) -> Mapping[str, str]:
    """Return camera -> column; raises UserError if none names images, or it is not clear which."""
    option = "--image-column"
    if settings.image_column is not None:
        column = table.choose(settings.image_column, lambda name: True, "the images", option)
        return {"center": column} if column else {}
    shares = {name: _share_found(table.first_cells(name), images) for name in table.names}
    naming = [name for name in table.names if shares[name] >= _LEAST_FOUND]
    of_text = [name for name in naming if any(not cell.isdecimal() for cell in table.first_cells(name))]
    naming = of_text or naming  # a counter may be the number of an image, too
    cameras = {camera: name for name in naming for camera in CAMERAS if camera in plain(name).split("_")}
    if "center" in cameras:
        return cameras
    if len(naming) == 1:
        return {"center": naming[0]}
    if not naming:
        best = max(shares, key=lambda name: shares[name])
        example = next(iter(table.first_cells(best)), "")
        raise UserError(
            f"{table.path}: no column names images of the folder, which has {len(images)}; expected names with or "
            f"without ending, such as those in column {best[:60]!r}: {example[:60]!r}; name the folder that holds both",
            exit_code=2,
        )
    raise table.no_column("the images", option, naming, "several columns name images")


def _share_found(cells: Sequence[str], images: ImageNames) -> float:
    return sum(map(images.holds, cells)) / len(cells)


def _times(
    table: ForeignTable, column: str, images: ImageNames, settings: ImportSettings, findings: Findings
) -> tuple[Times, str | None]:
    """Return the times of the rows, and the column that has them, if one has."""
    if found := find_times(table, settings):
        findings.notes.append(f"times: {found[0]}, in {found[1].unit}")
        return found[1], found[0]
    times = times_of([_without_ending(cell) for cell in table.cells(column)])
    if times and times.is_since_1970:
        findings.notes.append(f"times: the names of the images, in {times.unit}")
        return times, None
    rate = settings.frame_rate
    findings.notes.append(f"times: none found; counted as {rate:g} frames a second, which --frame-rate changes")
    return Times([round(1000 * index / rate) for index in range(len(table.lines))], False, "rows"), None


def _without_ending(cell: str) -> str:
    """Return the last part of an image's path without its ending; a point in a time is no ending."""
    name = PurePosixPath(cell.replace("\\", "/")).name
    return name.removesuffix(PurePosixPath(name).suffix) if name.lower().endswith(IMAGE_ENDINGS) else name
