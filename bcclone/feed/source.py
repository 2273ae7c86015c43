"""Load the images of samples from a store, from memory or from image files.

In: positions, which are indices of samples in a `Selection`. Out: a `Batch` with the images, uint8
(positions, height, width, channels), mirrored for samples that are mirror images.

The memory of a batch is reused as soon as no array or tensor refers to it.
"""

import math
import weakref
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeAlias

import numpy as np

from bcclone.camera.images import Image, cv2
from bcclone.dataset.frames import Frames, FramesInMemory
from bcclone.feed.order import BatchSpan, Positions
from bcclone.system.numbers import BoolArray, Float32Array, Uint32Array

Tensor: TypeAlias = Any  # a tf.Tensor; this module does not load TensorFlow to name the type


class Gather(Protocol):
    """Makes the images of a batch, from its positions and frames that are on the device."""

    def __call__(self, positions: Tensor, /) -> Tensor: ...


@dataclass(frozen=True)
class Batch:
    """The samples of one step of training: arrays of NumPy, or tensors of TensorFlow."""

    # uint8 (batch, height, width, channels), or windows (batch, seq_length, height, width,
    # channels), oldest frame first; or, if there is a `gather`, its argument: int32 positions
    images: Image | Tensor
    labels: Float32Array | Tensor  # float32 (batch, labels), the steering first, -1 left to 1 right
    # the AugmentationInputs, if the training step augments the batch; else empty
    augmentation: tuple[Any, ...] = ()
    # with several workers: which part of their joint batch this is. An empty part still has one
    # sample, which does not count, so that its worker can take part in the step.
    span: BatchSpan | None = None
    gather: Gather | None = None  # makes the images within the training step; None if they are here

    def __len__(self) -> int:
        return int(self.labels.shape[0])

    @property
    def inputs(self) -> tuple[Any, ...]:
        """Return what a training step takes: images, labels and the inputs of augmentation."""
        return self.images, self.labels, *self.augmentation

    @property
    def samples(self) -> int:
        """Return the number of samples that count: 0 if this worker's part is empty."""
        return len(self) if self.span is None else self.span.samples

    @property
    def global_size(self) -> int:
        """Return the number of samples in the batch of all workers."""
        return len(self) if self.span is None else self.span.size


_LEFT_TO_RIGHT = 1  # as cv2.flip() calls it

# Bytes of the frames that are copied, and then flipped, in one go. The size matters little: with
# 2 MB of level 2 cache, blocks of 0.25 to 12 MB were equally fast, and single frames half as fast.
_BLOCK_BYTES = 3 << 19


class Source:
    """Loads the images of samples; a context manager that opens and closes what it reads.

    A new source has opened nothing, so it can be sent to another process, which enters it there.

    frames: of a store, in memory-mapped files; or the image files of a recording
    frame: uint32 (samples,), index into the frames; or (samples, seq_length), oldest first
    flipped: bool (samples,), whether the sample's images are mirrored
    labels: float32 (samples, labels)
    in_memory: read all frames of the samples into memory when the source is entered
    """

    def __init__(
        self,
        frames: Frames,
        frame: Uint32Array,
        flipped: BoolArray,
        labels: Float32Array,
        in_memory: bool = False,
    ) -> None:
        self.frames = frames
        self.frame = frame
        self.flipped = flipped
        self.labels = labels
        # of a sample's images: (height, width, channels), or for a window
        # (seq_length, height, width, channels)
        self.shape = *frame.shape[1:], *frames.frame_shape
        self._in_memory = in_memory

    def __enter__(self) -> Self:
        self.frames.__enter__()
        if self._in_memory:
            # only the frames that samples refer to are read; they are numbered anew from 0
            used, index = np.unique(self.frame, return_inverse=True)
            with self.frames as stored:
                self.frames = FramesInMemory(stored[used])
            self.frame = index.reshape(self.frame.shape).astype(np.uint32)
        return self

    def __exit__(self, *_: object) -> None:
        self.frames.close()

    def read(
        self, positions: Positions, buffers: "Buffers", parts: Iterable[slice] = (slice(None),)
    ) -> Batch:
        """Return the samples at these positions.

        buffers: gives the memory for the images
        parts: slices of the positions, which are read one after the other; by default all at once
        """
        images = buffers.take(len(positions))
        for part in parts:
            self._fill(positions[part], images[part])
        return Batch(images, self.labels[positions])

    def _fill(self, positions: Positions, images: Image) -> None:
        """Copy several frames in one call, and flip them in place while the processor caches them.

        Copying frame by frame is half as fast, since each copy waits for the interpreter lock.

        images: uint8 (positions, *shape), contiguous
        """
        frame = self.frame[positions].reshape(-1)
        # the images of a window follow each other, oldest first
        flipped = self.flipped[positions].repeat(math.prod(self.frame.shape[1:]))
        images = images.reshape(-1, *self.shape[-3:])
        count = max(_BLOCK_BYTES // self.frames.frame_bytes, 1)
        for start in range(0, len(frame), count):
            block = images[start : start + count]
            self.frames.take(frame[start : start + count], block)
            for index in np.flatnonzero(flipped[start : start + count]).tolist():
                cv2.flip(block[index], _LEFT_TO_RIGHT, dst=block[index])


# ---- the memory of batches

_PAGE = 4096  # bytes


class Buffers:
    """A pool of memory for batches, which is used again and again.

    New memory for each batch would be slow: the system zeroes it page by page, which takes as long
    as copying the images. A pickled copy of the pool is empty.

    batch_size: most samples in a batch
    shape: of a sample's images
    kept: most unused buffers that the pool keeps; further ones are freed
    """

    def __init__(self, batch_size: int, shape: tuple[int, ...], kept: int) -> None:
        self._batch_size = batch_size
        self._shape = shape
        self._kept = kept
        self._free: deque[memoryview] = deque(maxlen=kept)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._batch_size, self._shape, self._kept)

    def take(self, count: int) -> Image:
        """Return an uninitialised array for `count` samples, uint8 (count, *shape).

        Its memory is used again when the array, its views and all tensors made from it are gone.
        Tensors count, too, since TensorFlow uses an aligned array without copying it.
        """
        try:
            memory = self._free.pop()
        except IndexError:
            memory = np.empty(self._batch_size * math.prod(self._shape) + _PAGE, np.uint8).data
            memory = memory[_to_middle_of_page(memory) :]
        # the returned array, its views and tensors keep the owner alive; so when the owner ends,
        # all of them have ended
        shape = (count, *self._shape)
        owner = np.frombuffer(memory, np.uint8, math.prod(shape))
        # at the end of the program, nobody takes the memory again
        weakref.finalize(owner, self._free.append, memory).atexit = False
        return owner.reshape(shape)


def _to_middle_of_page(memory: memoryview) -> int:
    """Return how many bytes to skip so that a batch begins in the middle of a memory page.

    Frames in a memory map begin at page boundaries. If the copy of a frame begins a few bytes after
    a page boundary, as memory from the system does, the processor mistakes loads from the map for
    loads of what was just stored, and copying is a third slower.
    """
    address = np.frombuffer(memory, np.uint8).ctypes.data
    return int((_PAGE // 2 - address) % _PAGE)
