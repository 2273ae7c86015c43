"""Write a model, with the preparation of its frames, as ONNX, LiteRT or SavedModel.

All hold one function with the interface of the exported network; its weights are constants, because TensorFlow's
converters lose Keras 3's variables. Keras's own model.export() knows neither the preparation nor the states.
"""

import json
import logging
import tempfile
from collections.abc import Iterable
from pathlib import Path

import tensorflow as tf

from bcclone.lab.export_model.export_settings import ONNX, TFLITE, ExportModelSettings
from bcclone.lab.export_model.interface import Inputs, Interface
from bcclone.lab.export_model.litert_file import litert_content
from bcclone.model.model_file import ModelFile
from bcclone.model.onnx_model import FRAME, FRAMING, SEQ_LENGTH, STEERING
from bcclone.system.errors import UserError, first_line

OPSET = 17  # understood since ONNX Runtime 1.12, of 2022
_DRIVES = "drives"  # the name of the first axis


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
            path.write_bytes(litert_content(Path(folder), settings.quantize, calibration))
    else:
        _write_saved_model(path, interface, drives=None)


def _onnx_content(file: ModelFile, interface: Interface) -> bytes:
    """Return the content of an ONNX file for any number of drives."""
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
    return {
        "bcclone_preprocessing": file.preprocessing.to_json(),
        "bcclone_training": json.dumps(training),
        SEQ_LENGTH: str(file.seq_length),
        **({FRAMING: file.framing.to_json()} if file.framing else {}),
        "description": f"{FRAME}: camera frames, RGB; {_describe_columns(file)}; {file.preprocessing.describe()}",
    }


def _describe_columns(file: ModelFile) -> str:
    """Return what the columns of the answer are."""
    _, *others = (f"{each.name} / {each.unit:g}" for each in file.outputs)
    return ", ".join([f"{STEERING}: -1 (left) to 1 (right)", *others])


def _write_saved_model(folder: Path, interface: Interface, drives: int | None) -> None:
    """Write a SavedModel, whose signature is "serving_default"."""
    module = tf.Module()
    module.steer = tf.function(interface.graph, autograph=False)
    concrete = module.steer.get_concrete_function(**interface.specs(drives))
    tf.saved_model.save(module, str(folder), signatures=concrete)
