"""Read the frames of a store, which lie in one memory-mapped file or in several, numbered through
all of them.

In: indices of frames. Out: images, uint8 (images, height, width, channels).
"""

import contextlib
import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import FileIO
from itertools import chain
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from bcclone.camera.images import Image
from bcclone.system.errors import UserError
from bcclone.system.location import Location, as_local, version_of
from bcclone.system.statistics import runs

Indices = npt.NDArray[np.integer[Any]]

_SCRATCH_BYTES = 1 << 22
_GAP_FRAMES = 16  # load() also reads gaps up to this size, rather than starting a new read


@dataclass(frozen=True)
class FrameFile:
    """The frames in one file.

    offset: of the first, in bytes; count: number of frames; version: version_of() the file; sha256:
    of the whole file, "" if unknown.
    """

    path: Location
    offset: int
    count: int
    version: tuple[int, int]
    sha256: str = ""

    def changed(self) -> UserError:
        """Return the error for a file that is no longer the one that was opened."""
        return UserError(
            f"{self.path}: the store was rewritten or removed while it was used; start again"
        )

    def read(self, frame_bytes: int, at_once: int) -> Iterator[bytes]:
        """Yield the bytes of so many frames at once, not through a memory map, whose pages would
        count as memory.
        """
        with self.path.open("rb") as source:
            source.seek(self.offset)
            for start in range(0, self.count, at_once):
                yield source.read(min(at_once, self.count - start) * frame_bytes)

    def map(self, shape: tuple[int, ...]) -> Image:
        """Map the frames into memory, uint8 (count, *shape), read-only."""
        if not self.count:
            return np.empty((0, *shape), np.uint8)
        return np.memmap(
            as_local(self.path), np.uint8, "r", self.offset, (self.count, *shape)
        ).view(np.ndarray)


class Frames:
    """Frames, uint8 (frames, height, width, channels), in files that are mapped into memory when
    first used.

    They can be indexed like an array. Reading raises UserError if a file has changed since the
    store was opened; a pickled copy maps it again. bcclone.cluster has a subclass for files at a
    URL. A context manager that closes them.
    """

    is_far = False  # on another machine, where single frames are read slowly

    def __init__(self, files: Sequence[FrameFile], frame_shape: tuple[int, ...]) -> None:
        self.files, self.frame_shape = tuple(files), frame_shape
        counts = [file.count for file in self.files]
        self._ends = np.cumsum(counts, dtype=np.int64)
        self._starts = self._ends - counts
        # (files,): address of each file's first frame, minus the bytes of all frames before it; 0
        # if not mapped
        self._origins = np.zeros(len(self.files), np.uint64)
        self._maps: dict[int, Image] = {}  # number of a file -> its frames
        self._mapping = (
            threading.Lock()
        )  # the second of two maps of a file would free the first, which is still read

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (frames, height, width, channels)."""
        return len(self), *self.frame_shape

    @property
    def frame_bytes(self) -> int:
        return math.prod(self.frame_shape)

    @property
    def nbytes(self) -> int:
        return len(self) * self.frame_bytes

    def __len__(self) -> int:
        return sum(file.count for file in self.files)

    def __getitem__(self, index: int | slice | Indices) -> Image:
        numbers = np.arange(len(self))[index]
        frames = np.empty((numbers.size, *self.frame_shape), np.uint8)
        self.take(numbers.reshape(-1), frames)
        return frames.reshape(*numbers.shape, *self.frame_shape)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.asarray(self._map_file(0) if len(self.files) == 1 else self[:], dtype)

    def take(self, indices: Indices, into: Image) -> None:
        """Copy the frames at these indices, (images,), into a contiguous uint8 (images,
        *frame_shape).
        """
        if len(self.files) == 1:
            np.take(self._map_file(0), indices, axis=0, out=into, mode="clip")
        elif len(indices):
            from bcclone.dataset.gather import gather  # loads Numba

            copied, rows = 0, into.reshape(len(indices), -1)
            while (copied := gather(self._origins, self._ends, indices, copied, rows)) < len(
                indices
            ):
                self._map_file(int(self.file_of(int(indices[copied]))))

    def file_of(self, indices: Indices | int) -> Indices:
        """Return the number, int64, of the file that holds each of these frames."""
        return np.asarray(np.searchsorted(self._ends, indices, "right"))

    def stretches(self, first: int, last: int) -> list[tuple[FrameFile, int, int]]:
        """Return where the frames from first to last lie: file, offset in it, and number of bytes."""
        parts = []
        for number in range(int(self.file_of(first)), int(self.file_of(last)) + 1):
            file, start = self.files[number], int(self._starts[number])
            begin, end = max(first - start, 0), min(last - start + 1, file.count)
            parts.append(
                (file, file.offset + begin * self.frame_bytes, (end - begin) * self.frame_bytes)
            )
        return parts

    def load(self, indices: Indices, stop: threading.Event) -> Any:
        """Read the frames at these indices into the system's cache, until unload(); `stop` ends it
        early.

        A memory map reads page by page; a disk is many times faster with long sequential reads. A
        failed read is ignored: the memory map then reads, or fails, by itself.
        """
        scratch = memoryview(bytearray(_SCRATCH_BYTES))
        for file, start, size in chain.from_iterable(
            self.stretches(*run) for run in runs(indices, _GAP_FRAMES)
        ):
            if stop.is_set():
                return
            with contextlib.suppress(OSError), FileIO(as_local(file.path)) as source:
                source.seek(start)
                # few large reads, since after each one the thread waits for the interpreter lock
                while size and (read := source.readinto(scratch[:size])):
                    size -= read

    def unload(self, loaded: Any) -> None:
        """Release what load() has returned; here nothing, since the system empties its cache by
        itself.
        """

    def check_cache(self, limit: int, window: int) -> None:
        """Raise UserError if copies of two windows of so many files, at a URL, take more than
        `limit` bytes.
        """

    def set_cache(self, folder: Path | None, limit: int) -> None:
        """Choose where frames that are reopened from these copy files at a URL to; opens nothing.

        folder: None for a temporary one; limit: bytes of all copies.
        """

    def _map_file(self, number: int) -> Image:
        if number not in self._maps:
            with self._mapping:
                file = self.files[number]
                if not file.path.exists() or version_of(file.path) != file.version:
                    raise file.changed()
                if number not in self._maps:
                    self.use_map(number, file.map(self.frame_shape))
        return self._maps[number]

    def use_map(self, number: int, frames: Image) -> None:
        """Let take() copy from the mapped frames of a file."""
        bytes_before = np.uint64(self._starts[number] * self.frame_bytes)
        self._origins[number] = np.uint64(frames.ctypes.data) - bytes_before
        self._maps[number] = frames

    def reopened(self) -> "Frames":
        """Return the same frames, which are mapped anew."""
        return type(self)(self.files, self.frame_shape)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.files, self._ends, self._starts, self._origins = (
            (),
            self._ends[:0],
            self._starts[:0],
            self._origins[:0],
        )
        self._maps.clear()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.files, self.frame_shape)


class FramesInMemory(Frames):
    """Frames that are in memory, uint8 (frames, height, width, channels)."""

    def __init__(self, frames: Image) -> None:
        super().__init__([FrameFile(Path(), 0, len(frames), (0, 0))], frames.shape[1:])
        self._maps[0] = frames

    def reopened(self) -> Frames:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._maps[0],)
