"""Recognise what the function of a Lambda layer computes, without running it.

In: the byte code of the function, as text. Out: a `Scaling`, or the rows and columns of a resizing.
Everything else raises UnsupportedModel, with what its author can do about it.

Recognised are up to three steps of arithmetic with a number, such as x / 127.5 - 1 or
(x - 128) / 128, and tf.image.resize(x, (66, 200)), as Python 2.7 and 3.4 to 3.13 compile and
marshal them. The layout of a code object:
https://github.com/python/cpython/blob/3.13/Python/marshal.c; the numbers of the instructions:
`opcode.opmap` of each version. Importing this loads no large package.
"""

import base64
import binascii
import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from bcclone.dataset.preprocessing_text import Scaling, joined_scaling
from bcclone.model.foreign.unsupported import UnsupportedModel

# the first bytes of the code object of a function with one argument: its type, the number of
# arguments, other numbers (their count depends on the version of Python), and at last the type and
# the length of the string of instructions
_HEAD = rb"[c\xe3]\x01\0\0\0(?:.{12}|.{16}|.{20})[s\xf3].{4}"


def computed_by(text: str) -> Scaling | tuple[int, int]:
    """Return the scaling, or the rows and columns of the resizing, that byte code computes.

    Keras 1 wrote the bytes as text, one character a byte; Keras 2 and later write base64:
    https://github.com/keras-team/keras/blob/2.2.4/keras/utils/generic_utils.py (func_dump,
    func_load). Raises UnsupportedModel for other code.
    """
    data = _bytes_of(text)
    computed: Scaling | tuple[int, int] | None = _scaling_in(data)
    if computed is None:
        computed = _resizing_in(data)
    if computed is None:
        raise UnsupportedModel(
            "its function is not x / number - number or alike, and code in a file is not run; "
            f"{remedy_of(text)}"
        )
    return computed


def _bytes_of(text: str) -> bytes:
    """Return the byte code that computed_by() describes as text."""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        # Keras 1 wrote one character a byte. But it took \u and four digits, which may stand in a
        # path, for one character: "raw_unicode_escape" writes such a character as six bytes again
        return text.encode("raw_unicode_escape")


# ---- arithmetic


@dataclass(frozen=True)
class _Instructions:
    """The instructions of a formula in some versions of Python, as patterns."""

    begin: bytes  # loads the argument x
    # loads a constant and computes with it; the groups are the index of the constant among the
    # function's constants, and the number of the operation
    step: bytes
    end: bytes  # returns the result


_VERSIONS = (
    # Python 2.7, 3.4, 3.5
    _Instructions(rb"\|\0\0", rb"d(.)\0([\x14\x15\x17\x18\x1b])", rb"S"),
    # 3.6 to 3.10
    _Instructions(rb"\|\0", rb"d(.)([\x14\x17\x18\x1b])\0", rb"S\0"),
    # 3.11, 3.12
    _Instructions(rb"\x97\0\|\0", rb"d(.)z([\0\x05\x0a\x0b])\0\0", rb"S\0"),
    # 3.13
    _Instructions(rb"\x95\0U\0", rb"S(.)-([\0\x05\x0a\x0b])\0\0", rb"\$\0"),
)
# number of an operation in the byte code -> its sign; 20 and more up to Python 3.10, below 20 since
_OPERATIONS = {0: "+", 5: "*", 10: "-", 11: "/", 20: "*", 21: "/", 23: "+", 24: "-", 27: "/"}
# a constant: None, a float, a whole number, or a float as text, each with a group of its own
_CONSTANT = rb"(N)|[g\xe7](.{8})|[i\xe9](.{4})|f.([-+.e\d]+)"
# the tuple of a function's constants: its type, its length, and the constants as one group
_CONSTANTS = rb"(?:[(\xa8].{4}|[)\xa9].)((?:" + _CONSTANT + rb")+)"
_NO_NAMES = rb"(?:[(\xa8]\0{4}|[)\xa9]\0)"  # the function uses no name from outside it


def _scaling_in(data: bytes) -> Scaling | None:
    """Return what up to three steps of arithmetic compute, None for another function."""
    for version in _VERSIONS:
        # the step without its groups: a group that is repeated keeps its last match only, so the
        # groups of all steps are found below, by findall
        step = re.sub(rb"\((.*?)\)", rb"\1", version.step)
        code = version.begin + rb"((?:" + step + rb"){0,3})" + version.end
        function = re.match(_HEAD + code + _CONSTANTS + _NO_NAMES, data, re.DOTALL)
        if not function:
            continue
        steps = re.findall(version.step, function[1], re.DOTALL)
        constants = [_number(*found) for found in re.findall(_CONSTANT, function[2], re.DOTALL)]
        try:
            return joined_scaling(
                (_OPERATIONS[operation], constants[index])
                for (index,), (operation,) in steps  # each is one byte
            )
        except (IndexError, ValueError):  # a constant is missing, or no number to compute with
            return None
    return None


def _number(none: bytes, real: bytes, whole: bytes, text: bytes) -> float:
    """Return a constant as a number, NaN for None.

    none, real, whole, text: the groups of _CONSTANT, of which all but one are empty
    """
    if none:
        return math.nan
    if text:
        return float(text)
    if real:
        (number,) = struct.unpack("<d", real)
    else:
        (number,) = struct.unpack("<i", whole)
    return float(number)


# ---- a resizing

# tf.image.resize(x, (66, 200)) in Python 3.6 to 3.13: instructions that load, call, build a list or
# return (_CALLS); the constants None and the two numbers (_PAIR); and the names tf, image and
# resize (_NAMED)
_CALLS = rb"(?:(?:[\0\x02\x09Sdfgjt|\x83\x97\xa0\xa1\xa6\xab].)+|(?:[\0$/45RSU\[\x95].)+)"
_PAIR = rb"[)\xa9].N(?:[)\xa9]\x02)?[i\xe9](.{4})[i\xe9](.{4})"
_NAMED = (
    rb"[)\xa9][\x02-\x04](?:[zZ\xda\xfa].\w+){0,2}"
    rb"[zZ\xda\xfa]\x05image[zZ\xda\xfa]\x06resize[)\xa9]"
)


def _resizing_in(data: bytes) -> tuple[int, int] | None:
    """Return the rows and columns of a resizing, None for another function."""
    size = re.match(_HEAD + _CALLS + _PAIR + _NAMED, data, re.DOTALL)
    if not size:
        return None
    rows, columns = (struct.unpack("<i", number)[0] for number in size.groups())
    return rows, columns


# ---- what to do about a function that is not read

RESCALE_COMMAND = "bcclone import-model --rescale"
_STATE_THE_SCALE = (
    f"if it scales the pixels alone, state how, as {RESCALE_COMMAND} 'x / 127.5 - 1', or save "
    "the model with a Rescaling layer in its place"
)
_CUTS = "[:]"  # stands among the names of a function that slices its argument; see _REMEDIES
_REMEDIES = {  # pattern of a name that a function uses -> what to do; the first match counts
    r"^resize_(images|bilinear|bicubic|area|nearest_neighbor)$"
    r"|^resizemethod$|^antialias$|^preserve_aspect_ratio$": (
        "no layer resizes so; train the model with a Resizing layer in its place"
    ),
    "resize": (
        "save the model with a Resizing layer in its place, such as "
        "keras.layers.Resizing(66, 200), and with Cropping2D and Rescaling for what else it does"
    ),
    "gr[ae]y|yuv|hsv|bgr": (
        "save the model without it, and give the colours in --preprocess: GRAY, or, nearly as "
        "after a division by 255, 'YUV, mean 0 128 128 deviation 255' or "
        "'HSV, mean 0 deviation 180 255 255'"
    ),
    r"^(reduce_)?std$|standardi": (
        "save the model without it and the crops before it, and give them in --preprocess, such "
        "as 'rows 60-135, mean and deviation'"
    ),
    r"crop|\[:\]": (
        "save the model with a Cropping2D layer in its place if it crops, or if it reverses the "
        "colours, without it and with BGR in --preprocess"
    ),
}
_LONGEST_NAME = 40  # characters of the name of a function; a longer text is its byte code
# the number of the instruction that builds a slice: before Python 3.13, and in 3.13
_BUILD_SLICE = 133
_BUILD_SLICE_313 = 50
_RESUME_313 = 0x95  # the first instruction of code of Python 3.13


def remedy_of(text: str) -> str:
    """Return what to do about a function that cannot be read.

    text: the function's name, or its byte code, as computed_by() takes it
    """
    data = _bytes_of(text)
    names = [text[:_LONGEST_NAME].lower(), *_names_in(data)]
    if _takes_a_part(data):
        names.append(_CUTS)
    for pattern, remedy in _REMEDIES.items():
        if any(re.search(pattern, name) for name in names):
            return remedy
    return _STATE_THE_SCALE


def _names_in(data: bytes) -> Iterator[str]:
    """Yield the names and texts in byte code, in lower case, without the path of its file."""
    for head in re.finditer(rb"[zZ\xda\xfa](.)|[stu](.)\0\0\0", data, re.DOTALL):
        length = ord(head[1] or head[2])
        name = data[head.end() : head.end() + length].decode("latin-1").lower()
        if "/" not in name and "\\" not in name:
            yield name


def _takes_a_part(data: bytes) -> bool:
    """Return whether byte code takes a slice of its argument, or reverses it.

    An operand that happens to have the instruction's number counts, too: only a remedy depends on
    the answer.
    """
    head = re.match(_HEAD, data, re.DOTALL)
    if not head:
        return False
    start = head.end()
    (length,) = struct.unpack("<i", data[start - 4 : start])
    code = data[start : start + length]
    if not code:
        return False
    build_slice = _BUILD_SLICE_313 if code[0] == _RESUME_313 else _BUILD_SLICE
    return build_slice in code
