"""Compile a network of Keras as a function of one frame, which a drive calls frame after frame.

In: a recurrent network. Out: a function that takes an image, uint8 (1, height, width, channels),
and the states so far, and returns the outputs, (1, outputs), and the new states. compile_call()
compiles a network without states, as a function of images or windows.

A recurrent layer has states, numbers that it passes from one frame to the next. In training it
begins each window of frames with states of zero. In a drive it keeps its states, which then depend
on all frames of the drive. Each layer runs once per frame: the layers before and between the
recurrent layers on that frame, the cell of each recurrent layer for one step, and the layers after
the last cell on that cell's output.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from bcclone.camera.images import Image
from bcclone.model.layer_kinds import RECURRENT, keeps_frames
from bcclone.system.numbers import Float32Array

# one step of a drive: an image, uint8 (1, height, width, channels), and states, (1, size) each ->
# the outputs, (1, outputs), and the new states, (1, size) each
TakeStep = Callable[[Image, Sequence[Float32Array]], tuple[Float32Array, list[Float32Array]]]


@dataclass(frozen=True)
class Steps:
    """A recurrent network as a function of one frame and its states."""

    layers: tuple[keras.Layer, ...]  # all layers, in the order in which they run
    # numbers in each state, in the order of the layers: a GRU has one state, an LSTM two. A drive
    # begins with states of 0
    state_sizes: tuple[int, ...]

    def step(self, images: Any, states: Sequence[Any]) -> tuple[Any, list[Any]]:
        """Return the outputs, (drives, outputs), and the new states for the next frame.

        images: (drives, height, width, channels), in the dtype of the network's input
        states: what the step before returned, (drives, size) each
        """
        new_states: list[Any] = []
        values = keras.ops.expand_dims(images, 1)  # a window of one frame
        for layer in self.layers:
            is_before_last_cell = len(new_states) < len(self.state_sizes)
            if isinstance(layer, RECURRENT):
                first = len(new_states)
                cell_states = list(states[first : first + len(_state_sizes(layer))])
                values, cell_states = layer.cell(values[:, 0], cell_states, training=False)
                new_states += cell_states
                if layer.return_sequences:
                    values = keras.ops.expand_dims(values, 1)
            elif isinstance(layer, layers.Reshape) and is_before_last_cell:
                # its own target shape has all frames of a window in training; here is one frame
                values = keras.ops.reshape(values, (-1, 1, *layer.output.shape[2:]))
            else:
                values = layer(values, training=False)
        return values, new_states


def steps_of(model: keras.Model) -> Steps | None:
    """Return the steps of a chain of layers, None if the chain cannot run frame by frame.

    The chain needs a recurrent layer. All layers before the last recurrent layer have to process
    each frame independently, and the last recurrent layer has to return its last output alone.
    """
    recurrent = [layer for layer in model.layers if isinstance(layer, RECURRENT)]
    if not recurrent or len(model.input_shape) != 5:  # 5 axes: windows of images, in a batch
        return None
    last = recurrent[-1]
    before = model.layers[: model.layers.index(last)]
    are_apart = all(isinstance(layer, RECURRENT) or keeps_frames(layer) for layer in before)
    if not are_apart or last.return_sequences:
        return None
    sizes = [size for layer in recurrent for size in _state_sizes(layer)]
    return Steps(tuple(model.layers), tuple(sizes))


def _state_sizes(layer: keras.Layer) -> list[int]:
    size = layer.cell.state_size
    return list(size) if isinstance(size, list | tuple) else [size]


# ---- compiled calls


def compile_call(model: keras.Model, batch: int | None = 1) -> Callable[[Image], Float32Array]:
    """Return a network as a compiled call for a batch of images or windows, uint8.

    batch: number of images or windows in a call, None for any number
    """
    dtype = model.inputs[0].dtype  # networks of bcclone take uint8, others float32

    def call(images: Any) -> Any:
        return model(keras.ops.cast(images, dtype), training=False)

    return _compiled(call, tf.TensorSpec((batch, *model.input_shape[1:]), tf.uint8))


def compile_step(model: keras.Model, steps: Steps) -> TakeStep:
    """Return one step of a recurrent network as a compiled call for one drive."""
    dtype = model.inputs[0].dtype

    def step(images: Any, states: Sequence[Any]) -> tuple[Any, list[Any]]:
        return steps.step(keras.ops.cast(images, dtype), states)

    image_spec = tf.TensorSpec((1, *model.input_shape[2:]), tf.uint8)
    state_specs = [tf.TensorSpec((1, size), tf.float32) for size in steps.state_sizes]
    compiled = _compiled(step, image_spec, state_specs)
    return lambda images, states: compiled(images, list(states))


def _compiled(function: Callable[..., Any], *signature: Any) -> Callable[..., Any]:
    """Return a function of tensors as a compiled call for arrays.

    signature: shape and dtype of each argument of the function, as tf.TensorSpec
    """
    concrete = tf.function(function, autograph=False).get_concrete_function(*signature)

    def call(*arrays: Any) -> Any:
        answers = concrete(*keras.tree.map_structure(tf.constant, arrays))
        return keras.tree.map_structure(lambda tensor: tensor.numpy(), answers)

    return call
