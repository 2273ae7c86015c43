"""The networks that can be trained, as plain values by name; loads no TensorFlow.

To add a variant of the CNN, add an Architecture to _ALL: bcclone.model.network builds it, and the
option --network lists it.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Convolution:
    """A convolution with a square kernel, without padding."""

    filters: int
    kernel: int  # rows and columns
    stride: int = 1


@dataclass(frozen=True)
class Architecture:
    """A network for images of any size."""

    name: str
    description: str
    convolutions: tuple[Convolution, ...] = (
        Convolution(24, 5, 2),
        Convolution(36, 5, 2),
        Convolution(48, 5, 2),
        Convolution(64, 3),
        Convolution(64, 3),
    )
    # whether its first layers give all images one brightness and contrast, and each convolution has
    # a batch normalization behind it
    is_normalized: bool = False
    recurrent: Literal["", "GRU", "LSTM"] = ""  # the layer behind the convolutions; "" for none


_ALL = (
    Architecture("cnn", "five convolutions, similar to Nvidia's PilotNet"),
    Architecture(
        "cnn-small",
        "the usual one: for any light, with batch normalization and fewer filters than cnn; learns "
        "in a quarter of the passes",
        # a third to a half fewer filters: a step takes half as long
        (
            Convolution(16, 5, 2),
            Convolution(24, 5, 2),
            Convolution(32, 5, 2),
            Convolution(32, 3),
            Convolution(32, 3),
        ),
        is_normalized=True,
    ),
    Architecture(
        "gru",
        "the convolutions of cnn for each frame of a window, then a GRU; drive.py keeps its state "
        "between frames",
        recurrent="GRU",
    ),
    Architecture("lstm", "the same as gru, with an LSTM", recurrent="LSTM"),
)
ARCHITECTURES = {architecture.name: architecture for architecture in _ALL}
