"""Steer with a trained model: one frame after the other, for one or several drives."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from bcclone.images import FRAME_HEIGHT, FRAME_WIDTH, Image, Preprocessing
from bcclone.model_file import ModelFile, load_model_file
from bcclone.recurrent import Steps, steps_of

Steering = npt.NDArray[np.float32]
# What is kept of a drive: the prepared images of a window, newest last, or the states of a recurrent network. A policy
# of single frames keeps nothing; () is a drive that has not begun.
Memory = tuple[npt.NDArray[Any], ...]


class _Network(Protocol):
    """A network, compiled as one call for one or several drives."""

    def steer(self, images: Sequence[Image], memories: Sequence[Memory]) -> tuple[Steering, list[Memory]]:
        """Return the steering, (drives,), for the newest prepared image of each drive, and what is kept then."""


class Policy:
    """A model ready to drive: its preprocessing, its network, and what is kept of the drive that act() is shown.

    A network of windows gets the last seq_length frames of a drive. A recurrent one takes one step a frame, and its
    states are carried on. Whoever drives calls forget() where the next frame does not follow on the last one. Whoever
    drives several cars keeps the memory of each, and calls steer().

    carries_states: whether an answer depends on all frames since the drive began.
    """

    def __init__(self, file: ModelFile) -> None:
        self.preprocessing, self.model = file.preprocessing, file.model
        self.seq_length = file.seq_length
        steps = steps_of(file.model)
        self.carries_states = steps is not None
        self._network: _Network = _Recurrent(file, steps) if steps else _Windows(file)
        self._memory: Memory = ()
        self.act(np.zeros((FRAME_HEIGHT, FRAME_WIDTH, 3), np.uint8))  # the first call is slow; take it here
        self.forget()

    def act(self, frame: Image) -> float:
        """Return the steering, -1 (left) to 1 (right), for an RGB frame, uint8 (160, 320, 3).

        Raises BadImage for a frame of another size, which is not kept; returns what the network says, NaN too.
        """
        steering, (self._memory,) = self.steer([self.preprocessing.apply(frame)], [self._memory])
        return float(steering[0])

    def forget(self) -> None:
        """Begin anew: the frames so far are of another drive."""
        self._memory = ()

    def steer(self, images: Sequence[Image], memories: Sequence[Memory]) -> tuple[Steering, list[Memory]]:
        """Return the steering of several drives, (drives,), -1 to 1, and what to keep of each, in one call.

        images: the newest prepared image of each, uint8 (height, width, 3); memories: what was kept of each before.
        """
        return self._network.steer(images, memories)


class _Windows:
    """A network of single frames, or of the last frames stacked; the first frame of a drive fills its window."""

    def __init__(self, file: ModelFile) -> None:
        self._seq_length, self._shape = file.seq_length, file.model.input_shape[1:]
        self._infer = _compiled(file.model)

    def steer(self, images: Sequence[Image], memories: Sequence[Memory]) -> tuple[Steering, list[Memory]]:
        windows = [window_after(*pair, self._seq_length) for pair in zip(memories, images, strict=True)]
        stacked = np.stack([np.stack(window) for window in windows]).reshape(len(windows), *self._shape)
        steering = self._infer(tf.constant(stacked))
        kept: list[Memory] = windows if self._seq_length > 1 else [()] * len(windows)
        return np.asarray(steering.numpy()[:, 0]), kept


class _Recurrent:
    """A recurrent network, one step a frame.

    Before the first frame of a drive its states are those of a car that has stood there for seq_length - 1 frames, so
    that the first answer is what training taught: that of a window, here filled with one frame.
    """

    def __init__(self, file: ModelFile, steps: Steps) -> None:
        self._standing, self._sizes = file.seq_length - 1, steps.state_sizes
        dtype = file.model.inputs[0].dtype
        infer = tf.function(lambda images, states: steps.step(tf.cast(images, dtype), states))
        image = tf.TensorSpec((None, *file.model.input_shape[2:]), tf.uint8)
        states = [tf.TensorSpec((None, size), tf.float32) for size in steps.state_sizes]
        self._infer = infer.get_concrete_function(image, states)

    def steer(self, images: Sequence[Image], memories: Sequence[Memory]) -> tuple[Steering, list[Memory]]:
        begun = [memory or self._stand(image) for memory, image in zip(memories, images, strict=True)]
        return self._step(np.stack(images), begun)

    def _stand(self, image: Image) -> Memory:
        """Return the states of a car that has stood before this image."""
        memory: Memory = tuple(np.zeros(size, np.float32) for size in self._sizes)
        for _ in range(self._standing):
            _, (memory,) = self._step(image[np.newaxis], [memory])
        return memory

    def _step(self, images: Image, memories: Sequence[Memory]) -> tuple[Steering, list[Memory]]:
        states = [np.stack(one) for one in zip(*memories, strict=True)]
        steering, after = self._infer(tf.constant(images), [tf.constant(state) for state in states])
        kept = [tuple(one) for one in zip(*(state.numpy() for state in after), strict=True)]
        return np.asarray(steering.numpy()[:, 0]), kept


def _compiled(model: keras.Model) -> Any:
    """Return a network as one compiled call for any number of its inputs, uint8."""
    dtype = model.inputs[0].dtype  # our networks take uint8, those of others float32
    infer = tf.function(lambda images: model(tf.cast(images, dtype), training=False))
    return infer.get_concrete_function(tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8))


def window_after(window: Memory, image: Image, seq_length: int) -> Memory:
    """Return the window that follows on another once this prepared image is the newest; it fills an empty one.

    window, image: uint8 (height, width, 3) each.
    """
    return (*window, image)[-seq_length:] if window else (image,) * seq_length


def load_policy(path: Path, preprocessing: Preprocessing | str | None = None) -> Policy:
    """Load a model that model.py wrote, or one of others with the preprocessing it needs; raises UserError.

    preprocessing: a definition, a name of images.PRESETS, or None for what the file itself says.
    """
    return Policy(load_model_file(path, preprocessing))
