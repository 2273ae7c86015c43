"""Compile a network of Keras for one frame at a time, as a drive needs it, or for batches."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bcclone.dataset.images import Image
from bcclone.model.policy import TakeStep
from bcclone.model.recurrent import Steps
from bcclone.system.arrays import Float32Array


def compile_call(model: keras.Model, batch: int | None = 1) -> Callable[[Image], Float32Array]:
    """Return a network as a compiled call for one input, uint8, or for a batch of this size, None for any.

    With another backend of Keras than TensorFlow it is called as it is: slower, with the same answers.
    """
    dtype = model.inputs[0].dtype  # networks of bcclone take uint8, others float32
    if keras.backend.backend() != "tensorflow":
        return lambda images: _as_numpy(model(keras.ops.cast(images, dtype), training=False))
    infer = tf.function(lambda images: model(tf.cast(images, dtype), training=False))
    compiled = infer.get_concrete_function(tf.TensorSpec((batch, *model.input_shape[1:]), tf.uint8))
    return lambda images: np.asarray(compiled(tf.constant(images)).numpy())


def compile_step(model: keras.Model, steps: Steps) -> TakeStep:
    """Return one step of a recurrent network as a compiled call for one drive."""
    dtype = model.inputs[0].dtype
    if keras.backend.backend() != "tensorflow":
        return lambda images, states: _stepped(steps, keras.ops.cast(images, dtype), states)
    infer = tf.function(lambda images, states: steps.step(tf.cast(images, dtype), states))
    image = tf.TensorSpec((1, *model.input_shape[2:]), tf.uint8)
    compiled = infer.get_concrete_function(image, [tf.TensorSpec((1, size), tf.float32) for size in steps.state_sizes])

    def take_step(images: Image, states: Sequence[Float32Array]) -> tuple[Float32Array, list[Float32Array]]:
        outputs, after = compiled(tf.constant(images), [tf.constant(state) for state in states])
        return np.asarray(outputs.numpy()), [state.numpy() for state in after]

    return take_step


def _stepped(steps: Steps, images: Any, states: Sequence[Float32Array]) -> tuple[Float32Array, list[Float32Array]]:
    outputs, after = steps.step(images, [keras.ops.convert_to_tensor(state) for state in states])
    return _as_numpy(outputs), [_as_numpy(state) for state in after]


def _as_numpy(tensor: Any) -> Float32Array:
    return np.asarray(keras.ops.convert_to_numpy(tensor), np.float32)
