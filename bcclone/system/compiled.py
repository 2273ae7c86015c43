"""Compile functions with Numba, and cache the compiled code on disk where that is possible.

Numba caches next to the sources, or in the user's cache folder if it cannot write there; on a full
disk nothing is cached. It notices only changes of the file that has the function, so a function
that uses others' functions and constants needs a checksum of their files.
"""

import glob
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar, cast

from bcclone.system.process import hidden


@contextmanager
def _settings_file_unread() -> Iterator[None]:
    """Let Numba, which is imported within the block, not read settings in the current folder.

    A stranger's file .numba_config.yaml may name the folder of the cache, whose files Numba
    unpickles, which runs their code. Numba reads the settings only if it can import yaml. No other
    thread can import yaml meanwhile, so it is hidden only if the file exists.
    """
    if not Path(".numba_config.yaml").is_file():
        yield
        return
    with hidden("yaml"):
        yield


with _settings_file_unread():
    from numba import njit
    from numba.core.caching import FunctionCache
    from numba.core.cpu import CPUTargetOptions
    from numba.core.options import TargetOptions

# Numba knows this flag of a function, but has no option for it: see `noalias` in compiled()
CPUTargetOptions.noalias = TargetOptions.Mapping("noalias")

Function = TypeVar("Function", bound=Callable[..., Any])

# Value of Numba's option fastmath for a function that never meets NaN or infinity. These flags of
# LLVM make it faster; unlike LLVM's other fast-math flags, they do not change its results.
FINITE = {"nnan", "ninf", "nsz"}


class _Cache(FunctionCache):  # type: ignore[misc]
    """Numba's cache of a function, with a checksum of its sources.

    A full disk, or files that an older bcclone has cached, cause no errors.
    """

    def __init__(self, function: Any, sources: int) -> None:
        super().__init__(function)
        self.sources = sources
        # what is cached is run, so nobody else may write it, whatever the umask; the folder is the
        # user's alone, unless it is the package's own, which all users of the package read
        folder = Path(self.cache_path)
        if folder.name != "__pycache__" and sys.platform != "win32":
            with suppress(OSError):
                folder.chmod(0o700)

    def _index_key(self, *arguments: Any) -> Any:
        return *super()._index_key(*arguments), self.sources

    def load_overload(self, signature: Any, target: Any) -> Any:
        try:
            return super().load_overload(signature, target)
        except Exception:  # the cache's index cannot be unpickled: compile anew
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, signature: Any, data: Any) -> None:
        with suppress(OSError):
            super().save_overload(signature, data)
            for file in Path(self.cache_path).glob(f"{glob.escape(self._impl.filename_base)}*"):
                file.chmod(file.stat().st_mode & ~0o022)


def compiled(sources: int = 0, **options: Any) -> Callable[[Function], Function]:
    """Return a decorator that compiles a function with Numba's njit; it releases the GIL.

    The function may not create arrays. In return, its code does not count references to arrays:
    for each pixel, counting would take longer than the work itself. Without the option `cache`,
    only compiled functions can call it, which halves the time to compile it.

    sources: source_checksum() of the modules whose code or constants the function uses; 0 if it
        uses only its own module
    options: options of njit, and `noalias`: True promises that no array which the function changes
        shares memory with another of its arrays. The processor can then do a loop's steps several
        at a time, also where each step reads from anywhere in an array
    """
    called_from_python = bool(options.get("cache"))

    def compile_function(function: Function) -> Function:
        all_options = {
            "nogil": True,
            "_nrt": False,
            "no_cfunc_wrapper": True,
            "no_cpython_wrapper": not called_from_python,
        } | options
        try:
            dispatcher: Any = njit(**all_options)(function)
            if all_options.get("cache"):
                dispatcher._cache = _Cache(function, sources)
        except RuntimeError:  # Numba finds no folder where it can write a cache
            dispatcher = njit(**all_options | {"cache": False})(function)
        return cast(Function, dispatcher)

    return compile_function


def source_checksum(modules: Iterable[str]) -> int:
    """Return a checksum of the source files of modules and of this module.

    modules: their full names, such as "bcclone.system.exact_math"
    """
    total = 1
    for module in (__name__, *modules):
        package, _, name = module.rpartition(".")
        total = zlib.crc32((resources.files(package) / f"{name}.py").read_bytes(), total)
    return total
