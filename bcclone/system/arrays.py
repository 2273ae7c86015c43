"""Short names for types of arrays, and indices: spread evenly, and in runs.

Docstrings state the shapes of arrays. In the modules that use these types, np.asarray() around an
expression that is an array already is for the type checker, which does not know the types of some
of NumPy's results.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
Uint32Array = npt.NDArray[np.uint32]
IndexArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Random = np.random.Generator


def evenly(count: int, most: int) -> IndexArray:
    """Return at most `most` indices, spread evenly from the first of `count` values to the last."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(int)


def runs(numbers: npt.NDArray[np.integer[Any]], gap: int = 1) -> Iterator[tuple[int, int]]:
    """Yield the first and the last number of each run of numbers, in rising order.

    Neighbours in a run are at most `gap` apart: with a gap of 1, 3, 4, 5 and 9 are the runs (3, 5)
    and (9, 9).

    numbers: whole numbers in any order
    """
    rising = np.unique(numbers).astype(np.int64)
    if not len(rising):
        return
    ends = np.flatnonzero(np.diff(rising) > gap)
    firsts = rising[np.append(0, ends + 1)]
    lasts = rising[np.append(ends, -1)]
    yield from zip(firsts.tolist(), lasts.tolist(), strict=True)


def numbers_in(spans: Iterable[tuple[int, int]]) -> IndexArray:
    """Return all whole numbers of spans; a span is its first and last number, as in runs()."""
    numbers = [np.arange(first, last + 1) for first, last in spans]
    return np.concatenate([np.zeros(0, np.int64), *numbers])  # without spans, an empty array
