"""Read frames that lie in several memory-mapped files, numbered through all of them."""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bcclone.dataset.frames import FrameFile, Frames, Indices
from bcclone.dataset.images import Image


class ShardFrames(Frames):
    """Frames, uint8 (frames, height, width, 3), in files that are mapped into memory when they are first used.

    A pickled copy maps the files again, and raises UserError if one has changed.
    """

    def __init__(self, files: Sequence[FrameFile], frame_shape: tuple[int, ...]) -> None:
        self.files, self.frame_shape = tuple(files), frame_shape
        counts = [file.count for file in self.files]
        self._ends = np.cumsum(counts, dtype=np.int64)
        self._starts = self._ends - counts
        self._maps: dict[int, Image] = {}  # number of a file -> its frames
        self._mapping = threading.Lock()  # a file mapped twice would be unmapped once, where the first thread reads it
        # of each file, (files,): the address that frame 0 would have if the file held it, too; 0: not mapped yet
        self._origins = np.zeros(len(self.files), np.uint64)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.asarray(self[:], dtype)

    def take(self, indices: Indices, into: Image) -> None:
        """Copy the frames at these indices, (images,), into a contiguous uint8 (images, *frame_shape)."""
        if not len(indices):
            return
        from bcclone.cluster.gather import gather  # loads Numba

        done, rows = 0, into.reshape(len(indices), -1)
        while (done := gather(self._origins, self._ends, indices, done, rows)) < len(indices):
            number = int(self.file_of(indices[done : done + 1])[0])
            before = np.uint64(self._starts[number] * self.frame_bytes)
            self._origins[number] = np.uint64(self._map_file(number).ctypes.data) - before

    def file_of(self, indices: Indices) -> npt.NDArray[np.int64]:
        """Return the numbers of the files that hold these frames, (images,)."""
        return np.searchsorted(self._ends, indices, "right")

    def stretches(self, first: int, last: int) -> list[tuple[FrameFile, int, int]]:
        """Return where the frames from first to last lie: file, offset in it, and number of bytes."""
        parts = []
        for number in range(int(self.file_of(np.array(first))), int(self.file_of(np.array(last))) + 1):
            file, start = self.files[number], int(self._starts[number])
            begin, end = max(first - start, 0), min(last - start + 1, file.count)
            parts.append((file, file.offset + begin * self.frame_bytes, (end - begin) * self.frame_bytes))
        return parts

    def _map_file(self, number: int) -> Image:
        if number not in self._maps:
            with self._mapping:
                if number not in self._maps:
                    self._maps[number] = self.files[number].map(self.frame_shape)
        return self._maps[number]

    def reopened(self) -> Frames:
        """Return the same frames, which are mapped anew."""
        return ShardFrames(self.files, self.frame_shape)

    def close(self) -> None:
        """Unmap the files; the frames cannot be read afterwards."""
        self.files, self._ends, self._starts = (), self._ends[:0], self._starts[:0]
        self._maps.clear()
        self._origins = self._origins[:0]

    def __reduce__(self) -> tuple[Any, ...]:
        return _open_again, (self.files, self.frame_shape)


def _open_again(files: Sequence[FrameFile], frame_shape: tuple[int, ...]) -> Frames:
    for file in files:
        file.check()
    return ShardFrames(files, frame_shape)
