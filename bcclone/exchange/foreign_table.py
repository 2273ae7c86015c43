"""Read a table of any form: a CSV file -> its columns of cells.

The separator is a comma, semicolon, tab or blank. A first line whose cells are of the kinds of
those below it is no header, and its columns are called 1, 2 and so on, or as in a log of the
simulator, whose images they name. Cells that hold an image and something else are divided.
"""

import csv
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path, PureWindowsPath

from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.formats import IMAGE_ENDINGS, files_inside
from bcclone.exchange.left_out import Findings
from bcclone.recording.dialect import COLUMNS, text_of
from bcclone.recording.row import CAMERAS, camera_of
from bcclone.system.codec import explained, kind_of_content, read_bytes
from bcclone.system.errors import UserError

TABLE_ENDINGS = (".csv", ".tsv", ".txt")
_SEPARATORS = ";\t, "  # a comma may be that of decimals
_COLUMNS = 1000  # of a line, at most
_DECIMAL_COMMAS = re.compile(r"(?!.*\d\.\d).*, [-+]?\d+,\d+, ", re.DOTALL)  # that ", " divides
_LOOKED_AT = 200  # rows that decide what a column holds
_NO_STEERING = re.compile(
    r"torque|velocity|speed|accel|driver|override|(^|_)(rate|left|right)(_|$)"
)
_ANGLES = {"angle", "user_angle", "wheel_angle", "angle_deg", "angle_rad"}
_AFTER_IMAGE = "|".join(rf"(?<=\{ending})" for ending in IMAGE_ENDINGS)
_PARTS = re.compile(rf"\s*[;|]\s*|(?:{_AFTER_IMAGE})[\s,]+", re.IGNORECASE)

# a number as Python writes one of NumPy or PyTorch, or with the sign of degrees
_WRAPPED = re.compile(
    r"(?:tensor|array|(?:np\.)?float\d\d)?\(?\[?([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\]?\)?°?"
)
_CAMERAS = re.compile(r"(?:^|_)(left|right|cent(?:er|re|ral)|mid(?:dle)?(?![a-z])|front|forward)")
_LETTER = re.compile(r"(?:^|_)([clr])(?![a-z0-9])")
_OTHER_CAMERAS = re.compile(r"(?:^|_)(?:rear|back|behind|side|depth|lidar|semantic|seg|mask)")


@dataclass(frozen=True)
class ForeignTable:
    """A table. lines: the number of each row's line; cells: of each column, by its name, (rows,).

    broken: numbers of the lines of another length; as_in_log: it has no header, and its columns are
    called as in a log of the simulator, whose images they name.
    """

    path: Path
    lines: Sequence[int]
    cells: Mapping[str, Sequence[str]]
    as_in_log: bool = False
    broken: Sequence[int] = ()

    def place(self, index: int) -> str:
        """Return the words for a row in a message."""
        return f"{self.path}: line {self.lines[index]}"

    def first_cells(self, name: str) -> Sequence[str]:
        """Return the first cells of a column, by which it is judged."""
        return self.cells[name][:_LOOKED_AT]

    def is_numeric(self, name: str) -> bool:
        """Return whether a column mostly holds numbers."""
        filled = [cell for cell in self.first_cells(name) if cell]
        return 2 * sum(map(_is_number, filled)) > len(filled)

    def named(self, asked: str, what: str, option: str) -> str:
        """Return the column that was asked for by its name or number; raises UserError if there is
        none.
        """
        if asked in self.cells:
            return asked
        if asked.isdecimal() and 0 < int(asked[:9]) <= len(self.cells):
            return list(self.cells)[int(asked) - 1]
        raise no_column(
            self.path, what, option, self.examples(self.cells), f"no column {asked[:60]!r}"
        )

    def examples(self, names: Iterable[str]) -> list[str]:
        """Return the names of columns, with the first values of each."""
        firsts = {
            name: list(dict.fromkeys(filter(None, self.first_cells(name))))[:3] for name in names
        }
        return [
            f"{name} ({', '.join(cell[:40] for cell in cells)})" for name, cells in firsts.items()
        ]


def no_column(path: Path, what: str, option: str, names: Sequence[str], reason: str) -> UserError:
    """Return the error for a column that is not found, with those that may be it."""
    listed = ", ".join(repr(name[:200])[1:-1] for name in names[:20]) or "none"
    return UserError(
        f"{path}: {what}: {reason}; name it with {option}; there are: {listed}", exit_code=2
    )


def read_foreign(path: Path, findings: Findings | None = None) -> ForeignTable:
    """Return a table; its lines of another length are counted.

    Raises UserError for one that cannot be read, is too large, or has no rows.
    """
    with explained(path, "a table", "expected one of text, such as CSV"):
        content = read_bytes(path, "cells")
        if kind := kind_of_content(content[:512]):
            raise ValueError(kind)
        text = text_of(content)
        lines = (re.sub(r", +", ";", text) if _DECIMAL_COMMAS.match(text[:10_000]) else text).split(
            "\n"
        )
        rows = csv.reader(lines, delimiter=_separator_of(lines[:20]), skipinitialspace=True)
        stripped = ((rows.line_num, [cell.strip() for cell in cells]) for cells in rows)
        filled = _without_blank(list(stripped))
    if max((len(cells) for _, cells in filled), default=0) > _COLUMNS:
        raise UserError(
            f"{path}: a line of more than {_COLUMNS} cells, expected at most that many columns"
        )
    filled = _divided(filled)
    width = (
        Counter(len(cells) for _, cells in filled[1:] or filled).most_common(1)[0][0]
        if filled
        else 0
    )
    has_names = bool(filled) and _is_header(filled[0][1], [cells for _, cells in filled[1:]])
    header = filled[0][1] if has_names else [""] * width
    if (
        len(header) == width - 1
    ):  # a table of R, whose rows have names, or rows that end with a separator
        at = (
            len(header)
            if not any(cells[-1] for _, cells in filled[1:] if len(cells) == width)
            else 0
        )
        header = [*header[:at], "", *header[at:]]
    complete = [(line, cells) for line, cells in filled[has_names:] if len(cells) == width]
    if not complete:
        raise UserError(f"{path}: it has no rows below its header; expected one for each frame")
    as_in_log = not has_names and _names_cameras(complete[0][1])
    header = COLUMNS.split(",") if as_in_log else header
    names: list[str] = []
    for number, name in enumerate(
        [*header, *[""] * width][:width], start=1
    ):  # an empty or second one is its number
        names.append(
            name if name and name not in names else f"{name}#{number}" if has_names else str(number)
        )
    broken = [line for line, cells in filled[has_names:] if len(cells) != width]
    for line in broken:
        (findings or Findings()).leave_out(
            f"{path}: line {line}", f"not {width} cells, as in most lines"
        )
    columns = zip(*(cells for _, cells in complete), strict=True)
    by_name = dict(zip(names, map(list, columns), strict=True))
    return ForeignTable(path, [line for line, _ in complete], by_name, as_in_log, broken)


def _without_blank(lines: Sequence[tuple[int, list[str]]]) -> list[tuple[int, list[str]]]:
    """Return the lines of a table without blank ones; in a single column these are rows, unless
    every second is one.
    """
    filled = [index for index, (_, cells) in enumerate(lines) if any(cells)]
    is_single = all(len(cells) < 2 for _, cells in lines) and any(index % 2 for index in filled)  # noqa: PLR2004
    within = lines[filled[0] : filled[-1] + 1] if filled else ()
    return [(line, cells or [""]) for line, cells in within if cells or is_single]


def _names_cameras(cells: Sequence[str]) -> bool:
    """Return whether a line begins with images of the simulator's cameras, in its order; some may
    be empty.
    """
    images = zip(cells, CAMERAS, strict=False)
    return [
        camera_of(PureWindowsPath(cell).name) if cell else camera for cell, camera in images
    ] == [*CAMERAS]


def _divided(lines: Sequence[tuple[int, list[str]]]) -> list[tuple[int, list[str]]]:
    """Return lines whose cells are several where most hold an image and more, such as `a.png;b.png`
    or `a.png 0.1`.
    """
    counts: dict[int, int] = {}  # column -> things in its cells
    for column in range(max((len(cells) for _, cells in lines), default=0)):
        cells = [
            cells[column]
            for _, cells in lines[: _LOOKED_AT + 1]
            if column < len(cells) and cells[column]
        ]
        several = [parts for parts in map(_PARTS.split, cells) if len(parts) > 1]
        if 2 * len(several) > len(cells) and "image" in map(_kind, several[-1]):
            counts[column] = Counter(map(len, several)).most_common(1)[0][0]
    divided = []
    for index, (line, cells) in enumerate(lines if counts else ()):
        parts = [
            _PARTS.split(cell) if column in counts else [cell] for column, cell in enumerate(cells)
        ]
        for column, count in counts.items():
            if cells[column : column + 1] == [""]:
                parts[column] = [""] * count
            elif not index and column < len(cells) and len(parts[column]) == 1:  # of a header
                words = re.split(r"[\s;,|]+", cells[column])
                numbered = [f"{cells[column]} {number}" for number in range(1, count + 1)]
                parts[column] = words if len(words) == count else numbered
        divided.append((line, [part for of_cell in parts for part in of_cell]))
    return divided or list(lines)


def _is_header(first: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Return whether the cells of the first line are mostly of other kinds than those below them."""
    kinds = [_kind(cell) for cell in first]
    if not rows:
        return not any(kinds)
    columns = zip_longest(*rows[:_LOOKED_AT], fillvalue="")
    below = (Counter(map(_kind, filter(None, cells))).most_common(1) for cells in columns)
    usual = [kind[0][0] if kind else "" for kind in below]
    alike = [
        kind == other
        for kind, other, cell in zip(kinds, usual, first, strict=False)
        if cell and (kind or other)
    ]
    is_counted = [cell for cell in first if cell] == [
        str(number) for number in range(len(first) - first.count(""))
    ]
    return (
        2 * sum(alike) < len(alike) or not alike or (is_counted and not all(alike))
    )  # pandas numbers columns


def _kind(cell: str) -> str:
    """Return what a cell holds: a number, an image, or "" for any other text."""
    return "number" if _is_number(cell) else "image" if cell.lower().endswith(IMAGE_ENDINGS) else ""


def _separator_of(start: Sequence[str]) -> str:
    """Return the separator that divides the first lines into the same number of cells, two or more.

    A comma rather than another one if it makes more cells and is no decimal mark.
    """
    widths: dict[str, int] = {}
    for separator in _SEPARATORS:
        rows = [
            cells
            for cells in csv.reader(start, delimiter=separator, skipinitialspace=True)
            if cells
        ]
        width, count = Counter(map(len, rows)).most_common(1)[0] if rows else (1, 0)
        if width > 1 and len(rows[0]) > 1 and count > 0.8 * len(rows):  # noqa: PLR2004
            widths[separator] = width
            if any(
                "," in cell.strip(",") and _is_number(cell) for cells in rows for cell in cells
            ):  # a decimal mark
                return separator
    first = next(iter(widths), ",")
    return "," if widths.get(",", 0) > widths.get(first, 0) else first


def find_table(settings: ImportSettings) -> Path:
    """Return the table that was named, or the only one with a steering beside the pictures; raises
    UserError.
    """
    source = settings.source
    if settings.table or source.suffix.lower() in TABLE_ENDINGS:
        return settings.table or source
    paths = files_inside(source if source.is_dir() else source.parent, TABLE_ENDINGS)
    if not source.is_dir():
        paths = [path for path in paths if path.stem == source.stem] or paths
    fitting = paths if len(paths) == 1 else []
    for path in paths if len(paths) > 1 else ():
        with suppress(UserError):
            table = read_foreign(path)
            steering = [
                name for name in table.cells if is_steering(plain(name)) and table.is_numeric(name)
            ]
            fitting += [path] if settings.steering_column in table.cells or steering else []
    if len(fitting) == 1:
        return fitting[0]
    listed = ", ".join(path.name for path in (fitting or paths)[:20])
    reason = f"which table has the steering? Name it with --table; there are: {listed}" if paths else (
        f"no table ({', '.join(TABLE_ENDINGS)}) with the steering lies beside the pictures; name one with --table"
    )  # fmt: skip
    raise UserError(f"{source}: {reason}", exit_code=2)


def is_ours(names: Collection[str]) -> bool:
    """Return whether a table has the columns of our export, of which one may be missing."""
    return {"center", "time_ms"}.issubset(names) or {"recording", "episode"}.issubset(names)


def is_steering(name: str) -> bool:
    return ("steer" in name or name in _ANGLES) and not _NO_STEERING.search(name)


def plain(name: str) -> str:
    """Return a name in lower case letters, digits and underscores: steeringAngle (°) ->
    steering_angle_deg.
    """
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.replace("°", " deg"))
    return re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")


def _is_number(cell: str) -> bool:
    return math.isfinite(number_of_cell(cell))


def number_of_cell(cell: str) -> float:
    """Return the number in a cell, NaN for none. A decimal comma is one, too, where no comma
    separates the cells.
    """
    try:
        # Python ignores an underscore within a number
        return (
            math.nan
            if "_" in cell
            else float(cell.replace(",", ".") if cell.count(",") == 1 else cell)
        )
    except ValueError:
        return float(wrapped[1]) if (wrapped := _WRAPPED.fullmatch(cell)) else math.nan


def unit_in_name(name: str, endings: Mapping[str, str]) -> str | None:
    """Return the unit with which the name of a column ends, or which it is."""
    name = f"_{plain(name)}"
    return next((unit for ending, unit in endings.items() if name.endswith(f"_{ending}")), None)


def camera_in(text: str) -> str:
    """Return the camera that a text names: one of CAMERAS, "other", or "" where it names none, or
    several.
    """
    words = set(_CAMERAS.findall(plain(text)))
    sides = words & {"left", "right"}  # front_left is left
    if _OTHER_CAMERAS.search(plain(text)):
        return "other"
    return "center" if words and not sides else sides.pop() if len(sides) == 1 else ""


def by_camera_in(texts: Mapping[str, str]) -> dict[str, str]:
    """Return camera -> name, for each camera that exactly one text is of. texts: of each name."""
    letters = {
        name: found[1] if (found := _LETTER.search(plain(text))) else ""
        for name, text in texts.items()
    }
    if sorted(letters.values()) == ["c", "l", "r"]:
        return {
            camera: name
            for camera in CAMERAS
            for name, letter in letters.items()
            if camera[0] == letter
        }
    cameras = {name: camera_in(text) for name, text in texts.items()}
    named = Counter(cameras.values())
    return {
        camera: name for name, camera in cameras.items() if camera in CAMERAS and named[camera] == 1
    }
