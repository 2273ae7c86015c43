"""Statistics of curves and values: correlation, robust fits, standard errors, moving means."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from bcclone.system.arrays import FloatArray, IndexArray

_ROUNDING = 1e-9  # values that differ by less count as equal: the difference comes from rounding
_NEARLY_ALL = 0.99  # a value counts as constant if a larger share of the rows has it
_JACKKNIFE_BLOCKS = 8  # blocks of rows; block_jackknife() leaves out each of them once


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


def correlation(first: FloatArray, second: FloatArray) -> float | None:
    """Return Pearson's correlation of two curves, (values,) each; None if one is constant."""
    if len(first) < 2 or min(np.ptp(first), np.ptp(second)) <= _ROUNDING:
        return None
    return float(np.corrcoef(first, second)[0, 1])


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
