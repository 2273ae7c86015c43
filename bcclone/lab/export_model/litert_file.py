"""A SavedModel -> the content of a LiteRT file, and what running it costs; weights in float32, float16 or int8.

With int8, convolutions and large dense layers compute with whole numbers. All else stays float32: the preparation of
the frames, which is exact, and small dense layers, in which rounding costs most and memory least.
"""

import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.python.convert import mlir_quantize

from bcclone.lab.export_model.export_settings import FLOAT16, INT8
from bcclone.lab.export_model.interface import Inputs
from bcclone.system.errors import UserError, first_line

_SMALL_DENSE = 1 << 14  # weights of a dense layer that stays float32
_DENSE, _DEPTHWISE = "FULLY_CONNECTED", "DEPTHWISE_CONV_2D"
_MULTIPLYING = {"CONV_2D", _DEPTHWISE, "TRANSPOSE_CONV", _DENSE, "BATCH_MATMUL"}
_POOLING = {"MAX_POOL_2D", "AVERAGE_POOL_2D", "MEAN", "REDUCE_MAX", "PAD", "RESHAPE", "SOFTMAX"}
_ACTIVATIONS = {"ELU", "RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "LOGISTIC", "TANH", "LEAKY_RELU", "PRELU"}
_FREE = {"RESHAPE", "DEQUANTIZE"}  # a view, and a conversion of the weights, done once
_NAMES = {number: name for name, number in vars(schema.BuiltinOperator).items() if not name.startswith("_")}


@dataclass(frozen=True)
class Costs:
    """What one frame costs in a LiteRT file.

    multiply_adds: of convolutions and dense layers; other_operations: numbers that all other operations compute;
    oldest_runtime: the first TensorFlow Lite whose operations have the versions of the file, as its converter states.
    """

    multiply_adds: int
    other_operations: int
    oldest_runtime: str


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
    steps = list(_steps(calibrated))
    small = [step.output for step in steps if step.name == _DENSE and step.weights < _SMALL_DENSE]
    content: bytes = mlir_quantize(
        calibrated,
        denylisted_ops=sorted({step.name for step in steps} - _MULTIPLYING - _POOLING - _ACTIVATIONS),
        denylisted_nodes=small,
        disable_per_channel_for_dense_layers=True,  # runtimes before 2.10 compute them wrongly, without an error
    )
    return content


def costs_of(content: bytes) -> Costs:
    """Return what one frame costs in a LiteRT file."""
    steps = list(_steps(content))
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    stated = {each.name: model.buffers[each.buffer].data for each in model.metadata or ()}
    return Costs(
        multiply_adds=sum(step.multiply_adds for step in steps),
        other_operations=sum(step.numbers for step in steps if step.name not in _MULTIPLYING | _FREE),
        oldest_runtime=bytes(stated.get(b"min_runtime_version", ())).rstrip(b"\0").decode("ascii", "replace"),
    )


@dataclass(frozen=True)
class _Step:
    """One operation of a file. output: name of what it computes; numbers: how many; weights: that it multiplies with;
    multiply_adds: of a convolution or a dense layer, else 0."""

    name: str
    output: str
    numbers: int
    weights: int
    multiply_adds: int


def _steps(content: bytes) -> Iterable[_Step]:
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    for graph in model.subgraphs:
        for operator in graph.operators:
            code = model.operatorCodes[operator.opcodeIndex]
            name = _NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)]
            output = graph.tensors[operator.outputs[0]]
            numbers = math.prod(map(int, output.shape))
            shape = graph.tensors[operator.inputs[1]].shape if name in _MULTIPLYING else []
            yield _Step(
                name=name,
                output=output.name.decode(),
                numbers=numbers,
                weights=int(np.prod(shape)),
                multiply_adds=_multiply_adds(name, numbers, shape),
            )


def _multiply_adds(name: str, numbers: int, weights: Any) -> int:
    """Return the multiply-adds of an operation. weights: the shape of its second input."""
    if name not in _MULTIPLYING:
        return 0
    each = math.prod(map(int, weights[1:3] if name == _DEPTHWISE else weights[1:]))
    return numbers * each
