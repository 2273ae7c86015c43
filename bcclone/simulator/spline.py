"""Interpolate between points by a cubic spline.

SciPy has one, but takes longer to import than the world of the lake to build.
"""

import numpy as np

from bcclone.system.arrays import FloatArray


def cubic_spline(
    places: FloatArray, values: FloatArray, at: FloatArray, closed: bool
) -> FloatArray:
    """Return the values of the spline through points: a cubic between each two of them.

    Its first and second derivatives have no jumps. Source: de Boor, A Practical Guide to Splines
    (1978), chapter IV, in terms of the second derivatives.

    places: where the points are, rising, (points,)
    values: of each point, (points, dimensions)
    at: places within the first and the last point, (count,)
    closed: the last point is the first one again, where the derivatives have no jump, either;
        otherwise the second derivative is 0 at both ends
    """
    lengths = np.diff(places)
    slopes = np.diff(values, axis=0) / lengths[:, None]
    second = _second_derivatives(lengths, slopes, closed)

    piece = np.clip(np.searchsorted(places, at, side="right") - 1, 0, len(lengths) - 1)
    length = lengths[piece][:, None]
    after = (at - places[piece])[:, None]  # from the piece's first point
    before = length - after  # up to its last point
    start = second[piece]
    end = second[piece + 1]
    bent = (start * (before**2 - length**2) * before + end * (after**2 - length**2) * after) / 6
    straight = values[piece] * before + values[piece + 1] * after
    return np.asarray((straight + bent) / length)


def _second_derivatives(lengths: FloatArray, slopes: FloatArray, closed: bool) -> FloatArray:
    """Return the second derivative at each point, (pieces + 1, dimensions).

    lengths, slopes: of each piece between two points
    """
    result = np.zeros((len(lengths) + 1, slopes.shape[1]))
    if not closed:
        diagonal = 2 * (lengths[:-1] + lengths[1:])
        jumps = 6 * np.diff(slopes, axis=0)
        result[1:-1] = _solve_tridiagonal(lengths[1:-1], diagonal, jumps)
        return result

    # the first point comes after the last piece, so the matrix has two more corners; by the formula
    # of Sherman and Morrison they are a matrix of rank one, beside a tridiagonal one
    diagonal = 2 * (np.roll(lengths, 1) + lengths)
    jumps = 6 * (slopes - np.roll(slopes, 1, axis=0))
    corner = lengths[-1]
    ends = np.zeros((len(lengths), 1))
    ends[[0, -1]] = corner
    diagonal[[0, -1]] -= corner
    solved = _solve_tridiagonal(lengths[:-1], diagonal, np.hstack([jumps, ends]))
    around = solved[0] + solved[-1]
    result[:-1] = solved[:, :-1] - solved[:, -1:] * around[:-1] / (1 + around[-1])
    result[-1] = result[0]
    return result


def _solve_tridiagonal(beside: FloatArray, diagonal: FloatArray, right: FloatArray) -> FloatArray:
    """Solve equations whose symmetric matrix has three diagonals, by elimination.

    beside: what is beside the diagonal, (count - 1,)
    diagonal: greater than the sum of what is beside it in each row, (count,)
    right: the right sides, (count, sides)
    """
    diagonal = diagonal.copy()
    result = right.copy()
    for row in range(1, len(diagonal)):
        share = beside[row - 1] / diagonal[row - 1]
        diagonal[row] -= share * beside[row - 1]
        result[row] -= share * result[row - 1]
    result[-1:] /= diagonal[-1:, None]
    for row in range(len(diagonal) - 2, -1, -1):
        result[row] = (result[row] - beside[row] * result[row + 1]) / diagonal[row]
    return result
