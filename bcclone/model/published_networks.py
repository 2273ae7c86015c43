"""Published networks that studies on the testing of self-driving cars compare.

build_published() takes an architecture and the size of the images, and returns an untrained network
of Keras.

DAVE-2: M. Bojarski et al., "End to End Learning for Self-Driving Cars", 2016,
https://arxiv.org/abs/1604.07316, figure 4. Chauffeur and Epoch: two teams of Udacity's challenge 2.
Y. Tian et al. compare them in "DeepTest", ICSE 2018, https://arxiv.org/abs/1708.08559, and A.
Stocco et al. in Udacity's simulator, in "Misbehaviour Prediction for Autonomous Driving Systems"
(SelfOracle), ICSE 2020, https://arxiv.org/abs/1910.04443. docs/reference/networks.md says where the
layers are described, and what was chosen where that is unclear.
"""

import keras
from keras import layers

from bcclone.dataset.preprocessing import PRESETS
from bcclone.model.architectures import Architecture
from bcclone.system.errors import UserError, shown_command


def build_published(
    architecture: Architecture, height: int, width: int, seq_length: int = 1
) -> keras.Model:
    """Return a published network; raises UserError for windows, and for images of another size."""
    preset = PRESETS[architecture.preset]
    if seq_length > 1:
        raise UserError(
            f"--network {architecture.name} takes single frames; train it with --seq-length 1"
        )
    if (height, width) != (preset.height, preset.width):
        raise UserError(
            f"--network {architecture.name} was published for images of "
            f"{preset.width}x{preset.height}, and these have {width}x{height}; make the store "
            f"with: {shown_command('preprocess', '--preprocess', architecture.preset)}"
        )
    build = {"dave-2": _dave_2, "chauffeur": _chauffeur, "epoch": _epoch}[architecture.name]
    return build()


def _dave_2() -> keras.Model:
    """Return DAVE-2, without dropout: 252,219 parameters.

    The paper names no activation; the studies and our own network use ELU. The paper's figure
    writes "1164 neurons" at the flattened maps, which are 1 x 18 x 64 = 1152; a dense layer of 1164
    would give six times the "250 thousand parameters" of the paper's text.
    """
    return keras.Sequential(
        [
            keras.Input((66, 200, 3), dtype="uint8", name="frame"),
            layers.Rescaling(1 / 127.5, -1, name="normalize"),
            layers.Conv2D(24, 5, strides=2, activation="elu", name="conv1"),
            layers.Conv2D(36, 5, strides=2, activation="elu", name="conv2"),
            layers.Conv2D(48, 5, strides=2, activation="elu", name="conv3"),
            layers.Conv2D(64, 3, activation="elu", name="conv4"),
            layers.Conv2D(64, 3, activation="elu", name="conv5"),
            layers.Flatten(name="flatten"),
            layers.Dense(100, activation="elu", name="dense1"),
            layers.Dense(50, activation="elu", name="dense2"),
            layers.Dense(10, activation="elu", name="dense3"),
            layers.Dense(1, dtype="float32", name="steering"),
        ],
        name="dave-2",
    )


def _chauffeur() -> keras.Model:
    """Return Chauffeur's CNN: 102,345 parameters.

    The team's second network, an LSTM over 100 feature vectors of this one, is left out, as in the
    studies.
    """

    def convolution(filters: int, kernel: int, name: str) -> keras.Layer:
        return layers.Conv2D(
            filters,
            kernel,
            padding="same",
            activation="relu",
            kernel_initializer="he_normal",
            name=name,
        )

    return keras.Sequential(
        [
            keras.Input((120, 320, 3), dtype="uint8", name="frame"),
            layers.Rescaling(1 / 255, -0.5, name="normalize"),
            convolution(16, 5, name="conv1"),
            layers.SpatialDropout2D(0.1, name="dropout1"),
            layers.MaxPooling2D(2, name="pool1"),
            convolution(20, 5, name="conv2"),
            layers.SpatialDropout2D(0.1, name="dropout2"),
            layers.MaxPooling2D(2, name="pool2"),
            convolution(40, 3, name="conv3"),
            layers.SpatialDropout2D(0.1, name="dropout3"),
            layers.MaxPooling2D(2, name="pool3"),
            convolution(60, 3, name="conv4"),
            layers.SpatialDropout2D(0.1, name="dropout4"),
            layers.MaxPooling2D(2, name="pool4"),
            convolution(80, 2, name="conv5"),
            layers.SpatialDropout2D(0.1, name="dropout5"),
            layers.MaxPooling2D(2, name="pool5"),
            convolution(128, 2, name="conv6"),
            layers.Flatten(name="flatten"),
            layers.Dropout(0.5, name="dropout"),
            layers.Dense(1, kernel_initializer="he_normal", dtype="float32", name="steering"),
        ],
        name="chauffeur",
    )


def _epoch() -> keras.Model:
    """Return Epoch's CNN: 33,649,729 parameters."""
    return keras.Sequential(
        [
            keras.Input((128, 128, 3), dtype="uint8", name="frame"),
            layers.Rescaling(1 / 255, name="normalize"),
            layers.Conv2D(32, 3, padding="same", activation="relu", name="conv1"),
            layers.MaxPooling2D(2, name="pool1"),
            layers.Dropout(0.25, name="dropout1"),
            layers.Conv2D(64, 3, padding="same", activation="relu", name="conv2"),
            layers.MaxPooling2D(2, name="pool2"),
            layers.Dropout(0.25, name="dropout2"),
            layers.Conv2D(128, 3, padding="same", activation="relu", name="conv3"),
            layers.MaxPooling2D(2, name="pool3"),
            layers.Dropout(0.5, name="dropout3"),
            layers.Flatten(name="flatten"),
            layers.Dense(1024, activation="relu", name="dense1"),
            layers.Dropout(0.5, name="dropout4"),
            layers.Dense(1, dtype="float32", name="steering"),
        ],
        name="epoch",
    )
