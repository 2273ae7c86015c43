"""Make the wrong files of an attacker from a valid one: values of every JSON type in each place, and damaged bytes."""

from collections.abc import Iterator
from typing import Any

import pytest

_VALUES = (
    None, True, False, 0, -1, 7, 1 << 63, 10**400, 1.5, 1e308, float("nan"), "", "x", "x" * 5000, "\ud800", "a\0b",
    "../..", "zzz://x", [], [None], [[[]]], {}, {"a": 1}, "2026-01-01",
)  # fmt: skip
_INSERTED = (
    b"\0", b"\n", b'"', b",", b"\r", b"\xff", b"9" * 400, b"1e999", b"nan", b"-", b"{", b"[", b"'", b"\x1c",
    "\u2028".encode(), "²".encode(), "٣".encode(), b"0x" + b"f" * 300,
)  # fmt: skip


def with_wrong_values(stored: Any) -> Iterator[Any]:
    """Yield a JSON value with each of its parts replaced by values of every type, left out, and repeated."""
    yield from _VALUES
    if isinstance(stored, dict):
        for key, value in stored.items():
            yield from ({**stored, key: wrong} for wrong in with_wrong_values(value))
            yield {other: stored[other] for other in stored if other != key}
        yield {**stored, "unknown": 1}
    if isinstance(stored, list):
        for index, value in enumerate(stored[:3]):
            yield from ([*stored[:index], wrong, *stored[index + 1 :]] for wrong in with_wrong_values(value))
        yield stored * 2


def damaged(content: bytes, random: Any, changes: int = 3) -> bytes:
    """Return a content with some bytes changed, removed, repeated and inserted. random: a random.Random."""
    for _ in range(random.randint(1, changes)):
        begin = random.randrange(len(content) + 1)
        end = min(begin + random.randint(1, 60), len(content))
        inserted = random.choice(
            [b"", bytes([random.randrange(256)]), content[begin:end] * 2, random.choice(_INSERTED)]
        )
        content = content[:begin] + inserted + content[random.choice([begin, end, end]) :]
    return content


def thinned(values, ids, every):
    """Return pytest's parameters of values: each `every`-th runs in the fast tests, all of them in the slow ones."""
    pairs = enumerate(zip(values, ids, strict=True))
    return [pytest.param(one, id=name, marks=[] if n % every == 0 else pytest.mark.slow) for n, (one, name) in pairs]
