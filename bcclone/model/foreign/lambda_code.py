"""Read the formula of a Lambda layer in its byte code, without running it.

In: the byte code of a function, as text. Out: the `Scaling` that it computes.

Read are functions of one argument, x, that compute with x and one number after the other, as
x / 127.5 - 1 and (x - 128) / 128 do. Python 2.7 and 3.4 to 3.13 compile such a function to

    load x; load a number, compute; load a number, compute; ...; return

The layout of the bytes is that of https://github.com/python/cpython/blob/3.13/Python/marshal.c; the
numbers of the instructions are in `opcode.opmap` of each version.
"""

import base64
import binascii
import math
import re
import struct

from bcclone.dataset.preprocessing_text import Scaling, joined_scaling
from bcclone.model.foreign.stored import UnsupportedModel
from bcclone.system.errors import shown_command


def remedy() -> str:
    """Return what to do about a function that is not read."""
    words = ("import-model", "MODEL", "-o", "NEW.h5", "--rescale", "x / 127.5 - 1")
    return (
        f"if it scales the pixels alone, state how: {shown_command(*words)}; or save the model "
        "with layers of Keras in its place, such as Rescaling, Cropping2D and Resizing"
    )


# a stored function of one argument up to its instructions
_FUNCTION = re.compile(
    rb"""
    [c\xe3] \x01\0\0\0                 # a function, and the number of its arguments
    (?: .{12} | .{16} | .{20} )        # 3, 4 or 5 other numbers, by the version of Python
    [s\xf3] (?P<length> .{4} )         # a string of bytes, the instructions, and its length
    """,
    re.VERBOSE | re.DOTALL,
)
# the tuple of the function's numbers, and its length; it follows the instructions
_NUMBERS = re.compile(rb"[(\xa8](?P<long>.{4})|[)\xa9](?P<short>.)", re.DOTALL)
# one of them: None, a float, a whole number, or a float as text
_NUMBER = re.compile(
    rb"N|[g\xe7](?P<float>.{8})|[i\xe9](?P<whole>.{4})|f.(?P<text>[-+.e\d]+)", re.DOTALL
)
# the instructions of a formula in some versions of Python: to load x; to load the number at a place
# among the function's numbers, and to compute with it; to return
_FORMULAS = (
    # 2.7, 3.4, 3.5
    (rb"\|\0\0", rb"d(.)\0([\x14\x15\x17\x18\x1b])", rb"S"),
    # 3.6 to 3.10
    (rb"\|\0", rb"d(.)([\x14\x17\x18\x1b])\0", rb"S\0"),
    # 3.11, 3.12
    (rb"\x97\0\|\0", rb"d(.)z([\0\x05\x0a\x0b])\0\0", rb"S\0"),
    # 3.13
    (rb"\x95\0U\0", rb"S(.)-([\0\x05\x0a\x0b])\0\0", rb"\$\0"),
)
# numbers of the operations: below 20 since Python 3.11
_SIGNS = {0: "+", 5: "*", 10: "-", 11: "/", 20: "*", 21: "/", 23: "+", 24: "-", 27: "/"}


def scaling_of_code(text: str) -> Scaling:
    """Return what byte code computes; raises UnsupportedModel for other code than arithmetic."""
    try:
        instructions, numbers = _parts(_bytes_of(text))
        for begin, step, end in _FORMULAS:
            formula = re.compile(begin + b"((?:" + step + b")*)" + end, re.DOTALL)
            if found := formula.fullmatch(instructions):
                steps = re.findall(step, found[1], re.DOTALL)
                return joined_scaling((_SIGNS[sign[0]], numbers[place[0]]) for place, sign in steps)
    except (ValueError, LookupError, struct.error):  # damaged, or no number to compute with
        pass
    raise UnsupportedModel(
        "its function is not x / number - number or alike, and code in a file is not run; "
        f"{remedy()}"
    )


def _bytes_of(text: str) -> bytes:
    """Return the bytes of a function.

    Keras 2 and later write base64, Keras 1 the bytes as text, one character a byte:
    https://github.com/keras-team/keras/blob/2.2.4/keras/utils/generic_utils.py (func_dump)
    """
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        # Keras 1 took \u and four digits, which may stand in a path, for one character:
        # "raw_unicode_escape" writes such a character as six bytes again
        return text.encode("raw_unicode_escape")


def _parts(data: bytes) -> tuple[bytes, list[float]]:
    """Return a function's instructions and its numbers, with NaN for None.

    Raises ValueError and struct.error for anything else.
    """
    head = _FUNCTION.match(data)
    if not head:
        raise ValueError("no function of one argument")
    (length,) = struct.unpack("<I", head["length"])
    end = head.end() + length
    found = _NUMBERS.match(data, end)
    if not found:
        raise ValueError("no tuple after the instructions")
    count = int.from_bytes(found["long"] or found["short"], "little")
    place = found.end()
    numbers: list[float] = []
    for _ in range(count):
        number = _NUMBER.match(data, place)
        if not number:
            raise ValueError("a constant that is not a number")
        if number["float"]:
            numbers += struct.unpack("<d", number["float"])
        elif number["whole"]:
            numbers += struct.unpack("<i", number["whole"])
        else:
            numbers.append(float(number["text"] or math.nan))
        place = number.end()
    return data[head.end() : end], numbers
