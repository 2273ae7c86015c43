"""Compile functions with Numba, and cache the result on disk where that is possible.

Numba caches next to the sources, or in the user's cache folder if it cannot write there; on a full
disk nothing is cached. It checks the cache by the date of one source file only, and does not notice
changes in other files whose functions or constants were compiled in. So a cached function of
several files needs their checksum, as `sources`.
"""

import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar, cast


@contextmanager
def _settings_file_unread() -> Iterator[None]:
    """Keep Numba, loaded within the block, from a file of settings in the current folder.

    A stranger's file may name the folder of the cache, whose files Numba unpickles, which runs
    their code. Numba reads the file only if it can import yaml, so yaml is hidden within the block.
    Other threads cannot import it then either; so it is hidden only if there is such a file.
    """
    if not Path(".numba_config.yaml").is_file():
        yield
        return
    yaml = sys.modules.get("yaml")
    sys.modules["yaml"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["yaml"]
        if yaml is not None:
            sys.modules["yaml"] = yaml


with _settings_file_unread():
    from numba import njit
    from numba.core.caching import FunctionCache

Function = TypeVar("Function", bound=Callable[..., Any])

# Permissions (LLVM's fast-math flags) that speed up a function which never meets NaN or infinity;
# unlike the other flags, they do not change its results
FINITE = {"nnan", "ninf", "nsz"}


class _Cache(FunctionCache):  # type: ignore[misc]
    """Numba's cache of a function; a full disk or files of an older bcclone are no errors."""

    def __init__(self, function: Any, sources: int) -> None:
        super().__init__(function)
        self.sources = sources

    def _index_key(self, *arguments: Any) -> Any:
        return *super()._index_key(*arguments), self.sources

    def load_overload(self, signature: Any, target: Any) -> Any:
        try:
            return super().load_overload(signature, target)
        except Exception:  # its index cannot be unpickled: compile anew
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, signature: Any, data: Any) -> None:
        with suppress(OSError):
            super().save_overload(signature, data)


def compiled(sources: int = 0, **options: Any) -> Callable[[Function], Function]:
    """Compile a function with Numba's njit and these options; it releases the interpreter lock.

    The compiled code may not create arrays, and does not count references to them, because per
    pixel that would take longer than the pixel itself.

    sources: source_checksum() of the modules that the function is compiled from, if there are
        several; 0 for one
    """

    def compile_function(function: Function) -> Function:
        all_options = {"nogil": True, "_nrt": False} | options
        try:
            dispatcher: Any = njit(**all_options)(function)
            if all_options.get("cache"):
                dispatcher._cache = _Cache(function, sources)
        except RuntimeError:  # no folder to cache in, such as a read-only one
            dispatcher = njit(**all_options | {"cache": False})(function)
        return cast(Function, dispatcher)

    return compile_function


def source_checksum(modules: Iterable[str]) -> int:
    """Return a checksum of the sources of modules, by their full names, and of this one."""
    total = 1
    for module in (__name__, *modules):
        package, _, name = module.rpartition(".")
        total = zlib.crc32((resources.files(package) / f"{name}.py").read_bytes(), total)
    return total
