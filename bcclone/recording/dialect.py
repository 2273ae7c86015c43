"""Split one line of a driving log into image names and numbers, for any separator and decimal mark.

In: the bytes of a log, or a line as text. Out: its `Fields`, or a RowError that says what is
missing.

The dialects, and how often each was seen: docs/reference/dialects.md.
"""

import codecs
import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import dropwhile

from bcclone.recording.row import CAMERAS, RowError

COLUMNS = "center,left,right,steering,throttle,brake,speed"
FEWEST_COLUMNS = 7  # a row has the columns above, and perhaps more
# the patterns of this file are possessive (++, *+, ?+), or give back each character at most once;
# so the time for a line is proportional to its length
NUMBER = re.compile(r"[-+]?(?:\d++(?:\.\d*+)?+|\.\d++)(?:[eE][-+]?\d++)?+")
LONGEST_NAME = 255  # bytes; the limit of common file systems
LONGEST_LINE = 20_000

_SEPARATORS = ",;\t|"
BLANK = f'{_SEPARATORS} \r"'  # a line of only these characters is blank
# the cell of an image, and the separator behind it: an empty cell, and a cell with a path
_EMPTY = re.compile(rf' *+(?:"" *+)?+(?P<separator>[{_SEPARATORS}])')
_PATH = re.compile(rf'(?P<path>.*?\.jpe?g) *+"?+ *+(?P<separator>[{_SEPARATORS}])', re.IGNORECASE)
# a character directly behind which an image's base name can begin; a backslash is always a
# separator of folders
_BEFORE_NAME = re.compile(rf'[/\\"{_SEPARATORS}]')
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
_COMMA_NUMBER = re.compile(r"[-+]?\d+,\d+(?:[eE][-+]?\d+)?")
_WHOLE_NUMBER = re.compile(r"[-+\deE]+")


@dataclass(frozen=True)
class Dialect:
    """How a log is written."""

    spaced: bool  # whether a space follows most separators
    decimal_comma: bool  # whether numbers are written with a comma: 0,5
    header: bool  # whether the first line holds the names of the columns
    cameras: tuple[str, ...]  # the cameras of which at least one row names an image
    extra_columns: int  # the largest number of columns after the seventh


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of one line."""

    line: int  # number of the line in the file, from 1
    images: tuple[str, str, str]  # base names of center, left and right, "" for no image
    numbers: tuple[str, ...]  # the numbers as written, extra columns included
    separator: str  # what separates the numbers; ", " is not the same separator as ","
    # number of the columns, images and extra columns included; if the separator is ", ", a comma
    # without a space does not separate columns here, even if it separates `numbers`
    columns: int

    @property
    def has_points(self) -> bool:
        """Return whether one of the four numbers has a decimal point."""
        return any("." in number for number in self.numbers[:4])

    @property
    def has_bare_commas(self) -> bool:
        """Return whether commas seem to be both the separators and the decimal marks of the line.

        Splitting such a line at the commas gives more than four numbers, all whole: 0,25,1,0,30,1
        """
        return (
            self.separator == ","
            and len(self.numbers) > 4
            and all(map(_WHOLE_NUMBER.fullmatch, self.numbers))
        )


def text_of(data: bytes) -> str:
    """Return the text of a log in any encoding, whose lines end with a line feed."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = data.decode("utf-16", errors="replace")
    elif b"\0" in data[1:2] + data[3:4]:  # UTF-16 without a mark: every second byte is 0
        text = data.decode("utf-16-le", errors="replace")
    else:
        # a power failure leaves blocks of zeros at the end of a file
        data = data.replace(b"\0", b"")
        try:
            text = data.decode()
        except UnicodeDecodeError:
            text = data.decode("cp1252", errors="replace")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.replace("\ufeff", "")  # each log of a joined file has a mark


def is_header(text: str) -> bool:
    """Return True for names of columns: none is a number, or they are 0, 1, 2, as pandas writes."""
    names = _header_names(text)
    counted = names == [str(index) for index in range(len(names))]
    return len(names) > 1 and (counted or not any(map(is_number, names)))


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

    Returns no names for a line that names images, since that is a row.
    """
    if len(text) > LONGEST_LINE or _PATH.match(text):
        return []
    names = [name.strip(BLANK).lower() for name in re.split(f"[{_SEPARATORS}]", text)]
    # pandas writes a column of row numbers with such a name
    return list(
        dropwhile(lambda name: name in ("", "index") or name.startswith("unnamed: "), names)
    )


def split_line(line: int, text: str) -> Fields:
    """Split a line into images and numbers; raises RowError with what is missing.

    Paths may contain spaces and commas, so they are found by their ending and not by splitting. The
    separator of the numbers is decided from the numbers, since pandas.to_csv() leaves spaces before
    paths, but not before numbers.
    """
    if len(text) > LONGEST_LINE:
        raise RowError(f"the line has {len(text)} characters, expected at most {LONGEST_LINE}")
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
        name_bytes = len(image.encode())
        if name_bytes > LONGEST_NAME:
            raise RowError(
                f"the name of the {camera} image has {name_bytes} bytes, "
                f"expected at most {LONGEST_NAME}"
            )
        images.append(image)
        rest = rest[match.end() :]
        separator = match["separator"]
    numbers, separator, columns = _split_numbers(rest, separator)
    center, left, right = images
    return Fields(line, (center, left, right), tuple(map(str.strip, numbers)), separator, columns)


def _split_numbers(rest: str, separator: str) -> tuple[list[str], str, int]:
    """Split what follows the images: numbers, their separator, and the row's number of columns.

    Raises RowError for too few numbers.

    rest: the line after the images
    separator: what separates the images
    """
    rest = rest.strip().rstrip(f"{separator} ")
    if rest.count('"') % 2:  # the whole line is quoted; its first quote went with the images
        rest = rest.replace('"', "")
    cells = re.split(r",\s+", rest)
    if '"' in rest:
        cells = next(csv.reader([rest], delimiter=separator, skipinitialspace=True))
        numbers = cells
    elif separator == "," and len(cells) > 1 and all(map(is_number, cells[:4])):
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
    return numbers, separator, images + len(cells)


def row_ends(columns: int) -> RowError:
    """Return the error for a row of too few columns."""
    return RowError(f"the row ends after {columns} columns, expected {FEWEST_COLUMNS}: {COLUMNS}")


def is_number(text: str) -> bool:
    """Return True for a number with a decimal point or comma."""
    return NUMBER.fullmatch(with_decimal_point(text)) is not None


def with_decimal_point(number: str) -> str:
    """Return a number with its decimal comma, if it has one, replaced by a point."""
    if "," in number and _COMMA_NUMBER.fullmatch(number):
        return number.replace(",", ".")
    return number


def numbers_of(written: Sequence[str]) -> list[float]:
    """Return steering, throttle, brake and speed; raises RowError for a text that is no number."""
    for name, text in zip(COLUMNS.split(",")[3:], written, strict=False):
        if not is_number(text):
            raise RowError(f"{name} is {text!r}, expected a number")
    return [float(with_decimal_point(text)) for text in written[:4]]
