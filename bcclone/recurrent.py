"""A recurrent network -> its steps: one frame and the states so far -> steering and the states after the frame.

Training shows such a network windows of frames, each from states of zero. Taken apart here, it sees every frame of a
drive once: the layers before and between its recurrent cells see the frame alone, each cell takes one step, and what
follows the last cell steers. So the states of a drive come from all of its frames.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from bcclone.network import normalize

_RECURRENT = (layers.GRU, layers.LSTM, layers.SimpleRNN)
_POOLING_3D = (layers.MaxPooling3D, layers.AveragePooling3D)
# layers that compute each frame of a window without looking at the others
_FRAME_BY_FRAME = (
    layers.TimeDistributed, layers.Dense, layers.Dropout, layers.GaussianDropout, layers.AlphaDropout,
    layers.GaussianNoise, layers.Rescaling, layers.Activation, layers.ReLU, layers.LeakyReLU, layers.ELU,
)  # fmt: skip


@dataclass(frozen=True)
class Steps:
    """A recurrent network, to be shown one frame after the other.

    state_sizes: of the states that are carried from frame to frame, in their order; all are 0 at the beginning.
    """

    layers: tuple[keras.Layer, ...]
    state_sizes: tuple[int, ...]

    def step(self, images: Any, states: Sequence[Any]) -> tuple[Any, list[Any]]:
        """Return steering, (drives, 1), and the states after one more frame of each of several drives.

        images: of the type that the network takes, (drives, height, width, 3); states: (drives, size) each.
        """
        before, after = iter(states), []
        values = keras.ops.expand_dims(images, 1)
        for layer in self.layers:
            if isinstance(layer, _RECURRENT):
                own = list(itertools.islice(before, len(_state_sizes(layer))))
                output, own = layer.cell(values[:, 0], own, training=False)
                after += own
                values = keras.ops.expand_dims(output, 1) if layer.return_sequences else output
            elif isinstance(layer, layers.Reshape) and len(after) < len(self.state_sizes):
                values = keras.ops.reshape(values, (-1, 1, *layer.output.shape[2:]))
            else:
                values = layer(values, training=False)
        return values, after


def steps_of(model: keras.Model) -> Steps | None:
    """Return the steps of a chain of layers; None where it has no recurrent layer, or cannot be taken apart.

    It cannot where something before its last recurrent layer looks at several frames, or something behind it does.
    """
    found = [number for number, layer in enumerate(model.layers) if isinstance(layer, _RECURRENT)]
    if not found or len(model.input_shape) != 5:
        return None
    *before, last = model.layers[: found[-1] + 1]
    apart = all(isinstance(layer, _RECURRENT) or _keeps_frames_apart(layer) for layer in before)
    if not apart or last.return_sequences:
        return None
    sizes = [size for number in found for size in _state_sizes(model.layers[number])]
    return Steps(tuple(model.layers), tuple(sizes))


def frame_layers(model: keras.Model) -> list[keras.Layer]:
    """Return the layers that see one frame of a window, as they are for that frame; none of a network without them."""
    found: list[keras.Layer] = []
    for layer in model.layers:
        if not isinstance(layer, layers.TimeDistributed):
            break
        found += layer.layer.layers if isinstance(layer.layer, keras.Sequential) else [layer.layer]
    return found


def _state_sizes(layer: keras.Layer) -> list[int]:
    size = layer.cell.state_size
    return list(size) if isinstance(size, list | tuple) else [size]


def _keeps_frames_apart(layer: keras.Layer) -> bool:
    """Return whether a layer computes each frame of a window without looking at the others, as far as we know."""
    if isinstance(layer, layers.Conv3D):
        return bool(layer.kernel_size[0] == layer.strides[0] == 1)
    if isinstance(layer, _POOLING_3D):
        return bool(layer.pool_size[0] == layer.strides[0] == 1)
    if isinstance(layer, layers.Cropping3D):
        return bool(layer.cropping[0] == (0, 0))
    if isinstance(layer, layers.Reshape):
        return bool(layer.output.shape[1] == layer.input.shape[1])
    if isinstance(layer, layers.Permute):
        return bool(layer.dims[0] == 1)
    if isinstance(layer, layers.BatchNormalization):
        return bool(layer.axis in (-1, len(layer.input.shape) - 1))
    return type(layer) in _FRAME_BY_FRAME or (type(layer) is layers.Lambda and layer.function is normalize)
