"""A `Subject`: the model whose pictures are drawn, the history of its training, and its samples.

The functions that draw ask it for what they show: camera frames and the network's inputs as arrays,
a choice of samples, windows and times. It raises NotDrawn if the model or the samples lack them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from bcclone.camera.images import BadImage, Image, cv2, read_frame, resized
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.sample_settings import TEST, TRAINING, VALIDATION
from bcclone.dataset.samples import SampleTable
from bcclone.dataset.store import Store
from bcclone.feed.feed_settings import AugmentSettings
from bcclone.recording.row import EPISODE_GAP_MS
from bcclone.system.arrays import FloatArray, IndexArray
from bcclone.training.training_state import Epoch

if TYPE_CHECKING:  # it loads TensorFlow
    from bcclone.model.model_file import ModelFile
    from bcclone.model.saliency import Saliency


class NotDrawn(Exception):
    """This model and these samples do not allow a picture; the text is the reason."""


@dataclass(frozen=True)
class Subject:
    """A model to draw pictures of, its training, and its samples.

    A sample is given as its index in the table. A method or property that needs samples raises
    NotDrawn if there are none.
    """

    file: "ModelFile"
    data: Store | None = None
    history: Sequence[Epoch] = ()  # of the training, the first epoch first
    # largest fraction of samples with zero steering in an epoch, 1 for all
    zero_fraction: float = 1.0
    # how the samples were augmented
    augment: AugmentSettings = AugmentSettings(augment=False)

    @property
    def samples(self) -> Store:
        """The samples; there is at least one."""
        if self.data is None or not len(self.data.samples):
            raise NotDrawn(
                "there are no samples; "
                "name the store or the recordings that the model was trained on"
            )
        return self.data

    @property
    def table(self) -> SampleTable:
        return self.samples.samples

    @cached_property
    def saliency(self) -> "Saliency":
        """The network's saliency, which takes a second to compile."""
        from bcclone.model.saliency import Saliency

        return Saliency(self.file.model, self.file.preprocessing)

    def one_per_row(self, part: str) -> IndexArray:
        """Return one sample for each log row, in the order of the rows, (rows,).

        These are the samples of the centre camera that are not flipped and have no frame offset. If
        no sample is of the centre camera, they are of the left or else the right one.

        part: part of the samples, such as TRAINING
        """
        table = self.table
        first_camera = table["camera"] == table["camera"].min()
        plain = first_camera & (table["frame_offset"] == 0) & ~table["flipped"]
        samples: IndexArray = self.samples.split_indices(part)
        samples = samples[np.flatnonzero(plain[samples])]
        return samples[np.argsort(table["row"][samples], kind="stable")]

    @property
    def scored_part(self) -> str:
        """The part of the samples to score a model on: the test part, or else validation."""
        return TEST if len(self.samples.split_indices(TEST)) else VALIDATION

    def shown_samples(self) -> IndexArray:
        """Return one sample for each log row of validation; of training if there are none."""
        samples = self.one_per_row(VALIDATION)
        return samples if len(samples) else self.one_per_row(TRAINING)

    def spread_by_steering(self, samples: IndexArray) -> IndexArray:
        """Return a few of the samples, ordered from left steering to right steering."""
        # a left bend, a nearly straight road, and a right bend
        quantiles = np.array([0.02, 0.5, 0.98])
        ordered = samples[np.argsort(self.table["steering"][samples], kind="stable")]
        places = np.round(quantiles * (len(ordered) - 1)).astype(int)
        return np.asarray(ordered[np.unique(places)])

    def windows(self, samples: IndexArray) -> IndexArray:
        """Return the network's windows of consecutive rows, (windows, seq_length).

        samples: what one_per_row() returned
        """
        length = self.file.seq_length
        row = self.table["row"][samples].astype(np.int64)
        episode = self.table["episode"][samples]
        first = np.arange(max(len(samples) - length + 1, 0))
        last = first + length - 1
        consecutive = (row[last] - row[first] == length - 1) & (episode[last] == episode[first])
        return np.asarray(samples[first[consecutive][:, np.newaxis] + np.arange(length)])

    def shown_windows(self) -> IndexArray:
        """Return the windows to choose from, (windows, seq_length); raises NotDrawn without any."""
        windows = self.windows(self.shown_samples())
        if not len(windows):
            raise NotDrawn(
                f"there are no {self.file.seq_length} frames in a row; "
                "name a recording without gaps"
            )
        return windows

    def spread_windows(self) -> IndexArray:
        """Return a few windows, (windows, seq_length), ordered as spread_by_steering() does.

        A window's steering is that of its newest frame.
        """
        windows = self.shown_windows()
        newest = windows[:, -1]
        return np.concatenate(
            [windows[newest == index] for index in self.spread_by_steering(newest)]
        )

    def inputs(self, windows: IndexArray) -> Image:
        """Return the network's inputs, single images or windows of them, for windows of samples.

        windows: (windows, seq_length)
        """
        images = self.images(windows.ravel(), self.file.preprocessing)
        return images.reshape(len(windows), *self.file.model.input_shape[1:])

    def images(self, indices: IndexArray, preprocessing: Preprocessing) -> Image:
        """Return prepared images of samples, uint8 (samples, height, width, channels)."""
        # a store with this preprocessing has the prepared images already
        if not self.samples.frames.are_images and self.samples.preprocessing == preprocessing:
            samples = self.table[indices]
            images = np.asarray(self.samples.frames[samples["frame"]])
            flipped = samples["flipped"]
            images[flipped] = images[flipped, :, ::-1]
            return images
        return np.stack([preprocessing.apply(self.frame(index)) for index in indices.tolist()])

    def seconds(self, indices: IndexArray) -> FloatArray:
        """Return when the rows of samples were recorded, seconds since 1970."""
        return np.asarray(self.samples.rows["time_ms"][self.table["row"][indices]] / 1000.0)

    def frame(self, index: int) -> Image:
        """Return the camera frame of a sample, RGB uint8 (160, 320, 3), flipped if the sample is.

        It comes from the recording. If its image is gone, it is the store's frame, scaled up.
        Raises NotDrawn if there is no such frame either.
        """
        path = self.samples.image_path(index)
        try:
            if path is None:
                raise BadImage("it is not there any more; put it back")
            frame = read_frame(path)
        except BadImage as error:
            frame = self._stored_frame(index, f"{path or 'an image'}: {error}")
        if self.table[index]["flipped"]:
            return np.asarray(cv2.flip(frame, 1), np.uint8)
        return frame

    def _stored_frame(self, index: int, fault: str) -> Image:
        """Return the store's frame of a sample, scaled up, not flipped.

        Raises NotDrawn if the store's frames are cropped or in other colours.

        fault: why the recording's image is not shown, for the error
        """
        stored = self.samples.preprocessing
        if self.samples.frames.are_images or stored.color != "RGB" or stored.crops:
            raise NotDrawn(f"{fault}; and the store holds no frame to show instead") from None
        frame = self.samples.frames[int(self.table[index]["frame"])]
        return resized(frame, (stored.frame_width, stored.frame_height), cv2.INTER_LINEAR)


def stretches(seconds: FloatArray) -> list[IndexArray]:
    """Split the indices of times, (times,), where a pause is or the time goes back."""
    steps = np.diff(seconds)
    begins = np.flatnonzero((steps > EPISODE_GAP_MS / 1000) | (steps < 0)) + 1
    return np.split(np.arange(len(seconds)), begins)


def predict(model: Any, images: Image) -> FloatArray:
    """Return the network's steering, (images,), for prepared images, or windows of them, uint8.

    The model is not compiled, which would take longer than a few batches do.
    """
    import keras  # after load_tensorflow()

    outputs = model(keras.ops.cast(images, model.inputs[0].dtype), training=False)
    steering = keras.ops.convert_to_numpy(outputs)[:, 0]  # a throttle may be the second number
    return np.asarray(steering, np.float64)
