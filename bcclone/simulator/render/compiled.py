"""Function -> compiled function, kept between runs; the one place that says how.

Numba keeps what it compiled beside the sources, or in the user's cache where that cannot be written, and knows by a
source file's date whether it is still valid. It does not see when another file changes whose functions or constants
were compiled in; so what Python calls takes `SOURCES` into its closure, which Numba does look at.
"""

import zlib
from collections.abc import Callable
from contextlib import suppress
from importlib import resources
from typing import Any, TypeVar

from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])

_PARTS = {
    "bcclone": ("view.py",),
    "bcclone.simulator": ("camera.py", "track.py"),
    "bcclone.simulator.scene": ("plants.py", "structures.py", "textures.py", "verge.py"),
    "bcclone.simulator.render": ("cards.py", "faces.py", "raycast.py", "surface.py"),
}


def compiled(inline: bool = False) -> Callable[[Function], Function]:
    """Compile a function for other compiled ones, and keep it with them only.

    inline: into its callers already before types are known, as what takes many arrays should be.
    """
    return _compiler({"inline": "always" if inline else "never"})


def entry() -> Callable[[Function], Function]:
    """Compile a function that Python calls, and keep it; other threads run meanwhile."""
    return _compiler({"cache": True, "nogil": True})


def _compiler(options: dict[str, Any]) -> Callable[[Function], Function]:
    def compile_it(function: Function) -> Function:
        # No array is made in compiled code, so none needs counting: for each pixel that takes longer than drawing it.
        # A Numba may lack that option (KeyError), or have nowhere to keep anything: a read-only place (RuntimeError).
        for without in ((), ("_nrt",), ("_nrt", "cache")):
            all_options = options | {"fastmath": True, "_nrt": False}
            kept = {name: value for name, value in all_options.items() if name not in without}
            with suppress(KeyError, RuntimeError):
                done: Function = njit(**kept)(function)
                return done
        raise RuntimeError(f"Numba cannot compile {function.__name__}")

    return compile_it


def _checksum() -> int:
    """Return a checksum of all sources that compiled code is made of."""
    total = 1
    for package, names in _PARTS.items():
        for name in names:
            total = zlib.crc32((resources.files(package) / name).read_bytes(), total)
    return total


SOURCES = _checksum()
