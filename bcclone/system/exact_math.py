"""Sine, cosine, exponential and others, with the same result to the last bit on every processor.

The C library, NumPy and BLAS choose their code by the processor at hand, and round differently. The
functions here are made of additions, multiplications, divisions and square roots only, whose
rounding IEEE 754 defines, and are compiled without permission to reorder or fuse them. Each is the
series of Taylor after a reduction of its argument, within a few units in the last place of the true
value for arguments of up to 100,000.
"""

import math
from typing import Any

import numpy as np

from bcclone.system.arrays import Float32Array, FloatArray
from bcclone.system.compiled import compiled

# pi / 2 and ln 2 in two parts; small multiples of the first part are exact
_HALF_PI = 1.5707963267341256
_HALF_PI_REST = 6.077100506506192e-11
_LN2 = 0.6931471806019545
_LN2_REST = -4.2009150726810846e-11
_EIGHTH_PI = math.pi / 8
_QUARTER_PI = math.pi / 4
_TAN_EIGHTH_PI = math.sqrt(2) - 1
_SMALLEST = -700.0  # exponents from here to the largest have normal numbers as results
_LARGEST = 700.0
_BLOCK = 512  # values that are computed side by side


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
    size = abs(value)
    inverted = size > 1.0
    if inverted:
        size = 1.0 / size
    turned = 0.0
    if size > _TAN_EIGHTH_PI / 2:  # compute the difference from pi/8 or pi/4, which is small
        if size < 0.7:
            middle = _TAN_EIGHTH_PI
            turned = _EIGHTH_PI
        else:
            middle = 1.0
            turned = _QUARTER_PI
        size = (size - middle) / (1.0 + size * middle)
    square = size * size
    total = 0.0
    for power in range(25, 0, -2):
        total = 1.0 / power - square * total
    angle = turned + size * total
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
    value = min(max(value, _SMALLEST), _LARGEST)
    doublings = math.floor(value / math.log(2) + 0.5)
    rest = value - doublings * _LN2 - doublings * _LN2_REST
    total = 1.0
    for power in range(16, 0, -1):
        total = 1.0 + total * rest / power
    return math.ldexp(total, int(doublings))


def normals(randomness: np.random.Generator, shape: tuple[int, ...] = ()) -> Any:
    """Return normally distributed numbers of mean 0 and deviation 1.

    Without a shape, it is one number. They are clipped to 3.5 deviations: NumPy computes those
    beyond 3.65 with the C library's logarithm.
    """
    return np.clip(randomness.standard_normal(shape or None), -3.5, 3.5)


def length(x: float, y: float) -> float:
    """Return the distance of the point (x, y) from the origin."""
    return math.sqrt(x * x + y * y)


def exponentials(values: Float32Array) -> Float32Array:
    """Return e to the power of every value of an array, float32, of the same shape."""
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
    """Compute exponential() of blocks of values, term by term, several at a time.

    values, results: (values,); the others: memory for a block.
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
    """Return the sine of an angle and so many quarters of a turn."""
    quarters = math.floor(angle / (math.pi / 2) + 0.5)
    rest = angle - quarters * _HALF_PI - quarters * _HALF_PI_REST
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
    """Return the series of the cosine, or of the sine divided by the angle.

    square: of the angle; highest: power of the series, even for the cosine.
    """
    total = 1.0
    for power in range(highest, 1, -2):
        total = 1.0 - total * square / (power * (power - 1))
    return total
