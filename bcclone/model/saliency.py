"""Compute how much each pixel of a frame contributes to the steering, by VisualBackProp.

M. Bojarski et al., "VisualBackProp: visualizing CNNs for autonomous driving",
https://arxiv.org/abs/1611.05418; the authors' code: https://github.com/mbojarski/VisualBackProp
(vis.lua). The activations of the last convolution are followed back to the pixels by a mask, which
has one number for each place of a layer's output. At every convolution, the mask so far is
multiplied by the average of the feature maps; at every convolution and every pooling, it is scaled
up to the size of the layer's input. The mask of the pixels is the saliency. A network of stacked
frames gets a window filled with the one frame. Of a recurrent network, only the layers before the
first recurrent one are used.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from bcclone.camera.images import Image
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.model.layer_kinds import CONVOLUTIONS, KEEPS_PIXELS, POOLINGS, frame_layers
from bcclone.system.arrays import Float32Array
from bcclone.system.errors import UserError

# layers that change rows and columns, and through which a mask can be followed back
_SPATIAL = (*CONVOLUTIONS, *POOLINGS, layers.Cropping2D, layers.ZeroPadding2D)


class Saliency:
    """The saliency of a network, compiled as one call for one frame.

    It only reads the network's weights, so that one thread can call it while another one drives.
    """

    def __init__(self, model: keras.Model | None, preprocessing: Preprocessing) -> None:
        """Raises UserError for a network without a convolution, or with a layer before its last
        convolution that cannot be followed back (see _SPATIAL).

        model: None for a file that holds no network of Keras
        """
        if model is None:
            raise _refusal("it is in an ONNX or LiteRT file; use the .h5 that it was made from")
        self.preprocessing = preprocessing
        frame_count = _stacked_frames(model)
        # of stacked frames, the layers after the stacking; of a recurrent network, those before
        # the first recurrent one; otherwise all
        if frame_count > 1:
            chain = model.layers[2:]
        else:
            chain = frame_layers(model) or model.layers
        stages = _stages_of(chain)
        dtype = model.inputs[0].dtype

        def saliency(images: Any) -> Any:
            window = tf.tile(tf.cast(images, dtype), (1, 1, 1, frame_count))
            return _to_frame(_back_through(stages, window), preprocessing)

        function = tf.function(saliency, autograph=False)
        image_spec = tf.TensorSpec((1, *preprocessing.shape), tf.uint8)
        self._compiled = function.get_concrete_function(image_spec)
        # the first call is slow, so it is made here
        self.of_input(np.zeros(preprocessing.shape, np.uint8))

    def of_frame(self, frame: Image) -> Float32Array:
        """Return the saliency of each pixel of an RGB frame, float32 (160, 320), 0 to 1.

        The highest value is 1, or 0 if no feature is active. Raises BadImage for a frame of another
        size.

        frame: uint8 (160, 320, 3)
        """
        return self.of_input(self.preprocessing.apply(frame))

    def of_input(self, image: Image) -> Float32Array:
        """Return the saliency of the frame whose prepared image this is, as of_frame() does.

        image: uint8 (height, width, channels)
        """
        return np.asarray(self._compiled(tf.constant(image[np.newaxis])).numpy(), np.float32)


def _refusal(reason: str) -> UserError:
    return UserError(
        f"cannot compute the saliency of this network: {reason}; the model still drives; for a "
        "clip, leave out --model"
    )


# ---- forward, through the layers of one frame


def _stacked_frames(model: keras.Model) -> int:
    """Return how many frames a network stacks as channels; 1 for other networks.

    Such a network begins as our own networks (network.py) do.
    """
    # (frames, rows, columns, channels) -> frames beside channels
    kinds = [type(layer) for layer in model.layers[:2]]
    if kinds == [layers.Permute, layers.Reshape] and model.layers[0].dims == (2, 3, 1, 4):
        return int(model.inputs[0].shape[1])
    return 1


def _stages_of(chain: Sequence[keras.Layer]) -> list[list[keras.Layer]]:
    """Return the layers of an image in stages, up to the stage of the last convolution.

    Each stage begins with a layer that changes rows and columns, and has the layers after it that
    keep each pixel; the first stage has only such layers. Layers after the last stage may be flat,
    without rows and columns, so they are not followed.
    """
    convolutions = [place for place, layer in enumerate(chain) if type(layer) in CONVOLUTIONS]
    if not convolutions:
        has = ", ".join(type(layer).__name__ for layer in chain)
        raise _refusal(
            f"it has {has} and no convolution; train one with Conv2D, such as --network cnn"
        )
    stages: list[list[keras.Layer]] = [[]]
    for place, layer in enumerate(chain):
        if type(layer) in KEEPS_PIXELS:
            stages[-1].append(layer)
        elif place > convolutions[-1]:
            break
        elif type(layer) in _SPATIAL:
            stages.append([layer])
        else:
            raise _refusal(
                f"layer '{layer.name}' ({type(layer).__name__}) before its last convolution "
                "cannot be followed; expected layers that convolve, pool, crop or pad, or that "
                "keep each pixel where it is"
            )
    return stages


# ---- back, from the last activations to the pixels


def _back_through(stages: Sequence[Sequence[keras.Layer]], images: Any) -> Any:
    """Return the saliency of the network's input, (1, rows, columns, 1)."""
    values = [images]  # the input of each stage, and the output of the last one
    for stage in stages:
        output = values[-1]
        for layer in stage:
            output = layer(output, training=False)
        values.append(output)
    mask = tf.ones((1, *values[-1].shape[1:3], 1))
    for number in reversed(range(1, len(stages))):
        spatial = stages[number][0]
        if isinstance(spatial, CONVOLUTIONS):
            # the method is made for ReLU: negative outputs of ELU mean that a feature is absent;
            # they would cancel other features, and the product of two negative averages would be
            # salient
            positive = tf.nn.relu(tf.cast(values[number + 1], tf.float32))
            average = tf.reduce_mean(positive, axis=-1, keepdims=True)
            # scaled at every step, so that long products stay in the range of float32
            mask = _to_at_most_one(mask * average)
        mask = _back_through_layer(spatial, mask, tuple(values[number].shape[1:3]))
    return mask


def _to_at_most_one(mask: Any) -> Any:
    """Return a mask scaled to a highest value of 1; a mask of zeros stays as it is.

    vis.lua also subtracts the lowest value. Here that is 0 anyway when the network or the
    preprocessing crops rows.
    """
    finite = tf.where(tf.math.is_finite(mask), mask, 0.0)  # a diverged network gives inf or nan
    return tf.math.divide_no_nan(finite, tf.reduce_max(finite))


def _back_through_layer(layer: keras.Layer, mask: Any, extents: tuple[int, int]) -> Any:
    """Return the mask of a layer's input from the mask of its output.

    extents: rows and columns of the input
    """
    rows, columns = extents
    if isinstance(layer, layers.Cropping2D):
        return tf.pad(mask, [(0, 0), *layer.cropping, (0, 0)])
    if isinstance(layer, layers.ZeroPadding2D):
        (top, _), (left, _) = layer.padding
        return mask[:, top : top + rows, left : left + columns]

    # A transposed convolution with a kernel of ones scales the mask up. A dilation is written into
    # the kernel as zeros, because TensorFlow cannot transpose dilated convolutions with strides.
    kernel_rows, kernel_columns = getattr(layer, "kernel_size", None) or layer.pool_size
    down, across = getattr(layer, "dilation_rate", (1, 1))
    height = (kernel_rows - 1) * down + 1
    width = (kernel_columns - 1) * across + 1
    kernel = np.zeros((height, width, 1, 1), np.float32)
    kernel[::down, ::across] = 1
    return tf.nn.conv2d_transpose(
        mask, kernel, (1, rows, columns, 1), layer.strides, layer.padding.upper()
    )


def _to_frame(mask: Any, preprocessing: Preprocessing) -> Any:
    """Return the mask of the frame, (160, 320), from that of the input, (1, rows, columns, 1)."""
    left, top, right, bottom = preprocessing.region
    kept = tf.image.resize(mask, (bottom - top, right - left), "bilinear")[0, :, :, 0]
    edges = [(top, preprocessing.frame_height - bottom), (left, preprocessing.frame_width - right)]
    return _to_at_most_one(tf.pad(kept, edges))


# ---- the region that a network sees


def region_after_crops(
    model: keras.Model, preprocessing: Preprocessing
) -> tuple[int, int, int, int]:
    """Return the region of the network's input that is left after cropping layers, in pixels.

    It is (first column, first row, column after the last, row after the last).
    """
    left = 0
    top = 0
    right = preprocessing.width
    bottom = preprocessing.height
    # of a recurrent network, the layers before the first recurrent one
    for layer in frame_layers(model) or model.layers:
        if isinstance(layer, CONVOLUTIONS):
            break
        if isinstance(layer, layers.Cropping2D):
            (cut_top, cut_bottom), (cut_left, cut_right) = layer.cropping
            left += cut_left
            top += cut_top
            right -= cut_right
            bottom -= cut_bottom
    return left, top, right, bottom


def seen_region(
    model: keras.Model, preprocessing: Preprocessing
) -> tuple[float, float, float, float]:
    """Return the region of the frame that the network sees, as fractions: left, top, right, bottom.

    The preprocessing and layers before the first convolution may crop it.
    """
    # corners as rows: (left, top) and (right, bottom)
    input_corners = np.reshape(region_after_crops(model, preprocessing), (2, 2))
    frame_corners = np.reshape(preprocessing.region, (2, 2))
    input_shares = input_corners / (preprocessing.width, preprocessing.height)
    first, last = frame_corners / (preprocessing.frame_width, preprocessing.frame_height)
    left, top, right, bottom = (first + input_shares * (last - first)).ravel().tolist()
    return left, top, right, bottom
