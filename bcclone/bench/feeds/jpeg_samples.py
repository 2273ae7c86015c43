"""Store -> its training samples as the JPEG files that it was made of, for those who feed from files."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from bcclone.decode import read_frame
from bcclone.images import Image, Preprocessing
from bcclone.recording import CAMERAS, ImageIndex
from bcclone.samples import NO_FRAME, RowTable
from bcclone.store import Store


class RecordingGone(Exception):
    """The images that a store was made of are not where they were; the text says which."""


@dataclass(frozen=True)
class JpegSamples:
    """files: path of each sample's image; steering: float32 (samples,); flipped: bool (samples,)."""

    files: npt.NDArray[np.object_]
    steering: npt.NDArray[np.float32]
    flipped: npt.NDArray[np.bool_]
    preprocessing: Preprocessing

    def __len__(self) -> int:
        return len(self.files)

    def image(self, place: int) -> Image:
        """Return a sample's image as the network sees it, by the fastest decoder that we know."""
        prepared = self.preprocessing.apply(read_frame(self.files[place]))
        return np.asarray(cv2.flip(prepared, 1), np.uint8) if self.flipped[place] else prepared


def jpeg_samples(path: Path) -> JpegSamples:
    """Return a store's training samples by their files; raises RecordingGone where a recording is not there."""
    with Store(path) as store:
        samples = store.samples[store.part(validation=False)]
        files = _files(store)[samples["frame"]]
        return JpegSamples(files, samples["steering"].copy(), samples["flipped"].copy(), store.preprocessing)


def _files(store: Store) -> npt.NDArray[np.object_]:
    """Return the path of each frame's file."""
    files = np.empty(len(store.frames), object)
    for number, recording in enumerate(store.recordings):
        index = ImageIndex(Path(recording["path"]))
        for frame, name in _named_frames(store.rows[store.rows["recording"] == number]):
            files[frame] = index.find(name)
    if any(file is None for file in files):
        raise RecordingGone(
            f"the recording {store.recordings[0]['path']} that {store.path} was made of has no images; put them back"
        )
    return files


def _named_frames(rows: RowTable) -> Iterator[tuple[int, str]]:
    """Yield the number of each frame of these rows, and its image's name in the log."""
    for camera in CAMERAS:
        there = rows[rows[f"frame_{camera}"] != NO_FRAME]
        for frame, name in zip(there[f"frame_{camera}"].tolist(), there[camera].tolist(), strict=True):
            yield frame, name.decode()
