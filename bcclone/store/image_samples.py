"""Samples whose images are still the files of their recording: what a store holds, but for the frames."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bcclone.images import Preprocessing
from bcclone.samples import RowTable, SampleTable


@dataclass(frozen=True)
class ImageSamples:
    """samples: SAMPLE table, whose `frame` is an index into files, the paths of the images; rows: the recorded ones.

    content_hash: of all that they are made of. preprocessing: how an image becomes a frame.
    """

    path: Path
    preprocessing: Preprocessing
    samples: SampleTable
    rows: RowTable
    files: Sequence[str]
    sample_settings: Mapping[str, Any]
    content_hash: str

    def __post_init__(self) -> None:
        if len(self.samples) and self.samples["frame"].max() >= len(self.files):
            raise ValueError(f"a sample of image {self.samples['frame'].max()}, expected one of {len(self.files)}")

    def split_indices(self, validation: bool) -> npt.NDArray[np.int64]:
        """Return the indices of the training or the validation samples, (samples,), in the order of the table."""
        return np.flatnonzero(self.samples["validation"] == validation)
