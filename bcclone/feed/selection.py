"""Select the training, validation or test samples, as single frames or as windows of frames.

In: a store or the images of a recording. Out: a `Selection`: which frame each sample has, whether
it is mirrored, and its labels. Its source() loads the images.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from bcclone.dataset.answer import OUTPUTS, outputs_of
from bcclone.dataset.labels import knows_road, lookahead_m, output_labels, path_labels
from bcclone.dataset.rows import RowTable
from bcclone.dataset.sample_settings import TRAINING
from bcclone.dataset.samples import SampleTable, windows
from bcclone.dataset.store import Store
from bcclone.feed.feed_settings import PATH, STEERING
from bcclone.feed.order import has_zero_steering
from bcclone.feed.source import Source
from bcclone.system.errors import UserError
from bcclone.system.numbers import BoolArray, Float32Array, IndexArray, Uint32Array

TrainingData = Store
# samples and their rows -> what a network should answer to each: numbers, (samples,) or
# (samples, labels)
TargetFunction = Callable[[SampleTable, RowTable], npt.ArrayLike]


@dataclass(frozen=True)
class Selection:
    """The samples that a feed gives, in the order of the store."""

    data: TrainingData  # the store or recording that holds the frames
    # uint32 (samples,), index into the frames; (samples, seq_length) for windows, oldest first
    frame: Uint32Array
    flipped: BoolArray  # (samples,), whether the sample's image or images are mirrored
    # float32 (samples, labels): first the steering, then the other labels, such as the speed
    labels: Float32Array
    row: Uint32Array  # (samples,), index into data.rows
    # how many samples have no window, by the reason; explained at samples.Windows
    paired: int = 0
    incomplete: int = 0

    def __len__(self) -> int:
        return len(self.row)

    @property
    def seq_length(self) -> int:
        return self.frame.shape[1] if self.frame.ndim > 1 else 1

    def source(self, in_memory: bool = False) -> Source:
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

        A window of frames counts by its newest frame.
        """
        newest = self.frame if self.frame.ndim == 1 else self.frame[:, -1]
        return self.data.frames.file_of(newest).astype(np.uint32)


def select(
    data: TrainingData,
    part: str = TRAINING,
    seq_length: int = 1,
    predict: str | TargetFunction = STEERING,
) -> Selection:
    """Return the training, validation or test samples.

    Raises UserError if the path is to be learned and only some rows have one, if the outputs beside
    the steering never change, and for windows of rows that do not follow each other. Raises
    ValueError for a function that does not return a row for each sample.

    part: one of sample_settings.PARTS
    seq_length: number of frames in a window; 1 for single frames
    predict: what the network learns: a choice of --predict, or a function that computes the labels
    """
    samples = data.samples[data.split_indices(part)]
    frame = samples["frame"].copy()
    paired = 0
    incomplete = 0
    if seq_length > 1:
        if knows_road(data.rows):
            raise UserError(
                f"{data.path}: its rows are single places of random roads, "
                "which do not follow each other; train with --seq-length 1"
            )
        found = windows(samples, seq_length)
        samples = found.samples
        frame = found.frames
        paired = found.paired
        incomplete = found.incomplete
    if isinstance(predict, str):
        labels = _labels(data, samples, predict)
    else:
        labels = _labels_by_function(data, samples, predict)
    flipped = samples["flipped"].copy()
    return Selection(data, frame, flipped, labels, samples["row"].copy(), paired, incomplete)


def _labels(data: TrainingData, samples: SampleTable, predict: str) -> Float32Array:
    """Return the labels of samples, float32 (samples, labels), the steering first."""
    names = [*(output.predict for output in OUTPUTS), PATH]
    if predict not in names:
        raise ValueError(
            f"nothing to learn is called {predict!r}, expected one of {', '.join(names)}, "
            "or a function"
        )
    if predict == PATH:
        others = _path_labels(data, samples)
    else:
        others = _output_labels(data, samples, predict)
    return np.concatenate([samples["steering"][:, np.newaxis], others], axis=1)


def _path_labels(data: TrainingData, samples: SampleTable) -> Float32Array:
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


def _output_labels(data: TrainingData, samples: SampleTable, predict: str) -> Float32Array:
    """Return the labels of all outputs except the steering, float32 (samples, labels)."""
    rows: RowTable = data.rows
    outputs = outputs_of(predict)[1:]
    of_rows = output_labels(rows, outputs)
    least_range = 0.01  # labels that span less than this, in the unit of the output, are constant
    # an error only if all outputs are constant: --predict throttle also brings the speed, which
    # recordings of donkeycar lack
    if of_rows.size and np.all(np.ptp(of_rows, axis=0) < least_range):
        same = " and ".join(
            f"the same {output.column}, {rows[output.column][0]:g}" for output in outputs
        )
        raise UserError(
            f"{data.path}: all rows have {same}, so nothing can be learned from it; "
            f"train without --predict {predict}, or on recordings in which it changes"
        )
    return np.asarray(of_rows[samples["row"]])


def _labels_by_function(
    data: TrainingData, samples: SampleTable, function: TargetFunction
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


def sample_lookaheads(data: TrainingData, row: Uint32Array) -> Float32Array:
    """Return how far ahead on the road the car aims, in metres, for each sample, (samples,).

    row: the row of each sample, (samples,), as an index into data.rows
    """
    rows: RowTable = data.rows
    return lookahead_m(data.sample_settings, rows["speed_mph"][row]).astype(np.float32)


def describe_windows(training: Selection, validation: Selection) -> str:
    """Say in words how many windows there are, and how many samples are left out.

    Raises UserError when there are no windows for training.
    """
    if not len(training):
        raise UserError(
            f"{training.data.path}: no episode has {training.seq_length} consecutive rows that are "
            "all for training; use a smaller --seq-length, or a store made with --split blocks "
            "(a random split separates neighbouring rows) and without missing images"
        )
    summary = (
        f"windows of {training.seq_length} frames: "
        f"{len(training)} for training, {len(validation)} for validation"
    )
    incomplete = training.incomplete + validation.incomplete
    if incomplete:
        summary += (
            f"; {incomplete} samples are left out because too few frames precede them "
            "in their episode"
        )
    paired = training.paired + validation.paired
    if paired:
        summary += (
            f"; {paired} are left out because they pair an earlier frame with a later steering "
            "(--frame-offsets)"
        )
    return summary
