"""No pattern of bcclone takes a time that grows with the square of a text, which may come from a hostile file."""

import importlib
import itertools
import re
import sys
from pathlib import Path

import pytest

import bcclone
from tests.processes import cpu_limit

_LENGTH = 20_000  # characters: a line of a log may be so long
_PARTS = (*" \t0a,.;:_-+/[\"'\\", "0.", "0,", " ,", "\t,", "a/", ".jpg", ".jpg ", '"",', "center_0", "aA", "1e", '"')
_ENDS = ("", "!", "x.jpg", ",a.jpg,")
_MOST_CPU_SECONDS = 20  # a pattern that goes back takes minutes, the others milliseconds


def patterns():
    """Yield module, name and pattern of each that a module of bcclone compiles."""
    home = Path(bcclone.__file__).parent
    for path in sorted(home.rglob("*.py")):
        if re.search(r"^_?\w+ = .*re\.compile\(", path.read_text(encoding="utf-8"), re.MULTILINE):
            name = ".".join((bcclone.__name__, *path.relative_to(home).with_suffix("").parts)).removesuffix(".__init__")
            for key, value in vars(importlib.import_module(name)).items():
                found = value.values() if isinstance(value, dict) else [value]
                yield from ((name, key, one) for one in found if isinstance(one, re.Pattern))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no timer of the processor")
def test_every_pattern_takes_a_time_proportional_to_the_text():
    found = list(patterns())
    assert {name for name, _, _ in found} >= {"bcclone.recording.dialect", "bcclone.drive.protocol"}
    for (module, name, pattern), part, end in itertools.product(found, _PARTS, _ENDS):
        text = part * (_LENGTH // len(part)) + end
        with cpu_limit(_MOST_CPU_SECONDS):
            try:
                for method in (pattern.fullmatch, pattern.match):
                    method(text.encode() if isinstance(pattern.pattern, bytes) else text)
            except TimeoutError as error:
                pytest.fail(f"{module}.{name}: {error} for {part!r} * {_LENGTH // len(part)} + {end!r}")
