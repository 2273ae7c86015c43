"""The text that says how frames are prepared -> the fields of a Preprocessing; the same grammar in
every command.

    rows 60-135, YUV, blur 3, 200x66, 0..1

A text is a list of parts with commas, perhaps the name of a preset first: `nvidia-66x200-yuv,
0..1`. Resizing, colours and blur are applied in the order of the text. Importing this loads nothing
large, so that --help answers at once.
"""

import ast
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from bcclone.system.errors import did_you_mean, shown
from bcclone.system.settings import Setting

PRESETS = {
    "carnd-128-rgb": "128x128",
    "carnd-160x320-rgb": "320x160",
    "nvidia-66x200-yuv": "rows 60-135, 200x66, YUV",
    "nvidia-66x200-yuv-bgr": "rows 60-135, 200x66, BGR-YUV",
    "gray-80x120": "120x80, GRAY",
    "chauffeur-120x320-yuv": "rows 40-160, 320x120, YUV",
    # 5/12 of the rows: 200 of 480 in the teams' pictures
    "epoch-128x128-rgb": "rows 67-160, 128x128",
    "course-66x200-yuv": "rows 60-135, YUV, blur 3, 200x66, 0..1",
}
STEPS = ("size", "color", "blur")  # in this order where a text does not say
INTERPOLATIONS = ("linear", "area", "nearest", "cubic")
RAW, EACH_IMAGE = (
    "raw",
    "mean and deviation",
)  # scales: 0 to 255, and to the mean 0 and the deviation 1 of each image
_SPACES = ("YUV", "HSV", "HLS", "LAB", "GRAY")
_COLORS = (
    "rgb",
    "bgr",
    "bgr-yuv",
    "greyscale",
    *map(str.lower, _SPACES),
)  # that a wrong word may mean

_PAIR = r"(\d{1,4}) ?(?:%s) ?(\d{1,4})"
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)"
_NUMBERS = rf"({_NUMBER}(?: {_NUMBER})*)"


@dataclass(frozen=True)
class Scaling:
    """What is done to each number: scale * x + offset, two numbers, or two lists with a number for
    each channel.
    """

    scale: Any
    offset: Any


def fields_of(text: str) -> dict[str, Any]:
    """Return the fields of Preprocessing that a text sets; raises ValueError for a text that is
    none.
    """
    parts = [" ".join(part.lower().split()) for part in text.split(",")]
    base = fields_of(PRESETS[parts.pop(0)]) if parts[0] in PRESETS else {}
    own: dict[str, Any] = {}
    for part in parts:
        fields = _fields_of_part(part)
        if not fields:
            similar = did_you_mean(part, [*PRESETS, *INTERPOLATIONS, *_COLORS])
            raise ValueError(
                f"{shown(part)}, expected a preset ({', '.join(PRESETS)}), or parts such as rows 60-135, 200x66, YUV, "
                f"blur 3, area, 0..1{similar and f'; {similar}'}"
            )
        if own.keys() & fields:
            raise ValueError(
                f"{shown(part)} after another {' and '.join(fields)}, expected each once"
            )
        own |= fields
    steps = [*base.pop("order", "").split(), *(name.replace("width", "size") for name in own)]
    return base | own | {"order": " ".join(dict.fromkeys(name for name in steps if name in STEPS))}


def _fields_of_part(part: str) -> dict[str, Any]:
    """Return the fields of one part in lower case, with single blanks; none for another text."""
    if span := re.fullmatch(rf"(?:crop )?(rows|columns) {_PAIR % '-|:|to'}", part):
        names = ("crop_top", "crop_bottom") if span[1] == "rows" else ("crop_left", "crop_right")
        return dict(zip(names, map(int, span.groups()[1:]), strict=True))
    if size := re.fullmatch(rf"(frame |size )?{_PAIR % 'x'}", part):
        names = ("frame_width", "frame_height") if size[1] == "frame " else ("width", "height")
        return dict(zip(names, map(int, size.groups()[1:]), strict=True))
    if kernel := re.fullmatch(r"(?:gaussian ?)?blur (\d{1,2})(?: ?x ?\1)?", part):
        return {"blur": int(kernel[1])}
    if name := re.fullmatch(rf"(?:inter_|bi)?({'|'.join(INTERPOLATIONS)})", part):
        return {"interpolation": name[1]}
    if color := color_named(part):
        return {"color": color}
    scale = scale_named(part)
    return {"scale": scale} if scale else {}


def color_named(text: str) -> str | None:
    """Return the colours as a definition stores them: [BGR-]SPACE, or [BGR-]SPACE-CHANNEL for one
    of its channels.

    text: such as "YUV", "BGR-YUV", "YUV of BGR", "HSV-S", "S of HSV", "grey"; None for another
    text. "BGR2YUV" is YUV: programs that name it so read BGR pictures with OpenCV.
    """
    text = re.sub(r"^(RGB|BGR)2|'S", " ", text.strip().upper())
    text = re.sub(r"\bGR[AE]Y(?:SCALE)?\b", "GRAY", text)
    words = re.findall(r"[A-Z]+", text.replace(" OF ", " "))
    order = [word for word in words if word in ("RGB", "BGR")]
    spaces = [word for word in words if word in _SPACES] or order[:1]
    channels = [word for word in words if word not in (*order, *spaces)]
    if re.search(r"[^-A-Z_ ]", text) or len(spaces) != 1 or len(order) > 1 or len(channels) > 1:
        return None
    if channels and (len(channels[0]) > 1 or channels[0] not in spaces[0] or spaces[0] == "GRAY"):
        return None
    source = ["BGR"] if order == ["BGR"] and spaces != order else []
    return "-".join([*source, *spaces, *channels])


def scale_named(text: str) -> str | None:
    """Return a scale as a definition states it: "raw", "0..1", "mean 120 deviation 60", "mean and
    deviation".

    text: one of these, or a formula such as "x / 127.5 - 1"; None for another text.
    """
    if text in (RAW, "0..255"):
        return RAW
    if re.fullmatch(
        r"(?:each image'?s? )?mean (?:and|/) (?:standard )?(?:deviation|std)|standardi[sz]ed?", text
    ):
        return EACH_IMAGE
    if stated := re.fullmatch(rf"({_NUMBER}) ?\.\. ?({_NUMBER})", text):
        low, high = map(float, stated.groups())
        return f"{_words(low)}..{_words(high)}" if low != high else None
    if stated := re.fullmatch(rf"mean {_NUMBERS} (?:deviation|std) {_NUMBERS}", text):
        means, deviations = ([*map(float, numbers.split())] for numbers in stated.groups())
        if min(deviations) <= 0 or not {1, len(means), len(deviations)} <= {1, 3}:
            return None
        return f"mean {_words(*means)} deviation {_words(*deviations)}"
    try:
        return scale_text(scaling_of_text(text))
    except ValueError:
        return None


def scale_text(scaling: Scaling) -> str:
    """Return the text of a scaling, one for all that compute the same: "0..1", "mean 1 2 3
    deviation 4 5 6", RAW.
    """
    if isinstance(scaling.scale, list):
        pairs = [*zip(scaling.scale, scaling.offset, strict=True)]
        means, deviations = (
            [-offset / scale for scale, offset in pairs],
            [1 / scale for scale, _ in pairs],
        )
        return f"mean {_words(*means)} deviation {_words(*deviations)}"
    ends = f"{_words(scaling.offset)}..{_words(scaling.offset + 255 * scaling.scale)}"
    return RAW if ends == "0..255" else ends


def scaling_of(scale: str) -> Scaling:
    """Return what a scale but EACH_IMAGE does to 0 to 255: numbers, or lists of them, one for each
    channel.
    """
    if scale == RAW:
        return Scaling(1.0, 0.0)
    if ".." in scale:
        low, high = map(float, scale.split(".."))
        return Scaling((high - low) / 255, low)
    means, deviations = (
        [*map(float, text.split())] for text in scale.removeprefix("mean ").split(" deviation ")
    )
    count = max(len(means), len(deviations))
    means, deviations = (each * (count // len(each)) for each in (means, deviations))
    scales = [1 / deviation for deviation in deviations]
    offsets = [-mean / deviation for mean, deviation in zip(means, deviations, strict=True)]
    return Scaling(scales, offsets) if count > 1 else Scaling(scales[0], offsets[0])


def scaling_of_text(formula: str) -> Scaling:
    """Return the scaling that a text such as "x / 127.5 - 1" states; raises ValueError for any
    other text.
    """
    text = formula.strip()
    text = f"x{text}" if text and "x" not in text else text  # steps alone
    try:
        scale, offset = _scale_and_offset(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(f"{shown(formula)}, expected a formula such as x / 127.5 - 1") from None
    return joined_scaling([("*", scale), ("+", offset)])


def _scale_and_offset(node: ast.expr) -> tuple[float, float]:
    """Return (scale, offset) of arithmetic with x and numbers; raises ValueError if that is no
    scaling.
    """
    match node:
        case ast.Name("x"):
            return 1.0, 0.0
        case ast.Constant(int() | float() as number):
            return 0.0, float(number)
        case ast.UnaryOp(ast.USub(), operand):
            scale, offset = _scale_and_offset(operand)
            return -scale, -offset
        case ast.BinOp(left, operation, right):
            (scale, offset), (by, number) = _scale_and_offset(left), _scale_and_offset(right)
            if isinstance(operation, ast.Add | ast.Sub):
                sign = 1 if isinstance(operation, ast.Add) else -1
                return scale + sign * by, offset + sign * number
            if isinstance(operation, ast.Mult) and not (scale and by):
                return scale * number + by * offset, offset * number
            if isinstance(operation, ast.Div) and number and not by:
                return scale / number, offset / number
    raise ValueError("no scaling")


def joined_scaling(steps: Iterable[tuple[str, float]]) -> Scaling:
    """Join the steps; raises ValueError for a result that is no scaling."""
    scale, offset = 1.0, 0.0
    for operation, number in steps:
        if operation in "+-":
            offset += number if operation == "+" else -number
        elif operation == "*":
            scale, offset = scale * number, offset * number
        elif number:
            scale, offset = scale / number, offset / number
        else:
            raise ValueError("a division by 0")
    if not (math.isfinite(scale) and math.isfinite(offset) and scale):
        raise ValueError(f"x * {scale:g} + {offset:g} is no scaling")
    return Scaling(scale, offset)


def _words(*numbers: float) -> str:
    return " ".join(f"{number + 0.0:.10g}" for number in numbers)


PreprocessingText = Annotated[
    str,
    Setting(
        f"how frames are prepared, required for a model that does not state it: a preset ({', '.join(PRESETS)}), or "
        "parts such as 'rows 60-140, 64x64, RGB, 0..1'",
        unit="HOW",
        parse=lambda text: text if fields_of(text) else None,
        shown="that of the model",
    ),
]
