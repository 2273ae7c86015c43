"""The networks that can be trained, as plain values by name; loads no TensorFlow.

To add a variant of the CNN, add an Architecture to _ALL: bcclone.model.network builds it, and the
option --network lists it.
"""

from dataclasses import dataclass

from bcclone.system.settings import Checked, Count, SettingError

RECURRENT_LAYERS = ("GRU", "LSTM")  # of Keras: they keep a state from frame to frame
# name of a published network -> key in preprocessing.PRESETS: the preprocessing that its authors
# used
PUBLISHED = {
    "dave-2": "nvidia-66x200-yuv",
    "chauffeur": "chauffeur-120x320-yuv",
    "epoch": "epoch-128x128-rgb",
}


@dataclass(frozen=True)
class Convolution(Checked):
    """A convolution with a square kernel, without padding."""

    filters: Count
    kernel: Count  # rows and columns
    stride: Count = 1


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


def _without_third(convolutions: tuple[Convolution, ...]) -> tuple[Convolution, ...]:
    """Return convolutions for small images.

    The network crops sky and bonnet; then an image of 64x64 ends as maps of 2x9 here, as an image
    of 128x128 does with the third convolution.
    """
    return (*convolutions[:2], *convolutions[3:])


CNN_64 = _without_third(CNN)
# what takes the place of convolutions for which an image is too small
FOR_SMALL_IMAGES = {CNN: CNN_64, SMALL: _without_third(SMALL)}


@dataclass(frozen=True)
class Architecture(Checked):
    """A network of ours, for images of any size; or a published network, for images of one size."""

    name: str
    description: str
    convolutions: tuple[Convolution, ...] = CNN  # of a network of ours; else it has no meaning
    batch_norm: bool = False  # batch normalization after each convolution
    image_norm: bool = False  # whether its first layers give all images one brightness and contrast
    recurrent: str = ""  # one of RECURRENT_LAYERS, the layer behind the convolutions; "" for none

    def validate(self) -> None:
        if self.recurrent not in ("", *RECURRENT_LAYERS):
            raise SettingError(
                "{recurrent} {value}, expected one of {names}, or no text for none",
                value=repr(self.recurrent),
                names=", ".join(RECURRENT_LAYERS),
            )

    @property
    def preset(self) -> str:
        """Return the preprocessing that the authors of a published network used, else ""."""
        return PUBLISHED.get(self.name, "")

    @property
    def is_published(self) -> bool:
        return self.preset != ""


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
    Architecture(
        "dave-2",
        "DAVE-2 as published by Nvidia, for a store of the preset nvidia-66x200-yuv",
    ),
    Architecture(
        "chauffeur",
        "the CNN of team Chauffeur in Udacity's challenge 2, for the preset chauffeur-120x320-yuv",
    ),
    Architecture(
        "epoch",
        "the CNN of team Epoch in Udacity's challenge 2, for the preset epoch-128x128-rgb; "
        "34 million weights",
    ),
)
ARCHITECTURES = {architecture.name: architecture for architecture in _ALL}
