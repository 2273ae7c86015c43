"""A SavedModel -> the content of a LiteRT file; weights in float32, float16 or int8.

With int8, convolutions and large dense layers compute with whole numbers. All else stays float32: the preparation of
the frames, which is exact, and small dense layers, in which rounding costs most and memory least.
"""

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.lite.python.convert import mlir_quantize

from bcclone.lab.export_model.costs import DENSE, MULTIPLYING, steps_of_file
from bcclone.lab.export_model.export_settings import FLOAT16, INT8
from bcclone.lab.export_model.interface import Inputs
from bcclone.system.errors import UserError, first_line
from bcclone.system.tensorflow_quietly import standard_error_captured

_SMALL_DENSE = 1 << 14  # weights of a dense layer that stays float32
# what computes with int8 beside MULTIPLYING
_POOLING = {"MAX_POOL_2D", "AVERAGE_POOL_2D", "MEAN", "REDUCE_MAX", "PAD", "RESHAPE", "SOFTMAX"}
_ACTIVATIONS = {"ELU", "RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "LOGISTIC", "TANH", "LEAKY_RELU", "PRELU"}


def litert_content(folder: Path, quantize: str | None, calibration: Iterable[Inputs] = ()) -> bytes:
    """Return a LiteRT file of a SavedModel; raises UserError where its layers cannot be converted.

    calibration: the inputs from which int8 takes the ranges of numbers.
    """
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
    if quantize:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == FLOAT16:
        converter.target_spec.supported_types = [tf.float16]
    try:
        if quantize == INT8:
            with standard_error_captured():  # a line about its settings
                return _int8_content(converter, calibration)
        content: bytes = converter.convert()
    except Exception as error:  # TensorFlow raises all kinds
        raise UserError(f"this network cannot be written for LiteRT: {first_line(error)}; leave --quantize out, or "
                        "export with --to saved-model") from None  # fmt: skip
    return content


def _int8_content(converter: Any, calibration: Iterable[Inputs]) -> bytes:
    converter.representative_dataset = lambda: (dict(inputs) for inputs in calibration)
    converter._experimental_calibrate_only = True  # the public way quantizes the preparation of the frames, too
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # that TensorFlow's own interpreter is old
        calibrated = converter.convert()
    steps = list(steps_of_file(calibrated))
    small = [step.output for step in steps if step.name == DENSE and step.weights < _SMALL_DENSE]
    content: bytes = mlir_quantize(
        calibrated,
        denylisted_ops=sorted({step.name for step in steps} - MULTIPLYING - _POOLING - _ACTIVATIONS),
        denylisted_nodes=small,
        disable_per_channel_for_dense_layers=True,  # runtimes before 2.10 compute them wrongly, without an error
    )
    return content
