"""What is drawn: a model, the samples it was trained on, its history; and samples -> their frames and times."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from bcclone.augment.settings import AugmentSettings
from bcclone.decode import read_frame
from bcclone.feed.open import TrainingData
from bcclone.history import Epoch
from bcclone.images import BadImage, Image, Preprocessing
from bcclone.labels import Correction
from bcclone.recording import CAMERAS, ImageIndex
from bcclone.sample_settings import SampleSettings
from bcclone.samples import SampleTable
from bcclone.store import Store

if TYPE_CHECKING:  # it loads TensorFlow
    from bcclone.model_file import ModelFile

Positions = npt.NDArray[np.int64]


class NotDrawn(Exception):
    """A picture that cannot be made of this model and these samples; the text is the reason."""


@dataclass(frozen=True)
class Subject:
    """What pictures are made of.

    zero_share: the most of the samples that may go straight on, 1 leaves none out; augment: how samples are augmented.
    """

    file: "ModelFile"
    data: TrainingData | None = None
    history: Sequence[Epoch] = ()
    seed: int = 0
    zero_share: float = 1.0
    augment: AugmentSettings = AugmentSettings(augment=False)

    @property
    def correction(self) -> Correction:
        """Return the steering that the samples of the side cameras carry for being at the side."""
        return Correction.of(SampleSettings.stored(self.scenes.data.sample_settings))

    @cached_property
    def scenes(self) -> "Scenes":
        """Return the samples; raises NotDrawn where there are none."""
        if self.data is None or not len(self.data.samples):
            raise NotDrawn("there are no samples; name the store or the recordings that it was trained on")
        return Scenes(self.data)

    def inputs(self, windows: Positions) -> Image:
        """Return what the network is given, of windows (windows, seq_length): single images where it takes these."""
        images = self.scenes.inputs(windows.ravel(), self.file.preprocessing)
        return images.reshape(len(windows), *self.file.model.input_shape[1:])

    def shown_windows(self) -> Positions:
        """Return windows of the shown instants, (windows, seq_length); raises NotDrawn where there are none."""
        windows = self.scenes.windows(self.scenes.shown_instants(), self.file.seq_length)
        if not len(windows):
            raise NotDrawn(f"there are no {self.file.seq_length} frames in a row")
        return windows


@dataclass
class Scenes:
    """Samples, by their positions in the table, (samples,), with their frames and times; folders are listed once."""

    data: TrainingData
    _indices: dict[int, ImageIndex] = field(default_factory=dict)

    @property
    def samples(self) -> SampleTable:
        """Return the table of all samples."""
        return self.data.samples

    def instants(self, validation: bool) -> Positions:
        """Return one sample an instant, in their order: of the centre camera, not mirrored, of that moment.

        Of the first camera there is, where no sample is of the centre one.
        """
        table = self.samples
        plain = (table["frame_offset"] == 0) & ~table["flipped"] & (table["validation"] == validation)
        plain &= table["camera"] == table["camera"].min()
        found = np.flatnonzero(plain)
        return found[np.argsort(table["row"][found], kind="stable")]

    def shown_instants(self) -> Positions:
        """Return the validation instants, or those of training where there are no others."""
        instants = self.instants(validation=True)
        return instants if len(instants) else self.instants(validation=False)

    def windows(self, instants: Positions, seq_length: int) -> Positions:
        """Return those of the instants before which there are others enough, with them: (windows, seq_length)."""
        row = self.samples["row"][instants].astype(np.int64)
        episode = self.samples["episode"][instants]
        first = np.arange(max(len(instants) - seq_length + 1, 0))
        last = first + seq_length - 1
        whole = (row[last] - row[first] == seq_length - 1) & (episode[last] == episode[first])
        return np.asarray(instants[first[whole][:, np.newaxis] + np.arange(seq_length)])

    def variant(self, position: int, camera: int, lag: int, flipped: bool) -> int | None:
        """Return the sample of the same instant that is of this camera, so much earlier, mirrored or not."""
        table = self.samples
        alike = (table["row"] == table["row"][position]) & (table["camera"] == camera)
        found = np.flatnonzero(alike & (table["frame_offset"] == lag) & (table["flipped"] == flipped))
        return int(found[0]) if len(found) else None

    def seconds(self, positions: Positions) -> npt.NDArray[np.float64]:
        """Return when each instant was recorded, seconds since 1970."""
        return np.asarray(self.data.rows["time_ms"][self.samples["row"][positions]] / 1000.0)

    def speeds_mph(self) -> npt.NDArray[np.float64]:
        """Return the speeds at which the training was recorded."""
        return np.asarray(self.data.rows["speed_mph"], np.float64)

    def frame(self, position: int) -> Image:
        """Return a sample's camera frame, RGB uint8 (160, 320, 3), mirrored where the sample is.

        From the recording where it still is, else the store's own, scaled up. Raises NotDrawn where neither is.
        """
        sample = self.samples[position]
        path = self.image_path(position)
        try:
            if path is None:
                raise BadImage("it is not there any more")
            frame = read_frame(path)
        except BadImage as error:
            frame = self._scaled_up(int(sample["frame"]), f"{path or 'an image'}: {error}")
        return np.asarray(cv2.flip(frame, 1), np.uint8) if sample["flipped"] else frame

    def inputs(self, positions: Positions, preprocessing: Preprocessing) -> Image:
        """Return what a network with this preprocessing is given, uint8 (positions, height, width, 3)."""
        if isinstance(self.data, Store) and self.data.preprocessing == preprocessing:
            samples = self.samples[positions]
            images = np.asarray(self.data.frames[samples["frame"]])
            images[samples["flipped"]] = images[samples["flipped"], :, ::-1]
            return images
        return np.stack([preprocessing.apply(self.frame(position)) for position in positions.tolist()])

    def image_path(self, position: int) -> str | None:
        """Return the path of the sample's image, or None where the file is gone."""
        sample = self.samples[position]
        if not isinstance(self.data, Store):
            return str(self.data.files[sample["frame"]])
        row = self.data.rows[int(sample["row"]) - int(sample["frame_offset"])]
        number = int(row["recording"])
        if number not in self._indices:
            self._indices[number] = ImageIndex(Path(self.data.recordings[number]["path"]))
        name: str = row[CAMERAS[sample["camera"]]].decode()
        return self._indices[number].find(name)

    def _scaled_up(self, frame: int, fault: str) -> Image:
        made = self.data.preprocessing
        if not isinstance(self.data, Store) or made.color != "RGB" or made.crop_top or made.crop_bottom:
            raise NotDrawn(f"{fault}; and nothing is stored in its place")
        size = (made.frame_width, made.frame_height)
        return np.asarray(cv2.resize(self.data.frames[frame], size, interpolation=cv2.INTER_LINEAR), np.uint8)
