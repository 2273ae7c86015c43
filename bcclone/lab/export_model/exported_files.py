"""Write a model, with the preparation of its frames, as ONNX, LiteRT or SavedModel.

All hold one function with the interface of the exported network; its weights are constants, because TensorFlow's
converters lose Keras 3's variables. Keras's own model.export() knows neither the preparation nor the states.

LiteRT with --quantize int8 computes convolutions and large dense layers with whole numbers. All else stays float32: the
preparation of the frames, which is exact, and small dense layers, in which rounding costs most and memory least.
"""

import json
import logging
import tempfile
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.lite.python.convert import mlir_quantize

from bcclone.lab.export_model.costs import DENSE, MULTIPLYING, steps_of_file
from bcclone.lab.export_model.export_settings import FLOAT16, INT8, ONNX, TFLITE, ExportModelSettings
from bcclone.lab.export_model.interface import Inputs, Interface
from bcclone.model.model_file import ModelFile
from bcclone.model.onnx_model import FRAME, FRAMING, SEQ_LENGTH, STEERING
from bcclone.system.errors import UserError, first_line
from bcclone.system.tensorflow_quietly import standard_error_captured

OPSET = 17  # understood since ONNX Runtime 1.12, of 2022
_DRIVES = "drives"  # the name of the first axis
_SMALL_DENSE = 1 << 14  # weights of a dense layer that stays float32
# what computes with int8 beside MULTIPLYING
_POOLING = {"MAX_POOL_2D", "AVERAGE_POOL_2D", "MEAN", "REDUCE_MAX", "PAD", "RESHAPE", "SOFTMAX"}
_ACTIVATIONS = {"ELU", "RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "LOGISTIC", "TANH", "LEAKY_RELU", "PRELU"}


def write_exported(
    path: Path, settings: ExportModelSettings, file: ModelFile, interface: Interface, calibration: Iterable[Inputs] = ()
) -> None:
    """Write a model in a format; raises UserError for layers that the format lacks.

    calibration: the inputs from which --quantize int8 takes the ranges of numbers.
    """
    if settings.to == ONNX:
        path.write_bytes(_onnx_content(file, interface))
    elif settings.to in TFLITE:
        with tempfile.TemporaryDirectory(prefix="bcclone-") as folder:
            _write_saved_model(Path(folder), interface, drives=1)
            path.write_bytes(_litert_content(Path(folder), settings.quantize, calibration))
    else:
        _write_saved_model(path, interface, drives=None)


def _onnx_content(file: ModelFile, interface: Interface) -> bytes:
    import onnx
    import tf2onnx

    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)  # it logs an error before it raises it
    specs = interface.specs(drives=None)
    steer = tf.function(interface.graph, autograph=False)
    try:
        model, _ = tf2onnx.convert.from_function(
            tf.function(lambda *inputs: steer(**dict(zip(specs, inputs, strict=True))), autograph=False),
            input_signature=list(specs.values()),
            opset=OPSET,
        )
        onnx.checker.check_model(model, full_check=True)  # what tf2onnx does not know, it leaves in the graph
    except Exception as error:  # tf2onnx, TensorFlow and onnx raise all kinds
        raise UserError(
            f"this network cannot be written as ONNX: {first_line(error)}; export with --to saved-model or --to litert"
        ) from None
    for each in (*model.graph.input, *model.graph.output):
        each.type.tensor_type.shape.dim[0].dim_param = _DRIVES
    onnx.helper.set_model_props(model, _metadata(file))
    content: bytes = model.SerializeToString()
    return content


def _metadata(file: ModelFile) -> dict[str, str]:
    training = {key: value for key, value in vars(file.training).items() if value}
    _, *others = (f"{each.name} / {each.unit:g}" for each in file.outputs)
    columns = ", ".join([f"{STEERING}: -1 (left) to 1 (right)", *others])
    return {
        "bcclone_preprocessing": file.preprocessing.to_json(),
        "bcclone_training": json.dumps(training),
        SEQ_LENGTH: str(file.seq_length),
        **({FRAMING: file.framing.to_json()} if file.framing else {}),
        "description": f"{FRAME}: camera frames, RGB; {columns}; {file.preprocessing.describe()}",
    }


def _write_saved_model(folder: Path, interface: Interface, drives: int | None) -> None:
    """Write a SavedModel, whose signature is "serving_default"."""
    module = tf.Module()
    module.steer = tf.function(interface.graph, autograph=False)
    concrete = module.steer.get_concrete_function(**interface.specs(drives))
    tf.saved_model.save(module, str(folder), signatures=concrete)


def _litert_content(folder: Path, quantize: str | None, calibration: Iterable[Inputs] = ()) -> bytes:
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
