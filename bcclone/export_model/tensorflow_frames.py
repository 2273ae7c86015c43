"""Prepare camera frames in a TensorFlow graph, as images.Preprocessing.apply() does."""

from typing import Any

import numpy as np
import tensorflow as tf

from bcclone.export_model import integer_steps as steps
from bcclone.images import Preprocessing


def prepare_frames(frames: Any, preprocessing: Preprocessing) -> Any:
    """Return the network's inputs, int32 (frames, height, width, 3), 0 to 255.

    frames: RGB, uint8 (frames, frame_height, frame_width, 3).
    """
    kept = tf.cast(frames[:, preprocessing.crop_top : preprocessing.crop_bottom], tf.int32)
    return _convert_colors(_resize(kept, preprocessing), preprocessing.color)


def _resize(images: Any, preprocessing: Preprocessing) -> Any:
    found = steps.resize_taps(preprocessing)
    if found is None:
        return images
    across, down = found
    left, right = (tf.gather(images, index, axis=2) for index in (across.first, across.second))
    rows = left * across.first_weight[:, np.newaxis] + right * across.second_weight[:, np.newaxis]
    rows = rows // steps.ACROSS_DIVISOR
    above, below = (
        tf.gather(rows, index, axis=1) * weight[:, np.newaxis, np.newaxis] // steps.DOWN_DIVISOR
        for index, weight in ((down.first, down.first_weight), (down.second, down.second_weight))
    )
    return (above + below + steps.LAST_HALF) // steps.LAST_DIVISOR


def _convert_colors(images: Any, color: str) -> Any:
    if color == "RGB":
        return images
    if color == "GRAY":
        gray = _luma(images, steps.GRAY_LUMA, steps.GRAY_DIVISOR)
        return tf.stack([gray] * 3, -1)
    if color == "BGR-YUV":
        images = images[..., ::-1]
    luma = _luma(images, steps.YUV_LUMA, steps.YUV_DIVISOR)
    u = ((images[..., 2] - luma) * steps.U_OF_BLUE + steps.CHROMA_OFFSET) // steps.YUV_DIVISOR
    v = ((images[..., 0] - luma) * steps.V_OF_RED + steps.CHROMA_OFFSET) // steps.YUV_DIVISOR
    return tf.stack([luma, *(tf.clip_by_value(chroma, 0, 255) for chroma in (u, v))], -1)


def _luma(images: Any, weights: tuple[int, ...], divisor: int) -> Any:
    return (tf.reduce_sum(images * tf.constant(weights), -1) + divisor // 2) // divisor
