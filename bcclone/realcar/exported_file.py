"""An exported file in ONNX or LiteRT: how it is written, run, and compared with the model.

In: the `Interface` of a model, and metadata, which are texts by name. Out: the content of a file;
how far its answers are from the model's, and how long they take.
"""

import math
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.python.convert import mlir_quantize
from tensorflow.lite.tools import flatbuffer_utils

from bcclone.camera.images import Image
from bcclone.model.onnx_model import OnnxModel
from bcclone.realcar.export_settings import (
    FLOAT16,
    INT8,
    ONNX,
    ExportModelSettings,
)
from bcclone.realcar.exported import Inputs, Interface, Outputs
from bcclone.system.arrays import FloatArray
from bcclone.system.errors import UserError, first_line
from bcclone.system.process import loggers_kept
from bcclone.system.tensorflow_quietly import LEAST_LEVEL, standard_error_captured, variable_kept

Run = Callable[[Inputs], Outputs]

# ---- writing

_DESCRIPTION = "description"  # name of this text of the metadata
OPSET = 17  # understood since ONNX Runtime 1.12, of 2022
_DRIVES = "drives"  # name of the first axis of each input and output, which may have any size


def onnx_content(interface: Interface, metadata: Mapping[str, str]) -> bytes:
    """Return the content of an ONNX file; raises UserError for layers that ONNX lacks."""
    import onnx

    with variable_kept(LEAST_LEVEL):  # tf2onnx sets it for the whole process
        from tf2onnx.convert import from_function
    specs = interface.specs(drives=None)

    def steer(*inputs: Any) -> Any:
        """Take the inputs by position, as from_function() gives them, not by name."""
        return interface.graph(**dict(zip(specs, inputs, strict=True)))

    try:
        with loggers_kept("tf2onnx", silent=True):  # it logs an error before it raises it
            model, _ = from_function(
                tf.function(steer, autograph=False),
                input_signature=list(specs.values()),
                opset=OPSET,
            )
        # tf2onnx leaves operators that it does not know in the graph; the check finds them
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # tf2onnx, TensorFlow and onnx raise errors of all kinds
        raise UserError(
            f"this network cannot be written as ONNX: {first_line(error)}; export with --to litert"
        ) from None
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = _DRIVES
    onnx.helper.set_model_props(model, dict(metadata))
    content: bytes = model.SerializeToString()
    return content


def litert_content(
    interface: Interface,
    quantize: str | None,
    calibration: Iterable[Inputs],
    metadata: Mapping[str, str],
) -> bytes:
    """Return a LiteRT file; raises UserError for layers that LiteRT lacks.

    calibration: the inputs from which int8 takes the ranges of numbers
    """
    module = tf.Module()
    module.steer = tf.function(interface.graph, autograph=False)
    concrete = module.steer.get_concrete_function(**interface.specs(drives=1))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], module)
    if quantize:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == FLOAT16:
        converter.target_spec.supported_types = [tf.float16]
    try:
        with loggers_kept("absl"):  # TensorFlow sets its level, and leaves it so
            if quantize == INT8:
                with standard_error_captured():  # TensorFlow prints a line about the converter
                    content = _int8_content(converter, calibration)
            else:
                content = converter.convert()
    except Exception as error:  # TensorFlow raises errors of all kinds
        raise UserError(
            f"this network cannot be written for LiteRT: {first_line(error)}; leave --quantize "
            "out, or export with --to onnx"
        ) from None

    # add the metadata; the description is the format's own field for one
    model = flatbuffer_utils.convert_bytearray_to_object(content)
    model.description = metadata[_DESCRIPTION]
    model.metadata = list(model.metadata or ())
    for name, text in metadata.items():
        if name == _DESCRIPTION:
            continue
        entry = schema.MetadataT()
        entry.name = name
        entry.buffer = len(model.buffers)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(text.encode(), np.uint8)
        model.buffers.append(buffer)
        model.metadata.append(entry)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


# With --quantize int8, these operations compute with whole numbers: convolutions, large dense
# layers, and what lies between them. All else stays float32: the preparation of the frames, and
# small dense layers. Rounding these would cost the most accuracy and save the least memory.
_DENSE = "FULLY_CONNECTED"
_SMALL_DENSE = 1 << 14  # a dense layer with fewer weights stays float32
_INT8_OPERATIONS = {
    # that multiply by weights
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "TRANSPOSE_CONV",
    "BATCH_MATMUL",
    _DENSE,
    # of pictures and numbers
    "MAX_POOL_2D",
    "AVERAGE_POOL_2D",
    "MEAN",
    "REDUCE_MAX",
    "PAD",
    "RESHAPE",
    "SOFTMAX",
    # activations
    "ELU",
    "RELU",
    "RELU6",
    "RELU_N1_TO_1",
    "RELU_0_TO_1",
    "LOGISTIC",
    "TANH",
    "LEAKY_RELU",
    "PRELU",
}


def _int8_content(converter: Any, calibration: Iterable[Inputs]) -> bytes:
    """Return a LiteRT file that computes the network with whole numbers."""
    converter.representative_dataset = lambda: (dict(inputs) for inputs in calibration)
    # TensorFlow's public way would quantize the preparation of the frames, too. So the converter
    # only measures the ranges of numbers, and mlir_quantize() quantizes what is not listed
    converter._experimental_calibrate_only = True
    # TensorFlow warns that its own interpreter is old
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        calibrated = converter.convert()
    float_operations, float_layers = _kept_float(calibrated)
    content = mlir_quantize(
        calibrated,
        denylisted_ops=float_operations,
        denylisted_nodes=float_layers,
        # TensorFlow Lite before 2.10 computes such layers wrongly, without an error
        disable_per_channel_for_dense_layers=True,
    )
    return bytes(content)


def _kept_float(content: bytes) -> tuple[list[str], list[str]]:
    """Return which operations, and which small dense layers by their outputs, stay float32."""
    names = {
        number: name for name, number in vars(schema.BuiltinOperator).items() if name[0] != "_"
    }
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    operations: set[str] = set()
    layers: list[str] = []
    for graph in model.subgraphs:
        for operator in graph.operators:
            name = names[model.operatorCodes[operator.opcodeIndex].builtinCode]
            operations.add(name)
            if name == _DENSE:
                weights = graph.tensors[operator.inputs[1]].shape
                if math.prod(map(int, weights)) < _SMALL_DENSE:
                    layers.append(graph.tensors[operator.outputs[0]].name.decode())
    return sorted(operations - _INT8_OPERATIONS), layers


# ---- running


def open_exported(path: Path, kind: str) -> Run:
    """Return a function that runs a file of this format for one drive, on one core."""
    if kind == ONNX:
        model = OnnxModel(path)
        return lambda inputs: dict(zip(model.signature.outputs, model.run(inputs), strict=True))
    from ai_edge_litert.interpreter import Interpreter

    # not by its name, which may have bytes that are no UTF-8
    interpreter = Interpreter(model_content=path.read_bytes(), num_threads=1)
    runner = interpreter.get_signature_runner()
    return lambda inputs: {name: np.asarray(value) for name, value in runner(**inputs).items()}


_TOLERANCE = 1e-3  # greatest difference that the rounding of a runtime may make
_QUANTIZED_TOLERANCE = 0.01  # largest mean difference that quantized weights may make


def check_answers(
    path: Path, settings: ExportModelSettings, interface: Interface, frames: Sequence[Image]
) -> FloatArray:
    """Return how far the steering of an exported file is from the model's, (frames,).

    The model prepares frames with OpenCV. Raises UserError for a file that cannot be run, or does
    not compute what was written into it. Without --quantize, its answers then differ by more than
    rounding explains; with it, by more than _QUANTIZED_TOLERANCE in the mean.
    """
    refused = f"{settings.path}: not written, because"
    remedy = "export it with another --to, and report this"
    from_model = []
    from_graph = []  # of each output, from what TensorFlow computes for the graph in the file
    try:
        run = open_exported(path, settings.to)
        for inputs in interface.inputs_of(frames):
            answers = run(inputs)
            graph = interface.graph(**inputs)
            from_graph.append([np.max(np.abs(graph[name] - answers[name])) for name in graph])
            name = interface.steering
            apart = np.abs(interface.model_run(inputs)[name] - answers[name])
            from_model.append(np.max(apart[:, 0]))
    except Exception as error:  # a runtime raises errors of all kinds for a wrong file
        raise UserError(f"{refused} it cannot be run: {first_line(error)}; {remedy}") from None
    greatest = float(np.max(from_graph))
    mean = float(np.max(np.mean(from_graph, axis=0)))
    if settings.quantize and not mean <= _QUANTIZED_TOLERANCE:  # `not <=`: also for NaN
        more = "use no --quantize"
        if settings.quantize == INT8:
            more = "use --quantize float16, or --calibrate with pictures of more of the road"
        raise UserError(
            f"{refused} with --quantize {settings.quantize} its answers differ by {mean:.3f} in "
            f"the mean of {len(frames)} frames from those without, more than "
            f"{_QUANTIZED_TOLERANCE:g}; {more}"
        )
    if not settings.quantize and not greatest <= _TOLERANCE:
        raise UserError(
            f"{refused} its answers differ by {greatest:.2g} from those that TensorFlow computes "
            f"for it, more than {_TOLERANCE:g}; {remedy}; if the other differs, too, the network "
            "magnifies rounding: train it longer"
        )
    return np.array(from_model)


_TIMED = 100  # answers that are timed
_WARM_UP = 10  # the first of these, which are slower and do not count


def median_ms(path: Path, kind: str, interface: Interface, frames: Sequence[Image]) -> float:
    """Return the median time of an answer in milliseconds."""
    run = open_exported(path, kind)
    inputs = list(interface.inputs_of(frames))
    seconds = []
    for number in range(_TIMED):
        start = time.perf_counter()
        run(inputs[number % len(inputs)])
        seconds.append(time.perf_counter() - start)
    return 1000 * float(np.median(seconds[_WARM_UP:]))
