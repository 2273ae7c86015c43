"""Read the frames of a store from one memory-mapped file, or from several.

In: indices of frames, numbered from 0 through all files. Out: images, uint8 (images, height, width,
channels).
"""

import contextlib
import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from bcclone.camera.images import Image
from bcclone.system.errors import UserError
from bcclone.system.location import Location, as_local, version_of
from bcclone.system.numbers import runs

Indices = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class FrameFile:
    """A file of a store, and where its frames are: one after the other."""

    path: Location
    offset: int  # bytes before the first frame
    count: int  # number of frames
    # version_of() the file when it was opened: its size in bytes, and a number that changes when
    # the file is written again
    version: tuple[int, int]
    sha256: str = ""  # SHA-256 of the whole file, "" if unknown

    @property
    def file_bytes(self) -> int:
        """Return the size of the file when it was opened."""
        size, _ = self.version
        return size

    def changed(self) -> UserError:
        """Return the error for a file that is no longer the one that was opened."""
        return UserError(
            f"{self.path}: the store was rewritten or removed while it was used; start again"
        )

    def read(self, frame_bytes: int, at_once: int) -> Iterator[bytes]:
        """Yield the bytes of all frames, `at_once` frames at a time.

        The file is read without a memory map, whose pages would count as memory of this process.
        """
        with self.path.open("rb") as source:
            source.seek(self.offset)
            for start in range(0, self.count, at_once):
                yield source.read(min(at_once, self.count - start) * frame_bytes)

    def map(self, shape: tuple[int, ...]) -> Image:
        """Map the frames into memory, uint8 (count, *shape), read-only."""
        if not self.count:
            return np.empty((0, *shape), np.uint8)
        mapped = np.memmap(as_local(self.path), np.uint8, "r", self.offset, (self.count, *shape))
        return mapped.view(np.ndarray)


class Frames:
    """Frames, uint8 (frames, height, width, channels), in files that are mapped when first used.

    Frames can be indexed like an array. Reading raises UserError if a file has changed since the
    store was opened. A pickled copy maps the files again. The end of a `with` block unmaps them.
    The subclass FarFrames reads files at a URL.
    """

    is_far = False  # whether the files are at a URL, where single frames are read slowly

    def __init__(self, files: Sequence[FrameFile], frame_shape: tuple[int, ...]) -> None:
        self.files = tuple(files)
        self.frame_shape = frame_shape
        counts = [file.count for file in self.files]
        # (files,): the index of each file's first frame (_starts), and of the frame after its last
        self._ends = np.cumsum(counts, dtype=np.int64)
        self._starts = self._ends - counts
        # (files,): address of each file's first frame, minus the bytes of all frames before it in
        # the store; so frame i of the store is at origin + i * frame_bytes, with the origin of the
        # file that holds it. 0 if the file is not mapped.
        self._origins = np.zeros(len(self.files), np.uint64)
        self._maps: dict[int, Image] = {}  # number of a file -> its frames
        # held while a file is mapped: if two threads mapped the same file, the second map would
        # replace the first, which would be freed while it is still read
        self._mapping = threading.Lock()

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
        """Return all frames, as numpy.asarray() and numpy.array() ask for them.

        copy: False raises ValueError unless the frames lie in one file or array of this type
        """
        if len(self.files) == 1:
            return np.array(self._map_file(0), dtype, copy=copy)
        if copy is False:
            raise ValueError("frames of several files cannot be an array without a copy")
        return np.asarray(self[:], dtype)

    def take(self, indices: Indices, into: Image) -> None:
        """Copy the frames at these indices, (images,), into an array.

        into: uint8 (images, *frame_shape), contiguous.
        """
        if len(self.files) == 1:
            # with another mode than "clip", NumPy would write into a copy of `into` first
            np.take(self._map_file(0), indices, axis=0, out=into, mode="clip")
        elif len(indices):
            from bcclone.dataset.gather import gather  # loads Numba

            # gather() returns early at a frame whose file is not mapped; map it, and continue there
            rows = into.reshape(len(indices), -1)
            copied = gather(self._origins, self._ends, indices, 0, rows)
            while copied < len(indices):
                self._map_file(int(self.file_of(int(indices[copied]))))
                copied = gather(self._origins, self._ends, indices, copied, rows)

    def file_of(self, indices: Indices | int) -> Indices:
        """Return the number, int64, of the file that holds each of these frames.

        For a frame beyond the last one, it is the number after that of the last file.
        """
        return np.asarray(np.searchsorted(self._ends, indices, "right"))

    def stretches(self, first: int, last: int) -> list[tuple[FrameFile, int, int]]:
        """Return the stretches of files that hold the frames from `first` to `last`, included.

        A stretch is a file, the first byte in that file, and the number of bytes.
        """
        stretches = []
        first_file = int(self.file_of(first))
        last_file = int(self.file_of(last))
        for number in range(first_file, last_file + 1):
            file = self.files[number]
            file_start = int(self._starts[number])
            # among the frames of this file: the first one, and the one after the last
            begin = max(first - file_start, 0)
            end = min(last - file_start + 1, file.count)
            offset = file.offset + begin * self.frame_bytes
            stretches.append((file, offset, (end - begin) * self.frame_bytes))
        return stretches

    def load(self, indices: Indices, stop: threading.Event) -> Any:
        """Read the frames at these indices, so that they are in the system's cache for take().

        A memory map reads page by page, and a disk is many times faster with long sequential reads.
        A failed read is ignored here: take() reads the frame again, and fails if it must.

        stop: when it is set, loading ends early
        """
        gap_frames = 16  # a gap smaller than this is read, too, instead of starting a new read
        # reads are large (4 MB), since after each one the thread waits for the interpreter lock
        scratch = memoryview(bytearray(1 << 22))
        for first, last in runs(indices, gap_frames):
            for file, offset, size in self.stretches(first, last):
                if stop.is_set():
                    return
                with contextlib.suppress(OSError), FileIO(as_local(file.path)) as source:
                    source.seek(offset)
                    _read_all(source, size, scratch)

    def unload(self, loaded: Any) -> None:
        """Release what load() has loaded; FarFrames needs this.

        For local files there is nothing to do, since the system empties its cache by itself.
        """

    def check_cache(self, limit: int, window: int) -> None:
        """Raise UserError if copies of two windows of files may take more than `limit` bytes.

        Only files at a URL are copied.

        window: number of files in a window, which a feed uses at the same time
        """

    def set_cache(self, folder: Path | None, limit: int) -> None:
        """Choose the folder for copies of files at a URL. Frames that reopened() returns use it.

        Nothing is opened here.

        folder: None for a temporary one
        limit: most bytes of all copies together
        """

    def _map_file(self, number: int) -> Image:
        """Return the frames of a file, which is mapped first if it is not; raises UserError."""
        if number not in self._maps:
            with self._mapping:
                file = self.files[number]
                if not file.path.exists() or version_of(file.path) != file.version:
                    raise file.changed()
                # another thread may have mapped it meanwhile
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
        """Unmap the files; take() then raises IndexError for any frame."""
        self.files = ()
        self._ends = self._ends[:0]
        self._starts = self._starts[:0]
        self._origins = self._origins[:0]
        self._maps.clear()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.files, self.frame_shape)


def _read_all(source: FileIO, size: int, scratch: memoryview) -> None:
    """Read `size` bytes, or up to the end of the file, over and over into `scratch`.

    The bytes are not used: reading brings them into the system's cache.
    """
    while size:
        read = source.readinto(scratch[:size])
        if not read:
            return
        size -= read


class FramesInMemory(Frames):
    """Frames that are in memory, uint8 (frames, height, width, channels)."""

    def __init__(self, frames: Image) -> None:
        no_file = FrameFile(Path(), offset=0, count=len(frames), version=(0, 0))
        super().__init__([no_file], frames.shape[1:])
        self._maps[0] = frames

    def reopened(self) -> Frames:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._maps[0],)
