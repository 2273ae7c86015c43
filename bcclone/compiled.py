"""Compile functions with Numba, and cache the result on disk where that is possible."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(**options: Any) -> Callable[[Function], Function]:
    """Compile a function with Numba's njit and these options; it releases the interpreter lock.

    The compiled code may not create arrays, and does not count references to them, because per pixel that would take
    longer than the pixel itself.
    """

    def compile_function(function: Function) -> Function:
        # KeyError: this Numba lacks the option _nrt; RuntimeError: no folder to cache in, such as a read-only one
        for without in ((), ("_nrt",), ("_nrt", "cache")):
            every = {"nogil": True, "_nrt": False} | options
            with suppress(KeyError, RuntimeError):
                done: Function = njit(**{name: value for name, value in every.items() if name not in without})(function)
                return done
        raise RuntimeError(f"Numba cannot compile {function.__name__}")

    return compile_function
