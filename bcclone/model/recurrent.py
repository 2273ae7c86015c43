"""Compile a network of Keras for one frame after the other, as a drive needs it.

Training uses windows of frames, and a recurrent network begins each of them with states of zero. A
drive runs each layer once per frame: the layers before and between the recurrent cells on that
frame, each cell for one step, and the layers after the last cell on its output. The states then
depend on all frames of the drive.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from bcclone.camera.images import Image
from bcclone.model.layer_kinds import RECURRENT, keeps_frames
from bcclone.system.arrays import Float32Array

# an image, uint8 (1, height, width, channels), and states, (1, size) each -> the outputs,
# (1, outputs), and the new states
TakeStep = Callable[[Image, Sequence[Float32Array]], tuple[Float32Array, list[Float32Array]]]


@dataclass(frozen=True)
class Steps:
    """A recurrent network as a function of one frame and its states."""

    layers: tuple[keras.Layer, ...]
    state_sizes: tuple[int, ...]  # in their order; all states are 0 at the beginning

    def step(self, images: Any, states: Sequence[Any]) -> tuple[Any, list[Any]]:
        """Return the outputs, (drives, outputs), and the new states for the next frame.

        images: of the input type of the network, (drives, height, width, channels)
        states: (drives, size) each
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
                # its target has the number of frames of the training
                values = keras.ops.reshape(values, (-1, 1, *layer.output.shape[2:]))
            else:
                values = layer(values, training=False)
        return values, new_states


def steps_of(model: keras.Model) -> Steps | None:
    """Return the steps of a chain of layers, None when it cannot be run frame by frame.

    It needs a recurrent layer. All layers before the last one have to process each frame
    independently, and none after it may have several frames.
    """
    recurrent = [layer for layer in model.layers if isinstance(layer, RECURRENT)]
    if not recurrent or len(model.input_shape) != 5:
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

    batch: its size, None for any
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

    With another backend of Keras than TensorFlow it is called as it is: slower, with the same
    answers.
    """
    convert = keras.tree.map_structure
    if keras.backend.backend() == "tensorflow":
        concrete = tf.function(function, autograph=False).get_concrete_function(*signature)

        def call(*arrays: Any) -> Any:
            answers = concrete(*convert(tf.constant, arrays))
            return convert(lambda tensor: tensor.numpy(), answers)

    else:

        def call(*arrays: Any) -> Any:
            answers = function(*convert(keras.ops.convert_to_tensor, arrays))
            return convert(keras.ops.convert_to_numpy, answers)

    return call
