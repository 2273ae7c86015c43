"""Prepare camera frames in a TensorFlow graph, as images.Preprocessing.apply() does."""

from typing import Any

import numpy as np
import tensorflow as tf

from bcclone.dataset.images import Preprocessing
from bcclone.lab.export_model import exact_steps as steps
from bcclone.lab.export_model.exact_steps import Tap


def prepare_frames(frames: Any, preprocessing: Preprocessing) -> Any:
    """Return the network's inputs, float32 (frames, height, width, 3), whole numbers from 0 to 255.

    frames: RGB, uint8 (frames, frame_height, frame_width, 3).
    """
    kept = tf.cast(frames[:, preprocessing.crop_top : preprocessing.crop_bottom], tf.float32)
    return _convert_colors(_resize(kept, preprocessing), preprocessing.color)


def _resize(images: Any, preprocessing: Preprocessing) -> Any:
    found = steps.resize_taps(preprocessing)
    if found is None:
        return images
    (left, right), (above, below) = found
    across = [tf.gather(images, tap.index, axis=2) * tap.weight[:, np.newaxis] for tap in (left, right)]
    rows = _divided(across[0] + across[1], steps.ACROSS_DIVISOR)
    high = _divided(rows, steps.BYTE)
    low = rows - high * steps.BYTE
    total = _weighted(high, low, above) + _weighted(high, low, below)
    return _divided(total + steps.LAST_HALF, steps.LAST_DIVISOR)


def _weighted(high: Any, low: Any, tap: Tap) -> Any:
    """Return the chosen rows times their weights, by 2**16. high, low: the bytes of the rows."""
    weight = tap.weight[:, np.newaxis, np.newaxis]
    carried = _divided(tf.gather(low, tap.index, axis=1) * weight, steps.BYTE)
    return _divided(tf.gather(high, tap.index, axis=1) * weight + carried, steps.BYTE)


def _convert_colors(images: Any, color: str) -> Any:
    if color == "RGB":
        return images
    planes = [images[..., number : number + 1] for number in range(3)]
    if color == "GRAY":
        return tf.concat([_luma(planes, steps.GRAY_LUMA, steps.GRAY_DIVISOR)] * 3, -1)
    red, _, blue = planes = planes[::-1] if color == "BGR-YUV" else planes
    luma = _luma(planes, steps.YUV_LUMA, steps.YUV_DIVISOR)
    u, v = (
        tf.clip_by_value(_divided((plane - luma) * weight + steps.CHROMA_OFFSET, steps.YUV_DIVISOR), 0.0, 255.0)
        for plane, weight in ((blue, steps.U_OF_BLUE), (red, steps.V_OF_RED))
    )
    return tf.concat([luma, u, v], -1)


def _luma(planes: list[Any], weights: tuple[int, ...], divisor: int) -> Any:
    red, green, blue = (plane * weight for plane, weight in zip(planes, weights, strict=True))
    return _divided(red + green + blue + divisor // 2, divisor)


def _divided(values: Any, divisor: int) -> Any:
    return tf.floor(values * (1 / divisor))
