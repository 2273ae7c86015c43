"""The limits of this machine, measured like contestants: copying random frames, and decoding JPEG files."""

import itertools
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from bcclone.bench.feeds.jpeg_samples import jpeg_samples
from bcclone.bench.feeds.race import Race, Taken
from bcclone.feed.buffers import Buffers
from bcclone.images import decode_jpeg
from bcclone.store import Store

_MOST_FILES = 4096


def gather(race: Race, taken: Taken) -> None:
    """Copy rows of the mapped frames in random order into one batch, again and again, by one thread.

    No flips, no new memory, no table: nothing that copies frames can be faster than this by one thread.
    """
    with Store(race.store) as store:
        frames = store.frames.reshape(len(store.frames), -1)
        size = min(race.batch_size, len(frames))
        batch = Buffers(size, store.frames.shape[1:], kept=1).take(size).reshape(size, -1)  # placed as well as ours
        for places in _random_places(len(frames), size, race.seed):
            np.take(frames, places, axis=0, out=batch, mode="clip")
            if not taken(size):
                return


def _random_places(count: int, size: int, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    """Yield whole batches of 0 ... count - 1 in random order, again and again: int64 (size,)."""
    random = np.random.default_rng(seed)
    while True:
        order = random.permutation(count)
        for start in range(0, count - size + 1, size):
            yield order[start : start + size]


def decode(race: Race, taken: Taken) -> None:
    """Decode and resize JPEG files that are in memory already, by a thread a core; nothing is kept."""
    samples = jpeg_samples(race.store)
    files = np.random.default_rng(race.seed).permutation(samples.files)[:_MOST_FILES]
    contents = [Path(file).read_bytes() for file in files]
    cv2.setNumThreads(1)

    def decode_some(start: int) -> int:
        part = contents[start : start + race.batch_size]
        for content in part:
            samples.preprocessing.apply(decode_jpeg(content))
        return len(part)

    starts = itertools.cycle(range(0, len(contents), race.batch_size))
    with ThreadPoolExecutor(race.workers) as pool:
        pending = deque(pool.submit(decode_some, next(starts)) for _ in range(2 * race.workers))
        while taken(pending.popleft().result()):
            pending.append(pool.submit(decode_some, next(starts)))
