"""Read the frames of a store from one memory-mapped file, from several (shards), or from images.

In: indices of frames, numbered from 0 through all files. Out: images, uint8 (images, height, width,
channels). Shards at a URL are copied to this machine first, each as a whole.
"""

import contextlib
import ctypes
import errno
import math
import os
import signal
import sys
import tempfile
import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from bcclone.camera.images import BadImage, Image, read_frame
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.system.arrays import runs
from bcclone.system.errors import UserError, printable
from bcclone.system.files import FileVersion, file_version, make_folder, replacing, sha256_of
from bcclone.system.location import Location, as_local, is_url, reaching
from bcclone.system.process import is_own_process

Indices = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class FrameFile:
    """A file of a store, and where its frames are: one after the other."""

    path: Location
    offset: int  # bytes before the first frame
    count: int  # number of frames
    version: FileVersion  # of the file when it was opened
    sha256: str = ""  # SHA-256 of the whole file, "" if unknown


class Copies:
    """Copies of shards at a URL, on this machine, which several processes may share.

    A copy is named by the SHA-256 of its content. It gets this name only when it is complete and
    its SHA-256 has been checked.

    folder: None for a temporary folder, which is made with the first copy and deleted by close()
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._lock = threading.Lock()  # held while a shard is fetched, so that it is fetched once

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._folder,)

    def close(self) -> None:
        if self._temporary:
            self._temporary.cleanup()
            self._temporary = None

    def path_of(self, file: FrameFile) -> Path:
        """Return the copy of a shard, which is fetched if there is none.

        Raises UserError if the shard cannot be fetched, or is not the one of the store's manifest.
        """
        with self._lock:
            folder = self._folder
            if folder is None:
                self._temporary = self._temporary or tempfile.TemporaryDirectory(prefix="bcclone-")
                folder = Path(self._temporary.name)
            make_folder(folder, "another --cache")
            copy = folder / f"{file.sha256}.h5"
            if not copy.is_file():
                self._fetch(file, copy)
        return copy

    def _fetch(self, file: FrameFile, copy: Path) -> None:
        remote: Any = file.path
        try:
            with replacing(copy) as partial:
                with reaching(remote):
                    remote.fs.get_file(remote.path, str(partial))
                if sha256_of(partial) != file.sha256:
                    raise UserError(
                        f"{remote}: the shard is damaged, its SHA-256 is not that of the manifest; "
                        "copy it there again, or make the store again"
                    )
        except OSError as error:
            reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
            raise UserError(
                f"{copy.parent}: cannot keep copies of shards: {reason}; choose another --cache"
            ) from None


class Frames:
    """Frames, uint8 (frames, height, width, channels), in files that are mapped when first used.

    Frames can be indexed like an array. Reading raises UserError if a file has changed since the
    store was opened. A file that another one has replaced, as bcclone writes them, is still read
    once it is mapped; one that is overwritten would show other frames. A pickled copy maps the
    files again. The end of a `with` block unmaps them.

    copies: where files at a URL are copied to
    """

    are_images = False  # whether the frames are image files, which take() decodes

    def __init__(
        self,
        files: Sequence[FrameFile],
        frame_shape: tuple[int, ...],
        copies: Copies | None = None,
    ) -> None:
        self.files = tuple(files)
        self.frame_shape = frame_shape
        self.copies = copies or Copies()
        counts = [file.count for file in self.files]
        # (files,): the index of each file's first frame (_starts), and of the frame after its last
        self._ends = np.cumsum(counts, dtype=np.int64)
        self._starts = self._ends - counts
        self._maps: dict[int, Image] = {}  # number of a file -> its frames
        # number of a mapped file -> it on this machine, its number on the disk, and its version
        self._mapped_files: dict[int, tuple[str, int, FileVersion]] = {}
        self._is_closed = False
        # held while a file is mapped: if two threads mapped the same file, the second map would
        # replace the first, which would be freed while it is still read
        self._mapping = threading.Lock()

    @property
    def is_far(self) -> bool:
        """Return whether the files are at a URL."""
        return any(is_url(file.path) for file in self.files[:1])

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
        """Return all frames, as numpy.asarray() and numpy.array() ask for them."""
        frames = self._map_file(0) if len(self.files) == 1 else self[:]
        self.check_unchanged([0])
        array = np.array(frames, dtype, copy=copy)
        self.check_unchanged([0])
        return array

    def take(self, indices: Indices, into: Image) -> None:
        """Copy the frames at these indices, (images,), into an array.

        into: uint8 (images, *frame_shape), contiguous.
        """
        used = [0] if len(self.files) == 1 else np.unique(self.file_of(indices)).tolist()
        self.check_unchanged(used)  # to read a file that has become shorter ends the process
        self._copy(indices, into)
        self.check_unchanged(used)

    def _copy(self, indices: Indices, into: Image) -> None:
        if len(self.files) == 1:
            # one call for all frames, since each call waits for the interpreter lock; with another
            # mode than "clip", NumPy would write into a copy of `into` first
            np.take(self._map_file(0), indices, axis=0, out=into, mode="clip")
            return
        numbers = self.file_of(indices)
        if indices.size and (indices.min() < 0 or numbers.max() >= len(self.files)):
            raise IndexError("a frame beyond the end of the store")
        places = indices.astype(np.int64) - self._starts[numbers]
        for image, number, place in zip(into, numbers.tolist(), places.tolist(), strict=True):
            image[...] = self._map_file(number)[place]

    def check_unchanged(self, numbers: Sequence[int] | None = None) -> None:
        """Raise UserError if a mapped file was written since the store was opened.

        numbers: which files to look at; None for all
        """
        for number in range(len(self.files)) if numbers is None else numbers:
            if number not in self._mapped_files:
                continue
            path, inode, version = self._mapped_files[number]
            try:
                status = os.stat(path)  # noqa: PTH116 half the time, twice for each batch and file
            except OSError:  # removed, or out of sight: what is mapped is there all the same
                continue
            is_same = status.st_ino == inode
            if is_same and (status.st_size, status.st_mtime_ns) != version:
                raise _changed(Path(path), "overwritten")

    def file_of(self, indices: Indices | int) -> Indices:
        """Return the number, int64, of the file that holds each of these frames.

        For a frame beyond the last one, it is the number after that of the last file.
        """
        return np.asarray(np.searchsorted(self._ends, indices, "right"))

    def load(self, indices: Indices, stop: threading.Event) -> None:
        """Read the frames at these indices, so that they are in the system's cache for take().

        A memory map reads page by page, and a disk is many times faster with long sequential reads.
        A failed read is ignored here: take() reads the frame again, and fails if it must. Files at
        a URL are copied to this machine.

        stop: when it is set, loading ends early
        """
        if self.is_far:
            for number in np.unique(self.file_of(indices)).tolist():
                if not stop.is_set():
                    self._map_file(number)
            return
        gap_frames = 16  # a gap smaller than this is read, too, instead of starting a new read
        # reads are large (4 MB), since after each one the thread waits for the interpreter lock
        scratch = memoryview(bytearray(1 << 22))
        for first, last in runs(indices, gap_frames):
            for number in range(int(self.file_of(first)), int(self.file_of(last)) + 1):
                file = self.files[number]
                # among the frames of this file: the first one, and the one after the last
                begin = max(first - int(self._starts[number]), 0)
                end = min(last - int(self._starts[number]) + 1, file.count)
                size = (end - begin) * self.frame_bytes
                if stop.is_set():
                    return
                with contextlib.suppress(OSError), FileIO(as_local(file.path)) as source:
                    source.seek(file.offset + begin * self.frame_bytes)
                    # over and over into the same memory: the bytes are not used here
                    while size and (count := source.readinto(scratch[:size])):
                        size -= count

    def _map_file(self, number: int) -> Image:
        """Return the frames of a file, which is mapped first if it is not; raises UserError."""
        if number in self._maps:
            return self._maps[number]
        with self._mapping:
            if self._is_closed:
                raise ValueError("these frames are closed; read them within their `with` block")
            file = self.files[number]
            path = file.path
            if is_url(path):
                path = self.copies.path_of(file)
            elif not path.exists() or file_version(as_local(path)) != file.version:
                raise _changed(path, "rewritten or removed")
            # another thread may have mapped it meanwhile
            if number not in self._maps:
                shape = (file.count, *self.frame_shape)
                frames = np.empty(shape, np.uint8)
                if file.count:
                    with as_local(path).open("rb") as opened:
                        status = os.fstat(opened.fileno())
                        mapped = np.memmap(opened, np.uint8, "r", file.offset, shape)
                    frames = mapped.view(np.ndarray)
                    version = file.version
                    if is_url(file.path):  # of the copy
                        version = FileVersion(status.st_size, status.st_mtime_ns)
                    self._mapped_files[number] = str(path), status.st_ino, version
                    _explain_bus_errors(self)
                self._maps[number] = frames
        return self._maps[number]

    def reopened(self, cache: Path | None = None) -> "Frames":
        """Return the same frames, which are mapped anew.

        cache: folder for copies of files at a URL; None to share the copies of these frames
        """
        return Frames(self.files, self.frame_shape, Copies(cache) if cache else self.copies)

    def __enter__(self) -> Self:
        self._is_closed = False
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Unmap the files; reading then raises ValueError, until the frames are entered again."""
        self._is_closed = True
        self._maps.clear()
        self._mapped_files.clear()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.files, self.frame_shape, self.copies)


class FramesInMemory(Frames):
    """Frames that are in memory, uint8 (frames, height, width, channels)."""

    def __init__(self, frames: Image) -> None:
        super().__init__([_no_file(len(frames))], frames.shape[1:])
        self._maps[0] = frames

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._maps[0],)


class ImageFiles(Frames):
    """The frames of a recording: image files, which are decoded and preprocessed when taken."""

    are_images = True

    def __init__(self, paths: Sequence[str], preprocessing: Preprocessing) -> None:
        super().__init__([_no_file(len(paths))], preprocessing.shape)
        self.paths = paths
        self._preprocessing = preprocessing

    def take(self, indices: Indices, into: Image) -> None:
        """Decode the frames at these indices, (images,), into an array; raises UserError."""
        for index, image in zip(indices.tolist(), into, strict=True):
            path = self.paths[index]
            try:
                self._preprocessing.apply(read_frame(path), image)
            except BadImage as error:
                raise UserError(
                    f"{path}: the image cannot be used: {error}; preprocess.py makes a store "
                    "without such images"
                ) from None

    def load(self, indices: Indices, stop: threading.Event) -> None:
        """Do nothing: take() reads the files."""

    def reopened(self, cache: Path | None = None) -> Frames:
        return self

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.paths, self._preprocessing)


# ---- files that change while they are mapped

# frames that are mapped, and what the system calls for a bus error, once there are some
_mapped: weakref.WeakSet[Frames] = weakref.WeakSet()
_on_bus_error: list[Any] = []


def _explain_bus_errors(frames: Frames) -> None:
    """Let the process end with an error message where a mapped file has become shorter.

    The system then sends SIGBUS to the thread that reads. Python calls its own handlers of signals
    only later, and the thread would read again for ever; one of ctypes is called at once. In the
    process of a program that imports bcclone, the signal ends the program.
    """
    _mapped.add(frames)
    if not is_own_process() or sys.platform == "win32" or _on_bus_error:
        return

    # Most calls are not safe in a handler of signals, since they may wait for a lock that the
    # interrupted thread holds. This one is called by the thread that reads mapped frames, within a
    # copy of NumPy: it holds no lock of the memory allocator there, ctypes takes the interpreter
    # lock if the thread has left it, and what is called below takes no other lock of ours. The
    # process ends in it, at once and without cleaning up.
    def end(number: int) -> None:
        for each in list(_mapped):
            try:
                each.check_unchanged()
            except UserError as error:
                os.write(2, f"error: {printable(str(error))}\n".encode(errors="replace"))
                os._exit(1)
        handle(signal.SIGBUS, 0)  # something else is wrong: the system's default ends the process

    handle = ctypes.CDLL(None).signal
    _on_bus_error.append(ctypes.CFUNCTYPE(None, ctypes.c_int)(end))
    handle(signal.SIGBUS, _on_bus_error[0])


def _changed(path: Location, how: str) -> UserError:
    return UserError(
        f"{path}: the store was {how} while it was used, so that its frames may be others; put it "
        "back as it was, and continue a training with --resume; or start again with the new one"
    )


def _no_file(count: int) -> FrameFile:
    """Return what stands for the files of frames that lie elsewhere."""
    return FrameFile(Path(), offset=0, count=count, version=FileVersion(0))
