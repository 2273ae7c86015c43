"""The networks that research on testing self-driving cars compares: DAVE-2, Chauffeur and Epoch, as published.

DAVE-2: M. Bojarski et al., "End to End Learning for Self-Driving Cars", 2016, https://arxiv.org/abs/1604.07316,
figure 4. Chauffeur and Epoch: two teams of Udacity's challenge 2. Y. Tian et al. compare them in "DeepTest", ICSE 2018,
https://arxiv.org/abs/1708.08559, and A. Stocco et al. in Udacity's simulator, in "Misbehaviour Prediction for
Autonomous Driving Systems" (SelfOracle), ICSE 2020, https://arxiv.org/abs/1910.04443. docs/reference/networks.md says
where the layers are described, and what was chosen where that is unclear.
"""

import keras
from keras import layers

from bcclone.dataset.preprocessing import PRESETS
from bcclone.model.architectures import CNN, Architecture
from bcclone.system.errors import UserError


def dave_2() -> list[keras.Layer]:
    """Return the layers of DAVE-2, from an image of 66x200, without dropout: 252,219 parameters.

    The paper names no activation; ELU is that of the studies and of our own network. Its figure writes "1164 neurons"
    at the flattened maps, which are 1 x 18 x 64 = 1152; a dense layer of 1164 would give six times the "250 thousand
    parameters" of its text.
    """
    return [
        layers.Rescaling(1 / 127.5, -1, name="normalize"),
        *(
            layers.Conv2D(each.filters, each.kernel, strides=each.stride, activation="elu", name=f"conv{number}")
            for number, each in enumerate(CNN, 1)
        ),
        layers.Flatten(name="flatten"),
        *(
            layers.Dense(units, activation="elu", name=f"dense{number}")
            for number, units in enumerate((100, 50, 10), 1)
        ),
        layers.Dense(1, dtype="float32", name="steering"),
    ]


def chauffeur() -> list[keras.Layer]:
    """Return the layers of Chauffeur's CNN, from an image of 120x320: 102,345 parameters.

    The team's second network, an LSTM over 100 feature vectors of this one, is left out, as in the studies.
    """
    kernels = {"activation": "relu", "padding": "same", "kernel_initializer": "he_normal"}
    chain: list[keras.Layer] = [layers.Rescaling(1 / 255, -0.5, name="normalize")]
    for number, (filters, kernel) in enumerate(((16, 5), (20, 5), (40, 3), (60, 3), (80, 2)), 1):
        chain += [
            layers.Conv2D(filters, kernel, name=f"conv{number}", **kernels),
            layers.SpatialDropout2D(0.1, name=f"dropout{number}"),
            layers.MaxPooling2D(2, name=f"pool{number}"),
        ]
    return [
        *chain,
        layers.Conv2D(128, 2, name="conv6", **kernels),
        layers.Flatten(name="flatten"),
        layers.Dropout(0.5, name="dropout"),
        layers.Dense(1, kernel_initializer="he_normal", dtype="float32", name="steering"),
    ]


def epoch() -> list[keras.Layer]:
    """Return the layers of Epoch's CNN, from an image of 128x128: 33,649,729 parameters."""
    chain: list[keras.Layer] = [layers.Rescaling(1 / 255, name="normalize")]
    for number, (filters, rate) in enumerate(((32, 0.25), (64, 0.25), (128, 0.5)), 1):
        chain += [
            layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"conv{number}"),
            layers.MaxPooling2D(2, name=f"pool{number}"),
            layers.Dropout(rate, name=f"dropout{number}"),
        ]
    return [
        *chain,
        layers.Flatten(name="flatten"),
        layers.Dense(1024, activation="relu", name="dense1"),
        layers.Dropout(0.5, name="dropout4"),
        layers.Dense(1, dtype="float32", name="steering"),
    ]


_LAYERS = {"dave-2": dave_2, "chauffeur": chauffeur, "epoch": epoch}


def build_published(architecture: Architecture, height: int, width: int, seq_length: int = 1) -> keras.Model:
    """Return an untrained network with a preset: uint8 (batch, height, width, 3) -> steering float32 (batch, 1).

    Raises UserError for images of another size than the published one, and for windows.
    """
    takes = PRESETS[architecture.preset]
    if seq_length > 1:
        raise UserError(f"--network {architecture.name} takes single frames; train it with --seq-length 1")
    if (height, width) != (takes.height, takes.width):
        raise UserError(
            f"--network {architecture.name} was published for images of {takes.width}x{takes.height}, and these have "
            f"{width}x{height}; make the store with: bcclone preprocess --preprocess {architecture.preset}"
        )
    image = keras.Input((height, width, 3), dtype="uint8", name="frame")
    return keras.Sequential([image, *_LAYERS[architecture.name]()], name=architecture.name)
