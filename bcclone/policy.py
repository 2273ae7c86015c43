"""Model file -> steering for one frame, or for the frames that came last."""

from collections import deque
from pathlib import Path

import numpy as np
import tensorflow as tf

from bcclone.images import FRAME_HEIGHT, FRAME_WIDTH, Image, Preprocessing
from bcclone.model_file import ModelFile, load_model_file

_DIMENSIONS_OF_WINDOW = 5  # batch, seq_length, height, width, 3


class Policy:
    """A model ready to drive: its preprocessing and its network, compiled as one call for one frame or one window.

    A network of windows gets the last seq_length frames of one drive: whoever drives calls forget() where the next
    frame does not follow on the last one.
    """

    def __init__(self, file: ModelFile) -> None:
        self.preprocessing, self.model = file.preprocessing, file.model
        shape = (1, *file.model.input_shape[1:])
        self.seq_length = shape[1] if len(shape) == _DIMENSIONS_OF_WINDOW else 1
        self._window: deque[Image] = deque(maxlen=self.seq_length)
        dtype = file.model.inputs[0].dtype  # our networks take uint8, those of others float32
        infer = tf.function(lambda images: file.model(tf.cast(images, dtype), training=False))
        self._infer = infer.get_concrete_function(tf.TensorSpec(shape, tf.uint8))
        self.act(np.zeros((FRAME_HEIGHT, FRAME_WIDTH, 3), np.uint8))  # the first call is slow; take it here
        self.forget()

    def act(self, frame: Image) -> float:
        """Return the steering, -1 (left) to 1 (right), for an RGB frame, uint8 (160, 320, 3).

        The first frame of a drive fills the whole window. Raises BadImage for a frame of another size, which does not
        get into the window; returns what the network says, NaN too.
        """
        return float(self._infer(tf.constant(self.input_of(frame))).numpy()[0, 0])

    def forget(self) -> None:
        """Begin anew: the frames so far are of another drive."""
        self._window.clear()

    def input_of(self, frame: Image) -> Image:
        """Return what the network takes now, a batch of one; the frame is the newest of the window."""
        image = self.preprocessing.apply(frame)
        if self.seq_length == 1:
            return image[np.newaxis]
        self._window.extend([image] * (1 if self._window else self.seq_length))
        return np.stack(self._window)[np.newaxis]


def load_policy(path: Path, preprocessing: Preprocessing | str | None = None) -> Policy:
    """Load a model that model.py wrote, or one of others with the preprocessing it needs; raises UserError.

    preprocessing: a definition, a name of images.PRESETS, or None for what the file itself says.
    """
    return Policy(load_model_file(path, preprocessing))
