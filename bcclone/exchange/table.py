"""A table of another program -> its columns of cells, and the steering and other controls in them.

A table is text with a separator: tabs, semicolons, commas with a blank, commas or blanks, the first
of these that its first line has. This line has the names of the columns, unless it holds a number
or an image: then the columns are called 1, 2 and so on, or as in a log of the simulator. A column
is found by its usual name, or the user names it. Nothing is found by the values of a column.
"""

import csv
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from bcclone.exchange.exchange_settings import DEGREES, MPH_OF, RADIANS, RATIO, ImportSettings
from bcclone.exchange.rows import ACCIDENTS_SHARE, LeftOut
from bcclone.exchange.seen import Seen
from bcclone.exchange.source_files import IMAGE_ENDINGS, files_inside, other_file_in
from bcclone.recording.dialect import COLUMNS, text_of
from bcclone.recording.foreign_log import other_file
from bcclone.recording.row import CAMERAS, RANGES, ROUNDING, RowError, camera_of
from bcclone.recording.run_tables import SIDECARS
from bcclone.system.codec import explained, read_bytes
from bcclone.system.errors import UserError
from bcclone.system.numbers import FloatArray

TABLE_ENDINGS = (".csv", ".tsv", ".txt")
# in this order; beside all but the single comma, a comma may be a decimal mark
_SEPARATORS = ("\t", ";", ", ", ",", " ")
_MOST_COLUMNS = 1000


@dataclass(frozen=True)
class Table:
    """A table, or the numbers of a LeRobot data set."""

    path: Path
    columns: Mapping[str, Sequence[Any]]  # name of a column -> its cells, (rows,)
    lines: Sequence[int] = ()  # number of each row's line in the file, (rows,)
    broken: Sequence[LeftOut] = ()  # lines that have not as many cells as the first one
    # whether no line names the columns, so that they are called as those of a simulator's log
    as_in_log: bool = False

    def place(self, row: int) -> str:
        """Return file and line of a row, for messages."""
        return f"{self.path}: line {self.lines[row]}"

    def find(self, asked: str, what: str, option: str) -> str:
        """Return the name of a column; raises UserError if there is none.

        asked: its name, or its number from 1
        what: what the column holds, and the option that names it, for the message
        """
        if asked in self.columns:
            return asked
        # nine digits are enough; int() would take long for a huge number
        if asked.isdecimal() and 0 < int(asked[:9]) <= len(self.columns) and len(asked) < 10:
            return list(self.columns)[int(asked) - 1]
        raise self.no_column(what, option, f"no column {asked[:60]!r}")

    def no_column(
        self, what: str, option: str, reason: str, names: Iterable[str] = ()
    ) -> UserError:
        """Return the error for a column that is not found.

        names: the columns that may be it; all of the table if there are none
        """
        shown = []
        for name in list(names or self.columns)[:20]:
            values = list(dict.fromkeys(str(cell)[:40] for cell in self.columns[name][:200]))
            # repr() escapes control characters
            shown.append(repr(f"{name[:200]} ({', '.join(filter(None, values[:4]))})")[1:-1])
        return UserError(
            f"{self.path}: {what}: {reason}; name it with {option}; there are: {', '.join(shown)}",
            exit_code=2,
        )


# ---- a file -> its columns


def find_table(settings: ImportSettings) -> Path:
    """Return the table that was named, or the only one beside the pictures.

    Files .txt count only where there is no .csv or .tsv. Raises UserError for none, and for
    several.
    """
    source = settings.source
    if settings.table:
        return settings.table
    if source.suffix.lower() in TABLE_ENDINGS:
        return source
    folder = source if source.is_dir() else source.parent
    paths = files_inside(folder, TABLE_ENDINGS[:2]) or files_inside(folder, TABLE_ENDINGS[2:])
    # those next to a log of the simulator hold no steering
    paths = [path for path in paths if path.name not in {table.name for table in SIDECARS}]
    # the table of a video often has its name
    paths = [path for path in paths if path.stem == source.stem] or paths
    if len(paths) == 1:
        return paths[0]
    if paths:
        listed = ", ".join(map(str, paths[:20]))
        raise UserError(
            f"{source}: which table has the steering? Name it with --table; there are: {listed}",
            exit_code=2,
        )
    remedy = "name one with --table, or estimate the steering from how the camera moves with "
    remedy += "--steering from-motion"
    if source.is_dir() and (other := other_file_in(source)):
        remedy += f"; {other}"
    raise UserError(
        f"{source}: no table ({', '.join(TABLE_ENDINGS)}) with the steering lies beside the "
        f"pictures; {remedy}",
        exit_code=2,
    )


def _read_lines(path: Path) -> list[tuple[int, list[str]]]:
    """Return the number and the cells of each line of a table, from the first that is not blank.

    Numbers have decimal points. Raises UserError for a file that is no table, or has no such line.
    """
    expected = "expected one of text, such as CSV"
    with explained(path, "a table", expected):
        content = read_bytes(path, "cells")
    if other := other_file(path, content[:512]):  # an image, an archive and so on
        raise UserError(f"{path}: not a table: {other}", exit_code=2)
    with explained(path, "a table", expected):
        text = text_of(content).rstrip("\n ")
        begin = text.strip().partition("\n")[0]
        separator = next((mark for mark in _SEPARATORS if mark in begin), ",")
        # beside all but commas alone, a comma in a number is its decimal mark
        clean = str.strip if separator == "," else _with_point
        if separator == ", ":
            separator = ";"
            text = re.sub(", +", separator, text)
        # with their ends, since a cell in quotes may have several lines
        ended = (f"{line}\n" for line in text.split("\n"))
        reader = csv.reader(ended, delimiter=separator, skipinitialspace=True)
        numbered = [(reader.line_num, [clean(cell) for cell in cells]) for cells in reader]
    filled = list(dropwhile(lambda line: not any(line[1]), numbered))
    if not filled:
        raise UserError(f"{path}: it has no rows; expected one for each frame")
    return filled


def read_table(path: Path) -> Table:
    """Return a table; raises UserError for one that cannot be read, is too large, or has no rows.

    Blank lines are skipped.
    """
    numbered = _read_lines(path)
    first = numbered[0][1]
    has_names = _is_header(first)
    width = len(first)
    if width > _MOST_COLUMNS:
        raise UserError(f"{path}: a line of {width} cells, expected at most {_MOST_COLUMNS}")
    rows = []
    broken = []
    for line, cells in numbered[has_names:]:
        if len(cells) == width:
            rows.append((line, cells))
        elif not cells and width == 1:
            raise UserError(
                f"{path}: line {line}: blank, which may be a row without a number, or none; "
                "write nan, or remove it"
            )
        elif any(cells):
            reason = f"{len(cells)} cells, expected {width} as in the first line, without a "
            reason += "separator at the end; divide cells with decimal commas by semicolons"
            broken.append(LeftOut(reason, place=f"{path}: line {line}"))
    if not rows:
        first_error = f"; the first: {broken[0].shown}" if broken else ""
        raise UserError(f"{path}: it has no rows; expected one for each frame{first_error}")
    as_in_log = not has_names and _names_cameras(first)
    names = _names_of(first if has_names else [], width, as_in_log)
    columns = [list(column) for column in zip(*(cells for _, cells in rows), strict=True)]
    return Table(
        path=path,
        columns=dict(zip(names, columns, strict=True)),
        lines=[line for line, _ in rows],
        broken=broken,
        as_in_log=as_in_log,
    )


def _is_header(cells: Sequence[str]) -> bool:
    """Return whether a line holds names: no number and no image, or 0, 1, 2 ... of pandas."""
    filled = [cell for cell in cells if cell]
    if filled == [str(number) for number in range(len(filled))]:
        return True
    return not any(is_image(cell) or math.isfinite(number_of(cell)) for cell in filled)


def _names_of(header: Sequence[str], width: int, as_in_log: bool) -> list[str]:
    """Return a name for each column; an empty or repeated one gets the column's number.

    as_in_log: whether the line without names begins with images of the simulator's cameras
    """
    if as_in_log:
        header = COLUMNS.split(",")
    names: list[str] = []
    for number in range(1, width + 1):
        name = header[number - 1] if number <= len(header) else ""
        if name and name not in names:
            names.append(name)
        else:
            names.append(f"{name}#{number}" if header else str(number))
    return names


def _names_cameras(cells: Sequence[str]) -> bool:
    """Return whether a line begins with images of the simulator's cameras, in its order.

    Those of the sides may be empty.
    """
    named = [camera_of(PureWindowsPath(cell).name) for cell in cells[: len(CAMERAS)]]
    sides = zip(cells[1:], named[1:], CAMERAS[1:], strict=False)
    return named[:1] == ["center"] and all(
        not cell or camera == side for cell, camera, side in sides
    )


def is_image(cell: str) -> bool:
    return cell.lower().endswith(IMAGE_ENDINGS)


def number_of(cell: Any) -> float:
    """Return the number in a cell, NaN if it holds none."""
    if isinstance(cell, str) and "_" in cell:  # Python would ignore it within a number
        return math.nan
    try:
        return math.nan if isinstance(cell, bool) else float(cell)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _with_point(cell: str) -> str:
    """Return a number with a decimal comma with a point; any other cell without blanks around."""
    cell = cell.strip()
    if cell.count(",") == 1:
        with_point = cell.replace(",", ".")
        if not math.isnan(number_of(with_point)):
            return with_point
    return cell


# ---- names of columns


def plain(name: str) -> str:
    """Return a plain name: small letters, digits and underscores; steeringAngle -> steering_angle.

    The degree sign becomes deg.
    """
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.replace("°", " deg"))
    return re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")


def camera_of_name(name: str) -> str:
    """Return a plain name without the words for cameras and images: left_camera -> left."""
    return re.sub("_?(?:camera|cam|images?|img)_?", "", plain(name))


def is_ours(names: Iterable[str]) -> bool:
    """Return whether a table is an export of bcclone, by its columns.

    Either of two pairs of columns tells it, so that one column of the table may be missing.
    """
    given = set(names)
    return given >= {"center", "time_ms"} or given >= {"recording", "episode"}


_ANGLE_UNITS = {  # last word of a plain name -> unit of the steering
    **dict.fromkeys(("rad", "radian", "radians"), RADIANS),
    **dict.fromkeys(("deg", "degree", "degrees"), DEGREES),
    **dict.fromkeys(("ratio", "normalized", "norm"), RATIO),
}
# plain names that mean -1 to 1 without a unit, as simulators and donkeycar have them
_RATIO_NAMES = ("steering", "user_angle")
_SPEED_UNITS = {  # end of a plain name -> unit of the speed
    "mph": "mph",
    **dict.fromkeys(("kmh", "kph", "km_h"), "km/h"),
    **dict.fromkeys(("mps", "m_s"), "m/s"),
    "knots": "knots",
}
_USUAL = {  # control -> its usual plain names, without those of data sets before the last point
    "steering": re.compile(
        r"(?:\w+_)?steer(?:ing)?(?:_wheel)?(?:_(?:angle|cmd|command|value|pos))?"
        rf"(?:_(?:{'|'.join(_ANGLE_UNITS)}))?"
        rf"|(?:user_|wheel_)?angle(?:_(?:{'|'.join(_ANGLE_UNITS)}))?"
    ),
    "throttle": re.compile(r"(?:\w+_)?throttle(?:_\w+)?|gas(?:_\w+)?|accelerator(?:_\w+)?"),
    "brake": re.compile(r"(?:brake|break)(?:_\w+)?"),
    "speed_mph": re.compile(
        r"(?:(?:vehicle|car|ego|observation|drive)_)?(?:speed|velocity)"
        rf"(?:_(?:{'|'.join(_SPEED_UNITS)}))?"
    ),
}


def _unit_in(name: str, units: Mapping[str, str]) -> str | None:
    """Return the unit with which a column's name ends, None for none."""
    ended = f"_{plain(name)}"
    return next((unit for word, unit in units.items() if ended.endswith(f"_{word}")), None)


# ---- the controls


def read_controls(
    table: Table,
    settings: ImportSettings,
    seen: Seen,
    preferred: Mapping[str, str] | None = None,
) -> tuple[dict[str, FloatArray], dict[str, str]]:
    """Return the numbers of each row, and their columns, by the names of recording.row.NUMBERS.

    The numbers, (rows,) each, are in the units of a recording; NaN where a cell holds none. A
    column of throttle, brake or speed that has no unit or wrong values is left out with a note,
    unless the user named it. Raises UserError for a column that is not found, or several times,
    and for a steering of an unknown or a wrong unit.

    preferred: control -> begin of the name to prefer where several columns fit
    """
    preferred = preferred or {}
    columns: dict[str, str] = {}
    for name in _USUAL:
        column = _find_control(table, name, settings, preferred.get(name, ""), seen)
        if column is not None:
            columns[name] = column
    values: dict[str, FloatArray] = {}
    for name, column in columns.items():
        numbers = np.array([number_of(cell) for cell in table.columns[column]])
        if name == "steering":
            values[name] = _scaled(table, column, numbers, settings, seen)
            continue
        factor = 1.0
        words = ""
        low, high = RANGES[name] if name != "speed_mph" else (-np.inf, np.inf)  # in any unit
        problem = _wrong_values(numbers, low, high)
        if name == "speed_mph":
            unit = settings.speed_unit or _speed_unit(table, column)
            if unit:
                factor = MPH_OF[unit]
                words = f", in {unit}"
            else:
                problem = "nothing says its unit; say it with --speed-unit"
        named = {settings.throttle_column, settings.speed_column} - {None}
        if problem and (column in named or (table.as_in_log and not named)):
            raise UserError(
                f"{table.path}: {short_name(name)}: column {column[:60]!r}: {problem}; name the "
                "columns that you know: --steering-column, --throttle-column, --speed-column",
                exit_code=2,
            )
        if problem:
            seen.notes.append(f"{short_name(name)}: {column} is left out: {problem}")
        else:
            values[name] = numbers * factor
            seen.notes.append(f"{short_name(name)}: {column}{words}")
    absent = [short_name(name) for name in _USUAL if name not in values]
    if absent:
        seen.notes.append(f"not read: {', '.join(absent)}; 0 in each row of the recording")
    return values, {name: columns[name] for name in values}


def numbers_at(controls: Mapping[str, FloatArray], row: int) -> dict[str, float]:
    """Return the numbers of a row; raises RowError where a cell holds none."""
    for name, values in controls.items():
        if math.isnan(values[row]):
            raise RowError(f"no number for the {short_name(name)}")
    return {name: float(values[row]) for name, values in controls.items()}


def short_name(name: str) -> str:
    """Return a name of recording.row.NUMBERS without its unit."""
    return name.removesuffix("_mph")


def _find_control(
    table: Table, name: str, settings: ImportSettings, preferred: str, seen: Seen
) -> str | None:
    """Return the column of a control; None for none, unless the import cannot do without."""
    short = short_name(name)
    option = f"--{short}-column"
    asked = getattr(settings, f"{short}_column", None)  # there is no --brake-column
    if asked:
        # a column of a data set may be asked for by the last word of its name
        fitting = [column for column in table.columns if column.endswith(f".{asked}")]
        if asked in table.columns or not fitting:
            return table.find(asked, f"the {short}", option)
    else:
        taken = {settings.steering_column, settings.throttle_column, settings.speed_column}
        fitting = [
            column for column in table.columns if column not in taken and _is_usual(name, column)
        ]
    of_preferred = [column for column in fitting if preferred and column.startswith(preferred)]
    if len(of_preferred) == 1:
        fitting = of_preferred
    if len(fitting) == 1:
        return fitting[0]
    is_needed = name == "steering" or asked or (name == "speed_mph" and settings.speed_unit)
    if is_needed and fitting:
        raise table.no_column(f"the {short}", option, "several columns may be it", fitting)
    if is_needed:
        raise table.no_column(f"the {short}", option, f"no column is called {short}, or alike")
    if fitting:
        seen.notes.append(f"{short}: several columns may be it: {', '.join(fitting)}")
    return None


def _is_usual(name: str, column: str) -> bool:
    """Return whether a column has a usual name of a control, perhaps behind that of a feature."""
    return any(_USUAL[name].fullmatch(plain(text)) for text in (column, column.rpartition(".")[2]))


def _speed_unit(table: Table, column: str) -> str | None:
    """Return the unit in the name of a speed; in a table with the columns of a log, it is mph."""
    if plain(column) == "speed" and _is_like_log(table):
        return "mph"
    return _unit_in(column.rpartition(".")[2], _SPEED_UNITS)


def _is_like_log(table: Table) -> bool:
    """Return whether a table has the columns of a log of the simulator, or of our own export."""
    return {plain(name) for name in table.columns} >= {*CAMERAS, "throttle"}


def _wrong_values(numbers: FloatArray, low: float, high: float) -> str:
    """Return why a column cannot hold throttle, brake or speed, "" if it can."""
    beyond = numbers[(numbers < low - ROUNDING) | (numbers > high + ROUNDING)]
    if len(beyond) > ACCIDENTS_SHARE * len(numbers):
        return f"it has {beyond[0]:g}, expected {low:g} to {high:g}"
    if np.isnan(numbers).mean() > 0.5:
        return f"it has no number in most rows, expected {low:g} to {high:g}"
    return ""


def _scaled(
    table: Table, column: str, numbers: FloatArray, settings: ImportSettings, seen: Seen
) -> FloatArray:
    """Return the steering, -1 to 1, right positive; raises UserError for a wrong unit, (rows,)."""
    where = f"{settings.source}: the steering, column {column[:60]!r}"
    name = column.rpartition(".")[2]
    unit = settings.unit or _unit_in(name, _ANGLE_UNITS)
    if unit is None and plain(name) in _RATIO_NAMES:
        unit = RATIO
    known = numbers[np.isfinite(numbers)]
    if not len(known):
        raise UserError(
            f"{where}: no numbers, such as {str(table.columns[column][0])[:60]!r}; expected such "
            "as -0.25; correct them, or name another column with --steering-column",
            exit_code=2,
        )
    if unit is None:
        raise UserError(
            f"{where}: nothing says whether it is in rad, degrees, or -1 to 1; say it with --unit "
            "rad, deg or ratio, and --left-positive where positive is left",
            exit_code=2,
        )
    ratio = settings.steering_ratio
    max_degrees = settings.max_degrees
    if unit == RATIO and (ratio, max_degrees) != (1, ImportSettings.max_degrees):
        raise UserError(
            f"{where}: it is read as -1 to 1, which --steering-ratio and --max-degrees do not "
            "change; leave them out, or say that it is an angle with --unit rad or deg",
            exit_code=2,
        )
    side = "left" if settings.left_positive else "right"
    factor = -1.0 if settings.left_positive else 1.0
    words = f"steering: {column}, -1 to 1, {side} positive"
    if unit != RATIO:
        factor *= (math.degrees(1) if unit == RADIANS else 1.0) / (ratio * max_degrees)
        of_wheel = "" if ratio == 1 else f", of the steering wheel, {ratio:g} to 1"
        words = (
            f"steering: {column}, in {unit}{of_wheel}, {side} positive; 1 is {max_degrees:g} "
            "degrees of the front wheels"
        )
    straight = settings.straight or 0.0
    if straight:
        words += f"; straight ahead is {straight:g}"
    seen.notes.append(words)

    is_known = settings.straight is not None or _is_like_log(table)
    _check_steering(where, (known - straight) * factor, known, is_known)
    if factor == 1 and not straight:  # exactly as it is
        return numbers
    scaled = (numbers - straight) * factor + 0.0  # no -0.0
    is_rounded = np.abs(scaled) <= 1 + ROUNDING
    return np.where(is_rounded, np.clip(scaled, -1, 1), scaled)


def _check_steering(
    where: str, steering: FloatArray, known: FloatArray, has_known_middle: bool
) -> None:
    """Raise UserError if more than one in a hundred values is beyond full steering, which shows a
    wrong unit, and for a steering to one side alone, which may have another middle than 0.

    steering: 1 = full, (values,)
    known: the same in the source's unit
    has_known_middle: whether it is sure which value is straight ahead
    """
    extremes = f"from {float(known.min()):g} to {float(known.max()):g}"
    beyond = int(np.sum(np.abs(steering) > 1 + ROUNDING))
    if beyond > ACCIDENTS_SHARE * len(steering):
        raise UserError(
            f"{where}: {beyond} of {len(steering)} values are beyond full steering, {extremes}; "
            "say what they are with --unit rad or deg, --max-degrees at full steering, "
            "--steering-ratio of a steering wheel, and --straight X of a servo; numbers of classes "
            "are no steering",
            exit_code=2,
        )
    is_one_sided = bool((steering >= 0).all() or (steering <= 0).all())
    is_mostly_0 = float(np.mean(known == 0)) >= 0.5  # then 0 is straight ahead
    if is_one_sided and not (has_known_middle or is_mostly_0) and np.ptp(known) > 0:
        raise UserError(
            f"{where}: it is never to the other side, {extremes}; say with --straight which value "
            "is straight ahead: 0, or another, as of a servo",
            exit_code=2,
        )
