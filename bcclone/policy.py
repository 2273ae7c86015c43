"""Steer with a trained model: one frame after the other, for one or several drives."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from bcclone.arrays import Float32Array, Memory
from bcclone.images import FRAME_HEIGHT, FRAME_WIDTH, Image, Preprocessing
from bcclone.model_file import ModelFile, load_model_file
from bcclone.recurrent import Steps, steps_of


class _Network(Protocol):
    """A network, compiled as one call for one or several drives."""

    def steer(self, images: Sequence[Image], memories: Sequence[Memory]) -> tuple[Float32Array, list[Memory]]:
        """Return the steering, (drives,), for the newest prepared image of each drive, and the new memories."""


class Policy:
    """A model ready to drive: its preprocessing, its network, and the memory of the drive so far.

    A network of windows gets the last seq_length frames of a drive. A recurrent network takes one step per frame and
    carries its states. Call act() for each frame of a drive, and forget() before a frame that does not follow the last
    one. To drive several cars, keep a memory for each and call steer().

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

        Raises BadImage for a frame of another size, which is not remembered. The network may return NaN.
        """
        steering, (self._memory,) = self.steer([self.preprocessing.apply(frame)], [self._memory])
        return float(steering[0])

    def forget(self) -> None:
        """Forget the frames so far; the next one begins another drive."""
        self._memory = ()

    def steer(self, images: Sequence[Image], memories: Sequence[Memory]) -> tuple[Float32Array, list[Memory]]:
        """Return the steering of several drives, (drives,), -1 to 1, and their new memories, in one call.

        images: the newest prepared image of each, uint8 (height, width, 3); memories: those of the drives so far.
        """
        return self._network.steer(images, memories)


class _Windows:
    """A network of single frames, or of the last frames stacked; the first frame of a drive fills its window."""

    def __init__(self, file: ModelFile) -> None:
        self._seq_length, self._shape = file.seq_length, file.model.input_shape[1:]
        self._infer = _compiled(file.model)

    def steer(self, images: Sequence[Image], memories: Sequence[Memory]) -> tuple[Float32Array, list[Memory]]:
        windows = [window_after(*pair, self._seq_length) for pair in zip(memories, images, strict=True)]
        stacked = np.stack([np.stack(window) for window in windows]).reshape(len(windows), *self._shape)
        steering = self._infer(tf.constant(stacked))
        kept: list[Memory] = windows if self._seq_length > 1 else [()] * len(windows)
        return np.asarray(steering.numpy()[:, 0]), kept


class _Recurrent:
    """A recurrent network that takes one step per frame.

    Before the first frame of a drive its states are those after seq_length - 1 copies of that frame, so that the first
    steering is that of a window filled with it, as in training.
    """

    def __init__(self, file: ModelFile, steps: Steps) -> None:
        self._warmup_steps, self._sizes = file.seq_length - 1, steps.state_sizes
        dtype = file.model.inputs[0].dtype
        infer = tf.function(lambda images, states: steps.step(tf.cast(images, dtype), states))
        image = tf.TensorSpec((None, *file.model.input_shape[2:]), tf.uint8)
        states = [tf.TensorSpec((None, size), tf.float32) for size in steps.state_sizes]
        self._infer = infer.get_concrete_function(image, states)

    def steer(self, images: Sequence[Image], memories: Sequence[Memory]) -> tuple[Float32Array, list[Memory]]:
        begun = [memory or self._warm_up(image) for memory, image in zip(memories, images, strict=True)]
        return self._step(np.stack(images), begun)

    def _warm_up(self, image: Image) -> Memory:
        """Return the states after seq_length - 1 copies of this image."""
        memory: Memory = tuple(np.zeros(size, np.float32) for size in self._sizes)
        for _ in range(self._warmup_steps):
            _, (memory,) = self._step(image[np.newaxis], [memory])
        return memory

    def _step(self, images: Image, memories: Sequence[Memory]) -> tuple[Float32Array, list[Memory]]:
        states = [np.stack(one) for one in zip(*memories, strict=True)]
        steering, after = self._infer(tf.constant(images), [tf.constant(state) for state in states])
        kept = [tuple(one) for one in zip(*(state.numpy() for state in after), strict=True)]
        return np.asarray(steering.numpy()[:, 0]), kept


def _compiled(model: keras.Model) -> Any:
    """Return a network as one compiled call for any number of its inputs, uint8."""
    dtype = model.inputs[0].dtype  # networks of bcclone take uint8, others float32
    infer = tf.function(lambda images: model(tf.cast(images, dtype), training=False))
    return infer.get_concrete_function(tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8))


def window_after(window: Memory, image: Image, seq_length: int) -> Memory:
    """Return the window with this prepared image as the newest; an empty window is filled with it.

    window, image: uint8 (height, width, 3) each.
    """
    return (*window, image)[-seq_length:] if window else (image,) * seq_length


def load_policy(path: Path, preprocessing: Preprocessing | str | None = None) -> Policy:
    """Load a model of model.py, or one of another program with its preprocessing; raises UserError.

    preprocessing: a definition, a name of images.PRESETS, or None for that of the file.
    """
    return Policy(load_model_file(path, preprocessing))
