"""No pattern of bcclone takes a time that grows with the square of a text, which may come from a
hostile file.
"""

import importlib
import itertools
import re
import time
import timeit
from functools import partial
from pathlib import Path

import pytest

import bcclone

# a pattern that tries again and again fails early
_LENGTHS = [16, 20, 24, 32, 64, 256, 1024, 4096, 1 << 13, 1 << 15]
_PARTS = (
    *" \t0a,.;:_-+/[\"'\\",
    "0.",
    "0,",
    " ,",
    "\t,",
    "a/",
    ".jpg",
    ".jpg ",
    '"",',
    "center_0",
    "aA",
    "1e",
    '"',
)
_ENDS = ("", "!", "x.jpg", ",a.jpg,")
_SEARCHED = r"\b{}\.(?:search|sub|split|findall|finditer)\("


def patterns():
    """Yield module, name and pattern of each that a module of bcclone compiles, and whether it is
    searched for.
    """
    home = Path(bcclone.__file__).parent
    for path in sorted(home.rglob("*.py")):
        code = path.read_text(encoding="utf-8")
        if re.search(r"^_?\w+ = .*re\.compile\(", code, re.MULTILINE):
            name = ".".join(
                (bcclone.__name__, *path.relative_to(home).with_suffix("").parts)
            ).removesuffix(".__init__")
            for key, value in vars(importlib.import_module(name)).items():
                searched = re.search(_SEARCHED.format(key), code) is not None
                found = value.values() if isinstance(value, dict) else [value]
                yield from (
                    (name, key, one, searched) for one in found if isinstance(one, re.Pattern)
                )


def slow_length(match, part, end):
    """Return the length of a text for which matching takes 0.1 s or more, None if even a long one
    takes less.
    """
    for length in _LENGTHS:
        text = part * (length // len(part)) + end
        matching = partial(match, text)
        seconds = timeit.repeat(matching, timer=time.process_time, number=1, repeat=3)
        if min(seconds) > 0.1:
            return length
    return None


@pytest.mark.slow
def test_every_pattern_takes_a_time_proportional_to_the_text():
    found = list(patterns())
    assert {name for name, *_ in found} >= {"bcclone.recording.dialect", "bcclone.drive.protocol"}
    for (module, name, pattern, searched), part, end in itertools.product(found, _PARTS, _ENDS):
        if isinstance(pattern.pattern, bytes):
            part = part.encode()
            end = end.encode()
        for method in ("fullmatch", *["search"] * searched):
            length = slow_length(getattr(pattern, method), part, end)
            assert length is None, (
                f"{module}.{name}: {method} of {length} characters of {part!r} and {end!r}"
            )
