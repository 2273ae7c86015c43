"""The limits of this machine, measured like contestants: copying random frames, and decoding JPEG files."""

import itertools
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from bcclone.bench.feeds.meter import Benchmark, Taken
from bcclone.decode import read_frame
from bcclone.feed.buffers import Buffers
from bcclone.images import Image, Preprocessing, decode_jpeg
from bcclone.recording import CAMERAS, ImageIndex
from bcclone.samples import NO_FRAME, RowTable
from bcclone.store import Store


class RecordingMissing(Exception):
    """The images that a store was made of are not where they were; the text says which."""


@dataclass(frozen=True)
class JpegSamples:
    """files: path of each sample's image; steering: float32 (samples,); flipped: bool (samples,)."""

    files: npt.NDArray[np.object_]
    steering: npt.NDArray[np.float32]
    flipped: npt.NDArray[np.bool_]
    preprocessing: Preprocessing

    def __len__(self) -> int:
        return len(self.files)

    def image(self, place: int) -> Image:
        """Return a sample's image as the network sees it, by the fastest decoder that we know."""
        prepared = self.preprocessing.apply(read_frame(self.files[place]))
        return np.asarray(cv2.flip(prepared, 1), np.uint8) if self.flipped[place] else prepared


def jpeg_samples(path: Path) -> JpegSamples:
    """Return a store's training samples by their files; raises RecordingGone where a recording is not there."""
    with Store(path) as store:
        samples = store.samples[store.split_indices(validation=False)]
        files = _files(store)[samples["frame"]]
        return JpegSamples(files, samples["steering"].copy(), samples["flipped"].copy(), store.preprocessing)


def _files(store: Store) -> npt.NDArray[np.object_]:
    """Return the path of each frame's file."""
    files = np.empty(len(store.frames), object)
    for number, recording in enumerate(store.recordings):
        index = ImageIndex(Path(recording["path"]))
        for frame, name in _named_frames(store.rows[store.rows["recording"] == number]):
            files[frame] = index.find(name)
    if any(file is None for file in files):
        raise RecordingMissing(
            f"the recording {store.recordings[0]['path']} that {store.path} was made of has no images; put them back"
        )
    return files


def _named_frames(rows: RowTable) -> Iterator[tuple[int, str]]:
    """Yield the number of each frame of these rows, and its image's name in the log."""
    for camera in CAMERAS:
        there = rows[rows[f"frame_{camera}"] != NO_FRAME]
        for frame, name in zip(there[f"frame_{camera}"].tolist(), there[camera].tolist(), strict=True):
            yield frame, name.decode()


_MOST_FILES = 4096


def gather(benchmark: Benchmark, taken: Taken) -> None:
    """Copy rows of the mapped frames in random order into one batch, again and again, by one thread.

    No flips, no new memory, no table: nothing that copies frames can be faster than this by one thread.
    """
    with Store(benchmark.store) as store:
        frames = store.frames.reshape(len(store.frames), -1)
        size = min(benchmark.batch_size, len(frames))
        batch = Buffers(size, store.frames.shape[1:], kept=1).take(size).reshape(size, -1)  # placed as well as ours
        for places in _random_places(len(frames), size, benchmark.seed):
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


def decode(benchmark: Benchmark, taken: Taken) -> None:
    """Decode and resize JPEG files that are in memory already, by a thread a core; nothing is kept."""
    samples = jpeg_samples(benchmark.store)
    files = np.random.default_rng(benchmark.seed).permutation(samples.files)[:_MOST_FILES]
    contents = [Path(file).read_bytes() for file in files]
    cv2.setNumThreads(1)

    def decode_some(start: int) -> int:
        part = contents[start : start + benchmark.batch_size]
        for content in part:
            samples.preprocessing.apply(decode_jpeg(content))
        return len(part)

    starts = itertools.cycle(range(0, len(contents), benchmark.batch_size))
    with ThreadPoolExecutor(benchmark.workers) as pool:
        pending = deque(pool.submit(decode_some, next(starts)) for _ in range(2 * benchmark.workers))
        while taken(pending.popleft().result()):
            pending.append(pool.submit(decode_some, next(starts)))
