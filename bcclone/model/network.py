"""Build a network from built-in Keras layers: a CNN similar to Nvidia's PilotNet and its variants.

build_network() takes the shape of an image and the name of an architecture. The untrained network
that it returns maps uint8 (batch, height, width, channels) to float32 (batch, outputs).

By `cnn`, a 128x128 frame is cropped by 43 rows of sky and 12 of bonnet, scaled to -1..1, and
processed by five convolutions and four dense layers: 252,219 parameters. A 64x64 frame is processed
by four convolutions. The frames of a window are
either stacked as channels of one image, or processed one by one by the same layers, followed by a
GRU or LSTM (decision 0015).
"""

from collections.abc import Sequence

import keras
from keras import layers

from bcclone.dataset.preprocessing import seen_rows
from bcclone.model.architectures import ARCHITECTURES, Architecture, Convolution
from bcclone.system.errors import UserError

Shape = tuple[int, int, int]  # height, width and channels of an image

_DROPOUT = 0.5  # fraction of the numbers that a dropout layer sets to 0 in training


def build_network(
    shape: Shape = (128, 128, 3),
    seq_length: int = 1,
    *,
    network: str | Architecture,
    outputs: int = 1,
) -> keras.Model:
    """Return the untrained network: uint8 (batch, *shape) -> float32 (batch, outputs).

    The first output is the steering. With a seq_length above 1 the network takes windows,
    (batch, seq_length, *shape), oldest frame first. Raises UserError for images that are too small,
    and for a recurrent network without windows.

    shape: height, width and channels of the images; 3 channels, or 1 for grey images
    seq_length: frames of a window; 1 for a network of single frames
    network: a name of ARCHITECTURES, or an architecture of your own
    outputs: how many of the predictions in answer.OUTPUTS it makes, the first ones
    """
    architecture = network
    if isinstance(architecture, str):
        if architecture not in ARCHITECTURES:
            raise UserError(
                f"no network is called {network!r}; expected one of {', '.join(ARCHITECTURES)}"
            )
        architecture = ARCHITECTURES[architecture]
    if architecture.recurrent:
        return _recurrent_network(shape, seq_length, architecture, outputs)
    return _stacked_network(shape, seq_length, architecture, outputs)


# ---- layers; with a fixed seed, the order in which they are made decides their first weights


def _stacked_network(
    shape: Shape, seq_length: int, architecture: Architecture, outputs: int
) -> keras.Model:
    """Return a network of single frames, or of windows whose frames are stacked as channels."""
    if seq_length == 1:
        start = [keras.Input(shape, dtype="uint8", name="frame")]
    else:
        height, width, channels = shape
        start = [
            keras.Input((seq_length, *shape), dtype="uint8", name="window"),
            layers.Permute((2, 3, 1, 4), name="frames_last"),
            layers.Reshape((height, width, channels * seq_length), name="stack"),
        ]
    return keras.Sequential(
        [
            *start,
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
            f"--network {architecture.name} is trained on windows of frames; use --seq-length 2 "
            "or more"
        )
    each_frame = keras.Sequential(
        [
            keras.Input(shape, dtype="uint8", name="frame"),
            *_features(shape, architecture),
        ],
        name="cnn",
    )
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


def _features(shape: Shape, architecture: Architecture) -> list[keras.Layer]:
    """Return the layers from an image, (height, width, channels), to 100 features."""
    height, width, _ = shape
    seen = seen_rows(height)
    convolutions = convolutions_for(height, width, architecture)
    chain = [
        layers.Cropping2D(((seen.start, height - seen.stop), (0, 0)), name="crop"),
        # in float32: numbers of 0 to 2, before the offset is added,
        # have steps of up to 0.001 in float16
        layers.Rescaling(1 / 127.5, offset=-1, dtype="float32", name="normalize"),
    ]
    if architecture.is_normalized:
        chain += _image_norm()
    for number, convolution in enumerate(convolutions, 1):
        chain += _convolution(convolution, number, architecture.is_normalized)
    chain += [
        layers.Dropout(_DROPOUT, name="dropout1"),
        layers.Flatten(name="flatten"),
        layers.Dense(100, activation="elu", name="dense1"),
    ]
    return chain


def _image_norm() -> list[keras.Layer]:
    """Return layers that give each cropped image the mean 0 and the same contrast."""
    # added to the variance of an image in -1..1, so that the noise of an image of nearly one colour
    # is not amplified
    added_variance = 1e-4
    contrast = 0.4  # standard deviation of an image after these layers
    return [
        # of one group, all numbers of an image: a LayerNormalization of several axes computes the
        # same, but Keras reads it from a .h5 file as one of the channels alone
        layers.GroupNormalization(
            groups=1,
            epsilon=added_variance,
            center=False,
            scale=False,
            dtype="float32",
            name="image_norm",
        ),
        layers.Rescaling(contrast, dtype="float32", name="contrast"),
    ]


def _convolution(convolution: Convolution, number: int, batch_norm: bool) -> list[keras.Layer]:
    """Return a convolution with its activation, and perhaps a batch normalization between them."""
    if not batch_norm:
        return [
            layers.Conv2D(
                convolution.filters,
                convolution.kernel,
                strides=convolution.stride,
                activation="elu",
                name=f"conv{number}",
            )
        ]
    # a drive uses running means instead of a batch's own ones; they cover about 1 / (1 - 0.98) = 50
    # batches, so that they are settled after a training of a minute, too
    momentum = 0.98
    return [
        layers.Conv2D(
            convolution.filters,
            convolution.kernel,
            strides=convolution.stride,
            use_bias=False,
            name=f"conv{number}",
        ),
        layers.BatchNormalization(momentum=momentum, name=f"norm{number}"),
        layers.Activation("elu", name=f"elu{number}"),
    ]


# ---- which convolutions fit the size of the images


def convolutions_for(
    height: int, width: int, architecture: Architecture
) -> tuple[Convolution, ...]:
    """Return the convolutions of an architecture for images of this size.

    The third one is left out for images that are too small for all of them: an image of 64x64 then
    ends as maps of 2x9, as one of 128x128 does with it. Raises UserError for images that are too
    small for the others, too.
    """
    seen = seen_rows(height)
    least_extent = min(seen.stop - seen.start, width)
    convolutions = architecture.convolutions
    if least_extent < _least_extent_of(convolutions):
        convolutions = (*convolutions[:2], *convolutions[3:])
    needed = _least_extent_of(convolutions)
    if least_extent < needed:
        raise UserError(
            f"images of {width}x{height} are too small for the convolutions of "
            f"{architecture.name}: these need {needed} columns and, after the crop, {needed} rows; "
            "make the store with a larger preprocess.py --size"
        )
    return convolutions


def _least_extent_of(convolutions: Sequence[Convolution]) -> int:
    """Return how many rows and columns the smallest image has that these convolutions can process.

    From this image, the last convolution makes a map of 1x1.
    """
    extent = 1
    for convolution in reversed(convolutions):
        extent = (extent - 1) * convolution.stride + convolution.kernel
    return extent


# ---- a table of the layers of any network


def layer_table(model: keras.Model) -> str:
    """Return a line for each layer, with its type, the shape of its output and its parameters."""
    rows = [("layer", "type", "output", "parameters")]
    for layer in model.layers:
        extents = " x ".join(map(str, layer.output.shape[1:]))
        rows.append((layer.name, type(layer).__name__, extents, f"{layer.count_params():,}"))
    rows.append(("total", "", "", f"{model.count_params():,}"))
    return "\n".join(
        f"{name:<20}{kind:<20}{extents:<18}{parameters:>11}"
        for name, kind, extents, parameters in rows
    )
