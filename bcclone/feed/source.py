"""Where the images of samples come from: a store, memory or image files.

In: positions. Out: a `Batch` of images, uint8 (positions, height, width, channels), mirrored where
the sample is.

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

from bcclone.camera.images import BadImage, Image, import_remedy, read_frame
from bcclone.dataset.frames import Frames, FramesInMemory
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.feed.order import BatchSpan, Order
from bcclone.system.arrays import BoolArray, Float32Array, Uint32Array
from bcclone.system.errors import UserError
from bcclone.system.opencv import cv2

Tensor: TypeAlias = Any  # of TensorFlow, which this module does not load


@dataclass(frozen=True)
class SampleArrays:
    """Frame, flip and labels of samples: 9 bytes each, and 4 for each further frame and label."""

    # uint32 (samples,), index into the frames; (samples, seq_length) for windows, oldest first
    frame: Uint32Array
    flipped: BoolArray  # (samples,), for all frames of a window
    # float32 (samples, labels): the steering, and then what else is learned, such as the speed
    labels: Float32Array

    def images_at(self, positions: Order) -> tuple[Uint32Array, BoolArray]:
        """Return frame and flip of the images at these positions, (images,) each, by windows."""
        frame = self.frame[positions]
        images_a_sample = math.prod(frame.shape[1:])
        return frame.reshape(-1), self.flipped[positions].repeat(images_a_sample)


class SampleSource(ABC):
    """Samples with their frames; a context manager, in whose block they are read.

    A new source has opened nothing. It can be sent to another process, which enters a block of its
    own. shape: of a sample, (height, width, channels), or (seq_length, height, width, channels).
    """

    def __init__(self, arrays: SampleArrays, frame_shape: tuple[int, ...]) -> None:
        self.arrays = arrays
        self.shape = *arrays.frame.shape[1:], *frame_shape

    def __enter__(self) -> Self:
        """Open what fill() needs; raises UserError, and then leaves nothing open."""
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

        parts: slices of the positions, which are read one after the other
        """
        images = buffers.take(len(positions))
        for part in parts:
            self.fill(positions[part], images[part])
        return Batch(images, self.arrays.labels[positions])


# frames that are copied and flipped at once: a little more than the level 2 cache of a core on most
# current processors
_CACHED_BYTES = 3 << 19


class FrameSource(SampleSource):
    """A source of a store's frames: mapped files, which the system reads on demand and caches."""

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
        count = max(_CACHED_BYTES // self.frames.frame_bytes, 1)
        for start in range(0, len(frame), count):
            block = images[start : start + count]
            self.frames.take(frame[start : start + count], block)
            for index in np.flatnonzero(flipped[start : start + count]).tolist():
                cv2.flip(block[index], 1, dst=block[index])


class MemorySource(FrameSource):
    """A source of frames that its block first reads into memory."""

    def __enter__(self) -> Self:
        used, index = np.unique(self.arrays.frame, return_inverse=True)
        with self.frames as stored:
            self.frames = FramesInMemory(stored[used])
        frame = index.reshape(self.arrays.frame.shape).astype(np.uint32)
        self.arrays = replace(self.arrays, frame=frame)
        return self


class FileSource(SampleSource):
    """A source that decodes image files.

    files: a path for each frame
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
            image[:] = cv2.flip(prepared, 1) if flipped else prepared

    def _prepared(self, file: str) -> Image:
        try:
            return self.preprocessing.apply(read_frame(file))
        except BadImage as error:
            remedy = import_remedy([str(error)])
            remedy = remedy or "preprocess.py makes a store without such images"
            raise UserError(f"{file}: the image cannot be used: {error}; {remedy}") from None


# ---- the memory of a batch


def lend(memory: memoryview, shape: tuple[int, ...], give_back: Callable[[], object]) -> Image:
    """Return an array in `memory`, uint8 (*shape,).

    `give_back` is called when the array, its views and the tensors made from it are gone;
    TensorFlow uses an aligned array without copying it.
    """
    # every array made from the owner keeps it alive
    owner = np.frombuffer(memory, np.uint8, math.prod(shape))
    weakref.finalize(owner, give_back).atexit = False
    return owner.reshape(shape)


PAGE = 4096  # bytes


def to_middle_of_page(memory: memoryview) -> int:
    """Return the number of bytes to the first middle of a page, where a batch should begin.

    In a memory map frames begin at page boundaries. When the copy begins a few bytes into its page,
    as memory from the system does, the processor assumes that loads depend on the stores just
    before, and copying is a third slower.
    """
    address = np.frombuffer(memory, np.uint8).ctypes.data
    return int((PAGE // 2 - address) % PAGE)


class Buffers:
    """A pool of buffers; more than `kept` exist only while all of them are in use.

    The system would zero new memory for each batch page by page, which takes as long as the copy. A
    pickled copy is empty.
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
    """Makes the images of the positions of a batch."""

    def __call__(self, positions: Tensor, /) -> Tensor: ...


@dataclass(frozen=True)
class Batch:
    """The samples of one step of training: arrays of NumPy, or tensors of TensorFlow."""

    # uint8 (batch, height, width, channels), or windows (batch, seq_length, height, width,
    # channels), oldest frame first; with `gather`, the positions that it takes
    images: Image | Tensor
    labels: Float32Array | Tensor  # float32 (batch, labels), the steering first, -1 left to 1 right
    # its AugmentationInputs, if the training step augments the batch
    augmentation: tuple[Any, ...] = ()
    # which part of the batch of all workers this is, if there are several; if it is empty, there is
    # one sample here, which does not count
    span: BatchSpan | None = None
    gather: Gather | None = None  # makes the images within the training step

    def __len__(self) -> int:
        return int(self.labels.shape[0])

    @property
    def inputs(self) -> tuple[Any, ...]:
        """Return what a training step takes: images, labels and the inputs of augmentation."""
        return self.images, self.labels, *self.augmentation

    @property
    def samples(self) -> int:
        return len(self) if self.span is None else self.span.samples

    @property
    def global_size(self) -> int:
        return len(self) if self.span is None else self.span.size
