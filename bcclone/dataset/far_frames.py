"""Read the frames of shards at a URL, frame by frame or from local copies of whole shards.

In: indices of frames. Out: images, uint8 (images, height, width, channels).

A shard is one file of a store (shards.py). The copies are in one folder, the cache. Its size is
limited, and several processes may share it. A copy is named by the SHA-256 of its content; it gets
this name only when it is complete and its SHA-256 has been checked.
"""

import contextlib
import errno
import os
import tempfile
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from bcclone.camera.images import Image
from bcclone.dataset.frames import FrameFile, Frames, Indices
from bcclone.system.errors import UserError
from bcclone.system.files import make_folder, sha256_of
from bcclone.system.location import Location, reaching, read_ranges, versions_of
from bcclone.system.numbers import runs

_MEGABYTE = 10**6


class Stopped(Exception):
    """A feed has ended while it fetched a shard; nobody waits for the frames any more."""


class ShardCache:
    """Local copies of shards. To make room, the oldest copies that are not in use are deleted.

    A context manager that several feeds may enter.

    wanted: folder for the copies; None for a temporary one, deleted when the last feed leaves
    limit: most bytes of all copies together
    """

    folder: Path

    def __init__(self, wanted: Path | None, limit: int) -> None:
        self._wanted = wanted
        self.limit = limit
        self._in_use: Counter[str] = Counter()  # name of a copy -> number of maps of it in use
        self._lock = threading.Lock()
        self._users = 0  # number of feeds that have entered and not left
        self._opened = ExitStack()  # closing it deletes a temporary folder

    def __enter__(self) -> Self:
        with self._lock:
            if not self._users:
                self._open_folder()
            self._users += 1
        return self

    def _open_folder(self) -> None:
        if self._wanted is not None:
            self.folder = self._wanted
            make_folder(self.folder, "another --cache")
            return
        temporary = tempfile.TemporaryDirectory(prefix="bcclone-shards-")
        self.folder = Path(self._opened.enter_context(temporary))

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                self._opened.close()

    def has_copy(self, file: FrameFile) -> bool:
        """Return whether there is a copy of a shard that has all of its bytes."""
        copy = self._path_of_copy(file)
        return copy.is_file() and copy.stat().st_size == file.file_bytes

    def map(self, file: FrameFile, frame_shape: tuple[int, ...], stop: threading.Event) -> Image:
        """Return the frames of a shard, mapped from its copy, uint8 (count, *frame_shape).

        They may be used until release(). The copy is fetched if there is none. Raises UserError if
        the shard cannot be fetched, or is not the shard that the store's manifest describes.

        stop: when it is set, fetching ends with Stopped
        """
        copy = self._path_of_copy(file)
        self._add_uses(copy, 1)
        try:
            while True:
                if not self.has_copy(file):
                    self._fetch(file, copy, stop)
                # another process may just have deleted the copy; then fetch it again
                with contextlib.suppress(FileNotFoundError):
                    os.utime(copy)  # it now counts as the newest copy
                    return replace(file, path=copy).map(frame_shape)
        except BaseException:
            self.release(file)
            raise

    def release(self, file: FrameFile) -> None:
        """End one use of a shard's copy: the frames that map() returned must not be read any more.

        A copy without any use may be deleted.
        """
        self._add_uses(self._path_of_copy(file), -1)

    def _add_uses(self, copy: Path, uses: int) -> None:
        with self._lock:
            self._in_use[copy.name] += uses

    def _path_of_copy(self, file: FrameFile) -> Path:
        return self.folder / f"{file.sha256}.h5"

    def _fetch(self, file: FrameFile, copy: Path, stop: threading.Event) -> None:
        """Fetch a shard and check its SHA-256; raises UserError or Stopped.

        copy: path that the file gets when it is complete
        """
        from fsspec.callbacks import Callback

        # fsspec calls this after each block
        def raise_if_stopped(*_: Any, **__: Any) -> None:
            if stop.is_set():
                raise Stopped

        self._make_room(file.file_bytes)
        with tempfile.TemporaryDirectory(dir=self.folder, suffix=".partial") as folder:
            partial = Path(folder, copy.name)
            remote: Any = file.path
            try:
                with reaching(remote):
                    callback = Callback(hooks={"stop": raise_if_stopped})
                    remote.fs.get_file(remote.path, str(partial), callback=callback)
                is_whole = sha256_of(partial) == file.sha256
                if is_whole:
                    partial.replace(copy)
            except FileNotFoundError:  # another process has made room; map() fetches it again
                return
            except OSError as error:
                reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
                raise UserError(
                    f"{self.folder}: cannot keep copies of shards: {reason}; choose another --cache"
                ) from None
        if not is_whole:
            raise UserError(
                f"{file.path}: the shard is damaged, its SHA-256 is not that of the manifest; "
                "copy it there again, or make the store again"
            )

    def _make_room(self, size: int) -> None:
        """Delete the oldest copies that are not in use, until `size` more bytes fit into the limit.

        If the copies in use are too large for that, the limit is exceeded.
        """
        copies = []
        # rglob() also finds what a killed process has left in its .partial folder. What a living
        # process writes there is among the newest; if it is deleted, that process fetches it again.
        for path in self.folder.rglob("*.h5"):
            with contextlib.suppress(FileNotFoundError):  # deleted by another process
                copies.append((path.stat().st_mtime, path.stat().st_size, path))
        total = size + sum(copy_size for _, copy_size, _ in copies)
        for _, copy_size, path in sorted(copies):
            if total <= self.limit:
                return
            if self._in_use[path.name]:
                continue
            # another process may have deleted the copy, or map it, which on Windows protects it
            with contextlib.suppress(FileNotFoundError, PermissionError):
                path.unlink()
                total -= copy_size


class FarFrames(Frames):
    """Frames in files at a URL.

    load() copies files to the cache, and take() then reads their frames from the copies. Frames of
    all other files are requested from the URL, one by one. load(), take() and unload() may be
    called from different threads.

    cache: where copies are kept, within the `with` block of these frames; None to copy nothing
    """

    is_far = True

    def __init__(
        self,
        files: Sequence[FrameFile],
        frame_shape: tuple[int, ...],
        cache: ShardCache | None = None,
    ) -> None:
        super().__init__(files, frame_shape)
        self._chosen_cache = cache
        self._cache: ShardCache | None = None  # the cache, while these frames are in a `with` block
        self._opened = ExitStack()  # closing it leaves the cache
        self._loads: Counter[int] = Counter()  # number of a file -> how many loads need its copy
        self._lock = threading.Lock()

    def check_cache(self, limit: int, window: int) -> None:
        """Raise UserError if copies of two windows of files may take more than `limit` bytes.

        A feed uses the files of one window while it loads those of the next one.

        window: number of files in a window
        """
        sizes = sorted((file.file_bytes for file in self.files), reverse=True)
        needed = sum(sizes[: 2 * window])
        if needed > limit:
            needed_megabytes = -(-needed // _MEGABYTE)  # rounded up
            raise UserError(
                f"{self.files[0].path.parent}: two windows of {window} shards have "
                f"{needed_megabytes} MB, and the cache may hold {limit // _MEGABYTE} MB; "
                "use a larger cache-mb or fewer window-shards (--set)"
            )

    def set_cache(self, folder: Path | None, limit: int) -> None:
        """Choose the cache of the frames that reopened() will return; see Frames.set_cache()."""
        self._chosen_cache = ShardCache(folder, limit)

    def reopened(self) -> "FarFrames":
        """Return the same frames with the same cache, without the files that these have loaded."""
        return FarFrames(self.files, self.frame_shape, self._chosen_cache)

    def __enter__(self) -> Self:
        if self._chosen_cache:
            self._cache = self._opened.enter_context(self._chosen_cache)
        return self

    def load(self, indices: Indices, stop: threading.Event) -> list[int]:
        """Copy and map the files that hold many of these frames; unload() ends this.

        Return the numbers of the files. Raises UserError, and Stopped when `stop` is set.
        """
        if self._cache is None:
            return []
        loaded = self._worth_a_copy(indices, self._cache)
        with self._lock:  # from now on, unload() in another thread does not unmap these files
            self._loads.update(loaded)
        try:
            not_mapped = [number for number in loaded if number not in self._maps]
            for number in not_mapped:
                frames = self._cache.map(self.files[number], self.frame_shape, stop)
                with self._lock:
                    self.use_map(number, frames)
        except BaseException:
            self.unload(loaded)
            raise
        return loaded

    def _worth_a_copy(self, indices: Indices, cache: ShardCache) -> list[int]:
        """Return the numbers of the files whose copies are used.

        These are the files that hold many of these frames, and those that hold some and have a copy
        already.
        """
        # of a file's frames; if fewer are needed, they are requested one by one, without a copy
        least_share = 0.25
        numbers, counts = np.unique(self.file_of(np.unique(indices)), return_counts=True)
        worth = []
        for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
            file = self.files[number]
            if count >= file.count * least_share or cache.has_copy(file):
                worth.append(number)
        return worth

    def unload(self, loaded: Sequence[int]) -> None:
        """Unmap the files that load() returned, except those that another load() still needs."""
        with self._lock:
            self._loads.subtract(loaded)
            for number in loaded:
                if not self._loads[number] and number in self._maps and self._cache:
                    self._origins[number] = 0  # tells gather() that the file is not mapped
                    del self._maps[number]
                    self._cache.release(self.files[number])

    def take(self, indices: Indices, into: Image) -> None:
        """Copy the frames at these indices, (images,), into an array; see Frames.take()."""
        from bcclone.dataset.gather import gather  # loads Numba

        if not len(indices):
            return
        # gather() stops at a frame whose file is not mapped; call it again for the frames behind
        missing: list[int] = []
        rows = into.reshape(len(indices), -1)
        done = gather(self._origins, self._ends, indices, 0, rows)
        while done < len(indices):
            missing.append(done)
            done = gather(self._origins, self._ends, indices, done + 1, rows)
        read = self._read(np.unique(indices[missing]))
        for place in missing:
            into[place] = read[int(indices[place])]

    def _read(self, indices: Indices) -> dict[int, Image]:
        """Request frames from the URL, in one request for each stretch of neighbouring frames.

        Return index -> frame; also of the frames in small gaps between those that are asked for.

        indices: in rising order, each once
        """
        if not len(indices):
            return {}
        gap_frames = 2  # a gap smaller than this is read, too, instead of making another request
        read_indices: list[int] = []
        ranges: list[tuple[Location, int, int]] = []
        for first, last in runs(indices, gap_frames):
            read_indices.extend(range(first, last + 1))
            for file, start, size in self.stretches(first, last):
                if size:
                    ranges.append((file.path, start, start + size))
        frames: list[Image] = []
        for block in read_ranges(ranges):
            frames.extend(np.frombuffer(block, np.uint8).reshape(-1, *self.frame_shape))

        # a file that was written again since it was opened may have given other frames
        touched = [self.files[number] for number in np.unique(self.file_of(indices))]
        versions = versions_of([file.path for file in touched])
        for file, version in zip(touched, versions, strict=True):
            if version != file.version:
                raise file.changed()
        return dict(zip(read_indices, frames, strict=True))

    def close(self) -> None:
        super().close()
        self._cache = None
        self._opened.close()
