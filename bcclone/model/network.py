"""Build a network from built-in Keras layers: a CNN similar to Nvidia's PilotNet and its variants,
or a published one.

A 128x128 frame is cropped by 43 rows of sky and 12 of bonnet, scaled to -1..1, and processed by
five convolutions and four dense layers: 252,219 parameters. The frames of a window are either
stacked as channels of one image, or processed one by one by the same layers, followed by a GRU or
LSTM (decision 0015).
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from bcclone.dataset.preprocessing import PRESETS, seen_rows
from bcclone.model.architectures import ARCHITECTURES, CNN, CNN_64, Architecture, Convolution
from bcclone.system.errors import UserError

Shape = tuple[int, int, int]  # height, width and channels of an image

_DROPOUT = 0.5
_LEAST_VARIANCE, _CONTRAST = (
    1e-4,
    0.4,
)  # of an image in -1..1: what counts as even; standard deviation that it gets
# of the means that drive: over about 50 batches, so that a training of a minute has them, too
_MOMENTUM = 0.98


def build_network(
    shape: Shape = (128, 128, 3),
    seq_length: int = 1,
    network: str | Architecture = "cnn",
    outputs: int = 1,
) -> keras.Model:
    """Return the untrained network: uint8 (batch, *shape) -> float32 (batch, outputs), steering
    first.

    With a seq_length above 1 it takes windows, (batch, seq_length, *shape), oldest frame first.
    shape: height, width and channels (3, or 1 for grey images); network: a name of ARCHITECTURES,
    or an architecture of your own. Raises UserError for images that are too small, or not of the
    published size, and for a recurrent network without windows.
    """
    architecture = ARCHITECTURES[network] if isinstance(network, str) else network
    if architecture.preset:
        if outputs > 1:
            raise UserError(
                f"--network {architecture.name} predicts the steering alone; leave out --predict"
            )
        return _build_published(architecture, *shape[:2], seq_length)
    if architecture.recurrent:
        return _recurrent_network(shape, seq_length, architecture, outputs)
    return keras.Sequential(
        [
            *_stacked_input(shape, seq_length),
            *_features(shape, architecture),
            layers.Dropout(_DROPOUT, name="dropout2"),
            layers.Dense(50, activation="elu", name="dense2"),
            layers.Dense(10, activation="elu", name="dense3"),
            layers.Dense(outputs, dtype="float32", name="steering"),
        ],
        name="bcclone",
    )


def _recurrent_network(
    shape: Shape, seq_length: int, architecture: Architecture, outputs: int
) -> keras.Model:
    if seq_length < 2:
        raise UserError(
            f"--network {architecture.name} is trained on windows of frames; use --seq-length 2 or more"
        )
    frame = keras.Input(shape, dtype="uint8", name="frame")
    each_frame = keras.Sequential([frame, *_features(shape, architecture)], name="cnn")
    recurrent = {"GRU": layers.GRU, "LSTM": layers.LSTM}[architecture.recurrent]
    return keras.Sequential(
        [
            keras.Input((seq_length, *shape), dtype="uint8", name="window"),
            layers.TimeDistributed(each_frame, name="each_frame"),
            layers.Dropout(_DROPOUT, name="dropout2"),
            recurrent(50, name=architecture.recurrent.lower()),
            layers.Dense(10, activation="elu", name="dense3"),
            layers.Dense(outputs, dtype="float32", name="steering"),
        ],
        name="bcclone",
    )


def _stacked_input(shape: Shape, seq_length: int) -> list[Any]:
    """Return the input of a frame, or of a window and the layers that make its frames channels of
    one image.
    """
    if seq_length == 1:
        return [keras.Input(shape, dtype="uint8", name="frame")]
    height, width, channels = shape
    return [
        keras.Input((seq_length, *shape), dtype="uint8", name="window"),
        layers.Permute((2, 3, 1, 4), name="frames_last"),
        layers.Reshape((height, width, channels * seq_length), name="stack"),
    ]


def _features(shape: Shape, architecture: Architecture) -> list[keras.Layer]:
    """Return the layers from an image, (height, width, channels), to 100 features.

    The order in which layers are made decides the weights of a seed.
    """
    height, width, _ = shape
    seen = seen_rows(height)
    convolutions = convolutions_for(height, width, architecture)
    return [
        layers.Cropping2D(((seen.start, height - seen.stop), (0, 0)), name="crop"),
        # in float32 also with --mixed-precision: float16 has steps of up to 0.001 here
        layers.Rescaling(1 / 127.5, offset=-1, dtype="float32", name="normalize"),
        *(
            [  # each image gets the mean 0 and the same contrast, the crop apart
                layers.LayerNormalization(
                    axis=(1, 2, 3),
                    epsilon=_LEAST_VARIANCE,
                    center=False,
                    scale=False,
                    dtype="float32",
                    name="image_norm",
                ),
                layers.Rescaling(_CONTRAST, dtype="float32", name="contrast"),
            ]
            if architecture.image_norm
            else []
        ),
        *(
            layer
            for number, convolution in enumerate(convolutions, 1)
            for layer in _convolution(convolution, number, architecture.batch_norm)
        ),
        layers.Dropout(_DROPOUT, name="dropout1"),
        layers.Flatten(name="flatten"),
        layers.Dense(100, activation="elu", name="dense1"),
    ]


def _convolution(convolution: Convolution, number: int, batch_norm: bool) -> list[keras.Layer]:
    """Return a convolution with its activation, and the batch normalization between them if there
    is one.
    """
    kind = {"strides": convolution.stride, "name": f"conv{number}"}
    if not batch_norm:
        return [layers.Conv2D(convolution.filters, convolution.kernel, activation="elu", **kind)]
    return [
        layers.Conv2D(convolution.filters, convolution.kernel, use_bias=False, **kind),
        layers.BatchNormalization(momentum=_MOMENTUM, name=f"norm{number}"),
        layers.Activation("elu", name=f"elu{number}"),
    ]


def convolutions_for(
    height: int, width: int, architecture: Architecture
) -> tuple[Convolution, ...]:
    """Return the convolutions that a network of ours has for images of this size.

    Images too small for CNN get CNN_64, unless another variant is asked for. Raises UserError for
    images that are too small for these, too.
    """
    seen = seen_rows(height)
    least_extent = min(seen.stop - seen.start, width)
    convolutions, name, smaller = (
        architecture.convolutions,
        architecture.name,
        ", or train --network cnn-64",
    )
    if convolutions == CNN and least_extent < _smallest(CNN):
        convolutions, name = CNN_64, "cnn-64"
    if least_extent < (needed := _smallest(convolutions)):
        raise UserError(
            f"images of {width}x{height} are too small for the convolutions of {name}: these need {needed} columns "
            f"and, after the crop, {needed} rows; make the store with a larger preprocess.py --size"
            f"{'' if convolutions == CNN_64 else smaller}"
        )
    return convolutions


def _smallest(convolutions: Sequence[Convolution]) -> int:
    extent = 1
    for convolution in reversed(convolutions):
        extent = (extent - 1) * convolution.stride + convolution.kernel
    return extent


# ---- the networks that research on testing self-driving cars compares, as published
#  DAVE-2: M. Bojarski et al., "End to End Learning for Self-Driving Cars", 2016,
# https://arxiv.org/abs/1604.07316, figure 4. Chauffeur and Epoch: two teams of Udacity's challenge
# 2. Y. Tian et al. compare them in "DeepTest", ICSE 2018, https://arxiv.org/abs/1708.08559, and A.
# Stocco et al. in Udacity's simulator, in "Misbehaviour Prediction for Autonomous Driving Systems"
# (SelfOracle), ICSE 2020, https://arxiv.org/abs/1910.04443. docs/reference/networks.md says where
# the layers are described, and what was chosen where that is unclear.


def _build_published(
    architecture: Architecture, height: int, width: int, seq_length: int = 1
) -> keras.Model:
    takes = PRESETS[architecture.preset]
    if seq_length > 1:
        raise UserError(
            f"--network {architecture.name} takes single frames; train it with --seq-length 1"
        )
    if (height, width) != (takes.height, takes.width):
        raise UserError(
            f"--network {architecture.name} was published for images of {takes.width}x{takes.height}, and these have "
            f"{width}x{height}; make the store with: bcclone preprocess --preprocess {architecture.preset}"
        )
    image = keras.Input((height, width, 3), dtype="uint8", name="frame")
    return keras.Sequential([image, *_PUBLISHED[architecture.name]()], name=architecture.name)


def _dave_2() -> list[keras.Layer]:
    """Return the layers of DAVE-2, from an image of 66x200, without dropout: 252,219 parameters.

    The paper names no activation; ELU is that of the studies and of our own network. Its figure
    writes "1164 neurons" at the flattened maps, which are 1 x 18 x 64 = 1152; a dense layer of 1164
    would give six times the "250 thousand parameters" of its text.
    """
    return [
        layers.Rescaling(1 / 127.5, -1, name="normalize"),
        *(
            layers.Conv2D(
                each.filters,
                each.kernel,
                strides=each.stride,
                activation="elu",
                name=f"conv{number}",
            )
            for number, each in enumerate(CNN, 1)
        ),
        layers.Flatten(name="flatten"),
        *(
            layers.Dense(units, activation="elu", name=f"dense{number}")
            for number, units in enumerate((100, 50, 10), 1)
        ),
        layers.Dense(1, dtype="float32", name="steering"),
    ]


def _chauffeur() -> list[keras.Layer]:
    """Return the layers of Chauffeur's CNN, from an image of 120x320: 102,345 parameters.

    The team's second network, an LSTM over 100 feature vectors of this one, is left out, as in the
    studies.
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


def _epoch() -> list[keras.Layer]:
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


_PUBLISHED = {"dave-2": _dave_2, "chauffeur": _chauffeur, "epoch": _epoch}


# ---- a table of any network


def layer_table(model: keras.Model) -> str:
    rows = [("layer", "type", "output", "parameters")]
    rows.append((model.inputs[0].name, "Input", _shape(model.input_shape), ""))
    for layer in model.layers:
        if not isinstance(layer, keras.layers.InputLayer):
            rows.append(_row(layer, layer.name))
        if isinstance(layer, keras.layers.TimeDistributed) and isinstance(
            layer.layer, keras.Sequential
        ):
            rows += [_row(each, f"  {each.name}") for each in layer.layer.layers]
    rows.append(("total", "", "", f"{model.count_params():,}"))
    return "\n".join(
        f"{name:<20}{kind:<20}{shape:<18}{parameters:>11}".rstrip()
        for name, kind, shape, parameters in rows
    )


def _row(layer: keras.Layer, name: str) -> tuple[str, str, str, str]:
    parameters = layer.count_params()
    return (
        name,
        type(layer).__name__,
        _shape(layer.output.shape),
        f"{parameters:,}" if parameters else "",
    )


def _shape(shape: tuple[int | None, ...]) -> str:
    return " x ".join(map(str, shape[1:]))
