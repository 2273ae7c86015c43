"""Build a network from built-in Keras layers: a CNN similar to Nvidia's PilotNet and its variants, or a published one.

A 128x128 frame is cropped by 43 rows of sky and 12 of bonnet, scaled to -1..1, and processed by five convolutions and
four dense layers: 252,219 parameters. The frames of a window are either stacked as channels of one image, or processed
one by one by the same layers, followed by a GRU or LSTM (decision 0015).
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from bcclone.dataset.preprocessing import seen_rows
from bcclone.model.architectures import ARCHITECTURES, CNN, CNN_64, Architecture, Convolution
from bcclone.model.published_networks import build_published
from bcclone.system.errors import UserError

Shape = tuple[int, int, int]  # height, width and channels of an image

_DROPOUT = 0.5
_LEAST_VARIANCE, _CONTRAST = 1e-4, 0.4  # of an image in -1..1: what counts as even; standard deviation that it gets
_MOMENTUM = 0.98  # of the means that drive: over about 50 batches, so that a training of a minute has them, too


def build_network(
    shape: Shape = (128, 128, 3), seq_length: int = 1, network: str | Architecture = "cnn", outputs: int = 1
) -> keras.Model:
    """Return the untrained network: uint8 (batch, *shape) -> float32 (batch, outputs), steering first.

    With a seq_length above 1 it takes windows, (batch, seq_length, *shape), oldest frame first. shape: height, width
    and channels (3, or 1 for grey images); network: a name of ARCHITECTURES, or an architecture of your own. Raises
    UserError for images that are too small, or not of the published size, and for a recurrent network without windows.
    """
    architecture = ARCHITECTURES[network] if isinstance(network, str) else network
    if architecture.preset:
        if outputs > 1:
            raise UserError(f"--network {architecture.name} predicts the steering alone; leave out --predict")
        return build_published(architecture, *shape[:2], seq_length)
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


def _recurrent_network(shape: Shape, seq_length: int, architecture: Architecture, outputs: int) -> keras.Model:
    if seq_length < 2:
        raise UserError(f"--network {architecture.name} is trained on windows of frames; use --seq-length 2 or more")
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
    """Return the input of a frame, or of a window and the layers that make its frames channels of one image."""
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
        *(_image_norm() if architecture.image_norm else []),
        *(
            layer
            for number, convolution in enumerate(convolutions, 1)
            for layer in _convolution(convolution, number, architecture.batch_norm)
        ),
        layers.Dropout(_DROPOUT, name="dropout1"),
        layers.Flatten(name="flatten"),
        layers.Dense(100, activation="elu", name="dense1"),
    ]


def _image_norm() -> list[keras.Layer]:
    """Return the layers that give each image the mean 0 and the same contrast, the crop apart."""
    return [
        layers.LayerNormalization(
            axis=(1, 2, 3), epsilon=_LEAST_VARIANCE, center=False, scale=False, dtype="float32", name="image_norm"
        ),
        layers.Rescaling(_CONTRAST, dtype="float32", name="contrast"),
    ]


def _convolution(convolution: Convolution, number: int, batch_norm: bool) -> list[keras.Layer]:
    """Return a convolution with its activation, and the batch normalization between them if there is one."""
    kind = {"strides": convolution.stride, "name": f"conv{number}"}
    if not batch_norm:
        return [layers.Conv2D(convolution.filters, convolution.kernel, activation="elu", **kind)]
    return [
        layers.Conv2D(convolution.filters, convolution.kernel, use_bias=False, **kind),
        layers.BatchNormalization(momentum=_MOMENTUM, name=f"norm{number}"),
        layers.Activation("elu", name=f"elu{number}"),
    ]


def convolutions_for(height: int, width: int, architecture: Architecture) -> tuple[Convolution, ...]:
    """Return the convolutions that a network of ours has for images of this size.

    Images too small for CNN get CNN_64, unless another variant is asked for. Raises UserError for images that are too
    small for these, too.
    """
    seen = seen_rows(height)
    least_extent = min(seen.stop - seen.start, width)
    convolutions, name, smaller = architecture.convolutions, architecture.name, ", or train --network cnn-64"
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


def layer_table(model: keras.Model) -> str:
    rows = [("layer", "type", "output", "parameters")]
    rows.append((model.inputs[0].name, "Input", _shape(model.input_shape), ""))
    for layer in model.layers:
        if not isinstance(layer, keras.layers.InputLayer):
            rows.append(_row(layer, layer.name))
        if isinstance(layer, keras.layers.TimeDistributed) and isinstance(layer.layer, keras.Sequential):
            rows += [_row(each, f"  {each.name}") for each in layer.layer.layers]
    rows.append(("total", "", "", f"{model.count_params():,}"))
    return "\n".join(
        f"{name:<20}{kind:<20}{shape:<18}{parameters:>11}".rstrip() for name, kind, shape, parameters in rows
    )


def _row(layer: keras.Layer, name: str) -> tuple[str, str, str, str]:
    parameters = layer.count_params()
    return name, type(layer).__name__, _shape(layer.output.shape), f"{parameters:,}" if parameters else ""


def _shape(shape: tuple[int | None, ...]) -> str:
    return " x ".join(map(str, shape[1:]))
