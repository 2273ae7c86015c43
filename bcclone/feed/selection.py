"""Select the training, validation or test samples, and load their images.

In: a store or the images of a recording. Out: a `Selection`: which frame or window of frames each
sample has, whether it is mirrored, and its labels. A `Source` then turns positions, which are
indices of samples in a selection, into a `Batch` with the images.
"""

import math
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from bcclone.camera.images import Image, cv2
from bcclone.dataset.answer import OUTPUTS, outputs_of
from bcclone.dataset.frames import Frames, FramesInMemory
from bcclone.dataset.labels import RowTable, knows_road, lookahead_m, output_labels, path_labels
from bcclone.dataset.sample_settings import TRAINING
from bcclone.dataset.samples import SampleTable, windows
from bcclone.dataset.store import Store
from bcclone.feed.feed_settings import PATH, STEERING
from bcclone.feed.order import BatchSpan, Positions, has_zero_steering
from bcclone.system.arrays import BoolArray, Float32Array, IndexArray, Uint32Array
from bcclone.system.errors import UserError

# samples and their rows -> what a network should answer to each: numbers, (samples,) or
# (samples, labels)
TargetFunction = Callable[[SampleTable, RowTable], npt.ArrayLike]


@dataclass(frozen=True)
class Selection:
    """The samples that a feed gives, in the order of the store."""

    data: Store  # the store or recording that holds the frames
    # uint32 (samples,), index into the frames; (samples, seq_length) for windows, oldest first
    frame: Uint32Array
    flipped: BoolArray  # (samples,), whether the sample's image or images are mirrored
    # float32 (samples, labels): first the steering, then the other labels, such as the speed
    labels: Float32Array
    row: Uint32Array  # (samples,), index into data.rows
    left_out: int = 0  # how many samples have no window; samples.windows() explains why

    def __len__(self) -> int:
        return len(self.row)

    @property
    def seq_length(self) -> int:
        return self.frame.shape[1] if self.frame.ndim > 1 else 1

    def source(self, in_memory: bool = False) -> "Source":
        """Return what loads the images: from the store, or from image files.

        in_memory: read the frames of a store into memory first
        """
        return Source(self.data.frames.reopened(), self.frame, self.flipped, self.labels, in_memory)

    @cached_property
    def first_of_row(self) -> IndexArray:
        """Return the index of the first sample of each row that has samples, (rows,).

        A row's samples are sorted: the first has the frame of the centre camera (if that is used)
        in the row itself, not mirrored, so frame and steering are as they were recorded.
        """
        _, first = np.unique(self.row, return_index=True)
        return first

    @cached_property
    def zero_steering(self) -> BoolArray:
        """Return which samples were recorded with a steering of 0, bool (samples,)."""
        return has_zero_steering(self.row, self.data.rows)

    @cached_property
    def shard(self) -> Uint32Array:
        """Return the number of the shard that holds each sample's frame, (samples,).

        For a window of frames, it is the shard of the newest frame.
        """
        newest = self.frame if self.frame.ndim == 1 else self.frame[:, -1]
        return self.data.frames.file_of(newest).astype(np.uint32)


def select(
    data: Store,
    part: str = TRAINING,
    seq_length: int = 1,
    predict: str | TargetFunction = STEERING,
) -> Selection:
    """Return the training, validation or test samples.

    Raises UserError if the path is to be learned and only some rows have one, if the output
    that was asked for never changes, and for windows of rows that do not follow each other. Raises
    ValueError for a function that does not return a row for each sample.

    part: one of sample_settings.PARTS
    seq_length: number of frames in a window; 1 for single frames
    predict: what the network learns: a choice of --predict, or a function that computes the labels
    """
    samples = data.samples[data.split_indices(part)]
    frame = samples["frame"].copy()
    left_out = 0
    if seq_length > 1:
        if knows_road(data.rows):
            raise UserError(
                f"{data.path}: its rows are single places of random roads, "
                "which do not follow each other; train with --seq-length 1"
            )
        left_out = len(samples)
        samples, frame = windows(samples, seq_length)
        left_out -= len(samples)
    if isinstance(predict, str):
        labels = _labels(data, samples, predict)
    else:
        labels = _labels_by_function(data, samples, predict)
    flipped = samples["flipped"].copy()
    return Selection(data, frame, flipped, labels, samples["row"].copy(), left_out)


def _labels(data: Store, samples: SampleTable, predict: str) -> Float32Array:
    """Return the labels of samples, float32 (samples, labels), the steering first."""
    names = [*(output.predict for output in OUTPUTS), PATH]
    if predict not in names:
        raise ValueError(
            f"predict is {predict!r}, expected one of {', '.join(names)}, or a function"
        )
    if predict == PATH:
        others = _path_labels(data, samples)
    else:
        others = _output_labels(data, samples, predict)
    return np.concatenate([samples["steering"][:, np.newaxis], others], axis=1)


def _path_labels(data: Store, samples: SampleTable) -> Float32Array:
    """Return the labels of the path ahead, float32 (samples, labels); negated for mirror images."""
    try:
        of_rows = path_labels(data.rows, data.sample_settings)
    except ValueError as error:
        raise UserError(
            f"{data.path}: {error}; train on a store of random roads alone, "
            "or without --predict path"
        ) from None
    sides = np.where(samples["flipped"], np.float32(-1), np.float32(1))
    return np.asarray(of_rows[samples["row"]] * sides[:, np.newaxis])


def _output_labels(data: Store, samples: SampleTable, predict: str) -> Float32Array:
    """Return the labels of all outputs except the steering, float32 (samples, labels)."""
    rows: RowTable = data.rows
    outputs = outputs_of(predict)[1:]
    of_rows = output_labels(rows, outputs)
    least_range = 0.01  # labels that span less than this, in the unit of the output, are constant
    # only the last output, which was asked for, is checked: --predict throttle also brings the
    # speed, which is 0 throughout in recordings of donkeycar
    if of_rows.size and np.ptp(of_rows[:, -1]) < least_range:
        column = outputs[-1].column
        raise UserError(
            f"{data.path}: all rows have the same {column}, {rows[column][0]:g}, so nothing can be "
            f"learned from it; train without --predict {predict}, or on recordings in which it "
            "changes"
        )
    return np.asarray(of_rows[samples["row"]])


def _labels_by_function(
    data: Store, samples: SampleTable, function: TargetFunction
) -> Float32Array:
    """Return the labels that the user's function computes, float32 (samples, labels)."""
    if not len(samples):
        return np.zeros((0, 1), np.float32)
    labels = np.asarray(function(samples, data.rows[samples["row"]]), np.float32)
    if labels.ndim not in (1, 2) or len(labels) != len(samples):
        raise ValueError(
            f"targets of shape {labels.shape} for {len(samples)} samples, expected a row for each"
        )
    return labels.reshape(len(samples), -1)


def sample_lookaheads(data: Store, row: Uint32Array) -> Float32Array:
    """Return how far ahead on the road the car aims, in metres, for each sample, (samples,).

    row: the row of each sample, (samples,), as an index into data.rows
    """
    rows: RowTable = data.rows
    return lookahead_m(data.sample_settings, rows["speed_mph"][row]).astype(np.float32)


def require_windows(training: Selection) -> None:
    """Raise UserError when there are no windows for training."""
    if not len(training):
        raise UserError(
            f"{training.data.path}: no episode has {training.seq_length} consecutive rows that are "
            "all for training; use a smaller --seq-length, or a store made with --split blocks "
            "(a random split separates neighbouring rows) and without missing images"
        )


# ---- the images of samples

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
    # makes the images within the training step; None if `images` has them
    gather: Gather | None = None

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
        self._stored = frames, frame  # as given: entering replaces both if in_memory
        self.flipped = flipped
        self.labels = labels
        # of a sample's images: (height, width, channels), or for a window
        # (seq_length, height, width, channels)
        self.shape = *frame.shape[1:], *frames.frame_shape
        self._in_memory = in_memory

    def __enter__(self) -> Self:
        frames, frame = self._stored
        frames.__enter__()
        if self._in_memory:
            # only the frames that samples refer to are read; they are numbered anew from 0
            used, index = np.unique(frame, return_inverse=True)
            with frames:  # closes what was opened above
                self.frames = FramesInMemory(frames[used])
            self.frame = index.reshape(frame.shape).astype(np.uint32)
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
            # It begins in the middle of a page, against 4K aliasing. Frames in a memory map begin
            # at pages, and so does memory from the system, but for a few bytes. The processor would
            # mistake loads from the map for loads of what was just stored, and be half as fast.
            page = 4096
            made = np.empty(self._batch_size * math.prod(self._shape) + page, np.uint8)
            memory = made[(page // 2 - made.ctypes.data) % page :].data
        # the returned array, its views and tensors keep the owner alive, so the finalizer runs only
        # when none of them is in use
        shape = (count, *self._shape)
        owner = np.frombuffer(memory, np.uint8, math.prod(shape))
        # at the end of the program, nobody takes the memory again
        weakref.finalize(owner, self._free.append, memory).atexit = False
        return owner.reshape(shape)
