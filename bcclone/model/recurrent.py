"""Run a recurrent network frame by frame, and keep its states between frames.

Training uses windows of frames, each from states of zero. A drive runs each layer once per frame: the layers before and
between the recurrent cells on that frame, each cell for one step, and the layers after the last cell on its output. The
states then depend on all frames of the drive.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from bcclone.model.layer_kinds import RECURRENT, keeps_frames


@dataclass(frozen=True)
class Steps:
    """A recurrent network as a function of one frame and its states.

    state_sizes: sizes of the states, in their order; all states are 0 at the beginning.
    """

    layers: tuple[keras.Layer, ...]
    state_sizes: tuple[int, ...]

    def step(self, images: Any, states: Sequence[Any]) -> tuple[Any, list[Any]]:
        """Return the outputs, (drives, outputs), and the new states for the next frame of several drives.

        images: of the input type of the network, (drives, height, width, channels); states: (drives, size) each.
        """
        before, after = iter(states), []
        values = keras.ops.expand_dims(images, 1)
        for layer in self.layers:
            if isinstance(layer, RECURRENT):
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
    """Return the steps of a chain of layers; None when it has no recurrent layer, or cannot be run frame by frame.

    All layers before the last recurrent layer have to process each frame independently, and none after it may have
    several frames.
    """
    recurrent = [number for number, layer in enumerate(model.layers) if isinstance(layer, RECURRENT)]
    if not recurrent or len(model.input_shape) != 5:
        return None
    *before, last = model.layers[: recurrent[-1] + 1]
    apart = all(isinstance(layer, RECURRENT) or keeps_frames(layer) for layer in before)
    if not apart or last.return_sequences:
        return None
    sizes = [size for number in recurrent for size in _state_sizes(model.layers[number])]
    return Steps(tuple(model.layers), tuple(sizes))


def _state_sizes(layer: keras.Layer) -> list[int]:
    size = layer.cell.state_size
    return list(size) if isinstance(size, list | tuple) else [size]
