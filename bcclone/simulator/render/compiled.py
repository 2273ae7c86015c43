"""Compile the renderer's functions with Numba, and cache the result between runs.

Numba caches beside the sources, or in the user's cache folder if it cannot write there, and checks the cache by the
date of one source file only. It does not notice changes in other files whose functions or constants were compiled in.
So the functions that Python calls have the checksum `SOURCES` in their closure, which Numba does check.
"""

import zlib
from collections.abc import Callable
from importlib import resources

from bcclone.compiled import Function
from bcclone.compiled import compiled as compile_by

_PARTS = {
    "bcclone": ("view.py",),
    "bcclone.simulator": ("camera.py", "track.py"),
    "bcclone.simulator.scene": ("ground.py", "plants.py", "structures.py", "textures.py"),
    "bcclone.simulator.render": ("faces.py", "raycast.py", "surface.py"),
}


def compiled(inline: bool = False) -> Callable[[Function], Function]:
    """Compile a function for other compiled ones; it is cached with these only.

    inline: into its callers before types are known, for functions with many array arguments.
    """
    return compile_by(fastmath=True, inline="always" if inline else "never")


def entry() -> Callable[[Function], Function]:
    """Compile a function that Python calls, and cache it; it releases the GIL."""
    return compile_by(fastmath=True, cache=True)


def _checksum() -> int:
    """Return a checksum of all sources of compiled code."""
    total = 1
    for package, names in _PARTS.items():
        for name in names:
            total = zlib.crc32((resources.files(package) / name).read_bytes(), total)
    return total


SOURCES = _checksum()
