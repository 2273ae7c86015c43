"""Recognise what a Lambda layer computes, such as x / 127.5 - 1, from its stored byte code, which is never run.

Recognised are up to three steps of arithmetic with a number, x / 127.5 - 1 or (x - 128) / 128, as Python 2.7 and 3.4 to
3.13 compile and marshal them; anything else is refused. The layout of a code object:
https://github.com/python/cpython/blob/3.13/Python/marshal.c; the numbers of the instructions: `opcode.opmap` of each
version.
"""

import base64
import binascii
import math
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from bcclone.model.keras_files import UnsupportedModel

REMEDY = (
    "state what it computes, as bcclone import-model --rescale 'x / 127.5 - 1', or save the model with a Rescaling "
    "layer in its place"
)
# what begins the code, a step (index of its constant, number of its operation), what ends the code
_CODES = (
    (rb"\|\0\0", rb"d(.)\0([\x14\x15\x17\x18\x1b])", rb"S"),  # Python 2.7, 3.4, 3.5
    (rb"\|\0", rb"d(.)([\x14\x17\x18\x1b])\0", rb"S\0"),  # 3.6 to 3.10
    (rb"\x97\0\|\0", rb"d(.)z([\0\x05\x0a\x0b])\0\0", rb"S\0"),  # 3.11, 3.12
    (rb"\x95\0U\0", rb"S(.)-([\0\x05\x0a\x0b])\0\0", rb"\$\0"),  # 3.13
)
_OPERATIONS = {0: "+", 5: "*", 10: "-", 11: "/", 20: "*", 21: "/", 23: "+", 24: "-", 27: "/"}
_HEAD = rb"[c\xe3]\x01\0\0\0(?:.{12}|.{16}|.{20})[s\xf3].{4}"  # of a function of one argument
_CONSTANT = rb"(N)|[g\xe7](.{8})|[i\xe9](.{4})|f.([-+.e\d]+)"
_CONSTANTS = rb"(?:[(\xa8].{4}|[)\xa9].)((?:" + _CONSTANT + rb")+)"
_NO_NAMES = rb"(?:[(\xa8]\0{4}|[)\xa9]\0)"  # of anything outside the function
_WRITTEN = r"([{}])(-?(?:\d+\.?\d*|\.\d+))"


@dataclass(frozen=True)
class Scaling:
    """What a layer does to each number of its input: scale * x + offset."""

    scale: float
    offset: float


def scaling_of_text(formula: str) -> Scaling:
    """Return the scaling that a text such as "x / 127.5 - 1" states; raises ValueError for any other text."""
    compact, factor, summand = formula.replace(" ", ""), _WRITTEN.format("*/"), _WRITTEN.format("+-")
    if not re.fullmatch(f"x(?:{factor})*(?:{summand})?", compact):
        raise ValueError(f"{formula[:60]!r}, expected a formula such as x / 127.5 - 1")
    return joined_scaling(
        (operation, float(number)) for operation, number in re.findall(_WRITTEN.format("-+*/"), compact)
    )


def scaling_of_code(text: str) -> Scaling:
    """Return the scaling that byte code computes; raises UnsupportedModel for any other function.

    Keras 1 wrote the bytes as text, one character a byte; Keras 2 and later write base64:
    https://github.com/keras-team/keras/blob/2.2.4/keras/utils/generic_utils.py (func_dump, func_load).
    """
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):  # as text; a backslash in a path may have made one character of six
        data = text.encode("raw_unicode_escape")
    for begin, step, end in _CODES:
        code = rb"%b((?:%b){0,3})%b" % (begin, re.sub(rb"\((.*?)\)", rb"\1", step), end)
        if function := re.match(_HEAD + code + _CONSTANTS + _NO_NAMES, data, re.DOTALL):
            steps = re.findall(step, function[1], re.DOTALL)
            constants = [_number(*values) for values in re.findall(_CONSTANT, function[2], re.DOTALL)]
            try:
                return joined_scaling((_OPERATIONS[number], constants[index]) for (index,), (number,) in steps)
            except (IndexError, ValueError):
                break
    raise UnsupportedModel(f"its function is not x / number - number or alike, and code in a file is not run; {REMEDY}")


def _number(none: bytes, real: bytes, whole: bytes, text: bytes) -> float:
    if real or whole:
        return float(struct.unpack("<d" if real else "<i", real or whole)[0])
    return math.nan if none else float(text)


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
