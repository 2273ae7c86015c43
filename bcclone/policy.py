"""Model file -> steering for one frame."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from bcclone.images import FRAME_HEIGHT, FRAME_WIDTH, Image, Preprocessing
from bcclone.model_file import ModelFile, load_model_file


class Policy:
    """A model ready to drive: its preprocessing and its network, compiled as one call for one frame."""

    def __init__(self, file: ModelFile) -> None:
        self.preprocessing, self.model = file.preprocessing, file.model
        shape = (1, file.preprocessing.height, file.preprocessing.width, 3)
        dtype = file.model.inputs[0].dtype  # our networks take uint8, those of others float32
        infer = tf.function(lambda images: file.model(tf.cast(images, dtype), training=False))
        self._infer = infer.get_concrete_function(tf.TensorSpec(shape, tf.uint8))
        self.act(np.zeros((FRAME_HEIGHT, FRAME_WIDTH, 3), np.uint8))  # the first call is slow; take it here

    def act(self, frame: Image) -> float:
        """Return the steering, -1 (left) to 1 (right), for an RGB frame, uint8 (160, 320, 3).

        Raises BadImage for a frame of another size; returns what the network says, NaN too.
        """
        image = self.preprocessing.apply(frame)
        return float(self._infer(tf.constant(image[np.newaxis])).numpy()[0, 0])


def load_policy(path: Path, preprocessing: Preprocessing | str | None = None) -> Policy:
    """Load a model that model.py wrote, or one of others with the preprocessing it needs; raises UserError.

    preprocessing: a definition, a name of images.PRESETS, or None for what the file itself says.
    """
    return Policy(load_model_file(path, preprocessing))
