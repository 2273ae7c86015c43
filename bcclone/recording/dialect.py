"""Split one line of a driving log into image names and numbers, for any separator and decimal mark.

In: a line as text. Out: its `Fields`, or a RowError that says what is missing.

The dialects, and how often each was seen: docs/reference/dialects.md.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, product

from bcclone.recording.row import CAMERAS, RowError

COLUMNS = "center,left,right,steering,throttle,brake,speed"
# none of these patterns backtracks, so the time for a line is proportional to its length
NUMBER = re.compile(r"[-+]?(?:\d++(?:\.\d*+)?+|\.\d++)(?:[eE][-+]?\d++)?+")
LONGEST_NAME = 255  # bytes; the limit of common file systems
LONGEST_LINE = 20_000

_SEPARATORS = ",;\t"
_IMAGE = re.compile(rf"\.jpe?g\"?+ *+(?P<separator>[{_SEPARATORS}])(?P<space> ?)", re.IGNORECASE)
_FIELD = r"(?=[,;]*+[^\s,;])"  # followed by text, perhaps after empty fields
_TABS = r"(?=[^\S\t]*+\t)\s++"  # white space that contains a tab
_INDEX = re.compile(rf"\s*+\d*+(?:\s*+[,;]\s*+|{_TABS}){_FIELD}|{_TABS}{_FIELD}")
_EMPTY = {mark: re.compile(rf' *+(?:"" *+)?+[{mark}]') for mark in _SEPARATORS}
_PATH = {mark: re.compile(rf' *+"?+(?P<path>.*?\.jpe?g)"?+ *+[{mark}]', re.IGNORECASE) for mark in _SEPARATORS}
_HEADER_WORDS = {
    "steering": 3, "steering_angle": 3, "steering angle": 3, "throttle": 4, "brake": 5, "break": 5,
    "reverse": 5, "speed": 6, "velocity": 6, "center": 0, "left": 1, "right": 2,
}  # fmt: skip

_COMMA_NUMBER = re.compile(r"[-+]?\d+,\d+(?:[eE][-+]?\d+)?")
# as the simulator writes a number: without zeros at either end
_WRITTEN = re.compile(r"[-+]?(?:0|[1-9]\d*+)(?:\.(?:\d*[1-9]|\d++[eE][-+]?\d++))?|[-+]?[1-9]\d*+[eE][-+]?\d++")
_TOP_SPEED_MPH = 60.0

Numbers = tuple[float, float, float, float]  # steering, throttle, brake, speed


@dataclass(frozen=True)
class Dialect:
    """How a log is written.

    spaced: a space follows most separators; cameras: those that at least one row names; extra_columns: the largest
    number of columns after the seventh.
    """

    spaced: bool
    decimal_comma: bool
    header: bool
    cameras: tuple[str, ...]
    extra_columns: int


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of one line: base names of the images ("" where there is none) and the numbers as written.

    spaced: a space follows the comma after the first image.
    """

    line: int
    images: tuple[str, str, str]
    numbers: tuple[str, ...]
    spaced: bool


def names_an_image(text: str) -> bool:
    """Return True if the line holds the path of a JPEG."""
    return _IMAGE.search(text) is not None


def is_known_header(text: str) -> bool:
    """Return True for the simulator's column names, in their order, in any of their usual spellings."""
    return header_error(text) is None and "center" in _header_names(text)


def header_error(text: str) -> str | None:
    """Return which column name contradicts the simulator's order of columns, or None."""
    for index, name in enumerate(_header_names(text)):
        if name in _HEADER_WORDS and _HEADER_WORDS[name] != index:
            return f"{name!r} as column {index + 1}, expected as column {_HEADER_WORDS[name] + 1}"
    return None


def _header_names(text: str) -> list[str]:
    """Return the names of columns, in lower case, without that of an index."""
    names = [name.strip().strip('"').lower() for name in re.split(f"[{_SEPARATORS}]", text)]
    return names[1:] if names[0] in ("", "index", "unnamed: 0") else names


def split_line(line: int, text: str) -> Fields:
    """Split a line into images and numbers; raises RowError with what is missing.

    Paths may contain spaces and commas, so they are found by their ending and not by splitting.
    """
    found = _IMAGE.search(text)
    if found is None:
        raise RowError(f"no image path in the first column, expected {COLUMNS}")
    separator = found["separator"]
    index = _INDEX.match(text)
    rest = text[index.end() :] if index else text
    images = []
    for camera in CAMERAS:
        image, rest = _split_image(rest, separator, camera)
        images.append(image.replace("\\", "/").rpartition("/")[2].strip())  # a backslash never starts an escape
        if len(images[-1].encode()) > LONGEST_NAME:
            raise RowError(
                f"the name of the {camera} image has {len(images[-1].encode())} bytes, expected at most {LONGEST_NAME}"
            )
    spaced = separator == "," and found["space"] == " "
    rest = rest.strip().rstrip(f"{separator} ")
    if '"' in rest:
        numbers = next(csv.reader([rest], delimiter=separator, skipinitialspace=True))
    else:
        numbers = re.split(r",\s+", rest) if spaced else rest.split(separator)
    if len(numbers) < 4:
        raise RowError(f"the row ends after {3 + len(numbers)} columns, expected 7: {COLUMNS}")
    return Fields(line, (images[0], images[1], images[2]), tuple(number.strip() for number in numbers), spaced)


def _split_image(text: str, separator: str, camera: str) -> tuple[str, str]:
    """Return the image path at the start of the text, and the rest of the text."""
    empty = _EMPTY[separator].match(text)
    if empty and camera != "center":
        return "", text[empty.end() :]
    path = _PATH[separator].match(text)
    if path is None:
        raise RowError(f"no image path for the {camera} camera, expected {COLUMNS}")
    return path["path"], text[path.end() :]


def with_decimal_point(number: str) -> str:
    """Return a number with its decimal comma, if it has one, replaced by a point."""
    return number.replace(",", ".") if "," in number and _COMMA_NUMBER.fullmatch(number) else number


def resolve_decimal_commas(parts: Sequence[str], previous_speed_mph: float) -> Numbers:
    """Return the numbers of a line whose separators and decimal marks are both bare commas.

    parts: the numeric columns, split at every comma. Of all possible readings, the one whose speed is closest to that
    of the previous row is returned. Raises RowError if there is no reading, or two that are equally close.
    """
    readings = sorted(set(_readings(parts)), key=lambda numbers: abs(numbers[3] - previous_speed_mph))
    if not readings:
        raise RowError(
            f"decimal commas: no possible reading of {','.join(parts)}, expected steering, throttle, brake and speed"
        )
    if len(readings) > 1:
        nearest, next_nearest = (abs(numbers[3] - previous_speed_mph) for numbers in readings[:2])
        if nearest == next_nearest:
            raise RowError(f"decimal commas: more than one reading of {','.join(parts)}; write decimal points")
    return readings[0]


def _readings(parts: Sequence[str]) -> Iterator[Numbers]:
    """Yield the readings that the simulator could have written: each number is one part, or two parts."""
    for widths in product((1, 2), repeat=4):
        if sum(widths) != len(parts):
            continue
        ends = list(accumulate(widths))
        written = [".".join(parts[end - width : end]) for end, width in zip(ends, widths, strict=True)]
        if not all(map(_WRITTEN.fullmatch, written)):
            continue
        steering, throttle, brake, speed = map(float, written)
        pedals = 0 <= throttle <= 1 and 0 <= brake <= 1 and not (throttle > 0 and brake > 0)
        if abs(steering) <= 1 and pedals and 0 <= speed <= _TOP_SPEED_MPH:
            yield steering, throttle, brake, speed
