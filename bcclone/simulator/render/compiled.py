"""Function -> compiled function, kept between runs; the one place that says how.

Numba keeps what it compiled beside the sources, or in the user's cache where that cannot be written, and knows by a
source file's date whether it is still valid. It does not see when another file changes whose functions or constants
were compiled in; so what Python calls takes `SOURCES` into its closure, which Numba does look at.
"""

import zlib
from collections.abc import Callable
from importlib import resources

from bcclone.compiled import Function
from bcclone.compiled import compiled as compile_by

_PARTS = {
    "bcclone": ("view.py",),
    "bcclone.simulator": ("camera.py", "track.py"),
    "bcclone.simulator.scene": ("plants.py", "structures.py", "textures.py", "shoulders.py"),
    "bcclone.simulator.render": ("cards.py", "faces.py", "raycast.py", "surface.py"),
}


def compiled(inline: bool = False) -> Callable[[Function], Function]:
    """Compile a function for other compiled ones, and keep it with them only.

    inline: into its callers already before types are known, as what takes many arrays should be.
    """
    return compile_by(fastmath=True, inline="always" if inline else "never")


def entry() -> Callable[[Function], Function]:
    """Compile a function that Python calls, and keep it; other threads run meanwhile."""
    return compile_by(fastmath=True, cache=True)


def _checksum() -> int:
    """Return a checksum of all sources that compiled code is made of."""
    total = 1
    for package, names in _PARTS.items():
        for name in names:
            total = zlib.crc32((resources.files(package) / name).read_bytes(), total)
    return total


SOURCES = _checksum()
