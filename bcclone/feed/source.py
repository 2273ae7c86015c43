"""Positions of samples -> their images, from the store, from memory or from image files."""

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from bcclone.atomic import file_version
from bcclone.decode import read_frame
from bcclone.errors import UserError
from bcclone.feed.order import Order
from bcclone.images import BadImage, Image, Preprocessing

if TYPE_CHECKING:  # a loader process has no use for what these load
    from bcclone.store import Store
    from bcclone.store.image_samples import ImageSamples
from bcclone.feed.buffers import Buffers
from bcclone.feed.feed import Batch

_CACHED_BYTES = 3 << 19  # little more than a core's second cache on most processors of these years


@dataclass(frozen=True)
class Columns:
    """What the samples of one side of the split are, 9 bytes each, and 4 more for each further frame of a window.

    frame: uint32 (samples,), index into the frames, or (samples, seq_length) for windows, oldest first;
    flipped: bool (samples,), a window as a whole; steering: float32 (samples,).
    """

    frame: npt.NDArray[np.uint32]
    flipped: npt.NDArray[np.bool_]
    steering: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        if not len(self.frame) == len(self.flipped) == len(self.steering):
            lengths = f"{len(self.frame)} frames, {len(self.flipped)} flips and {len(self.steering)} steerings"
            raise ValueError(f"{lengths}, expected one of each for a sample")

    def images_at(self, positions: Order) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.bool_]]:
        """Return frame and flip of every image at these positions, window by window: (images,) each."""
        frame = self.frame[positions]
        return frame.reshape(-1), self.flipped[positions].repeat(math.prod(frame.shape[1:]))

    def steering_of(self, positions: Order) -> npt.NDArray[np.float32]:
        """Return the steering at these positions, float32 (positions, 1)."""
        return self.steering[positions][:, np.newaxis]


class Source(Protocol):
    """The samples of one side of the split. It can be sent to another process, which opens its own files."""

    columns: Columns
    shape: tuple[int, ...]  # of a sample: height, width, 3, behind the number of frames where it is a window

    def __len__(self) -> int:
        """Return the number of samples."""

    def fill(self, positions: Order, images: Image) -> None:
        """Write the images at these positions, flips applied, into uint8 (positions, *shape), in one piece."""

    def close(self) -> None:
        """Let go of files, memory and threads."""


class MemorySource:
    """Frames that are in memory, uint8 (frames, height, width, 3)."""

    def __init__(self, columns: Columns, frames: Image) -> None:
        self.columns, self.frames = columns, frames
        self.shape = *columns.frame.shape[1:], *frames.shape[1:]

    @classmethod
    def of(cls, store: "Store", columns: Columns) -> "MemorySource":
        """Read the frames of these samples."""
        used, places = np.unique(columns.frame, return_inverse=True)
        numbered = places.reshape(columns.frame.shape).astype(np.uint32)
        return MemorySource(replace(columns, frame=numbered), np.asarray(store.frames[used]))

    def __len__(self) -> int:
        return len(self.columns.frame)

    def fill(self, positions: Order, images: Image) -> None:
        """Copy some frames in one call, and flip them in place while the processor's cache still has them.

        Frame by frame, into the batch at once, each copy would wait for the interpreter lock: half as fast.
        """
        frame, flipped = self.columns.images_at(positions)
        images = images.reshape(-1, *self.frames.shape[1:])
        count = max(_CACHED_BYTES // math.prod(self.frames.shape[1:]), 1)
        for start in range(0, len(frame), count):
            block = images[start : start + count]
            np.take(self.frames, frame[start : start + count], axis=0, out=block, mode="clip")
            for place in np.flatnonzero(flipped[start : start + count]).tolist():
                cv2.flip(block[place], 1, dst=block[place])

    def close(self) -> None:
        """Let go of the frames."""
        self.frames = self.frames[:0].copy()


class StoreSource(MemorySource):
    """A store's frames, memory-mapped: the system reads what is asked for, and keeps what it has room for.

    frames: uint8 (frames, height, width, 3).
    """

    def __init__(self, columns: Columns, frames: Image, path: Path, offset: int, version: tuple[int, int]) -> None:
        super().__init__(columns, frames.view(np.ndarray))  # a memmap's own indexing takes as long as the copy
        self.path, self.offset, self._version = path, offset, version

    @classmethod
    def of(cls, store: "Store", columns: Columns) -> "StoreSource":
        """Map the frames of a store."""
        return StoreSource(columns, store.frames, store.path, store.frames_offset, store.version)

    def bytes_of(self, first: int, last: int) -> tuple[int, int]:
        """Return where in the file these frames begin, and how many bytes they are."""
        frame_bytes = math.prod(self.frames.shape[1:])
        return self.offset + first * frame_bytes, (last - first + 1) * frame_bytes

    def __reduce__(self) -> tuple[Any, ...]:
        return _open_again, (self.columns, self.path, self.offset, self.frames.shape, self._version)


def _open_again(
    columns: Columns, path: Path, offset: int, shape: tuple[int, ...], version: tuple[int, int]
) -> StoreSource:
    """Map a store's frames in another process; raises UserError when it is not the same store any more."""
    if not path.exists() or file_version(path) != version:
        raise UserError(f"{path}: the store has been written anew, or is gone, since training began; train anew")
    frames = np.memmap(path, np.uint8, "r", offset, shape) if shape[0] else np.empty(shape, np.uint8)
    return StoreSource(columns, frames, path, offset, version)


class FileSource:
    """Frames in image files, decoded each time, some at once. files: a path for each frame."""

    def __init__(self, columns: Columns, files: Sequence[str], preprocessing: Preprocessing, threads: int) -> None:
        self.columns, self.files, self.preprocessing = columns, files, preprocessing
        self.shape = *columns.frame.shape[1:], preprocessing.height, preprocessing.width, 3
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads or os.cpu_count() or 1, "bcclone-decode")

    @classmethod
    def of(cls, samples: "ImageSamples", columns: Columns, threads: int = 0) -> "FileSource":
        """Take these samples of a recording. threads: 0 for one a core."""
        return FileSource(columns, samples.files, samples.preprocessing, threads)

    def __len__(self) -> int:
        return len(self.columns.frame)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.columns, self.files, self.preprocessing, self._threads)

    def fill(self, positions: Order, images: Image) -> None:
        """Decode, prepare and flip, into uint8 (positions, *shape); raises UserError for a file that cannot be used."""
        frame, flipped = self.columns.images_at(positions)
        sources = zip(frame.tolist(), flipped.tolist(), strict=True)
        for _ in self._pool.map(self._decode, sources, images.reshape(-1, *self.shape[-3:])):
            pass

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(cancel_futures=True)

    def _decode(self, source: tuple[int, bool], image: Image) -> None:
        frame, flipped = source
        try:
            prepared = self.preprocessing.apply(read_frame(self.files[frame]))
        except BadImage as error:
            raise UserError(
                f"{self.files[frame]}: the image cannot be used: {error}; preprocess.py makes a store that leaves such "
                "images out"
            ) from None
        image[:] = cv2.flip(prepared, 1) if flipped else prepared


class Reader:
    """Reads batches of a source, in any number of threads; another process gets one with buffers of its own.

    kept: how many batches are held at a time, as a rule.
    """

    def __init__(self, source: Source, batch_size: int, kept: int) -> None:
        self.source, self._batch_size, self._kept = source, batch_size, kept
        self._buffers = Buffers(batch_size, source.shape, kept)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.source, self._batch_size, self._kept)

    def read(self, positions: Order) -> Batch:
        """Return the samples at these positions."""
        images = self._buffers.take(len(positions))
        self.source.fill(positions, images)
        return Batch(images, self.source.columns.steering_of(positions))
