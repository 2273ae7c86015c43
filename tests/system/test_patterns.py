"""No pattern of bcclone takes steps that grow with the square of a text, which may come from a hostile file."""

import importlib
import itertools
import re
from pathlib import Path

import pytest

import bcclone
from tests.counted_pattern import CountedPattern

_LENGTH = 128  # characters; twice of them may take twice the steps
_PARTS = (*" \t0a,.;:_-+/[\"'\\", "0.", "0,", " ,", "\t,", "a/", ".jpg", ".jpg ", '"",', "center_0", "aA", "1e", '"')
_ENDS = ("", "!", "x.jpg", ",a.jpg,")
_SEARCHED = r"\b{}\.(?:search|sub|split|findall|finditer)\("


def patterns():
    """Yield module, name and pattern of each that a module of bcclone compiles, and whether it is searched for."""
    home = Path(bcclone.__file__).parent
    for path in sorted(home.rglob("*.py")):
        code = path.read_text(encoding="utf-8")
        if re.search(r"^_?\w+ = .*re\.compile\(", code, re.MULTILINE):
            name = ".".join((bcclone.__name__, *path.relative_to(home).with_suffix("").parts)).removesuffix(".__init__")
            for key, value in vars(importlib.import_module(name)).items():
                searched = re.search(_SEARCHED.format(key), code) is not None
                found = value.values() if isinstance(value, dict) else [value]
                yield from ((name, key, one, searched) for one in found if isinstance(one, re.Pattern))


def counted(pattern, method, text):
    """Return how many steps the pattern takes; what it finds must be what `re` finds."""
    counting = CountedPattern(pattern)
    end = getattr(counting, method)(text)
    found = getattr(pattern, method)(text.encode() if isinstance(pattern.pattern, bytes) else text)
    assert end == (found.end() if found else None), f"{pattern.pattern!r}: {method} of {text!r}"
    return counting.steps


@pytest.mark.slow
def test_every_pattern_takes_steps_proportional_to_the_text():
    found = list(patterns())
    assert {name for name, *_ in found} >= {"bcclone.recording.dialect", "bcclone.drive.protocol"}
    for (module, name, pattern, searched), part, end in itertools.product(found, _PARTS, _ENDS):
        for method in ("fullmatch", *["search"] * searched):
            one, two = (
                counted(pattern, method, part * (length // len(part)) + end) for length in (_LENGTH, 2 * _LENGTH)
            )
            assert two <= 2.2 * one + 100, (
                f"{module}.{name}: {one} and {two} steps of {method} for {part!r} and {end!r}"
            )


@pytest.mark.parametrize(
    ("pattern", "text"),
    [(r"\s*\d*\s*!", " "), (r" *x? *!", " "), (r"(?:a|a)*!", "a"), (r".*,.*!", ","), (r"\s+!", " ")],
)
def test_a_pattern_that_goes_back_is_found(pattern, text):
    one, two = (counted(re.compile(pattern), "search", text * length) for length in (6, 12))
    assert two > 2.5 * one
