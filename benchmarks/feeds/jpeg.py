"""Read samples from JPEG files: a store -> the files, steering and flips of the training samples it was made of."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from bcclone.cluster.shards import open_store
from bcclone.dataset.conversion import open_in_place
from bcclone.dataset.images import Image, read_frame
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.store import ImageSamples
from bcclone.system.errors import UserError
from benchmarks.rounds import Unavailable


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


def open_recordings(path: Path) -> ImageSamples:
    """Open the recordings that a store was made of; raises Unavailable."""
    with open_store(path) as store:
        logs = tuple(str(recording.path) for recording in store.recordings)
        try:
            return open_in_place(logs, store.preprocessing, store.sample_settings)
        except UserError as error:
            raise Unavailable(f"the recording that {path} was made of cannot be used: {error}") from None


def jpeg_samples(path: Path) -> JpegSamples:
    """Return a store's training samples by their files; raises Unavailable."""
    data = open_recordings(path)
    samples = data.samples[data.split_indices("training")]
    files = np.array(data.files, object)[samples["frame"]]
    return JpegSamples(files, samples["steering"].copy(), samples["flipped"].copy(), data.preprocessing)
