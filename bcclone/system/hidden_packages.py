"""Hide packages from imports: their names -> a block in which Python does not find them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def hidden(*packages: str) -> Iterator[None]:
    """Let an import in the block find that these packages are missing.

    No other thread may import them meanwhile. What was imported before is there again afterwards.
    """
    before = {package: sys.modules[package] for package in packages if package in sys.modules}
    for package in packages:
        sys.modules[package] = None  # type: ignore[assignment] # Python's mark: not to be found
    try:
        yield
    finally:
        for package in packages:
            del sys.modules[package]
        sys.modules.update(before)
