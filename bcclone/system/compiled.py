"""Compile functions with Numba, and cache the result on disk where that is possible.

Numba caches next to the sources, or in the user's cache folder if it cannot write there. It checks the cache by the
date of one source file only, and does not notice changes in other files whose functions or constants were compiled in.
So a cached function of several files needs their checksum in its closure, which Numba does check.
"""

import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cached_property
from importlib import resources
from typing import Any, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])

# Permissions that speed up code without NaN and infinity, and do not change its results
FINITE = {"nnan", "ninf", "nsz"}


class CompiledFunction:
    """A function that Numba compiles when it is called first, or when a compiled function that calls it is.

    So Numba, which takes a second to load, is not loaded by a program that calls none.
    """

    def __init__(self, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
        self.py_func, self._options = function, options

    def __call__(self, *arguments: Any) -> Any:
        """Call the compiled function."""
        return self._dispatcher(*arguments)

    @property
    def _numba_type_(self) -> Any:
        """Return the type by which Numba knows the function in others."""
        return self._dispatcher._numba_type_

    @cached_property
    def _dispatcher(self) -> Any:
        from numba import njit

        # KeyError: this Numba lacks the option _nrt; RuntimeError: no folder to cache in, such as a read-only one
        for without in ((), ("_nrt",), ("_nrt", "cache")):
            with suppress(KeyError, RuntimeError):
                options = {name: value for name, value in self._options.items() if name not in without}
                return njit(**options)(self.py_func)
        raise RuntimeError(f"Numba cannot compile {self.py_func.__name__}")


def compiled(**options: Any) -> Callable[[Function], Function]:
    """Compile a function with Numba's njit and these options; it releases the interpreter lock.

    The compiled code may not create arrays, and does not count references to them, because per pixel that would take
    longer than the pixel itself.
    """
    every = {"nogil": True, "_nrt": False} | options

    def compile_later(function: Function) -> Function:
        return cast(Function, CompiledFunction(function, every))

    return compile_later


def source_checksum(modules: Iterable[str]) -> int:
    """Return a checksum of the sources of modules, given by their full names."""
    total = 1
    for module in modules:
        package, _, name = module.rpartition(".")
        total = zlib.crc32((resources.files(package) / f"{name}.py").read_bytes(), total)
    return total
