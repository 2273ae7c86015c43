"""Compile a network of Keras as a call, and a recurrent one as a call for one frame after another.

A recurrent layer has states, numbers that it passes from one frame to the next. In training it
begins each window of frames with states of zero. In a drive it keeps its states, which then depend
on all frames of the drive. Each layer runs once per frame: the layers before the recurrent layers
on that frame, the cell of each recurrent layer for one step, and the other layers on its output.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from bcclone.model.layer_kinds import DROPOUT, RECURRENT
from bcclone.system.arrays import Float32Array


def state_sizes_of(model: keras.Model) -> tuple[int, ...]:
    """Return how many numbers each state of a network has, in the order of its layers.

    () for a network that cannot run frame by frame: one without recurrent layers, one whose last
    recurrent layer returns all its outputs, or one with layers before it that may combine frames.
    """
    keep_frames_apart = (layers.TimeDistributed, *DROPOUT, *RECURRENT)
    takes_windows = len(model.input_shape) == 5  # (batch, frames, rows, columns, channels)
    recurrent = [layer for layer in model.layers if isinstance(layer, RECURRENT)]
    if not takes_windows or not recurrent or recurrent[-1].return_sequences:
        return ()
    before = model.layers[: model.layers.index(recurrent[-1])]
    if not all(isinstance(layer, keep_frames_apart) for layer in before):
        return ()
    return tuple(size for layer in recurrent for size in _state_sizes(layer))


def _state_sizes(layer: keras.Layer) -> list[int]:
    """Return the sizes of a recurrent layer's states: one of a GRU, two of an LSTM."""
    size = layer.cell.state_size
    return list(size) if isinstance(size, list | tuple) else [size]


def step(model: keras.Model, images: Any, states: Sequence[Any]) -> list[Any]:
    """Return what a recurrent network predicts, (drives, outputs), and then the new states.

    images: the next frame of each drive, (drives, height, width, channels), in the dtype of the
        network's input
    states: what the step before returned, (drives, size) each; zeros at the begin of a drive
    """
    new_states: list[Any] = []
    values = keras.ops.expand_dims(images, 1)  # a window of one frame
    for layer in model.layers:
        if isinstance(layer, RECURRENT):
            first = len(new_states)
            own_states = list(states[first : first + len(_state_sizes(layer))])
            values, own_states = layer.cell(values[:, 0], own_states, training=False)
            new_states += own_states
            if layer.return_sequences:
                values = keras.ops.expand_dims(values, 1)
        else:
            values = layer(values, training=False)
    return [values, *new_states]


def compile_network(
    model: keras.Model, state_sizes: Sequence[int] = (), batch: int | None = 1
) -> Callable[..., list[Float32Array]]:
    """Return a network as a compiled call: images or windows, uint8, -> a list of its outputs.

    With states, the call takes one frame of a drive and these states, and returns the new ones
    after the outputs.

    batch: number of images or windows in a call, None for any number
    """
    dtype = model.inputs[0].dtype  # networks of bcclone take uint8, others float32

    def call(images: Any, *states: Any) -> list[Any]:
        images = keras.ops.cast(images, dtype)
        if state_sizes:
            return step(model, images, states)
        return [model(images, training=False)]

    shape = model.input_shape[2:] if state_sizes else model.input_shape[1:]
    compiled = tf.function(call, autograph=False).get_concrete_function(
        tf.TensorSpec((batch, *shape), tf.uint8),
        *[tf.TensorSpec((batch, size), tf.float32) for size in state_sizes],
    )

    def call_arrays(*arrays: Any) -> list[Float32Array]:
        return [output.numpy() for output in compiled(*map(tf.constant, arrays))]

    return call_arrays
