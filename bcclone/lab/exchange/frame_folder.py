"""The format frames: a folder of images, and a table of any form with a row for each of them."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from bcclone.lab.exchange.control_columns import ControlTable, read_controls
from bcclone.lab.exchange.exchange_settings import OF_TABLES, ImportSettings
from bcclone.lab.exchange.foreign_table import TABLE_ENDINGS, ForeignTable, no_column, plain, times_of
from bcclone.lab.exchange.formats import IMAGE_ENDINGS, MISSING, ExchangedRow, Format, UnusableImage, read_image, row_of
from bcclone.lab.exchange.left_out import Findings
from bcclone.recording.row import CAMERAS, RowError
from bcclone.system.errors import UserError

_LEAST_SHARE = 0.5  # of the first rows, whose image a column must name
_NUMBER = re.compile(r"(\d{1,19})\D*$")  # the last number in a name


def _read(settings: ImportSettings, findings: Findings) -> Iterator[ExchangedRow]:
    """Yield the rows of a table whose image is in the folder; others are counted.

    Raises UserError for a table without steering or images, and where it is not clear which columns these are.
    """
    labelled = read_controls(settings, findings)
    table = labelled.table
    folder = table.path.parent if settings.source.is_file() else settings.source
    images = _ImageNames(folder)
    cameras = _image_columns(table, images, settings.image_column)
    times_ms, words = _times(labelled, cameras["center"], settings)
    findings.notes += [f"times: {words}", f"images: by {', '.join(cameras.values())}"]
    findings.columns_left_out = labelled.others(*cameras.values())
    named: set[str] = set()
    for index, time_ms in enumerate(times_ms):
        place = table.place(index)
        with findings.usable(place):
            cells = {camera: table.cells[column][index] for camera, column in cameras.items()}
            names = {camera: images.find(cell) for camera, cell in cells.items() if cell or camera == "center"}
            named.update(names.values())
            values = labelled.numbers(index) | {"time_ms": time_ms}
            contents = {camera: read_image(folder, name) for camera, name in names.items()}
            yield row_of(values, contents, place, called={"time_ms": "time"})
    findings.images_without_record = len(images) - len(named)


class _ImageNames:
    """The images of a folder and the folders in it, found by path, name, name without ending, or number."""

    def __init__(self, folder: Path) -> None:
        self._paths: set[str] = set()
        self._named: dict[tuple[str, str], str | None] = {}  # kind of a name, name -> path, None for several
        for where, _, names in os.walk(folder):
            inner = Path(where).relative_to(folder)
            self._paths.update((inner / name).as_posix() for name in names if name.lower().endswith(IMAGE_ENDINGS))
        for each in self._paths:
            path = PurePosixPath(each)
            number = _NUMBER.search(path.stem)
            for key in (("name", path.name), ("stem", path.stem), ("number", str(int(number[1])) if number else "")):
                self._named[key] = None if key in self._named else each

    def __len__(self) -> int:
        return len(self._paths)

    def find(self, cell: str) -> str:
        """Return the path in the folder of the image that a cell names; raises RowError for none and for several."""
        name = cell.replace("\\", "/").removeprefix("./")
        if name in self._paths:
            return name
        last = PurePosixPath(name).name
        number = [("number", str(int(last)))] if last.isdecimal() and len(last) < 20 else []  # noqa: PLR2004
        for key in (("name", last), ("stem", last), *number):
            if key in self._named:
                if path := self._named[key]:
                    return path
                raise RowError(f"several images are called {cell[:60]!r}")
        raise UnusableImage(MISSING, f"image {cell[:60]!r} is not in the folder" if cell else "it names no image")

    def share_named(self, cells: Sequence[str]) -> float:
        """Return the share of cells that name an image, or several."""
        missing = 0
        for cell in cells:
            try:
                self.find(cell)
            except RowError as error:
                missing += isinstance(error, UnusableImage)
        return 1 - missing / len(cells)


def _image_columns(table: ForeignTable, images: _ImageNames, asked: str | None) -> Mapping[str, str]:
    """Return camera -> column; raises UserError if none names images, or it is not clear which."""
    option = "--image-column"
    if asked is not None:
        return {"center": table.named(asked, "the images", option)}
    shares = {name: images.share_named(table.first_cells(name)) for name in table.cells}
    naming = [name for name, share in shares.items() if share >= _LEAST_SHARE]
    of_text = [name for name in naming if any(not cell.isdecimal() for cell in table.first_cells(name))]
    naming = of_text or naming  # a counter may be the number of an image, too
    cameras = {camera: name for name in naming for camera in CAMERAS if camera in plain(name).split("_")}
    if "center" in cameras:
        return cameras
    if len(naming) == 1:
        return {"center": naming[0]}
    if naming:
        raise no_column(table.path, "the images", option, naming, "several columns name images")
    best = max(shares, key=lambda name: shares[name])
    example = table.first_cells(best)[0]
    raise UserError(
        f"{table.path}: no column names images of the folder, which has {len(images)}; expected names with or "
        f"without ending, such as those in column {best[:60]!r}: {example[:60]!r}; name the folder that holds both",
        exit_code=2,
    )


def _times(labelled: ControlTable, column: str, settings: ImportSettings) -> tuple[Sequence[int | None], str]:
    """Return the times of the rows in milliseconds, and where they come from. column: that of the images."""
    if times := labelled.times:
        return times.milliseconds, f"{times.column}, in {times.unit}"
    cells = labelled.table.cells[column]
    names = [PurePosixPath(cell.replace("\\", "/")) for cell in cells]
    # a point in a time is no ending
    times = times_of([path.stem if path.name.lower().endswith(IMAGE_ENDINGS) else path.name for path in names])
    if times and times.is_since_1970:
        return times.milliseconds, f"the names of the images, in {times.unit}"
    rate = settings.frame_rate
    counted = [round(1000 * index / rate) for index in range(len(cells))]
    return counted, f"none found; counted as {rate:g} frames a second, which --frame-rate changes"


def _has_frames(path: Path) -> bool:
    names = [each.name for each in path.iterdir()] if path.is_dir() else [path.name] * path.is_file()
    return any(name.lower().endswith(TABLE_ENDINGS + IMAGE_ENDINGS * path.is_dir()) for name in names)


FORMAT = Format(
    "frames",
    _has_frames,
    _read,
    options=OF_TABLES | {"table", "image_column", "time_column", "frame_rate"},
    expected=f"a table ({', '.join(TABLE_ENDINGS)}) beside frames",
)
