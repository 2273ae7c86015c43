"""Read the frames of shards at a URL, single ones or whole shards, of which local copies are kept.

In: indices of frames. Out: images, uint8 (images, height, width, channels).
"""

import itertools
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import numpy as np

from bcclone.cluster.shard_cache import ShardCache
from bcclone.dataset.frames import FrameFile, Frames, Indices, runs
from bcclone.dataset.images import Image
from bcclone.system.errors import UserError
from bcclone.system.location import Location, read_ranges, versions_of

_FRACTION_OF_COPIES = 0.25  # of a file's frames: when fewer are needed, they are read by themselves
_MEGABYTE = 10**6
_GAP_FRAMES = 2  # gaps up to this size are read, too, rather than making another request


class FarFrames(Frames):
    """Frames in files at a URL. cache: its copies of the files that are loaded, within the block of these frames.

    All other frames are read one by one. load(), take() and unload() may be called from different threads.
    """

    is_far = True

    def __init__(
        self, files: Sequence[FrameFile], frame_shape: tuple[int, ...], cache: ShardCache | None = None
    ) -> None:
        super().__init__(files, frame_shape)
        self._chosen_cache = cache
        self._cache: ShardCache | None = None  # while it is open
        self._opened = ExitStack()
        self._loads: Counter[int] = Counter()  # number of a file -> how many loads use its copy
        self._lock = threading.Lock()

    def check_cache(self, limit: int, window: int) -> None:
        """Raise UserError if the largest possible two windows of so many files take more than `limit` bytes."""
        sizes = sorted((file.version[0] for file in self.files), reverse=True)
        needed = sum(sizes[: 2 * window])
        if needed > limit:
            raise UserError(
                f"{self.files[0].path.parent}: two windows of {window} shards have {-(-needed // _MEGABYTE)} MB, and "
                f"the cache may hold {limit // _MEGABYTE} MB; use a larger cache-mb or fewer window-shards (--set)"
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
        """Copy and map the files that hold many of these frames, until unload(); return their numbers.

        Raises UserError, also when `stop` is set.
        """
        if self._cache is None:
            return []
        numbers, counts = np.unique(self.file_of(np.unique(indices)), return_counts=True)
        pays = [
            count >= self.files[number].count * _FRACTION_OF_COPIES or self._cache.has_copy(self.files[number])
            for number, count in zip(numbers.tolist(), counts.tolist(), strict=True)
        ]
        loaded: list[int] = numbers[pays].tolist()
        with self._lock:  # from now on nobody unloads them
            self._loads.update(loaded)
        try:
            for number in [each for each in loaded if each not in self._maps]:
                frames = self._cache.map(self.files[number], self.frame_shape, stop)
                with self._lock:
                    self._use_map(number, frames)
        except BaseException:
            self.unload(loaded)
            raise
        return loaded

    def unload(self, loaded: Sequence[int]) -> None:
        with self._lock:
            self._loads.subtract(loaded)
            for number in loaded:
                if not self._loads[number] and number in self._maps and self._cache:
                    self._origins[number] = 0
                    del self._maps[number]
                    self._cache.release(self.files[number])

    def take(self, indices: Indices, into: Image) -> None:
        """Copy the frames at these indices, (images,), into a contiguous uint8 (images, *frame_shape)."""
        from bcclone.dataset.gather import gather  # loads Numba

        if not len(indices):
            return
        missing: list[int] = []  # images of which there is no copy of the file
        rows, done = into.reshape(len(indices), -1), 0
        while (done := gather(self._origins, self._ends, indices, done, rows)) < len(indices):
            missing.append(done)
            done += 1
        read = self._read(np.unique(indices[missing]))
        for place in missing:
            into[place] = read[int(indices[place])]

    def _read(self, indices: Indices) -> dict[int, Image]:
        """Read frames, whose indices rise, by themselves, in as few requests as there are stretches of them."""
        if not len(indices):
            return {}
        ranges: list[tuple[Location, int, int]] = []
        read: list[int] = []
        touched = [self.files[number] for number in np.unique(self.file_of(indices))]
        for first, last in runs(indices, _GAP_FRAMES):
            read.extend(range(first, last + 1))
            stretches = self.stretches(first, last)
            ranges += [(file.path, start, start + size) for file, start, size in stretches if size]
        blocks = [np.frombuffer(block, np.uint8).reshape(-1, *self.frame_shape) for block in read_ranges(ranges)]
        now = versions_of([file.path for file in touched])
        for file, version in zip(touched, now, strict=True):
            if version != file.version:
                raise file.changed()
        return dict(zip(read, itertools.chain.from_iterable(blocks), strict=True))

    def close(self) -> None:
        super().close()
        self._cache = None
        self._opened.close()
