"""Find scale and offset of a stored lambda that computes scale * x + offset, from its byte code, which is never run.

Known is straight-line arithmetic on the one argument, as Python 2.7 and 3.4 to 3.13 compile it. The numbers of
the instructions are those of `opcode.opmap` of each version; what they do: the documentation of Python's `dis`.
"""

import base64
import binascii
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bcclone.model.keras_files import UnsupportedModel
from bcclone.model.keras_files.marshal_data import BadMarshal, CodeData, read_code

_OPERATIONS_OF_OP = {0: "BINARY_ADD", 5: "BINARY_MULTIPLY", 10: "BINARY_SUBTRACT", 11: "BINARY_TRUE_DIVIDE"}
_TO_310 = {
    1: "POP_TOP", 10: "UNARY_POSITIVE", 11: "UNARY_NEGATIVE", 19: "BINARY_POWER", 20: "BINARY_MULTIPLY",
    21: "BINARY_DIVIDE", 23: "BINARY_ADD", 24: "BINARY_SUBTRACT", 25: "BINARY_SUBSCR", 26: "BINARY_FLOOR_DIVIDE",
    27: "BINARY_TRUE_DIVIDE", 83: "RETURN_VALUE", 100: "LOAD_CONST", 101: "LOAD_NAME", 102: "BUILD_TUPLE",
    103: "BUILD_LIST", 106: "LOAD_ATTR", 107: "COMPARE_OP", 108: "IMPORT_NAME", 116: "LOAD_GLOBAL", 124: "LOAD_FAST",
    125: "STORE_FAST", 131: "CALL_FUNCTION", 132: "MAKE_FUNCTION", 136: "LOAD_DEREF", 141: "CALL_FUNCTION_KW",
    160: "LOAD_METHOD", 161: "CALL_METHOD",
}  # fmt: skip
_311_AND_312 = {
    0: "CACHE", 1: "POP_TOP", 2: "PUSH_NULL", 11: "UNARY_NEGATIVE", 83: "RETURN_VALUE", 100: "LOAD_CONST",
    106: "LOAD_ATTR", 108: "IMPORT_NAME", 116: "LOAD_GLOBAL", 121: "RETURN_CONST", 122: "BINARY_OP", 124: "LOAD_FAST",
    125: "STORE_FAST", 137: "LOAD_DEREF", 149: "COPY_FREE_VARS", 151: "RESUME", 160: "LOAD_METHOD", 166: "PRECALL",
    171: "CALL", 172: "KW_NAMES",
}  # fmt: skip
_313 = {
    0: "CACHE", 32: "POP_TOP", 34: "PUSH_NULL", 36: "RETURN_VALUE", 42: "UNARY_NEGATIVE", 45: "BINARY_OP", 53: "CALL",
    57: "CALL_KW", 62: "COPY_FREE_VARS", 75: "IMPORT_NAME", 82: "LOAD_ATTR", 83: "LOAD_CONST", 84: "LOAD_DEREF",
    85: "LOAD_FAST", 88: "LOAD_FAST_LOAD_FAST", 91: "LOAD_GLOBAL", 103: "RETURN_CONST", 110: "STORE_FAST",
    149: "RESUME",
}  # fmt: skip
_HAVE_ARGUMENT = 90  # in 2.7 to 3.5, instructions from this number on carry two bytes more
_SHOWN = 12


@dataclass(frozen=True)
class Affine:
    """scale * x + offset; a scale of 0 is a constant."""

    scale: float
    offset: float


@dataclass(frozen=True)
class Instruction:
    """One instruction by name; argument: as stored, 0 without one."""

    name: str
    argument: int


def affine_of(text: str) -> Affine:
    """Return the function of a lambda whose byte code Keras stored as `text`; raises UnsupportedModel.

    Keras 1 wrote the bytes as text, one character a byte; Keras 2 and later write base64:
    https://github.com/keras-team/keras/blob/2.2.4/keras/utils/generic_utils.py (func_dump, func_load).
    """
    code, instructions = _read(text)
    try:
        return _evaluate(code, instructions)
    except (ValueError, TypeError, IndexError, ArithmeticError):
        raise UnsupportedModel(
            f"it computes more than x * number + number and is not run: {_shown(code, instructions)}; {_REMEDY}"
        ) from None


def shown(text: str) -> str:
    """Return the instructions of byte code as a readable text, with the remedy; raises UnsupportedModel."""
    return f"{_shown(*_read(text))}; {_REMEDY}"


def _read(text: str) -> tuple[CodeData, list[Instruction]]:
    try:
        code = read_code(_bytes_of(text))
        return code, _instructions_of(code)
    except BadMarshal as error:
        raise UnsupportedModel(f"its byte code cannot be read: {error}; {_REMEDY}") from None


_REMEDY = "retrain with model.py, or save the model with a Rescaling layer in its place"


def _bytes_of(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):  # as text; a backslash in a path may have made one character of six
        return text.encode("raw_unicode_escape")


def _instructions_of(code: CodeData) -> list[Instruction]:
    """Return the instructions, without caches; unknown ones are named by their number."""
    data = code.code
    names = _TO_310
    if code.layout == "3.11 and later":
        # each has its own RESUME, which stands first but for closures, where COPY_FREE_VARS comes before
        resumes = data[2:3] if (data[:1], data[2:3]) in ((b"\x95", b"\x97"), (b"\x3e", b"\x95")) else data[:1]
        names = _313 if resumes == b"\x95" else _311_AND_312
    if code.layout in ("2.7", "3.4 to 3.7") and data[-1:] == b"\x53":  # RETURN_VALUE without an argument: to 3.5
        pairs = _pairs_to_35(data)
    else:
        if len(data) % 2:
            raise BadMarshal("half an instruction")
        pairs = list(zip(data[::2], data[1::2], strict=True))
    instructions = [Instruction(names.get(number, f"instruction {number}"), argument) for number, argument in pairs]
    return [instruction for instruction in instructions if instruction.name != "CACHE"]


def _pairs_to_35(data: bytes) -> list[tuple[int, int]]:
    pairs, place = [], 0
    while place < len(data):
        long = data[place] >= _HAVE_ARGUMENT
        pairs.append((data[place], int.from_bytes(data[place + 1 : place + 3], "little") if long else 0))
        place += 3 if long else 1
    return pairs


def _evaluate(code: CodeData, instructions: Sequence[Instruction]) -> Affine:
    """Evaluate the instructions with a stack of Affine; raises for anything but arithmetic on one argument."""
    if code.arguments != 1 or not instructions or instructions[-1].name != "RETURN_VALUE":
        raise ValueError("not a function of one argument")
    stack: list[Affine] = []
    for place, instruction in enumerate(instructions[:-1]):
        if instruction.name == "RESUME" and place == 0:
            continue
        if instruction == Instruction("LOAD_FAST", 0):
            stack.append(Affine(1.0, 0.0))
        elif instruction.name == "LOAD_CONST":
            stack.append(Affine(0.0, _number(code.constants[instruction.argument])))
        elif instruction.name == "UNARY_NEGATIVE":
            stack.append(_product(stack.pop(), Affine(0.0, -1)))
        else:
            right, left = stack.pop(), stack.pop()
            stack.append(_combined(instruction, left, right))
    (result,) = stack
    if not (math.isfinite(result.scale) and math.isfinite(result.offset) and result.scale):
        raise ValueError("not a normalisation")
    return result


def _number(constant: Any) -> float:
    if type(constant) not in (int, float):
        raise TypeError("not a number")
    return constant  # type: ignore[no-any-return]  # whole numbers stay whole for Python 2's division


def _combined(instruction: Instruction, left: Affine, right: Affine) -> Affine:
    """Return left (+, -, *, /) right, if it is a multiple of x plus a number."""
    name = _OPERATIONS_OF_OP.get(instruction.argument) if instruction.name == "BINARY_OP" else instruction.name
    if name == "BINARY_ADD":
        return Affine(left.scale + right.scale, left.offset + right.offset)
    if name == "BINARY_SUBTRACT":
        return Affine(left.scale - right.scale, left.offset - right.offset)
    if name == "BINARY_MULTIPLY":
        return _product(left, right)
    if name not in ("BINARY_DIVIDE", "BINARY_TRUE_DIVIDE") or right.scale:
        raise ValueError("not arithmetic")
    if name == "BINARY_DIVIDE" and not left.scale and isinstance(left.offset, int) and isinstance(right.offset, int):
        return Affine(0.0, left.offset // right.offset)  # Python 2 divides whole numbers so; x is none
    return Affine(left.scale / right.offset, left.offset / right.offset)


def _product(left: Affine, right: Affine) -> Affine:
    if left.scale and right.scale:
        raise ValueError("not linear")
    return Affine(left.scale * right.offset + right.scale * left.offset, left.offset * right.offset)


def _shown(code: CodeData, instructions: Sequence[Instruction]) -> str:
    """Return the instructions as a readable text; values from the file are shown by repr()."""
    words = [_worded(code, instruction) for instruction in instructions[:_SHOWN]]
    if len(instructions) > _SHOWN:
        words.append(f"and {len(instructions) - _SHOWN} more")
    names = ", ".join(repr(str(name)[:40]) for name in code.names[:_SHOWN])
    return "; ".join(words) + (f" (names: {names})" if names else "")


def _worded(code: CodeData, instruction: Instruction) -> str:
    if instruction.name == "LOAD_CONST" and instruction.argument < len(code.constants):
        constant = code.constants[instruction.argument]
        plain = isinstance(constant, int | float | str | bytes | None)
        return f"LOAD_CONST {repr(constant)[:40] if plain else type(constant).__name__}"
    if instruction.name == "BINARY_OP":
        return _OPERATIONS_OF_OP.get(instruction.argument, f"BINARY_OP {instruction.argument}")
    return instruction.name
