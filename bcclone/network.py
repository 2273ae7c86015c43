"""Settings -> the network: the Nvidia-like CNN of the source design, in built-in layers, top to bottom.

A 128x128 frame loses 43 rows of sky and 12 of bonnet, is brought to -1..1, and runs through five
convolutions and four dense layers: 252,219 parameters. A window of frames goes the same way, its frames stacked as
channels: 1,800 parameters more for each, in the first convolution (decision 0009).
"""

from typing import Any

import keras
from keras import layers

from bcclone.errors import UserError
from bcclone.images import seen_rows


@keras.saving.register_keras_serializable(package="bcclone")  # type: ignore[untyped-decorator]
def normalize(images: Any) -> Any:
    """Return uint8 images as float32 in -1..1: x / 127.5 - 1. Registered, so that no model file holds code."""
    return keras.ops.cast(images, "float32") / 127.5 - 1.0


def build_network(height: int = 128, width: int = 128, dropout: float = 0.5, seq_length: int = 1) -> keras.Model:
    """Return the untrained network: uint8 (batch, height, width, 3) RGB -> steering float32 (batch, 1).

    With a seq_length over 1 it takes windows, (batch, seq_length, height, width, 3), oldest frame first. Raises
    UserError when the images are too small for five convolutions.
    """
    seen = seen_rows(height)
    rows = seen.stop - seen.start
    _check_size(rows, width, height)
    return keras.Sequential(
        [
            *_input(height, width, seq_length),
            layers.Cropping2D(((seen.start, height - seen.stop), (0, 0)), name="crop"),
            layers.Lambda(normalize, output_shape=(rows, width, 3 * seq_length), name="normalize"),
            layers.Conv2D(24, 5, strides=2, activation="elu", name="conv1"),
            layers.Conv2D(36, 5, strides=2, activation="elu", name="conv2"),
            layers.Conv2D(48, 5, strides=2, activation="elu", name="conv3"),
            layers.Conv2D(64, 3, activation="elu", name="conv4"),
            layers.Conv2D(64, 3, activation="elu", name="conv5"),
            layers.Dropout(dropout, name="dropout1"),
            layers.Flatten(name="flatten"),
            layers.Dense(100, activation="elu", name="dense1"),
            layers.Dropout(dropout, name="dropout2"),
            layers.Dense(50, activation="elu", name="dense2"),
            layers.Dense(10, activation="elu", name="dense3"),
            layers.Dense(1, dtype="float32", name="steering"),
        ],
        name="bcclone",
    )


def _input(height: int, width: int, seq_length: int) -> list[Any]:
    """Return what takes one frame; or a window, whose frames become the channels of one image."""
    if seq_length == 1:
        return [keras.Input((height, width, 3), dtype="uint8", name="frame")]
    return [
        keras.Input((seq_length, height, width, 3), dtype="uint8", name="window"),
        layers.Permute((2, 3, 1, 4), name="frames_last"),
        layers.Reshape((height, width, 3 * seq_length), name="stack"),
    ]


def _check_size(rows: int, columns: int, height: int) -> None:
    """Refuse images of which the convolutions leave nothing."""
    for extent in (rows, columns):
        for kernel, stride in ((5, 2), (5, 2), (5, 2), (3, 1), (3, 1)):
            extent = (extent - kernel) // stride + 1
        if extent < 1:
            raise UserError(
                f"images of {columns}x{height} are too small for the network: it needs 61 columns and, after the "
                f"crop, 61 rows; make the store with preprocess.py --size 128"
            )
