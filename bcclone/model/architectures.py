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


CNN = (
    Convolution(24, 5, 2),
    Convolution(36, 5, 2),
    Convolution(48, 5, 2),
    Convolution(64, 3),
    Convolution(64, 3),
)
# a third to a half fewer filters: a step takes half as long
SMALL = (
    Convolution(16, 5, 2),
    Convolution(24, 5, 2),
    Convolution(32, 5, 2),
    Convolution(32, 3),
    Convolution(32, 3),
)
# The network crops sky and bonnet. Then an image of 64x64 ends as maps of 2x9 without the third
# convolution, as an image of 128x128 does with it.
CNN_64 = (*CNN[:2], *CNN[3:])
# what takes the place of convolutions for which an image is too small
FOR_SMALL_IMAGES = {CNN: CNN_64, SMALL: (*SMALL[:2], *SMALL[3:])}


@dataclass(frozen=True)
class Architecture:
    """A network for images of any size."""

    name: str
    description: str
    convolutions: tuple[Convolution, ...] = CNN
    batch_norm: bool = False  # batch normalization after each convolution
    image_norm: bool = False  # whether its first layers give all images one brightness and contrast
    recurrent: Literal["", "GRU", "LSTM"] = ""  # the layer behind the convolutions; "" for none


_ALL = (
    Architecture(
        "cnn",
        "five convolutions, similar to Nvidia's PilotNet; for small images the convolutions of "
        "cnn-64",
    ),
    Architecture("cnn-64", "cnn without the third convolution, for images of 64x64", CNN_64),
    Architecture(
        "cnn-batch-norm",
        "cnn with batch normalization after each convolution; learns in fewer passes",
        batch_norm=True,
    ),
    Architecture(
        "cnn-image-norm",
        "cnn for any light: it takes each image at the same brightness and contrast",
        image_norm=True,
    ),
    Architecture(
        "cnn-norm",
        "cnn-small with as many filters as cnn; a pass takes 1.7 times as long",
        batch_norm=True,
        image_norm=True,
    ),
    Architecture(
        "cnn-small",
        "the usual one: for any light, with batch normalization and fewer filters than cnn; learns "
        "in a quarter of the passes",
        SMALL,
        batch_norm=True,
        image_norm=True,
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
