"""Read and write the text that says how frames are prepared; it is the same in every command.

In: a text. Out: the fields of a `Preprocessing`, a `Scaling`, or a size.

    rows 60-135, YUV, blur 3, 200x66, 0..1

A text is a list of parts with commas between them; the first part may be the name of a preset:
`nvidia-66x200-yuv, 0..1`. Resizing, colours and blur are applied in the order of the text. A part
such as 0..1 is a scale: what a layer of the network makes of the values 0 to 255. Importing this
loads nothing large, so that --help answers at once.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from bcclone.system.errors import did_you_mean, shown
from bcclone.system.settings import Setting, SettingError

PRESET_TEXTS = {
    "carnd-128-rgb": "128x128",
    "carnd-160x320-rgb": "320x160",
    "nvidia-66x200-yuv": "rows 60-135, 200x66, YUV",
    "nvidia-66x200-yuv-bgr": "rows 60-135, 200x66, BGR-YUV",
    "gray-80x120": "120x80, GRAY",
    "course-66x200-yuv": "rows 60-135, YUV, blur 3, 200x66, 0..1",
}
# what may be done to a frame after cropping; in this order unless a text has another one
STEPS = ("size", "color", "blur")
INTERPOLATIONS = ("linear", "area")
# BGR-YUV: red and blue are swapped before the conversion
COLORS = ("RGB", "BGR", "YUV", "BGR-YUV", "GRAY", "BGR-GRAY")
# two scales in words
RAW = "raw"  # the values stay 0 to 255
EACH_IMAGE = "mean and deviation"  # each image gets the mean 0 and the standard deviation 1

# pattern of a part with whole numbers -> the fields that they are
_NUMBERED_PARTS = {
    r"rows (\d{1,4}) ?- ?(\d{1,4})": ("crop_top", "crop_bottom"),
    r"columns (\d{1,4}) ?- ?(\d{1,4})": ("crop_left", "crop_right"),
    r"frame (\d{1,4}) ?x ?(\d{1,4})": ("frame_width", "frame_height"),
    r"(\d{1,4}) ?x ?(\d{1,4})": ("width", "height"),
    r"blur (\d{1,2})": ("blur",),
}
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)"  # a number, perhaps with a sign and a decimal point
# one or more such numbers with blanks between them, as one group
_NUMBERS = rf"({_NUMBER}(?: {_NUMBER})*)"

SMALLEST_IMAGE = 8  # smallest width or height of an image that a network is given, in pixels
LARGEST_IMAGE = 1024  # largest width or height
LARGEST_PICTURE = 4096  # largest width or height of a picture that an exported file takes


# ---- parts


def fields_of(text: str) -> dict[str, Any]:
    """Return the fields of Preprocessing that a text sets, by name.

    Raises ValueError for a part that is not known, and for a field that is stated twice.
    """
    parts = [" ".join(part.lower().split()) for part in text.split(",")]
    preset: dict[str, Any] = {}
    if parts[0] in PRESET_TEXTS:
        preset = fields_of(PRESET_TEXTS[parts[0]])
        parts = parts[1:]

    stated: dict[str, Any] = {}
    for part in parts:
        fields = _fields_of_part(part)
        if not fields:
            hint = did_you_mean(part, [*PRESET_TEXTS, *INTERPOLATIONS, *map(str.lower, COLORS)])
            raise ValueError(
                f"{shown(part)}, expected a preset ({', '.join(PRESET_TEXTS)}), or parts such as "
                f"rows 60-135, 200x66, YUV, blur 3, area, 0..1{'; ' if hint else ''}{hint}"
            )
        if stated.keys() & fields:
            raise ValueError(
                f"{shown(part)} after another {' and '.join(fields)}, expected each once"
            )
        stated |= fields

    # the steps of the preset, then those that the text adds, in its order
    steps = preset.pop("order", "").split()
    for name in stated:
        # width and height are stated together, and are the step "size"
        step = "size" if name == "width" else name
        if step in STEPS and step not in steps:
            steps.append(step)
    return preset | stated | {"order": " ".join(steps)}


def _fields_of_part(part: str) -> dict[str, Any]:
    """Return the fields that a part sets, {} for a part that is not known.

    part: in lower case, with single blanks
    """
    for pattern, names in _NUMBERED_PARTS.items():
        if stated := re.fullmatch(pattern, part):
            return dict(zip(names, map(int, stated.groups()), strict=True))
    if part in INTERPOLATIONS:
        return {"interpolation": part}
    color = part.upper().replace("GREY", "GRAY")
    if color in COLORS:
        return {"color": color}
    scale = scale_named(part)
    return {"scale": scale} if scale else {}


def _checked(text: str) -> str:
    """Return the text as it is; raises ValueError if it cannot be read."""
    fields_of(text)
    return text


PreprocessingText = Annotated[
    str,
    Setting(
        "how frames are prepared, required for a model that does not state it: a preset "
        f"({', '.join(PRESET_TEXTS)}), or parts such as 'rows 60-140, 64x64, RGB, 0..1'",
        unit="HOW",
        parse=_checked,
        shown="that of the model",
    ),
]


# ---- scales


@dataclass(frozen=True)
class Scaling:
    """What a layer of the network makes of each value x of an image: scale * x + offset."""

    # two numbers, or two lists with a number for each channel
    scale: Any
    offset: Any


def scale_named(text: str) -> str | None:
    """Return a scale in the form of Preprocessing.scale, None for a text that is not a scale.

    The form is RAW, EACH_IMAGE, or such as "0..1" or "mean 1 2 3 deviation 4 5 6".

    text: a scale in this form, or a formula such as "/255" or "x / 127.5 - 1"
    """
    if text == EACH_IMAGE:
        return text
    scaling = _scaling_in(text)
    return scale_text(scaling) if scaling else None


def scaling_of(text: str) -> Scaling:
    """Return the scaling that a text such as "0..1" or "x / 127.5 - 1" states.

    Raises ValueError for any other text, also for EACH_IMAGE.
    """
    scaling = _scaling_in(text.strip())
    if scaling is None:
        raise ValueError(f"{shown(text)}, expected one such as -1..1, /255 or x / 127.5 - 1")
    return scaling


def _scaling_in(text: str) -> Scaling | None:
    """Return the scaling that a text states; None if it states none, or divides by 0."""
    if text == RAW:
        return Scaling(1.0, 0.0)
    if stated := re.fullmatch(rf"({_NUMBER}) ?\.\. ?({_NUMBER})", text):
        low, high = map(float, stated.groups())
        return Scaling((high - low) / 255, low) if low != high else None
    if stated := re.fullmatch(rf"mean {_NUMBERS} deviation {_NUMBERS}", text):
        means, deviations = ([*map(float, words.split())] for words in stated.groups())
        # one number for all channels, or three: one for each channel
        if min(deviations) <= 0 or not {len(means), len(deviations)} <= {1, 3}:
            return None
        if len(means) == len(deviations) == 1:
            return Scaling(1 / deviations[0], -means[0] / deviations[0])
        means *= 3 // len(means)
        deviations *= 3 // len(deviations)
        offsets = [-mean / deviation for mean, deviation in zip(means, deviations, strict=True)]
        return Scaling([1 / deviation for deviation in deviations], offsets)
    if formula := re.fullmatch(rf"(?:x ?)?/ ?({_NUMBER})(?: ?- ?({_NUMBER}))?", text):
        divisor = float(formula[1])
        return Scaling(1 / divisor, -float(formula[2] or 0)) if divisor else None
    return None


def scale_text(scaling: Scaling) -> str:
    """Return a scaling as a text: "0..1", "mean 1 2 3 deviation 4 5 6", or RAW.

    Scalings that compute the same have the same text.
    """
    if isinstance(scaling.scale, list):
        means = [
            -offset / scale for scale, offset in zip(scaling.scale, scaling.offset, strict=True)
        ]
        deviations = [1 / scale for scale in scaling.scale]
        return f"mean {_words(*means)} deviation {_words(*deviations)}"
    # what 0 and 255 become
    ends = f"{_words(scaling.offset)}..{_words(scaling.offset + 255 * scaling.scale)}"
    return RAW if ends == "0..255" else ends


def _words(*numbers: float) -> str:
    """Return the numbers with ten digits and blanks between them; adding 0.0 turns -0 into 0."""
    return " ".join(f"{number + 0.0:.10g}" for number in numbers)


def joined_scaling(steps: Iterable[tuple[str, float]]) -> Scaling:
    """Return the scaling that operations with x, one after the other, add up to.

    Raises ValueError for a division by 0, and for a result that does not depend on x or is not
    finite.

    steps: for each operation, its sign (+, -, * or /) and the number
    """
    scale = 1.0
    offset = 0.0
    for operation, number in steps:
        if operation == "+":
            offset += number
        elif operation == "-":
            offset -= number
        elif operation == "*":
            scale *= number
            offset *= number
        elif number:
            scale /= number
            offset /= number
        else:
            raise ValueError("a division by 0")
    if not (math.isfinite(scale) and math.isfinite(offset) and scale):
        raise ValueError(f"x * {scale:g} + {offset:g} is not a scaling")
    return Scaling(scale, offset)


# ---- sizes


def parse_size(text: str) -> tuple[int, int]:
    """Return width and height of "128" or "320x160"; raises ValueError for anything else."""
    width, by, height = text.lower().partition("x")
    if not by:
        height = width
    try:
        return int(width), int(height)
    except ValueError:
        raise ValueError(f"{text!r}, expected a number of pixels or WIDTHxHEIGHT") from None


Size = Annotated[
    tuple[int, int],
    Setting(minimum=SMALLEST_IMAGE, maximum=LARGEST_IMAGE, unit="SIZE", parse=parse_size),
]


def check_one_size(preset: str | None, size: tuple[int, int] | None) -> None:
    """Raise SettingError if both a size and a preprocessing, which includes a size, are given.

    preset: name of the preprocessing
    """
    if preset and size:
        raise SettingError("{preprocess} {preset} includes a size; leave out {size}", preset=preset)
