"""Short names for types of arrays, and statistics of curves and values.

Docstrings state the shapes of arrays. In the modules that use these types, np.asarray() around an
expression that is an array already is for the type checker, which does not know the types of some
of NumPy's results.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
Uint32Array = npt.NDArray[np.uint32]
IndexArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Random = np.random.Generator

# What a policy remembers of a drive between two frames: the last images, newest last, or the states
# of a recurrent network. It is () at the begin of a drive, and always for a policy that sees only
# one frame.
Memory = tuple[npt.NDArray[Any], ...]


_ROUNDING = 1e-9  # values that differ by less count as equal: the difference comes from rounding
_NEARLY_ALL = 0.99  # a value counts as constant if a larger share of the rows has it
_JACKKNIFE_BLOCKS = 8  # blocks of rows; block_jackknife() leaves out each of them once


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


def exponential_mean(values: FloatArray, times: FloatArray, seconds: float) -> FloatArray:
    """Return the exponential mean of values until each of their times, (times,).

    Before the first time, its value is taken as constant; between two times, their mean.

    seconds: time constant, in which the weight of a value falls to 1 / e
    """
    means = values.copy()
    for index in range(1, len(values)):
        step = times[index] - times[index - 1]
        kept = math.exp(-step / seconds)
        between = (values[index - 1] + values[index]) / 2
        means[index] = kept * means[index - 1] + (1 - kept) * between
    return means


def constant(values: npt.NDArray[Any]) -> tuple[float, str] | None:
    """Return the value that more than 99 % of the rows have, and words such as "0.5 in every row".

    Returns None if no value is so frequent. Values are compared after rounding to 4 digits.

    values: (rows,)
    """
    levels, counts = np.unique(np.round(values, 4) + 0.0, return_counts=True)  # + 0.0: -0 becomes 0
    share = float(counts.max() / counts.sum())
    if share <= _NEARLY_ALL:
        return None
    value = float(levels[np.argmax(counts)])
    rows = "every row" if share == 1 else f"{share:.1%} of the rows"
    return value, f"{value:g} in {rows}"


def varies(values: FloatArray) -> bool:
    """Return whether values, (values,), differ by more than rounding."""
    return len(values) > 1 and float(np.ptp(values)) > _ROUNDING


def correlation(first: FloatArray, second: FloatArray) -> float | None:
    """Return Pearson's correlation of two curves, (values,) each; None if one is constant."""
    if not (varies(first) and varies(second)):
        return None
    return float(np.corrcoef(first, second)[0, 1])


def right_side(steering: FloatArray, labels: FloatArray, beyond: float) -> float | None:
    """Return the share of the turns in which the steering is to the label's side, the correct one.

    Returns None if there are no turns.

    steering, labels: (values,) each
    beyond: a row is a turn if the absolute value of its label is larger than this
    """
    turns = np.abs(labels) > beyond
    if not turns.any():
        return None
    return float((steering[turns] * labels[turns] > 0).mean())


def robust_line(
    x: FloatArray, y: FloatArray, width: float = 2.0, rounds: int = 10
) -> tuple[float, float, FloatArray]:
    """Return slope and intercept of a line that a few wild points do not change, and the weights.

    The line is fitted several times, with weights from the distances to the line before: near 1
    for a near point, 0.7 for a point that misses it by `width` times the median error, and less
    for points farther away.

    x, y: (points,) each; the weights also
    rounds: how often the line is fitted
    """
    columns = np.stack([x, np.ones_like(x)], 1)
    weights = np.ones(len(x))
    for _ in range(rounds):
        slope, intercept = np.linalg.lstsq(columns * weights[:, None], y * weights, rcond=None)[0]
        errors = y - slope * x - intercept
        usual_error = float(np.median(np.abs(errors)))
        weights = 1 / np.sqrt(1 + (errors / (width * usual_error + 1e-3)) ** 2)
    return float(slope), float(intercept), weights


def block_jackknife(count: int, estimate: Callable[[IndexArray], float]) -> float:
    """Return the standard error of an estimate from `count` rows, by the jackknife.

    Eight blocks of successive rows are left out one after the other, because neighbouring rows are
    not independent.

    estimate: indices of rows, in order of time -> the estimate from these rows
    """
    blocks = np.array_split(np.arange(count), _JACKKNIFE_BLOCKS)
    estimates = []
    for left_out in range(_JACKKNIFE_BLOCKS):
        kept = blocks[:left_out] + blocks[left_out + 1 :]
        estimates.append(estimate(np.concatenate(kept)))
    without = np.array(estimates)
    squares = np.sum((without - without.mean()) ** 2)
    return float(np.sqrt((_JACKKNIFE_BLOCKS - 1) / _JACKKNIFE_BLOCKS * squares))


def top_of(curve: FloatArray) -> float:
    """Return where a curve is highest, as an index with a fraction.

    It is the top of the parabola through the highest point and its two neighbours.
    """
    top = int(np.argmax(curve))
    if not 0 < top < len(curve) - 1:
        return float(top)
    left, middle, right = curve[top - 1 : top + 2].tolist()
    bend = left - 2 * middle + right
    if not bend:
        return float(top)
    return float(top + 0.5 * (left - right) / bend)


def mean_around(
    times: FloatArray, values: FloatArray, window: float, weights: FloatArray, part: IndexArray
) -> FloatArray:
    """Return for each time the weighted mean of the values in a window around it, (values,).

    times: (values,), rising
    values, weights: (values,) each
    window: width of the window, in the unit of the times
    part: (values,), rising: number of the part that each value belongs to; a window ends where its
        part ends
    """
    # first and last + 1: indices of the values in each window
    begins = np.searchsorted(part, part)
    ends = np.searchsorted(part, part, side="right")
    first = np.maximum(np.searchsorted(times, times - window / 2), begins)
    last = np.minimum(np.searchsorted(times, times + window / 2, side="right"), ends)

    # a sum over a window is a difference of two cumulative sums
    sums = np.concatenate([[0.0], np.cumsum(values * weights)])
    weights_before = np.concatenate([[0.0], np.cumsum(weights)])
    total_weights = np.maximum(weights_before[last] - weights_before[first], 1e-9)
    return np.asarray((sums[last] - sums[first]) / total_weights)
