"""Measure the limits of this machine like loaders: copying random frames, and decoding JPEG files."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from bcclone.cluster.shards import open_store
from bcclone.dataset.decode import read_frame
from bcclone.dataset.images import Image, Preprocessing, decode_jpeg
from bcclone.dataset.samples import NO_FRAME, RowTable
from bcclone.dataset.store import Store
from bcclone.feed.feed import Buffers
from bcclone.recording.files import ImageIndex
from bcclone.recording.row import CAMERAS
from bcclone.system.prefetch import prefetch_ordered
from benchmarks.feeds.meter import Benchmark, OnBatch
from benchmarks.rounds import Unavailable

_MOST_FILES = 4096


def gather(benchmark: Benchmark, on_batch: OnBatch) -> None:
    """Copy mapped frames in random order into one batch, again and again, by one thread.

    Without flips, new memory and tables, it is the upper limit of any loader that copies frames by one thread.
    """
    with open_store(benchmark.store) as store:
        frames = store.frames
        size = min(benchmark.batch_size, len(frames))
        batch = Buffers(size, frames.frame_shape, kept=1).take(size)  # aligned as the feeds' batches
        for indices in _random_indices(len(frames), size, benchmark.seed):
            frames.take(indices, batch)
            if not on_batch(size):
                return


def decode(benchmark: Benchmark, on_batch: OnBatch) -> None:
    """Decode and resize JPEG files that are in memory, with a thread per core; nothing is kept."""
    samples = jpeg_samples(benchmark.store)
    files = np.random.default_rng(benchmark.seed).permutation(samples.files)[:_MOST_FILES]
    contents = [Path(file).read_bytes() for file in files]
    cv2.setNumThreads(1)

    def decode_some(start: int) -> int:
        batch = contents[start : start + benchmark.batch_size]
        for content in batch:
            samples.preprocessing.apply(decode_jpeg(content))
        return len(batch)

    starts = itertools.cycle(range(0, len(contents), benchmark.batch_size))
    with prefetch_ordered(decode_some, starts, benchmark.workers, 2 * benchmark.workers) as sizes:
        for size in sizes:
            if not on_batch(size):
                return


def _random_indices(count: int, size: int, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    """Yield full batches of 0 ... count - 1 in random order, again and again: int64 (size,)."""
    random = np.random.default_rng(seed)
    while True:
        order = random.permutation(count)
        for start in range(0, count - size + 1, size):
            yield order[start : start + size]


@dataclass(frozen=True)
class JpegSamples:
    """Training samples as JPEG files. files: paths; steering: float32; flipped: bool, (samples,) each."""

    files: npt.NDArray[np.object_]
    steering: npt.NDArray[np.float32]
    flipped: npt.NDArray[np.bool_]
    preprocessing: Preprocessing

    def __post_init__(self) -> None:
        if not len(self.files) == len(self.steering) == len(self.flipped):
            lengths = f"{len(self.files)} files, {len(self.steering)} steerings and {len(self.flipped)} flips"
            raise ValueError(f"{lengths}, expected one of each for a sample")

    def __len__(self) -> int:
        return len(self.files)

    def image(self, index: int) -> Image:
        """Return a sample's image as the network's input, by the fastest decoder."""
        prepared = self.preprocessing.apply(read_frame(self.files[index]))
        return np.asarray(cv2.flip(prepared, 1), np.uint8) if self.flipped[index] else prepared


def jpeg_samples(path: Path) -> JpegSamples:
    """Return a store's training samples by their files; raises Unavailable."""
    with open_store(path) as store:
        samples = store.samples[store.split_indices(validation=False)]
        files = _files(store)[samples["frame"]]
        return JpegSamples(files, samples["steering"].copy(), samples["flipped"].copy(), store.preprocessing)


def _files(store: Store) -> npt.NDArray[np.object_]:
    """Return the path of each frame's file."""
    files = np.empty(len(store.frames), object)
    for number, recording in enumerate(store.recordings):
        index = ImageIndex(recording.path)
        for frame, name in _named_frames(store.rows[store.rows["recording"] == number]):
            files[frame] = index.find(name)
    if any(file is None for file in files):
        raise Unavailable(
            f"the recording {store.recordings[0].path} that {store.path} was made of has no images; put them back"
        )
    return files


def _named_frames(rows: RowTable) -> Iterator[tuple[int, str]]:
    """Yield the index of each frame of these rows, and its image's name in the log."""
    for camera in CAMERAS:
        there = rows[rows[f"frame_{camera}"] != NO_FRAME]
        for frame, name in zip(there[f"frame_{camera}"].tolist(), there[camera].tolist(), strict=True):
            yield frame, name.decode()
