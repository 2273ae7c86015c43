"""One line of text -> image names and numeric fields, whatever separator and decimal mark the writer used.

The dialects and the counts behind these rules: docs/reference/dialects.md.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bcclone.recording.row import CAMERAS, RowError

_INTEGER = re.compile(r"[-+]?(?:0|[1-9]\d*)")
_EXPONENT_ONLY = re.compile(r"[-+]?[1-9]\d*[eE][-+]?\d+")
_FRACTION = re.compile(r"\d*[1-9]|\d+[eE][-+]?\d+")
_TOP_SPEED_MPH = 60.0

Numbers = tuple[float, float, float, float]


def resolve(pieces: Sequence[str], previous_speed_mph: float) -> Numbers:
    """Return steering, throttle, brake, speed from the comma-separated pieces of the numeric columns.

    Raises RowError when no reading, or more than one equally near to the previous speed, is left.
    """
    readings = sorted(set(_readings(pieces)), key=lambda numbers: abs(numbers[3] - previous_speed_mph))
    if not readings:
        raise RowError(f"decimal commas: no possible reading of {','.join(pieces)}")
    if len(readings) > 1:
        nearest, next_nearest = (abs(numbers[3] - previous_speed_mph) for numbers in readings[:2])
        if nearest == next_nearest:
            raise RowError(f"decimal commas: more than one reading of {','.join(pieces)}")
    return readings[0]


def _readings(pieces: Sequence[str]) -> Iterator[Numbers]:
    for numbers in _groupings(tuple(pieces), 4):
        steering, throttle, brake, speed = numbers
        pedals = 0 <= throttle <= 1 and 0 <= brake <= 1 and not (throttle > 0 and brake > 0)
        if abs(steering) <= 1 and pedals and 0 <= speed <= _TOP_SPEED_MPH:
            yield steering, throttle, brake, speed


def _groupings(pieces: tuple[str, ...], columns: int) -> Iterator[tuple[float, ...]]:
    """Yield each way to read the pieces as that many numbers of one piece or of two."""
    if not columns <= len(pieces) <= 2 * columns:
        return
    if columns == 0:
        yield ()
        return
    if _INTEGER.fullmatch(pieces[0]) or _EXPONENT_ONLY.fullmatch(pieces[0]):
        for others in _groupings(pieces[1:], columns - 1):
            yield (float(pieces[0]), *others)
    if len(pieces) > 1 and _INTEGER.fullmatch(pieces[0]) and _FRACTION.fullmatch(pieces[1]):
        for others in _groupings(pieces[2:], columns - 1):
            yield (float(f"{pieces[0]}.{pieces[1]}"), *others)


NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_COMMA_NUMBER = re.compile(r"[-+]?\d+,\d+(?:[eE][-+]?\d+)?")
_SEPARATORS = ",;\t"
_IMAGE = re.compile(rf"\.jpe?g\"? *(?P<separator>[{_SEPARATORS}])(?P<space> ?)", re.IGNORECASE)
_INDEX = re.compile(rf"\s*\d*\s*[{_SEPARATORS}]\s*(?=\S*[^\s{_SEPARATORS}])")
_EMPTY = {mark: re.compile(rf' *(?:"")? *[{mark}]') for mark in _SEPARATORS}
_PATH = {mark: re.compile(rf' *"?(?P<path>.*?\.jpe?g)"? *[{mark}]', re.IGNORECASE) for mark in _SEPARATORS}
_HEADER_WORDS = {
    "steering": 3, "steering_angle": 3, "steering angle": 3, "throttle": 4, "brake": 5, "break": 5,
    "reverse": 5, "speed": 6, "velocity": 6, "center": 0, "left": 1, "right": 2,
}  # fmt: skip
LONGEST_NAME = 255  # bytes, of any file system
LONGEST_LINE = 20_000
COLUMNS = "center,left,right,steering,throttle,brake,speed"


@dataclass(frozen=True)
class Dialect:
    """How a log is written. cameras: those that any row names; extra_columns: the most that any row has."""

    spaced: bool
    decimal_comma: bool
    header: bool
    cameras: tuple[str, ...]
    extra_columns: int


@dataclass(frozen=True, slots=True)
class Fields:
    """A line taken apart: base names of the images ("" where none) and the numeric fields as written.

    spaced: a space follows the comma after the first image.
    """

    line: int
    images: tuple[str, str, str]
    numbers: tuple[str, ...]
    spaced: bool


def names_an_image(text: str) -> bool:
    """Return True when the line holds the path of a JPEG."""
    return _IMAGE.search(text) is not None


def is_known_header(text: str) -> bool:
    """Return True for the simulator's column names, in their order, under any of their usual spellings."""
    return header_fault(text) is None and "center" in text.lower()


def header_fault(text: str) -> str | None:
    """Return what contradicts our order of columns in a line of column names, or None."""
    names = [name.strip().strip('"').lower() for name in re.split(f"[{_SEPARATORS}]", text)]
    if names and names[0] in ("", "index", "unnamed: 0"):
        names = names[1:]
    for place, name in enumerate(names):
        if name in _HEADER_WORDS and _HEADER_WORDS[name] != place:
            return f"{name!r} as column {place + 1}, expected as column {_HEADER_WORDS[name] + 1}"
    return None


def take_apart(line: int, text: str) -> Fields:
    """Split a line into images and numbers; raises RowError with what is missing.

    Paths are found by their ending and not by splitting: they hold spaces and commas.
    """
    found = _IMAGE.search(text)
    if found is None:
        raise RowError(f"no image path in the first column, expected {COLUMNS}")
    separator = found["separator"]
    index = _INDEX.match(text)
    rest = text[index.end() :] if index else text
    images = []
    for camera in CAMERAS:
        image, rest = _take_image(rest, separator, camera)
        images.append(base_name(image))
        if len(images[-1].encode()) > LONGEST_NAME:
            raise RowError(
                f"the name of the {camera} image has {len(images[-1].encode())} bytes, expected at most {LONGEST_NAME}"
            )
    spaced = separator == "," and found["space"] == " "
    numbers = _split_numbers(rest, separator, spaced)
    if len(numbers) < 4:
        raise RowError(f"the row ends after {3 + len(numbers)} columns, expected 7: {COLUMNS}")
    return Fields(line, (images[0], images[1], images[2]), tuple(numbers), spaced)


def base_name(path: str) -> str:
    """Return what follows the last slash of either kind; nothing in the path is taken for an escape."""
    return path.replace("\\", "/").rpartition("/")[2].strip()


def with_point(number: str) -> str:
    """Return a number with its decimal comma, if it has one, made a point."""
    return number.replace(",", ".") if "," in number and _COMMA_NUMBER.fullmatch(number) else number


def _take_image(text: str, separator: str, camera: str) -> tuple[str, str]:
    empty = _EMPTY[separator].match(text)
    if empty and camera != "center":
        return "", text[empty.end() :]
    path = _PATH[separator].match(text)
    if path is None:
        raise RowError(f"no image path for the {camera} camera, expected {COLUMNS}")
    return path["path"], text[path.end() :]


def _split_numbers(text: str, separator: str, spaced: bool) -> list[str]:
    text = text.strip().rstrip(f"{separator} ")
    if '"' in text:
        fields = next(csv.reader([text], delimiter=separator, skipinitialspace=True))
    elif spaced:
        fields = re.split(r",\s+", text)
    else:
        fields = text.split(separator)
    return [field.strip() for field in fields]
