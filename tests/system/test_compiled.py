"""Functions compiled with Numba, with and without a cache."""

import numpy as np
import pytest
from numba import njit

from bcclone.system.compiled import compiled


def test_a_compiled_function_gives_the_same_result():
    @compiled(fastmath=True)
    def doubled(numbers):
        for index in range(numbers.shape[0]):
            numbers[index] *= 2

    numbers = np.arange(4.0)
    doubled(numbers)
    assert numbers.tolist() == [0.0, 2.0, 4.0, 6.0]


def test_a_function_that_cannot_be_cached_is_compiled_anyway():
    """Numba cannot cache a function that is not in a file."""
    found = {}
    exec("def total(numbers):\n    found = 0\n    for one in numbers:\n        found += one\n    return found", found)
    with pytest.raises(RuntimeError, match="cannot cache"):
        njit(cache=True)(found["total"])
    assert compiled(cache=True)(found["total"])(np.arange(5)) == 10
