"""Read a code object written by Python's marshal as plain data that cannot be called.

Python's own `marshal` reads only what its own version wrote, and makes code objects. This reads versions 0 to 4
of the format, from Python 2.7 and 3.4 to 3.13, bounded in size and depth. The format, by source:
https://github.com/python/cpython/blob/3.13/Python/marshal.c (2.7's strings and code: the same file of branch 2.7).
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_LARGEST_SIZE, _DEEPEST, _MOST_DIGITS = 1 << 16, 16, 64  # a normalisation takes about 200 bytes
_FLAG_REF = 0x80
_SINGLETONS = {"N": None, "F": False, "T": True, ".": ..., "S": StopIteration}
# What stands in a code object, layout by layout: integers, objects, the number of its first line, objects.
_OLD = ["code", "consts", "names", "varnames", "freevars", "cellvars", "filename", "name"]
_NEW = ["code", "consts", "names", "localsplusnames", "localspluskinds", "filename", "name", "qualname"]
_TUPLES = {"consts", "names", "varnames", "freevars", "cellvars", "localsplusnames"}
_LAYOUTS = {
    "2.7": (["argcount", "nlocals", "stacksize", "flags"], _OLD, ["lnotab"]),
    "3.4 to 3.7": (["argcount", "kwonly", "nlocals", "stacksize", "flags"], _OLD, ["lnotab"]),
    "3.8 to 3.10": (["argcount", "posonly", "kwonly", "nlocals", "stacksize", "flags"], _OLD, ["lnotab"]),
    "3.11 and later": (["argcount", "posonly", "kwonly", "stacksize", "flags"], _NEW, ["linetable", "exceptiontable"]),
}


class BadMarshal(ValueError):
    """The bytes are not a code object in any known layout; the text is the reason."""


@dataclass(frozen=True)
class CodeData:
    """A code object as data. layout: the Python versions that write it; arguments: number of arguments."""

    layout: str
    arguments: int
    code: bytes
    constants: tuple[Any, ...]
    names: tuple[Any, ...]


def read_code(data: bytes) -> CodeData:
    """Return the code object in `data`, which must end with it; raises BadMarshal."""
    if len(data) > _LARGEST_SIZE:
        raise BadMarshal(f"{len(data)} bytes of byte code, expected at most {_LARGEST_SIZE}")
    for layout in _LAYOUTS:
        reader = _Reader(data, layout)
        try:
            value = reader.object()
            if isinstance(value, CodeData) and reader.place == len(data):
                return value
        except (BadMarshal, struct.error, ValueError, IndexError, TypeError):
            continue
    raise BadMarshal("no complete function of Python 2.7 or 3.4 to 3.13")


class _Reader:
    """Reads the bytes by one layout of code objects."""

    def __init__(self, data: bytes, layout: str) -> None:
        self.data, self.layout = data, layout
        self.place = self.depth = 0
        self.references: list[Any] = []
        self.interned: list[Any] = []
        self.readers: dict[str, Callable[[], Any]] = {
            "i": self.integer, "I": lambda: self.number("<q"), "l": self.long,
            "f": self.float_text, "g": lambda: self.number("<d"),
            "x": lambda: complex(self.float_text(), self.float_text()),
            "y": lambda: complex(self.number("<d"), self.number("<d")),
            "s": lambda: self.take(self.integer()), "t": self.interned_string,
            "u": lambda: self.take(self.integer()).decode("utf-8", "surrogatepass"),
            "a": lambda: self.take(self.integer()).decode("ascii"),
            "A": lambda: self.take(self.integer()).decode("ascii"),
            "z": lambda: self.take(self.byte()).decode("ascii"),
            "Z": lambda: self.take(self.byte()).decode("ascii"),
            "R": lambda: self.interned[self.index()], "r": lambda: self.reference(self.index()),
            "(": lambda: self.items(self.index()), ")": lambda: self.items(self.byte()),
            "[": lambda: self.items(self.index()), "<": lambda: self.items(self.index()),
            ">": lambda: self.items(self.index()), "c": self.code_object,
        }  # fmt: skip

    def object(self) -> Any:
        """Read one object; lists and sets become tuples; code objects contain no dictionaries."""
        head = self.byte()
        kind, kept = chr(head & ~_FLAG_REF), bool(head & _FLAG_REF)
        self.depth += 1
        if self.depth > _DEEPEST:
            raise BadMarshal("nested too deeply")
        place = len(self.references)
        if kept:  # in the order in which they begin
            self.references.append(self)
        if kind not in self.readers and kind not in _SINGLETONS:
            raise BadMarshal(f"type {kind!r}")
        value = _SINGLETONS[kind] if kind in _SINGLETONS else self.readers[kind]()
        if kept:
            self.references[place] = value
        self.depth -= 1
        return value

    def take(self, count: int) -> bytes:
        if not 0 <= count <= len(self.data) - self.place:
            raise BadMarshal("it ends early")
        self.place += count
        return self.data[self.place - count : self.place]

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def integer(self) -> int:
        value: int = self.number("<i")
        return value

    def index(self) -> int:
        """Return a count or an index, which cannot exceed the size of the file."""
        value = self.integer()
        if not 0 <= value <= len(self.data):
            raise BadMarshal("a count beyond the end")
        return value

    def long(self) -> int:
        """Return an integer of any size: digits of 15 bits, the lowest first; a negative count is its sign."""
        count = self.integer()
        if abs(count) > _MOST_DIGITS:
            raise BadMarshal("an integer of many digits")
        digits = struct.unpack(f"<{abs(count)}H", self.take(2 * abs(count)))
        value: int = sum(digit << 15 * place for place, digit in enumerate(digits))
        return -value if count < 0 else value

    def float_text(self) -> float:
        return float(self.take(self.byte()))

    def interned_string(self) -> str:
        """Return an interned string (bytes in 2.7); 2.7 refers back to it by its number among interned strings."""
        self.interned.append(self.take(self.integer()).decode("utf-8", "surrogatepass"))
        return str(self.interned[-1])

    def reference(self, index: int) -> Any:
        if self.references[index] is self:
            raise BadMarshal("an object within itself")
        return self.references[index]

    def items(self, count: int) -> tuple[Any, ...]:
        return tuple(self.object() for _ in range(count))

    def code_object(self) -> CodeData:
        """Read a code object; the parts that are used are checked."""
        integers, objects, last = _LAYOUTS[self.layout]
        parts: dict[str, Any] = {name: self.integer() for name in integers}
        parts.update((name, self.object()) for name in objects)
        self.integer()  # the first line
        parts.update((name, self.object()) for name in last)
        tuples = [part for name, part in parts.items() if name in _TUPLES]
        if not isinstance(parts["code"], bytes) or not all(isinstance(part, tuple) for part in tuples):
            raise BadMarshal("not the parts of a code object")
        arguments: int = parts["argcount"] + parts.get("kwonly", 0)
        return CodeData(self.layout, arguments, parts["code"], parts["consts"], parts["names"])
