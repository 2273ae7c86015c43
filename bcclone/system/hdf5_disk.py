"""Write an HDF5 file where the disk may be full.

The HDF5 library crashes when it cannot write while it closes a file; so it never hears of the error.
"""

import io
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import h5py

_T = TypeVar("_T")


class _Disk(io.FileIO):
    """A file that keeps the first error of its disk, and in memory what is written afterwards."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self.error: OSError | None = None
        self._kept: list[tuple[int, bytes]] = []  # offset and content of each write after the error

    def write(self, data: Any) -> int:
        left = memoryview(data).cast("B")
        count = len(left)
        try:
            while left and self.error is None:  # a nearly full disk takes a part, and refuses only the rest
                left = left[super().write(left) :]
        except OSError as error:
            self._keep(error)
        if left:
            self._kept.append((self.tell(), bytes(left)))
            self.seek(len(left), os.SEEK_CUR)
        return count

    def readinto(self, buffer: Any) -> int:
        begin, into = self.tell(), memoryview(buffer).cast("B")
        count = super().readinto(into) or 0
        for offset, data in self._kept:
            first, last = max(offset, begin), min(offset + len(data), begin + len(into))
            if first < last:
                into[first - begin : last - begin] = data[first - offset : last - offset]
                count = max(count, last - begin)
        return count

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self._keep(error)
            return size or 0

    def _keep(self, error: OSError) -> None:
        error.filename = str(self.name)
        self.error = self.error or error

    def check(self) -> None:
        """Raise the error of the disk."""
        if self.error:
            raise self.error


@contextmanager
def write_hdf5(path: Path, track_order: bool = False) -> Iterator[tuple[h5py.File, Callable[[], None]]]:
    """Make an HDF5 file; yield it, and a function that raises the OSError that the disk has reported.

    Call that function from time to time, since everything after such an error is written to memory. The end of the
    block raises the error, too; the file is then incomplete.
    """
    with _Disk(path) as disk:
        with h5py.File(disk, "w", track_order=track_order) as file:
            yield file, disk.check
        disk.check()
        os.fsync(disk.fileno())


def checking(items: Iterable[_T], check: Callable[[], None]) -> Iterator[_T]:
    """Yield the items, and call the function after each, so that a long work ends soon after the disk is full."""
    for item in items:
        yield item
        check()
