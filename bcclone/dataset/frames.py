"""Read frames that lie in one or several memory-mapped files, numbered through all of them."""

import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from bcclone.dataset.images import Image
from bcclone.system.atomic import file_version
from bcclone.system.errors import UserError
from bcclone.system.location import Location, as_local

Indices = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class FrameFile:
    """The frames in one file.

    offset: of the first, in bytes; count: number of frames; version: file_version() of the file; sha256: of the whole
    file, "" if it is not known.
    """

    path: Location
    offset: int
    count: int
    version: tuple[int, int]
    sha256: str = ""

    def check(self) -> None:
        """Raise UserError if the file is gone or has been written again."""
        if not self.path.exists() or file_version(as_local(self.path)) != self.version:
            raise UserError(f"{self.path}: the store was rewritten or removed after training began; train again")

    def read(self, frame_bytes: int, at_once: int) -> Iterator[bytes]:
        """Yield the bytes of so many frames at once; raises UserError if the file ends before its last frame.

        They are not read through a memory map, whose pages would count as memory of this process.
        """
        with self.path.open("rb") as source:
            source.seek(self.offset)
            for start in range(0, self.count, at_once):
                size = min(at_once, self.count - start) * frame_bytes
                block = source.read(size)
                if len(block) < size:
                    raise UserError(f"{self.path}: the file was truncated while it was read; make the store again")
                yield block

    def map(self, shape: tuple[int, ...]) -> Image:
        """Map the frames into memory, uint8 (count, *shape), read-only."""
        if not self.count:
            return np.empty((0, *shape), np.uint8)
        return np.memmap(as_local(self.path), np.uint8, "r", self.offset, (self.count, *shape)).view(np.ndarray)


class Frames:
    """Frames, uint8 (frames, height, width, 3), in files that are mapped into memory when they are first used.

    They can be indexed like an array. A pickled copy maps the files again, and raises UserError if one has changed.
    """

    def __init__(self, files: Sequence[FrameFile], frame_shape: tuple[int, ...]) -> None:
        self.files, self.frame_shape = tuple(files), frame_shape
        counts = [file.count for file in self.files]
        self._ends = np.cumsum(counts, dtype=np.int64)
        self._starts = self._ends - counts
        self._maps: dict[int, Image] = {}  # number of a file -> its frames
        self._mapping = threading.Lock()  # a file mapped twice would be unmapped once, where the first thread reads it
        # where frame 0 would be if all frames lay in memory as those of a file do, (files,); 0 for one not mapped yet
        self._origins = np.zeros(len(self.files), np.uint64)

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (frames, height, width, 3)."""
        return len(self), *self.frame_shape

    @property
    def frame_bytes(self) -> int:
        """Return the size of a frame."""
        return math.prod(self.frame_shape)

    @property
    def nbytes(self) -> int:
        """Return the size of all frames."""
        return len(self) * self.frame_bytes

    def __len__(self) -> int:
        return int(self._ends[-1]) if self.files else 0

    @overload
    def __getitem__(self, index: int) -> Image: ...
    @overload
    def __getitem__(self, index: slice | Indices) -> Image: ...
    def __getitem__(self, index: int | slice | Indices) -> Image:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            return self[np.arange(start, stop, step)]
        wanted = np.asarray(index, np.int64)
        if wanted.size and not -len(self) <= wanted.min() <= wanted.max() < len(self):
            raise IndexError(f"frame {index} of {len(self)}")
        frames = np.empty((wanted.size, *self.frame_shape), np.uint8)
        self.take((wanted % max(len(self), 1)).reshape(-1), frames)
        return frames.reshape(*wanted.shape, *self.frame_shape)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.asarray(self._map(0) if len(self.files) == 1 else self[:], dtype)

    def take(self, indices: Indices, into: Image) -> None:
        """Copy the frames at these indices, (images,), into a contiguous uint8 (images, *frame_shape)."""
        if len(self.files) == 1:
            np.take(self._map(0), indices, axis=0, out=into, mode="clip")
        elif len(indices):
            from bcclone.dataset.gather import gather  # loads Numba

            done, rows = 0, into.reshape(len(indices), -1)
            while (done := gather(self._origins, self._ends, indices, done, rows)) < len(indices):
                number = int(self.file_of(indices[done : done + 1])[0])
                before = np.uint64(self._starts[number] * self.frame_bytes)
                self._origins[number] = np.uint64(self._map(number).ctypes.data) - before

    def file_of(self, indices: Indices) -> npt.NDArray[np.int64]:
        """Return the numbers of the files that hold these frames, (images,)."""
        return np.searchsorted(self._ends, indices, "right")

    def stretches(self, first: int, last: int) -> "list[tuple[FrameFile, int, int]]":
        """Return where the frames from first to last lie: file, offset in it, and number of bytes."""
        found = []
        for number in range(int(self.file_of(np.array(first))), int(self.file_of(np.array(last))) + 1):
            file, start = self.files[number], int(self._starts[number])
            begin, end = max(first - start, 0), min(last - start + 1, file.count)
            found.append((file, file.offset + begin * self.frame_bytes, (end - begin) * self.frame_bytes))
        return found

    def _map(self, number: int) -> Image:
        if number not in self._maps:
            with self._mapping:
                if number not in self._maps:
                    self._maps[number] = self.files[number].map(self.frame_shape)
        return self._maps[number]

    def reopened(self) -> "Frames":
        """Return the same frames, which are mapped anew."""
        return Frames(self.files, self.frame_shape)

    def close(self) -> None:
        """Unmap the files; the frames cannot be read afterwards."""
        self.files, self._ends, self._starts = (), self._ends[:0], self._starts[:0]
        self._maps.clear()
        self._origins = self._origins[:0]

    def __reduce__(self) -> tuple[Any, ...]:
        return _open_again, (self.files, self.frame_shape)


class FramesInMemory(Frames):
    """Frames that are in memory, uint8 (frames, height, width, 3)."""

    def __init__(self, frames: Image) -> None:
        super().__init__([FrameFile(Path(), 0, len(frames), (0, 0))], frames.shape[1:])
        self._maps[0] = frames

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._maps[0],)


def _open_again(files: Sequence[FrameFile], frame_shape: tuple[int, ...]) -> Frames:
    for file in files:
        file.check()
    return Frames(files, frame_shape)
