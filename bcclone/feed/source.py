"""Sources load the images of samples from a store, from memory or from image files.

In: positions, which are indices of samples in a `Selection`. Out: a `Batch` with the images, uint8
(positions, height, width, channels), mirrored for samples that are mirror images.

The memory of a batch is reused as soon as no array or tensor refers to it.
"""

import math
import weakref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self, TypeAlias

import numpy as np

from bcclone.camera.images import BadImage, Image, common_remedy, cv2, read_frame
from bcclone.dataset.frames import Frames, FramesInMemory
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.feed.order import BatchSpan, Order
from bcclone.system.errors import UserError
from bcclone.system.numbers import BoolArray, Float32Array, Uint32Array

Tensor: TypeAlias = Any  # a tf.Tensor; this module does not load TensorFlow to name the type


@dataclass(frozen=True)
class SampleArrays:
    """The frame or frames, the flip and the labels of each sample.

    A sample takes 9 bytes of memory, and 4 for each further frame or label.
    """

    # uint32 (samples,), index into the frames; (samples, seq_length) for windows, oldest first
    frame: Uint32Array
    flipped: BoolArray  # (samples,), whether the sample's image or images are mirrored
    # float32 (samples, labels): first the steering, then the other labels, such as the speed
    labels: Float32Array

    def images_at(self, positions: Order) -> tuple[Uint32Array, BoolArray]:
        """Return frame and flip of each image of these samples, (images,) each.

        The images of a window follow each other, oldest first.
        """
        frame = self.frame[positions]
        images_a_sample = math.prod(frame.shape[1:])
        return frame.reshape(-1), self.flipped[positions].repeat(images_a_sample)


class SampleSource(ABC):
    """Loads the images of samples; a context manager that opens and closes what it reads.

    A new source has opened nothing. So it can be sent to another process, which enters the source
    there.

    shape: of a sample's images: (height, width, channels), or for a window
        (seq_length, height, width, channels)
    """

    def __init__(self, arrays: SampleArrays, frame_shape: tuple[int, ...]) -> None:
        self.arrays = arrays
        self.shape = *arrays.frame.shape[1:], *frame_shape

    def __enter__(self) -> Self:
        """Open what fill() needs; if it raises UserError, nothing is left open."""
        return self

    def __exit__(self, *_: object) -> None:  # noqa: B027 a source of files has nothing to close
        """Release files and memory."""

    @abstractmethod
    def fill(self, positions: Order, images: Image) -> None:
        """Write the images at these positions, flips applied, into `images`.

        images: uint8 (positions, *shape), contiguous
        """

    def read(
        self, positions: Order, buffers: "Buffers", parts: Iterable[slice] = (slice(None),)
    ) -> "Batch":
        """Return the samples at these positions.

        buffers: gives the memory for the images
        parts: slices of the positions, which are read one after the other; by default all at once
        """
        images = buffers.take(len(positions))
        for part in parts:
            self.fill(positions[part], images[part])
        return Batch(images, self.arrays.labels[positions])


_LEFT_TO_RIGHT = 1  # as cv2.flip() calls it

# Bytes of the frames that are copied, and then flipped, in one go. The size matters little: with
# 2 MB of level 2 cache, blocks of 0.25 to 12 MB were equally fast, and single frames half as fast.
_BLOCK_BYTES = 3 << 19


class FrameSource(SampleSource):
    """A source of a store's frames, which are in memory-mapped files.

    The operating system reads them on demand, and caches them.
    """

    def __init__(self, arrays: SampleArrays, frames: Frames) -> None:
        super().__init__(arrays, frames.frame_shape)
        self.frames = frames

    def __enter__(self) -> Self:
        self.frames.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.frames.close()

    def fill(self, positions: Order, images: Image) -> None:
        """Copy several frames in one call, and flip them in place while the processor caches them.

        Copying frame by frame is half as fast, since each copy waits for the interpreter lock.
        """
        frame, flipped = self.arrays.images_at(positions)
        images = images.reshape(-1, *self.frames.frame_shape)
        count = max(_BLOCK_BYTES // self.frames.frame_bytes, 1)
        for start in range(0, len(frame), count):
            block = images[start : start + count]
            self.frames.take(frame[start : start + count], block)
            for index in np.flatnonzero(flipped[start : start + count]).tolist():
                cv2.flip(block[index], _LEFT_TO_RIGHT, dst=block[index])


class MemorySource(FrameSource):
    """A source that reads all of its frames into memory when it is entered."""

    def __enter__(self) -> Self:
        # only the frames that samples refer to are read; then they are numbered anew from 0
        used, index = np.unique(self.arrays.frame, return_inverse=True)
        with self.frames as stored:
            self.frames = FramesInMemory(stored[used])
        frame = index.reshape(self.arrays.frame.shape).astype(np.uint32)
        self.arrays = replace(self.arrays, frame=frame)
        return self


class FileSource(SampleSource):
    """A source that decodes image files.

    files: the path of each frame's image file, (frames,)
    """

    def __init__(
        self, arrays: SampleArrays, files: Sequence[str], preprocessing: Preprocessing
    ) -> None:
        super().__init__(arrays, preprocessing.shape)
        self.files = files
        self.preprocessing = preprocessing

    def fill(self, positions: Order, images: Image) -> None:
        """Decode, preprocess and flip; raises UserError for an unusable file."""
        frames, flips = self.arrays.images_at(positions)
        single_images = images.reshape(-1, *self.shape[-3:])
        for frame, flipped, image in zip(frames, flips, single_images, strict=True):
            prepared = self._prepared(self.files[frame])
            image[:] = cv2.flip(prepared, _LEFT_TO_RIGHT) if flipped else prepared

    def _prepared(self, file: str) -> Image:
        try:
            return self.preprocessing.apply(read_frame(file))
        except BadImage as error:
            remedy = common_remedy([str(error)])
            remedy = remedy or "preprocess.py makes a store without such images"
            raise UserError(f"{file}: the image cannot be used: {error}; {remedy}") from None


# ---- the memory of a batch


def lend(memory: memoryview, shape: tuple[int, ...], give_back: Callable[[], object]) -> Image:
    """Return an array in `memory`, uint8 (*shape,), until nobody uses it any more.

    give_back: called when the array, its views and all tensors made from it are gone. Tensors
        count, too, since TensorFlow uses an aligned array without copying it.
    """
    # the returned array, its views and tensors keep the owner alive; so when the owner ends, all of
    # them have ended
    owner = np.frombuffer(memory, np.uint8, math.prod(shape))
    # at the end of the program, nobody takes the memory again
    weakref.finalize(owner, give_back).atexit = False
    return owner.reshape(shape)


PAGE = 4096  # bytes


def to_middle_of_page(memory: memoryview) -> int:
    """Return how many bytes to skip so that a batch begins in the middle of a memory page.

    Frames in a memory map begin at page boundaries. If the copy of a frame begins a few bytes after
    a page boundary, as memory from the system does, the processor mistakes loads from the map for
    loads of what was just stored, and copying is a third slower.
    """
    address = np.frombuffer(memory, np.uint8).ctypes.data
    return int((PAGE // 2 - address) % PAGE)


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
        """Return an uninitialised array for `count` samples, uint8 (count, *shape)."""
        try:
            memory = self._free.pop()
        except IndexError:
            memory = np.empty(self._batch_size * math.prod(self._shape) + PAGE, np.uint8).data
            memory = memory[to_middle_of_page(memory) :]
        return lend(memory, (count, *self._shape), lambda: self._free.append(memory))


# ---- a batch


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
    # the packed AugmentationInputs, if the training step augments the batch; else empty
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
