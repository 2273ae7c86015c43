"""Function -> compiled function, kept between runs where that is possible."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(**options: Any) -> Callable[[Function], Function]:
    """Compile a function by Numba with these options of its njit; other threads run while it does.

    Neither arrays are made in compiled code nor references to them counted: for each pixel that takes longer than the
    pixel itself.
    """

    def compile_it(function: Function) -> Function:
        # a Numba may lack that option (KeyError), or have nowhere to keep anything: a read-only place (RuntimeError)
        for without in ((), ("_nrt",), ("_nrt", "cache")):
            every = {"nogil": True, "_nrt": False} | options
            with suppress(KeyError, RuntimeError):
                done: Function = njit(**{name: value for name, value in every.items() if name not in without})(function)
                return done
        raise RuntimeError(f"Numba cannot compile {function.__name__}")

    return compile_it
