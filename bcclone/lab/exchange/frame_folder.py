"""The format frames: a folder of images, and a table of any form with a row for each of them."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from bcclone.lab.exchange.driven_columns import find_driven, find_times
from bcclone.lab.exchange.exchange_settings import OF_TABLES, ImportSettings
from bcclone.lab.exchange.findings import Findings
from bcclone.lab.exchange.foreign_table import TABLE_ENDINGS, ForeignTable, find_table, no_column, plain, read_foreign
from bcclone.lab.exchange.foreign_units import Times, times_of
from bcclone.lab.exchange.rows import IMAGE_ENDINGS, ExchangedRow, Format, ImageMissing, read_image, row_of
from bcclone.recording.row import CAMERAS, RowError
from bcclone.system.errors import UserError

_IMAGES = 5_000_000  # at most
_LEAST_FOUND = 0.5  # of the first rows, whose image a column must name
_NUMBER = re.compile(r"(\d{1,19})\D*$")  # the last number in a name


def _read(settings: ImportSettings, findings: Findings) -> Iterator[ExchangedRow]:
    """Yield the rows of a table whose image is in the folder; others are counted.

    Raises UserError for a table without steering or images, and where it is not clear which columns these are.
    """
    path = find_table(settings)
    folder = path.parent if settings.source.is_file() else settings.source
    table = read_foreign(path)
    driven = find_driven(table, settings, findings)
    images = _ImageNames(folder)
    cameras = _image_columns(table, images, settings.image_column)
    time_column, times = _times(table, cameras["center"], settings, findings)
    findings.notes.append(f"images: by {', '.join(cameras.values())}")
    read = {*(driven.driving.columns[name].name for name in driven.values), *cameras.values(), time_column}
    findings.columns_left_out = tuple(name for name in table.names if name not in read)
    cells = {camera: table.cells(column) for camera, column in cameras.items()}
    named: set[str] = set()
    for index, (line, _) in enumerate(table.lines):
        place = table.place(line)
        try:
            of_row = {camera: column[index] for camera, column in cells.items()}
            names = {camera: images.find(cell) for camera, cell in of_row.items() if cell or camera == "center"}
            named.update(names.values())
            values = driven.numbers(index) | {"time_ms": times.milliseconds[index]}
            contents = {camera: read_image(folder, name) for camera, name in names.items()}
            row = row_of(values, contents, place, called={"time_ms": "time"})
        except ValueError as error:
            findings.leave_out(place, error)
            continue
        yield row
    findings.images_without_record = len(images) - len(named)


class _ImageNames:
    """The images of a folder and the folders in it, found by path, name, name without ending, or number."""

    def __init__(self, folder: Path) -> None:
        self._paths: set[str] = set()
        for where, _, names in os.walk(folder):
            inner = Path(where).relative_to(folder)
            self._paths.update((inner / name).as_posix() for name in names if name.lower().endswith(IMAGE_ENDINGS))
            if len(self._paths) > _IMAGES:
                raise UserError(f"{folder}: more than {_IMAGES} images; import them in parts")
        paths = [PurePosixPath(path) for path in self._paths]
        self._by_name = _unique((path.name, path) for path in paths)
        self._by_stem = _unique((path.stem, path) for path in paths)
        numbered = ((_NUMBER.search(path.stem), path) for path in paths)
        self._by_number = _unique((str(int(match[1])), path) for match, path in numbered if match)

    def __len__(self) -> int:
        return len(self._paths)

    def find(self, cell: str) -> str:
        """Return the path in the folder of the image that a cell names; raises ImageMissing, RowError for several."""
        name = cell.replace("\\", "/").removeprefix("./")
        if name in self._paths:
            return name
        last = PurePosixPath(name).name
        number = str(int(last)) if last.isdecimal() and len(last) < 20 else ""  # noqa: PLR2004
        for names, key in ((self._by_name, last), (self._by_stem, last), (self._by_number, number)):
            if key in names:
                if names[key] is None:
                    raise RowError(f"several images are called {cell[:60]!r}")
                return str(names[key])
        raise ImageMissing(f"image {cell[:60]!r} is not in the folder" if cell else "it names no image")

    def share_found(self, cells: Sequence[str]) -> float:
        """Return the share of cells that name an image."""
        return sum(map(self._has, cells)) / len(cells)

    def _has(self, cell: str) -> bool:
        try:
            return bool(self.find(cell))
        except RowError as error:
            return not isinstance(error, ImageMissing)


def _unique(pairs: Iterable[tuple[str, PurePosixPath]]) -> dict[str, PurePosixPath | None]:
    """Return key -> path, None for a key of several paths."""
    paths: dict[str, PurePosixPath | None] = {}
    for key, path in pairs:
        paths[key] = None if key in paths else path
    return paths


def _image_columns(table: ForeignTable, images: _ImageNames, asked: str | None) -> Mapping[str, str]:
    """Return camera -> column; raises UserError if none names images, or it is not clear which."""
    option = "--image-column"
    if asked is not None:
        return {"center": table.named(asked, "the images", option)}
    shares = {name: images.share_found(table.first_cells(name)) for name in table.names}
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
        example = table.first_cells(best)[0]
        raise UserError(
            f"{table.path}: no column names images of the folder, which has {len(images)}; expected names with or "
            f"without ending, such as those in column {best[:60]!r}: {example[:60]!r}; name the folder that holds both",
            exit_code=2,
        )
    raise no_column(table.path, "the images", option, naming, "several columns name images")


def _times(table: ForeignTable, column: str, settings: ImportSettings, findings: Findings) -> tuple[str | None, Times]:
    """Return the column that has the times, None for that of the images, and the times of the rows."""
    if found := find_times(table, settings):
        findings.notes.append(f"times: {found[0]}, in {found[1].unit}")
        return found
    times = times_of([_without_ending(cell) for cell in table.cells(column)])
    if times and times.is_since_1970:
        findings.notes.append(f"times: the names of the images, in {times.unit}")
        return None, times
    rate = settings.frame_rate
    findings.notes.append(f"times: none found; counted as {rate:g} frames a second, which --frame-rate changes")
    return None, Times([round(1000 * index / rate) for index in range(len(table.lines))], False, "rows")


def _without_ending(cell: str) -> str:
    """Return the last part of an image's path without its ending; a point in a time is no ending."""
    name = PurePosixPath(cell.replace("\\", "/")).name
    return name.removesuffix(PurePosixPath(name).suffix) if name.lower().endswith(IMAGE_ENDINGS) else name


def _has_frames(path: Path) -> bool:
    """Return whether a path is a table, or a folder with tables or images."""
    names = [each.name for each in path.iterdir()] if path.is_dir() else [path.name] * path.is_file()
    return any(name.lower().endswith(TABLE_ENDINGS + IMAGE_ENDINGS * path.is_dir()) for name in names)


FORMAT = Format(
    "frames",
    _has_frames,
    _read,
    options=OF_TABLES | {"table", "image_column", "time_column", "frame_rate"},
    expected=f"a table ({', '.join(TABLE_ENDINGS)}) beside frames",
)
