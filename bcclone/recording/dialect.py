"""Split one line of a driving log into image names and numbers, for any separator and decimal mark.

In: the bytes of a log, or a line as text. Out: its `Fields`, or a RowError that says what is
missing. The dialects, and how often each was seen: docs/reference/dialects.md.
"""

import csv
import re
from dataclasses import dataclass
from itertools import dropwhile
from typing import NamedTuple

from bcclone.recording.row import CAMERAS, RowError, camera_of
from bcclone.system.codec import UTF_16_MARKS

COLUMNS = "center,left,right,steering,throttle,brake,speed"
FEWEST_COLUMNS = 7  # a row has the columns above, and perhaps more
LONGEST_LINE = 20_000
_LONGEST_NAME = 255  # bytes; the limit of common file systems

# the patterns of this file are possessive (++, *+, ?+), or give back each character at most once;
# so the time for a line is proportional to its length
_NUMBER = re.compile(r"[-+]?(?:\d++(?:\.\d*+)?+|\.\d++)(?:[eE][-+]?\d++)?+")
_COMMA_NUMBER = re.compile(r"[-+]?\d+,\d+(?:[eE][-+]?\d+)?")
_WHOLE_NUMBER = re.compile(r"[-+\deE]+")
_SEPARATORS = ",;\t|"
# what .NET writes into numbers in some languages of the system: the minus of Swedish and others,
# the invisible marks of Hebrew, Arabic and Persian, and the decimal mark of Arabic
ASCII_NUMBERS = str.maketrans(
    {
        "\N{MINUS SIGN}": "-",
        "\N{LEFT-TO-RIGHT MARK}": "",
        "\N{RIGHT-TO-LEFT MARK}": "",
        "\N{ARABIC LETTER MARK}": "",
        "\N{ARABIC DECIMAL SEPARATOR}": ".",
    }
)
BLANK = f'{_SEPARATORS} \r"'  # a line of only these characters is blank
# the cell of an image, and the separator behind it: an empty cell, and a cell with a path
_EMPTY = re.compile(rf' *+(?:"" *+)?+(?P<separator>[{_SEPARATORS}])')
_PATH = re.compile(rf'(?P<path>.*?\.jpe?g) *+"?+ *+(?P<separator>[{_SEPARATORS}])', re.IGNORECASE)
# a character directly behind which an image's base name can begin; a backslash is always a
# separator of folders
_BEFORE_NAME = re.compile(rf'[/\\"{_SEPARATORS}]')
# a line as most builds of the simulator write it: three images named after their cameras, perhaps
# behind folders, and four numbers; \2 is the separator behind the first image
_IMAGE = r'(?:[^",;\t]*[/\\])?({}_\d[^",;\t/\\]{{0,60}}(?i:\.jpe?g))'
_USUAL_LINE = re.compile(
    "(, ?)".join(_IMAGE.format(camera) for camera in CAMERAS[:2])
    + rf"\2{_IMAGE.format(CAMERAS[2])}"
    + rf"\2({_NUMBER.pattern})" * 4
)
# name of a column in a header -> index of the column in the simulator's order; "break" is a usual
# misspelling of brake
_HEADER_WORDS = {
    "steering": 3, "steering_angle": 3, "steering angle": 3, "throttle": 4, "brake": 5, "break": 5,
    "reverse": 5, "speed": 6, "velocity": 6, "center": 0, "left": 1, "right": 2,
}  # fmt: skip
# a unit in a column's name that no log of the simulator has: degrees, radians, m/s, km/h, metres
_FOREIGN_UNIT = re.compile(
    r"(?:^|[\W_])(?:deg|rad|m[ /_p]*+s(?:$|[\W_]))|°|k[mp][ /_p]*+h|met(?:er|re)s"
)


@dataclass(frozen=True)
class Dialect:
    """How a log is written."""

    spaced: bool  # whether a space follows most separators
    decimal_comma: bool  # whether numbers are written with a comma: 0,5
    header: bool  # whether the first line holds the names of the columns
    cameras: tuple[str, ...]  # the cameras of which at least one row names an image
    extra_columns: int  # the largest number of columns after the seventh


class Fields(NamedTuple):
    """The fields of one line."""

    images: tuple[str, str, str]  # base names of center, left and right, "" for no image
    numbers: tuple[float, ...]  # steering, throttle, brake and speed
    separator: str  # what separates the numbers; ", " is not the same separator as ","
    # number of the columns, images and extra columns included; if the separator is ", ", a comma
    # without a space does not separate columns here, even if it separates the numbers
    columns: int = FEWEST_COLUMNS
    extra_columns: int = 0  # number of cells behind the four numbers
    decimal_mark: str = "."  # "," or "." if one of the four numbers has it, or else ""
    # whether commas seem to be both the separators and the decimal marks of the line, as in
    # 0,25,1,0,30,1: split at the commas, it has more than four numbers, all of them whole
    has_bare_commas: bool = False


# ---- the text of a log, and its headers


def text_of(data: bytes) -> str:
    """Return the text of a log in any encoding, whose lines end with a line feed.

    A power failure leaves blocks of NULs in a file. They stay in the text, since the rows in
    their place are lost or broken; only a block behind the last line is left out.
    """
    if data.startswith(UTF_16_MARKS):
        text = data.decode("utf-16", errors="replace")
    elif encoding := _utf_16_without_mark(data):
        text = data.decode(encoding, errors="replace")
    else:
        try:
            text = data.decode()
        except UnicodeDecodeError:
            text = data.decode("cp1252", errors="replace")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines, line_end, rest = text.rpartition("\n")
    if rest and not rest.strip("\0"):
        text = lines + line_end
    return text.replace("\ufeff", "")  # each log of a joined file has a mark


def _utf_16_without_mark(data: bytes) -> str | None:
    """Return the byte order of UTF-16 without a mark as a codec's name; None for another encoding.

    Most characters of a log are ASCII. In UTF-16, each of them has a NUL as its second byte, or as
    its first one. A block of NULs has as many first bytes as second ones.
    """
    first = data[::2].count(0)
    second = data[1::2].count(0)
    others = len(data) - first - second
    if 2 * abs(second - first) <= others:
        return None
    return "utf-16-le" if second > first else "utf-16-be"


def is_header(text: str) -> bool:
    """Return True for names of columns: none is a number, or they are 0, 1, 2, as pandas writes."""
    names = _header_names(text)
    counted = names == [str(index) for index in range(len(names))]
    return len(names) > 1 and (counted or not any(map(_is_number, names)))


def is_known_header(text: str) -> bool:
    """Return True for the simulator's column names, in their order, in any usual spelling."""
    names = _header_names(text)
    return "center" in names and len(names) >= FEWEST_COLUMNS and header_error(text) is None


def header_error(text: str) -> str | None:
    """Return which name of a column contradicts the simulator's order or units, as an error.

    Returns None if no name does, and for too few columns.
    """
    names = _header_names(text)
    if len(names) < FEWEST_COLUMNS:
        return None
    for index, name in enumerate(names):
        expected_index = _HEADER_WORDS.get(name, index)
        if expected_index != index:
            return f"{name!r} as column {index + 1}, expected as column {expected_index + 1}"
        has_unit = index in (_HEADER_WORDS["steering"], _HEADER_WORDS["speed"])
        if has_unit and _FOREIGN_UNIT.search(name):
            return (
                f"{name[:60]!r} as column {index + 1}, "
                "expected steering from -1 to 1, and speed in mph"
            )
    return None


def _header_names(text: str) -> list[str]:
    """Return the names of the columns, in lower case, without names of an index before them.

    Returns no names for a line that names images, since that is a row, and for a broken line.
    """
    if len(text) > LONGEST_LINE or "\0" in text or _PATH.match(text):
        return []
    names = [name.strip(BLANK).lower() for name in re.split(f"[{_SEPARATORS}]", text)]
    # pandas writes a column of row numbers with such a name
    return list(
        dropwhile(lambda name: name in ("", "index") or name.startswith("unnamed: "), names)
    )


# ---- a row


def split_line(text: str) -> Fields:
    """Split a line into images and numbers; raises RowError with what is missing or wrong.

    Paths may contain spaces and commas, so they are found by their ending and not by splitting. The
    separator of the numbers is decided from the numbers, since pandas.to_csv() leaves spaces before
    paths, but not before numbers.
    """
    _check_text(text)
    if usual := _USUAL_LINE.fullmatch(text):  # several times as fast as the way below
        center, separator, left, right, *numbers = usual.groups()
        return Fields((center, left, right), tuple(map(float, numbers)), separator)
    rest = text
    separator = ""
    images = []
    for camera in CAMERAS:
        # every row has an image of the centre camera
        match = None
        if camera != "center":
            match = _EMPTY.match(rest)
        if match is None:
            match = _PATH.match(rest)
        if match is None:
            raise RowError(f"no image path for the {camera} camera, expected {COLUMNS}")
        # columns before the first image, such as an index, are part of the match; they are removed
        # here, with the folders. An empty cell has no path
        image = _BEFORE_NAME.split(match.groupdict().get("path") or "")[-1].strip()
        _check_image(camera, image)
        images.append(image)
        rest = rest[match.end() :]
        separator = match["separator"]
    cells, separator, columns = _split_numbers(rest, separator)
    written = cells[:4]
    for name, cell in zip(COLUMNS.split(",")[3:], written, strict=True):
        if not _is_number(cell):
            raise RowError(f"{name} is {cell!r}, expected a number")
    center, left, right = images
    decimal_mark = "." if "." in "".join(written) else ""
    if any(map(_COMMA_NUMBER.fullmatch, written)):
        decimal_mark = ","
    has_extra = len(cells) > 4
    return Fields(
        (center, left, right),
        tuple(float(_with_decimal_point(cell)) for cell in written),
        separator,
        columns,
        extra_columns=len(cells) - 4,
        decimal_mark=decimal_mark,
        has_bare_commas=separator == "," and has_extra and all(map(_WHOLE_NUMBER.fullmatch, cells)),
    )


def _check_text(text: str) -> None:
    """Raise RowError for a line that a power failure has broken, and for an endless one."""
    if nul_count := text.count("\0"):
        raise RowError(nul_characters(nul_count))
    if len(text) > LONGEST_LINE:
        raise RowError(f"the line has {len(text)} characters, expected at most {LONGEST_LINE}")


def nul_characters(count: int) -> str:
    """Return why a row with NULs is not one."""
    return f"{count} NUL characters instead of text, as a power failure leaves them"


def _check_image(camera: str, image: str) -> None:
    """Raise RowError for an image's name that is too long, or that names another camera."""
    name_bytes = len(image.encode())
    if name_bytes > _LONGEST_NAME:
        raise RowError(
            f"the name of the {camera} image has {name_bytes} bytes, "
            f"expected at most {_LONGEST_NAME}"
        )
    named = camera_of(image)
    if named not in (None, camera):
        raise RowError(
            f"column {camera} names an image of the {named} camera, expected {camera}_..."
        )


def _split_numbers(rest: str, separator: str) -> tuple[list[str], str, int]:
    """Split what follows the images: numbers, their separator, and the row's number of columns.

    Raises RowError for too few numbers.

    rest: the line after the images
    separator: what separates the images
    """
    rest = rest.translate(ASCII_NUMBERS).strip().rstrip(f"{separator} ")
    if rest.count('"') % 2:  # the whole line is quoted; its first quote went with the images
        rest = rest.replace('"', "")
    cells = re.split(r",\s+", rest)
    if '"' in rest:
        cells = next(csv.reader([rest], delimiter=separator, skipinitialspace=True))
        numbers = cells
    elif separator == "," and len(cells) > 1 and all(map(_is_number, cells[:4])):
        separator = ", "
        # "0,25, 0,5, 0, 30" has four cells, some with decimal commas. "0,0, 0,30" has two: either
        # its spaces mean nothing, and all commas separate numbers; or it has decimal commas, and
        # its end is missing. read_log() knows this from the other lines, and then refuses the row
        # for its few columns
        numbers = cells if len(cells) >= 4 else rest.split(",")
    else:
        cells = rest.split(separator)
        numbers = cells
    images = len(CAMERAS)
    if len(numbers) < 4:
        raise row_ends(images + len(numbers))
    return list(map(str.strip, numbers)), separator, images + len(cells)


def row_ends(columns: int) -> RowError:
    """Return the error for a row of too few columns."""
    return RowError(f"the row ends after {columns} columns, expected {FEWEST_COLUMNS}: {COLUMNS}")


def _is_number(text: str) -> bool:
    """Return True for a number with a decimal point or comma."""
    return _NUMBER.fullmatch(_with_decimal_point(text)) is not None


def _with_decimal_point(number: str) -> str:
    """Return a number with its decimal comma, if it has one, replaced by a point."""
    if "," in number and _COMMA_NUMBER.fullmatch(number):
        return number.replace(",", ".")
    return number
