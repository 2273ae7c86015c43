"""Model file -> steering for one frame, or for the frames that came last."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from bcclone.images import FRAME_HEIGHT, FRAME_WIDTH, Image, Preprocessing
from bcclone.model_file import ModelFile, load_model_file

# the prepared images that a network is given at a time, each uint8 (height, width, 3), the newest one last
Window = tuple[Image, ...]


class Policy:
    """A model ready to drive: its preprocessing and its network, compiled as one call for one or several windows.

    A network of windows gets the last seq_length frames of one drive: whoever drives calls forget() where the next
    frame does not follow on the last one. Who drives several cars keeps the window of each, by window_after().
    """

    def __init__(self, file: ModelFile) -> None:
        self.preprocessing, self.model = file.preprocessing, file.model
        shape = (None, *file.model.input_shape[1:])
        self.seq_length = file.seq_length
        self._window: Window = ()
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
        self._window = ()

    def input_of(self, frame: Image) -> Image:
        """Return what the network takes now: uint8 (1, height, width, 3), or (1, seq_length, height, width, 3).

        frame: uint8 (160, 320, 3), the newest of the window. Raises BadImage for one of another size.
        """
        self._window = self.window_after(self._window, self.preprocessing.apply(frame))
        return self._batch([self._window])

    def window_after(self, window: Window, image: Image) -> Window:
        """Return the window that follows on another once this prepared image is the newest; it fills an empty one.

        image: uint8 (height, width, 3).
        """
        return (*window, image)[-self.seq_length :] if window else (image,) * self.seq_length

    def steer(self, windows: Sequence[Window]) -> npt.NDArray[np.float32]:
        """Return the steering, (windows,), -1 to 1, for each of several windows, in one call."""
        return np.asarray(self._infer(tf.constant(self._batch(windows))).numpy()[:, 0])

    def _batch(self, windows: Sequence[Window]) -> Image:
        """Return the network's input: (windows, height, width, 3), or (windows, seq_length, height, width, 3)."""
        return np.stack([window[0] if self.seq_length == 1 else np.stack(window) for window in windows])


def load_policy(path: Path, preprocessing: Preprocessing | str | None = None) -> Policy:
    """Load a model that model.py wrote, or one of others with the preprocessing it needs; raises UserError.

    preprocessing: a definition, a name of images.PRESETS, or None for what the file itself says.
    """
    return Policy(load_model_file(path, preprocessing))
