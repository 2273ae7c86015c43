"""Read the frames of shards at a URL: single ones, or whole shards, copied to a local folder.

In: indices of frames. Out: images, uint8 (images, height, width, channels). Several processes may
share the folder, whose size is bounded. A copy is named by the SHA-256 of its content, and appears
under its name when it is whole and checked.
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
from bcclone.system.atomic import make_folder, sha256_of
from bcclone.system.errors import UserError
from bcclone.system.location import Location, reaching, read_ranges, versions_of
from bcclone.system.statistics import runs

_MEGABYTE = 10**6


class ShardCache:
    """Local copies of shards; the oldest that are not in use are deleted.

    A context manager that several feeds may enter.

    wanted: the folder, None for a temporary one, which is deleted when the last feed leaves.
    limit: bytes of all copies, at most.
    """

    folder: Path

    def __init__(self, wanted: Path | None, limit: int) -> None:
        self._wanted = wanted
        self.limit = limit
        self._in_use: Counter[str] = Counter()  # name of a copy -> how many use it
        self._lock = threading.Lock()
        self._users = 0  # feeds that have entered
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        with self._lock:
            if not self._users:
                temporary = tempfile.TemporaryDirectory(prefix="bcclone-shards-")
                self.folder = self._wanted or Path(self._opened.enter_context(temporary))
                make_folder(self.folder, "another --cache")
            self._users += 1
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                self._opened.close()

    def has_copy(self, file: FrameFile) -> bool:
        copy = self._copy(file)
        return copy.is_file() and copy.stat().st_size == file.version[0]

    def map(self, file: FrameFile, frame_shape: tuple[int, ...], stop: threading.Event) -> Image:
        """Map the frames of a shard's copy, uint8 (count, *frame_shape), until release().

        The copy is fetched if there is none. Raises UserError when the shard cannot be fetched, or
        is not the one of the manifest.

        stop: ends the fetching with a UserError when it is set.
        """
        copy = self._copy(file)
        self._count(copy, 1)
        try:
            while True:
                if not self.has_copy(file):
                    self._fetch(file, copy, stop)
                # another process may just have deleted it
                with contextlib.suppress(FileNotFoundError):
                    os.utime(copy)
                    return replace(file, path=copy).map(frame_shape)
        except BaseException:
            self.release(file)
            raise

    def release(self, file: FrameFile) -> None:
        """Let the copy of a shard be deleted; what map() returned must not be used any more."""
        self._count(self._copy(file), -1)

    def _count(self, copy: Path, uses: int) -> None:
        with self._lock:
            self._in_use[copy.name] += uses

    def _copy(self, file: FrameFile) -> Path:
        return self.folder / f"{file.sha256}.h5"

    def _fetch(self, file: FrameFile, copy: Path, stop: threading.Event) -> None:
        from fsspec.callbacks import Callback

        def check(*_: Any, **__: Any) -> None:
            if stop.is_set():
                raise UserError("fetching was stopped")

        self._make_room(file.version[0])
        with tempfile.TemporaryDirectory(dir=self.folder, suffix=".partial") as folder:
            partial = Path(folder, copy.name)
            remote: Any = file.path
            try:
                with reaching(remote):
                    callback = Callback(hooks={"stop": check})
                    remote.fs.get_file(remote.path, str(partial), callback=callback)
                is_whole = sha256_of(partial) == file.sha256
                if is_whole:
                    partial.replace(copy)
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
        """Delete the oldest copies that are not in use, until there is room for so many bytes."""
        copies = []
        # also what a killed process has left in a folder of its own
        for path in self.folder.rglob("*.h5"):
            with contextlib.suppress(FileNotFoundError):  # deleted by another process
                copies.append((path.stat().st_mtime, path.stat().st_size, path))
        total = size + sum(copy_size for _, copy_size, _ in copies)
        for _, copy_size, path in sorted(copies):
            if total <= self.limit:
                return
            if self._in_use[path.name]:
                continue
            # deleted by another process, or mapped by it, on Windows
            with contextlib.suppress(FileNotFoundError, PermissionError):
                path.unlink()
                total -= copy_size


class FarFrames(Frames):
    """Frames in files at a URL.

    Those of files that are loaded come from copies, all others are read one by one. load(), take()
    and unload() may be called from different threads.

    cache: of the copies, within the block of these frames.
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
        self._cache: ShardCache | None = None  # while it is open
        self._opened = ExitStack()
        self._loads: Counter[int] = Counter()  # number of a file -> how many loads use its copy
        self._lock = threading.Lock()

    def check_cache(self, limit: int, window: int) -> None:
        """Raise UserError if the largest two windows of so many files take more than `limit`."""
        sizes = sorted((file.version[0] for file in self.files), reverse=True)
        needed = sum(sizes[: 2 * window])
        if needed > limit:
            needed_megabytes = -(-needed // _MEGABYTE)  # rounded up
            raise UserError(
                f"{self.files[0].path.parent}: two windows of {window} shards have "
                f"{needed_megabytes} MB, and the cache may hold {limit // _MEGABYTE} MB; "
                "use a larger cache-mb or fewer window-shards (--set)"
            )

    def set_cache(self, folder: Path | None, limit: int) -> None:
        """Choose the cache of frames that are reopened from these, as Frames.set_cache() says."""
        self._chosen_cache = ShardCache(folder, limit)

    def reopened(self) -> "FarFrames":
        """Return these frames with the same cache, but loads of their own."""
        return FarFrames(self.files, self.frame_shape, self._chosen_cache)

    def __enter__(self) -> Self:
        if self._chosen_cache:
            self._cache = self._opened.enter_context(self._chosen_cache)
        return self

    def load(self, indices: Indices, stop: threading.Event) -> list[int]:
        """Copy and map the files that hold many of these frames, until unload().

        Return the numbers of these files. Raises UserError, also when `stop` is set.
        """
        if self._cache is None:
            return []
        loaded = self._worth_a_copy(indices, self._cache)
        with self._lock:  # from now on nobody unloads them
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
        """Return the numbers of the files that hold many of these frames, or have a copy."""
        fewest = 0.25  # of a file's frames; when fewer are needed, they are read by themselves
        numbers, counts = np.unique(self.file_of(np.unique(indices)), return_counts=True)
        worth = []
        for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
            file = self.files[number]
            if count >= file.count * fewest or cache.has_copy(file):
                worth.append(number)
        return worth

    def unload(self, loaded: Sequence[int]) -> None:
        with self._lock:
            self._loads.subtract(loaded)
            for number in loaded:
                if not self._loads[number] and number in self._maps and self._cache:
                    self._origins[number] = 0
                    del self._maps[number]
                    self._cache.release(self.files[number])

    def take(self, indices: Indices, into: Image) -> None:
        """Copy the frames at these indices, (images,), into an array, as Frames.take() does."""
        from bcclone.dataset.gather import gather  # loads Numba

        if not len(indices):
            return
        # gather() stops at an image of which there is no copy of the file, and goes on behind it
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
        """Read frames by themselves: index -> frame, and those in small gaps, too.

        There is a request for each stretch of them.

        indices: in rising order.
        """
        if not len(indices):
            return {}
        gap_frames = 2  # smaller gaps are read, too, rather than making another request
        numbers: list[int] = []
        ranges: list[tuple[Location, int, int]] = []
        for first, last in runs(indices, gap_frames):
            numbers.extend(range(first, last + 1))
            for file, start, size in self.stretches(first, last):
                if size:
                    ranges.append((file.path, start, start + size))
        frames: list[Image] = []
        for block in read_ranges(ranges):
            frames.extend(np.frombuffer(block, np.uint8).reshape(-1, *self.frame_shape))

        # a file that was written again may have given other frames
        touched = [self.files[number] for number in np.unique(self.file_of(indices))]
        versions = versions_of([file.path for file in touched])
        for file, version in zip(touched, versions, strict=True):
            if version != file.version:
                raise file.changed()
        return dict(zip(numbers, frames, strict=True))

    def close(self) -> None:
        super().close()
        self._cache = None
        self._opened.close()
