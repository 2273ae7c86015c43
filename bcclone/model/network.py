"""Build the networks from built-in Keras layers: a CNN similar to Nvidia's PilotNet, and its variants.

A 128x128 frame is cropped by 43 rows of sky and 12 of bonnet, scaled to -1..1, and processed by five convolutions and
four dense layers: 252,219 parameters. The frames of a window are either stacked as channels of one image, or processed
one by one by the same layers, followed by a GRU or LSTM (decision 0015).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from bcclone.dataset.images import seen_rows
from bcclone.model.published_networks import PUBLISHED, build_published
from bcclone.system.errors import UserError


@dataclass(frozen=True)
class Convolution:
    """A convolution with a square kernel, without padding."""

    filters: int
    kernel: int
    stride: int = 1


_CONV1, _CONV2, _CONV3 = Convolution(24, 5, 2), Convolution(36, 5, 2), Convolution(48, 5, 2)
_CONV4 = _CONV5 = Convolution(64, 3)

# the convolutions of each network; "gru", "lstm" and BATCH_NORM have those of "cnn"
CONVOLUTIONS = {
    "cnn": (_CONV1, _CONV2, _CONV3, _CONV4, _CONV5),
    "cnn-64": (_CONV1, _CONV2, _CONV4, _CONV5),  # 64x64 images give maps of 2x9, as 128x128 images do in "cnn"
}
_DROPOUT = 0.5
BATCH_NORM = "cnn-batch-norm"
_MOMENTUM = 0.98  # of the means that drive: over about 50 batches, so that a training of a minute has them, too
RECURRENT = {"gru": layers.GRU, "lstm": layers.LSTM}


@keras.saving.register_keras_serializable(package="bcclone")  # type: ignore[untyped-decorator]
def normalize(images: Any) -> Any:
    """Return uint8 images as float32 in -1..1: x / 127.5 - 1. Registered, so that no model file holds code."""
    return keras.ops.cast(images, "float32") / 127.5 - 1.0


def build_network(
    height: int = 128, width: int = 128, seq_length: int = 1, network: str = "cnn", learned: int = 1
) -> keras.Model:
    """Return the untrained network: uint8 (batch, height, width, 3) RGB -> steering float32 (batch, 1).

    With a seq_length above 1 it takes windows, (batch, seq_length, height, width, 3), oldest frame first. network: one
    of CONVOLUTIONS, RECURRENT or PUBLISHED, or BATCH_NORM; learned: number of outputs, the steering first, such as 2
    with the speed in units of labels.LEARNED_SPEED_MPH. Raises UserError for images that are too small, or not of the
    published size, and for a recurrent network without windows.
    """
    if network in PUBLISHED:
        if learned > 1:
            raise UserError(f"--network {network} predicts the steering alone; leave out --predict")
        return build_published(network, height, width, seq_length)
    convolutions = CONVOLUTIONS[convolutions_for(height, width, network)]
    if network in RECURRENT:
        return _recurrent_network(_Frames(height, width, convolutions), network, seq_length, learned)
    frames = _Frames(height, width, convolutions, stacked=seq_length, normalized=network == BATCH_NORM)
    return keras.Sequential(
        [
            *_input(height, width, seq_length),
            *frames.features(),
            layers.Dropout(_DROPOUT, name="dropout2"),
            layers.Dense(50, activation="elu", name="dense2"),
            layers.Dense(10, activation="elu", name="dense3"),
            layers.Dense(learned, dtype="float32", name="steering"),
        ],
        name="bcclone",
    )


def _recurrent_network(frames: "_Frames", network: str, seq_length: int, learned: int) -> keras.Model:
    """Return a network that processes single frames, with a GRU or LSTM instead of the second dense layer."""
    if seq_length < 2:
        raise UserError(f"--network {network} is trained on windows of frames; use --seq-length 2 or more")
    shape = (frames.height, frames.width, 3)
    each_frame = keras.Sequential([keras.Input(shape, dtype="uint8", name="frame"), *frames.features()], name="cnn")
    return keras.Sequential(
        [
            keras.Input((seq_length, *shape), dtype="uint8", name="window"),
            layers.TimeDistributed(each_frame, name="each_frame"),
            layers.Dropout(_DROPOUT, name="dropout2"),
            RECURRENT[network](50, name=network),
            layers.Dense(10, activation="elu", name="dense3"),
            layers.Dense(learned, dtype="float32", name="steering"),
        ],
        name="bcclone",
    )


@dataclass(frozen=True)
class _Frames:
    """The layers from a frame, or from several stacked as channels, to features. normalized: batch by batch."""

    height: int
    width: int
    convolutions: Sequence[Convolution]
    stacked: int = 1
    normalized: bool = False

    def features(self) -> list[keras.Layer]:
        """Return the layers from the image, (height, width, 3 * stacked), to 100 features."""
        seen = seen_rows(self.height)
        shape = (seen.stop - seen.start, self.width, 3 * self.stacked)
        return [
            layers.Cropping2D(((seen.start, self.height - seen.stop), (0, 0)), name="crop"),
            layers.Lambda(normalize, output_shape=shape, name="normalize"),
            *(
                layer
                for number, convolution in enumerate(self.convolutions, 1)
                for layer in self._convolution(convolution, number)
            ),
            layers.Dropout(_DROPOUT, name="dropout1"),
            layers.Flatten(name="flatten"),
            layers.Dense(100, activation="elu", name="dense1"),
        ]

    def _convolution(self, convolution: Convolution, number: int) -> list[keras.Layer]:
        """Return a convolution with its activation, and what comes between them."""
        kind = {"strides": convolution.stride, "name": f"conv{number}"}
        if not self.normalized:
            return [layers.Conv2D(convolution.filters, convolution.kernel, activation="elu", **kind)]
        return [
            layers.Conv2D(convolution.filters, convolution.kernel, use_bias=False, **kind),
            layers.BatchNormalization(momentum=_MOMENTUM, name=f"norm{number}"),
            layers.Activation("elu", name=f"elu{number}"),
        ]


def _input(height: int, width: int, seq_length: int) -> list[Any]:
    """Return the input layers: for one frame, or for a window whose frames become channels of one image."""
    if seq_length == 1:
        return [keras.Input((height, width, 3), dtype="uint8", name="frame")]
    return [
        keras.Input((seq_length, height, width, 3), dtype="uint8", name="window"),
        layers.Permute((2, 3, 1, 4), name="frames_last"),
        layers.Reshape((height, width, 3 * seq_length), name="stack"),
    ]


def convolutions_for(height: int, width: int, network: str = "cnn") -> str:
    """Return the name of the CONVOLUTIONS that a network has for images of this size.

    Images too small for the source's five get those of "cnn-64". Raises UserError for images that are too small for
    these, too.
    """
    seen = seen_rows(height)
    least_extent = min(seen.stop - seen.start, width)
    name = "cnn" if network in RECURRENT or network == BATCH_NORM else network
    if name == "cnn" and least_extent < _smallest(CONVOLUTIONS["cnn"]):
        name = "cnn-64"
    if least_extent < (needed := _smallest(CONVOLUTIONS[name])):
        raise UserError(
            f"images of {width}x{height} are too small for the convolutions of {name}: these need {needed} columns "
            f"and, after the crop, {needed} rows; make the store with a larger preprocess.py --size"
        )
    return name


def _smallest(convolutions: Sequence[Convolution]) -> int:
    """Return the smallest number of rows or columns that the convolutions can process."""
    extent = 1
    for convolution in reversed(convolutions):
        extent = (extent - 1) * convolution.stride + convolution.kernel
    return extent


def layer_table(model: keras.Model) -> str:
    """Return a table of the network's layers with their output shapes and numbers of parameters."""
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
