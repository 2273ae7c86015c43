"""Sine, cosine, exponential and more, with the same result to the last bit on every processor.

The C library, NumPy and BLAS choose their code by the processor at hand, and round differently. The
functions here use only additions, multiplications, divisions and square roots, whose rounding
IEEE 754 defines. They are compiled without permission to reorder or fuse these operations.

Each function first reduces its argument to a small one, and then computes Taylor's series. For
arguments of up to 100,000, the result is within a few units in the last place of the true value.
"""

import math
from typing import Any

import numpy as np

from bcclone.system.arrays import Float32Array, FloatArray
from bcclone.system.compiled import compiled

# pi / 2 and ln 2, each as a sum of two parts, which has more digits than a float. The first part
# ends with 20 or more bits of 0, so that its product with a number of up to 20 bits is exact.
_HALF_PI = 1.5707963267341256
_HALF_PI_REST = 6.077100506506192e-11
_LN2 = 0.6931471806019545
_LN2_REST = -4.2009150726810846e-11
_EIGHTH_PI = math.pi / 8
_QUARTER_PI = math.pi / 4
_TAN_EIGHTH_PI = math.sqrt(2) - 1
_SMALLEST = -700.0  # e to the power of this, and of the largest, is still a normal float
_LARGEST = 700.0
_BLOCK = 512  # values that exponentials() computes at a time


@compiled(cache=True)
def sine(angle: float) -> float:
    """Return the sine of an angle in radians."""
    return _shifted_sine(angle, 0)


@compiled(cache=True)
def cosine(angle: float) -> float:
    """Return the cosine of an angle in radians."""
    return _shifted_sine(angle, 1)


@compiled(cache=True)
def tangent(angle: float) -> float:
    """Return the tangent of an angle in radians."""
    return sine(angle) / cosine(angle)


@compiled(cache=True)
def arctangent(value: float) -> float:
    """Return the angle, -pi/2 to pi/2, whose tangent is a value."""
    # reduce the value to at most 1: arctan(x) = pi/2 - arctan(1/x)
    size = abs(value)
    inverted = size > 1.0
    if inverted:
        size = 1.0 / size

    # then subtract pi/8 or pi/4 from the angle, so that a small angle is left
    turned = 0.0
    if size > _TAN_EIGHTH_PI / 2:
        if size < 0.7:  # nearer to the tangent of pi/8, 0.41, than to that of pi/4, 1
            middle = _TAN_EIGHTH_PI
            turned = _EIGHTH_PI
        else:
            middle = 1.0
            turned = _QUARTER_PI
        size = (size - middle) / (1.0 + size * middle)

    # Taylor's series x - x^3/3 + x^5/5 - ... up to x^25, from its last term to its first
    square = size * size
    total = 0.0
    for power in range(25, 0, -2):
        total = 1.0 / power - square * total
    angle = turned + size * total

    # undo the reductions
    if inverted:
        angle = math.pi / 2 - angle
    if value >= 0.0:
        return angle
    return -angle


@compiled(cache=True)
def arctangent2(y: float, x: float) -> float:
    """Return the angle of the point (x, y), -pi to pi; 0 for the origin."""
    if x > 0.0:
        return arctangent(y / x)
    if x < 0.0 and y >= 0.0:
        return arctangent(y / x) + math.pi
    if x < 0.0:
        return arctangent(y / x) + -math.pi
    if y > 0.0:
        return math.pi / 2
    if y < 0.0:
        return -math.pi / 2
    return 0.0


@compiled(cache=True)
def exponential(value: float) -> float:
    """Return e to the power of a value between -700 and 700; a value beyond is clipped."""
    # e^value = 2^doublings * e^rest, with a rest of at most ln(2) / 2
    value = min(max(value, _SMALLEST), _LARGEST)
    doublings = math.floor(value / math.log(2) + 0.5)
    rest = value - doublings * _LN2 - doublings * _LN2_REST
    total = 1.0
    for power in range(16, 0, -1):
        total = 1.0 + total * rest / power
    return math.ldexp(total, int(doublings))


_MOST = 3.5  # greatest deviation from the mean


def normals(randomness: np.random.Generator, shape: tuple[int, ...] = ()) -> Any:
    """Return normally distributed numbers of mean 0 and deviation 1; without a shape, one number.

    Each number is clipped to _MOST: NumPy computes numbers beyond 3.65 with the C library's
    logarithm, which is not the same everywhere.
    """
    if not shape:  # for one number, np.clip() takes ten times as long as its drawing
        return min(max(randomness.standard_normal(), -_MOST), _MOST)
    return np.clip(randomness.standard_normal(shape), -_MOST, _MOST)


def length(x: float, y: float) -> float:
    """Return the distance of the point (x, y) from the origin."""
    return math.sqrt(x * x + y * y)


def exponentials(values: Float32Array) -> Float32Array:
    """Return e to the power of every value, an array of the same shape."""
    results = np.empty(values.shape, np.float32)
    doublings, rests, totals = np.empty((3, _BLOCK))
    flat = np.ascontiguousarray(values).reshape(-1)
    _exponentials(flat, results.reshape(-1), doublings, rests, totals)
    return results


@compiled(cache=True)
def _exponentials(
    values: Float32Array,
    results: Float32Array,
    doublings: FloatArray,
    rests: FloatArray,
    totals: FloatArray,
) -> None:
    """Write exponential() of each value into `results`.

    Each step of exponential() is a loop over a block of values, which the processor can compute
    several at a time.

    values, results: (values,)
    doublings, rests, totals: (block,), memory for one block, of any content
    """
    for begin in range(0, values.size, totals.size):
        count = min(totals.size, values.size - begin)
        for number in range(count):
            value = min(max(float(values[begin + number]), _SMALLEST), _LARGEST)
            doublings[number] = math.floor(value / math.log(2) + 0.5)
            rests[number] = value - doublings[number] * _LN2 - doublings[number] * _LN2_REST
            totals[number] = 1.0
        for power in range(16, 0, -1):
            for number in range(count):
                totals[number] = 1.0 + totals[number] * rests[number] / power
        for number in range(count):
            results[begin + number] = math.ldexp(totals[number], int(doublings[number]))


@compiled(cache=True)
def _shifted_sine(angle: float, shift: int) -> float:
    """Return the sine of an angle plus some quarters of a turn.

    angle: in radians
    shift: quarters of a turn that are added: 0 for the sine of the angle, 1 for its cosine
    """
    # the angle is some quarters of a turn and a rest of at most pi/4
    quarters = math.floor(angle / (math.pi / 2) + 0.5)
    rest = angle - quarters * _HALF_PI - quarters * _HALF_PI_REST

    # an odd number of quarters makes the sine of the rest its cosine; two quarters change the sign
    turned = quarters + shift
    if turned % 2 == 1:
        value = _series(rest * rest, 18)
    else:
        value = _series(rest * rest, 17) * rest
    if turned % 4 >= 2:
        return -value
    return value


@compiled(cache=True)
def _series(square: float, highest: int) -> float:
    """Return Taylor's series of the cosine of an angle, or of its sine divided by the angle.

    square: square of the angle
    highest: highest power in the series; even for the cosine, odd for the sine
    """
    total = 1.0
    for power in range(highest, 1, -2):
        total = 1.0 - total * square / (power * (power - 1))
    return total
