"""Samples of a recording whose images are read in place, without a store."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bcclone.arrays import IndexArray
from bcclone.images import Preprocessing
from bcclone.sample_settings import SampleSettings
from bcclone.samples import RowTable, SampleTable


@dataclass(frozen=True)
class ImageSamples:
    """The tables of a store, with image files instead of frames.

    samples: SAMPLE table, whose `frame` is an index into files; rows: the recorded rows; files: paths of the images;
    preprocessing: how an image becomes a frame; content_hash: hash of all of this.
    """

    path: Path
    preprocessing: Preprocessing
    samples: SampleTable
    rows: RowTable
    files: Sequence[str]
    sample_settings: SampleSettings
    content_hash: str

    def __post_init__(self) -> None:
        if len(self.samples) and self.samples["frame"].max() >= len(self.files):
            raise ValueError(f"a sample of image {self.samples['frame'].max()}, expected one of {len(self.files)}")

    def split_indices(self, validation: bool) -> IndexArray:
        """Return the indices of the training or the validation samples, (samples,), in the order of the table."""
        return np.flatnonzero(self.samples["validation"] == validation)
