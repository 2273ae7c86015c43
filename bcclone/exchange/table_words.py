"""Understand the words of a table of another program.

In: a cell, or the name of a column. Out: what it means, such as a number, an image, the steering, a
unit, or one of the three cameras.
"""

import math
import re
from collections import Counter
from collections.abc import Collection, Mapping

from bcclone.exchange.source_files import IMAGE_ENDINGS
from bcclone.recording.row import CAMERAS

# ---- cells

# a number as Python prints those of NumPy and PyTorch, such as tensor([0.5])
_WRAPPED_NUMBER = re.compile(
    r"(?:tensor|array|(?:np\.)?float\d\d)?\(?\[?"
    r"([-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)"
    r"\]?\)?"
)


def number_of_cell(cell: str) -> float:
    """Return the number in a cell, NaN if it holds none. A degree sign may follow the number.

    A comma is a decimal comma: in a table whose cells are separated by commas, no cell has one.
    """
    if "_" in cell:  # Python would ignore an underscore within a number
        return math.nan
    written = cell.removesuffix("°")
    with_point = written
    if written.count(",") == 1:
        with_point = written.replace(",", ".")
    try:
        return float(with_point)
    except ValueError:
        # not with_point: the comma of [0,5] stands between two numbers
        wrapped = _WRAPPED_NUMBER.fullmatch(written)
        return float(wrapped[1]) if wrapped else math.nan


def is_number(cell: str) -> bool:
    return math.isfinite(number_of_cell(cell))


def kind_of_cell(cell: str) -> str:
    """Return what a cell holds: "number", "image", or "" for any other text."""
    if is_number(cell):
        return "number"
    if cell.lower().endswith(IMAGE_ENDINGS):
        return "image"
    return ""


# ---- names of columns

# plain() names of columns that hold the steering, besides all names with "steer"
_ANGLES = {"angle", "user_angle", "wheel_angle", "angle_deg", "angle_rad"}
# found in the plain() name of a column that is about the steering, but does not hold its angle
_NO_ANGLE = re.compile(r"torque|velocity|speed|accel|driver|override|(^|_)(rate|left|right)(_|$)")


def plain(name: str) -> str:
    """Return a plain name: small letters, digits and underscores; steeringAngle -> steering_angle.

    The degree sign becomes deg.
    """
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.replace("°", " deg"))
    return re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")


def is_steering(name: str) -> bool:
    """Return whether a column of this plain name holds the steering."""
    return ("steer" in name or name in _ANGLES) and not _NO_ANGLE.search(name)


# words for what a car does or how it is driven, in a plain() name; such a value numbers no picture
_QUANTITIES = re.compile(
    "steer|angle|throttle|accel|brake|pedal|clutch|speed|velocity|torque"
    "|(?:^|_)(?:gas|break|gear|rpm|yaw|pitch|roll|heading|course|mph|kmh|kph|mps)(?:_|$)"
)
_PICTURES = re.compile(
    "frame|image|img|picture|photo|file|(?:^|_)(?:pics?|jpe?g|png|cam|camera)(?:_|$)"
)


def is_quantity(name: str) -> bool:
    """Return whether a column of this plain name holds a control, or what a sensor measured."""
    return _QUANTITIES.search(name) is not None


def is_of_pictures(name: str) -> bool:
    """Return whether a column of this plain name is about pictures."""
    return _PICTURES.search(name) is not None


def unit_in_name(name: str, endings: Mapping[str, str]) -> str | None:
    """Return the unit that is the last word of a column's name, or the whole name; None for none.

    endings: last words of a plain name -> unit
    """
    name = f"_{plain(name)}"
    return next((unit for ending, unit in endings.items() if name.endswith(f"_{ending}")), None)


def is_ours(names: Collection[str]) -> bool:
    """Return whether a table is an export of bcclone, by its columns.

    Either of two pairs of columns tells it, so that one column of the table may be missing.
    """
    return {"center", "time_ms"}.issubset(names) or {"recording", "episode"}.issubset(names)


# ---- names of cameras

# words and letters that name a camera in a plain() name
_CAMERAS = re.compile(r"(?:^|_)(left|right|cent(?:er|re|ral)|mid(?:dle)?(?![a-z])|front|forward)")
_OTHER_CAMERAS = re.compile(r"(?:^|_)(?:rear|back|behind|side|depth|lidar|semantic|seg|mask)")
_LETTER = re.compile(r"(?:^|_)([clr])(?![a-z0-9])")


def camera_in(text: str) -> str:
    """Return the camera that a text names: one of CAMERAS, or "other".

    Returns "" if it names none of them, or both left and right.
    """
    name = plain(text)
    if _OTHER_CAMERAS.search(name):
        return "other"
    words: set[str] = set(_CAMERAS.findall(name))
    sides = words & {"left", "right"}  # front_left is left
    if len(sides) == 1:
        return sides.pop()
    if words and not sides:
        return "center"
    return ""


def by_camera_in(texts: Mapping[str, str]) -> dict[str, str]:
    """Return camera -> name, for each camera that exactly one text names.

    texts: name of a column -> text that may name a camera: the column's name, or one of its cells
    """
    letters = {name: _letter_in(text) for name, text in texts.items()}
    if sorted(letters.values()) == ["c", "l", "r"]:
        by_letter = {letter: name for name, letter in letters.items()}
        return {camera: by_letter[camera[0]] for camera in CAMERAS}
    cameras = {name: camera_in(text) for name, text in texts.items()}
    counts = Counter(cameras.values())
    return {
        camera: name
        for name, camera in cameras.items()
        if camera in CAMERAS and counts[camera] == 1
    }


def _letter_in(text: str) -> str:
    """Return the letter by which a text may name a camera, "" for none."""
    match = _LETTER.search(plain(text))
    return match[1] if match else ""
