"""Samples -> those of one side of the split that are fed: single frames, or windows of consecutive ones."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bcclone.augment.draws import AugmentationInputs
from bcclone.errors import UserError
from bcclone.feed.order import goes_straight
from bcclone.feed.source import Columns
from bcclone.labels import Correction
from bcclone.sample_settings import SampleSettings
from bcclone.samples import RowTable, SampleTable, windows


class Samples(Protocol):
    """What samples are drawn from, a Store or a recording's image files."""

    @property
    def path(self) -> Path:
        """Where they lie."""

    @property
    def sample_settings(self) -> Mapping[str, Any]:
        """How the samples were made."""

    @property
    def samples(self) -> SampleTable:
        """The table of all samples."""

    @property
    def rows(self) -> RowTable:
        """The recorded rows."""

    def split_indices(self, validation: bool) -> npt.NDArray[np.int64]:
        """Return the indices of the training or the validation samples, (samples,)."""


def select(data: Samples, validation: bool = False, seq_length: int = 1) -> Columns:
    """Return the training or the validation samples. seq_length: frames of a window; 1 for single frames."""
    samples = data.samples[data.split_indices(validation)]
    if seq_length == 1:
        return Columns(samples["frame"].copy(), samples["flipped"].copy(), samples["steering"].copy())
    found = windows(samples, seq_length)
    return Columns(found.frames, found.samples["flipped"].copy(), found.samples["steering"].copy())


def straight_of(data: Samples, validation: bool = False, seq_length: int = 1) -> npt.NDArray[np.bool_]:
    """Return which of the selected samples drive straight on, bool (samples,)."""
    return goes_straight(_selected(data, validation, seq_length), data.rows)


def augmentation_inputs(data: Samples, validation: bool = False, seq_length: int = 1) -> AugmentationInputs:
    """Return what augmenting the selected samples needs to know of them."""
    return augmentation_inputs_of(data, _selected(data, validation, seq_length))


def augmentation_inputs_of(data: Samples, samples: SampleTable) -> AugmentationInputs:
    """Return what augmenting these samples needs to know of them."""
    corrections = Correction.of(SampleSettings.stored(data.sample_settings))
    lookahead_m = corrections.lookahead_m(data.rows["speed_mph"][samples["row"]])
    return AugmentationInputs(samples["flipped"].copy(), lookahead_m.astype(np.float32))


def _selected(data: Samples, validation: bool, seq_length: int) -> SampleTable:
    samples = data.samples[data.split_indices(validation)]
    return samples if seq_length == 1 else windows(samples, seq_length).samples


def describe_windows(data: Samples, seq_length: int) -> str:
    """Return how many windows there are and what is left out, in words; raises UserError where there are none."""
    sides = [windows(data.samples[data.split_indices(validation)], seq_length) for validation in (False, True)]
    training, validating = (len(side.samples) for side in sides)
    if not training:
        raise UserError(
            f"{data.path}: no {seq_length} rows of one episode in sequence are all for training; take a smaller "
            "--seq-length, or a store with --split blocks (a random split tears the rows apart) and all of its images"
        )
    told = f"windows of {seq_length} frames: {training} for training, {validating} for validation"
    paired, incomplete = sum(side.paired for side in sides), sum(side.incomplete for side in sides)
    if incomplete:
        told += f"; {incomplete} samples left out, with fewer frames of their episode and side of the split before them"
    if paired:
        told += f"; {paired} left out that pair an earlier frame with a later steering (--frame-offsets)"
    return told
