"""Statistics of curves: correlation, robust lines, tops, the jackknife; of values; of indices:
spread evenly, runs.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bcclone.system.arrays import FloatArray, IndexArray

_CONSTANT, _BLOCKS = 1e-9, 8  # a smaller range is one of rounding; of the jackknife
_NEARLY_ALL = 0.99


def evenly(count: int, most: int) -> IndexArray:
    """Return the indices of at most so many of `count` values, spread evenly, the first and the
    last included.
    """
    return np.linspace(0, count - 1, min(count, most)).round().astype(int)


def runs(numbers: npt.NDArray[np.integer[Any]], gap: int = 1) -> Iterator[tuple[int, int]]:
    """Yield the first and the last of each run of whole numbers that follow one another, at most
    `gap` apart.
    """
    rising = np.unique(numbers).astype(np.int64)
    ends = np.flatnonzero(np.diff(rising) > gap)
    if len(rising):
        yield from zip(
            rising[np.append(0, ends + 1)].tolist(),
            rising[np.append(ends, -1)].tolist(),
            strict=True,
        )


def numbers_in(spans: Iterable[tuple[int, int]]) -> IndexArray:
    """Return the whole numbers from the first to the last of each span, as runs() yields them."""
    return np.concatenate(
        [np.zeros(0, np.int64), *(np.arange(first, last + 1) for first, last in spans)]
    )


def highest_run(values: FloatArray) -> tuple[int, int, float]:
    """Return the first and the last index of the successive values with the greatest sum, and this
    sum.
    """
    sums = np.append(0.0, np.cumsum(values))
    above = sums - np.minimum.accumulate(sums)
    after = int(np.argmax(above))
    return int(np.argmin(sums[: after + 1])), after - 1, float(above[after])


def constant(values: npt.NDArray[Any]) -> tuple[float, str] | None:
    """Return the value that more than 99 % of the rows have, and "0.5 in every row"; None if they
    have several.
    """
    levels, counts = np.unique(np.round(values, 4) + 0.0, return_counts=True)
    value, share = float(levels[np.argmax(counts)]), float(counts.max() / counts.sum())
    rows = "every row" if share == 1 else f"{share:.1%} of the rows"
    return (value, f"{value:g} in {rows}") if share > _NEARLY_ALL else None


def varies(values: FloatArray) -> bool:
    """Return whether values, (values,), differ by more than rounding."""
    return len(values) > 1 and float(np.ptp(values)) > _CONSTANT


def correlation(one: FloatArray, other: FloatArray) -> float | None:
    """Return Pearson's correlation of two curves, (values,) each; None if one of them is constant."""
    return float(np.corrcoef(one, other)[0, 1]) if varies(one) and varies(other) else None


def right_side(steering: FloatArray, labels: FloatArray, beyond: float) -> float | None:
    """Return the fraction of labels beyond a limit whose side the steering has, (values,) each;
    None without such.
    """
    turns = np.abs(labels) > beyond
    return float((steering[turns] * labels[turns] > 0).mean()) if turns.any() else None


def robust_line(
    x: FloatArray, y: FloatArray, width: float = 2.0, rounds: int = 10
) -> tuple[float, float, FloatArray]:
    """Return slope and intercept of a line that few points do not change, and the weight of each
    point, (points,).

    A point that misses the line by `width` times the median error has a weight of 0.7.
    """
    columns, weights = np.stack([x, np.ones_like(x)], 1), np.ones(len(x))
    for _ in range(rounds):
        slope, intercept = np.linalg.lstsq(columns * weights[:, None], y * weights, rcond=None)[0]
        errors = y - slope * x - intercept
        weights = 1 / np.sqrt(1 + (errors / (width * float(np.median(np.abs(errors))) + 1e-3)) ** 2)
    return float(slope), float(intercept), weights


def jackknife_error(estimates: Sequence[float] | FloatArray) -> float:
    """Return the standard error of an estimate, given those without each of the parts of the data."""
    without = np.asarray(estimates, np.float64)
    return float(
        np.sqrt((len(without) - 1) / len(without) * np.sum((without - without.mean()) ** 2))
    )


def block_jackknife(count: int, estimate: Callable[[IndexArray], float]) -> float:
    """Return the standard error of an estimate from so many rows, in order of time, by leaving out
    blocks of them.

    estimate: indices of rows -> the estimate from them.
    """
    parts = np.array_split(np.arange(count), _BLOCKS)
    return jackknife_error(
        [estimate(np.concatenate(parts[:out] + parts[out + 1 :])) for out in range(_BLOCKS)]
    )


def top_of(curve: FloatArray) -> float:
    """Return the index of a curve's maximum: between its points, that of the parabola through the
    three highest.
    """
    top = int(np.argmax(curve))
    if not 0 < top < len(curve) - 1:
        return float(top)
    left, middle, right = curve[top - 1 : top + 2].tolist()
    bend = left - 2 * middle + right
    return top + (0.5 * (left - right) / bend if bend else 0.0)


def mean_around(
    times: FloatArray, values: FloatArray, within: float, weights: FloatArray, part: IndexArray
) -> FloatArray:
    """Return the weighted mean of the values at most within / 2 from each time, (values,).

    times: rising, (values,); part: rising numbers of parts, beyond which no mean reaches,
    (values,).
    """
    begins, ends = np.searchsorted(part, part), np.searchsorted(part, part, side="right")
    first = np.maximum(np.searchsorted(times, times - within / 2), begins)
    last = np.minimum(np.searchsorted(times, times + within / 2, side="right"), ends)
    sums, counts = (
        np.concatenate([[0.0], np.cumsum(each)]) for each in (values * weights, weights)
    )
    return np.asarray((sums[last] - sums[first]) / np.maximum(counts[last] - counts[first], 1e-9))
