"""Write a model, with the preparation of its frames, as ONNX, LiteRT or SavedModel.

All hold one function with the signature of the exported network; its weights are constants, because TensorFlow's
converters lose Keras 3's variables. Keras's own model.export() knows neither the preparation nor the states.
"""

import json
import logging
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from bcclone.lab.export_model.exact_frames import prepare_frames
from bcclone.lab.export_model.export_settings import LITERT, ONNX
from bcclone.model.model_file import ModelFile
from bcclone.model.onnx_model import FRAME, SEQ_LENGTH, STEERING, Signature
from bcclone.model.recurrent import steps_of
from bcclone.system.errors import UserError, first_line

OPSET = 17  # understood since ONNX Runtime 1.12, of 2022
_DRIVES = "drives"  # the name of the first axis

Function = Callable[..., Any]


def write_exported(path: Path, kind: str, file: ModelFile, signature: Signature) -> None:
    """Write a model in a format; raises UserError for layers that the format lacks."""
    if kind == ONNX:
        path.write_bytes(_onnx_content(file, signature))
    elif kind == LITERT:
        path.write_bytes(_litert_content(file, signature))
    else:
        _write_saved_model(path, file, signature, drives=None)


def _onnx_content(file: ModelFile, signature: Signature) -> bytes:
    """Return the content of an ONNX file for any number of drives."""
    import onnx
    import tf2onnx

    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)  # it logs an error before it raises it
    specs = _specs(signature, drives=None)
    steer = tf.function(_steering_of(file, signature), autograph=False)
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
    onnx.helper.set_model_props(model, _metadata(file, signature))
    content: bytes = model.SerializeToString()
    return content


def _metadata(file: ModelFile, signature: Signature) -> dict[str, str]:
    training = {key: value for key, value in vars(file.training).items() if value}
    return {
        "bcclone_preprocessing": file.preprocessing.to_json(),
        "bcclone_training": json.dumps(training),
        SEQ_LENGTH: str(signature.seq_length),
        "description": f"{FRAME}: camera frames, RGB; {_describe_columns(file)}; {file.preprocessing.describe()}",
    }


def _describe_columns(file: ModelFile) -> str:
    """Return what the columns of the answer are."""
    _, *others = (f"{each.name} / {each.unit:g}" for each in file.outputs)
    return ", ".join([f"{STEERING}: -1 (left) to 1 (right)", *others])


def _litert_content(file: ModelFile, signature: Signature) -> bytes:
    """Return the content of a LiteRT file for one drive, computing in float32."""
    with tempfile.TemporaryDirectory(prefix="bcclone-") as folder:
        _write_saved_model(Path(folder), file, signature, drives=1)
        content: bytes = tf.lite.TFLiteConverter.from_saved_model(folder).convert()
    return content


def _write_saved_model(folder: Path, file: ModelFile, signature: Signature, drives: int | None) -> None:
    """Write a SavedModel, whose signature is "serving_default"."""
    module = tf.Module()
    module.steer = tf.function(_steering_of(file, signature), autograph=False)
    concrete = module.steer.get_concrete_function(**_specs(signature, drives))
    tf.saved_model.save(module, str(folder), signatures=concrete)


def _specs(signature: Signature, drives: int | None) -> dict[str, tf.TensorSpec]:
    return {
        name: tf.TensorSpec((drives, *shape), tf.uint8 if name == FRAME else tf.float32, name=name)
        for name, shape in signature.inputs.items()
    }


def _steering_of(file: ModelFile, signature: Signature) -> Function:
    """Return the network as a function from its inputs to its outputs, by name."""
    weights = [(variable, variable.numpy()) for variable in file.model.variables]
    steps, dtype = steps_of(file.model), file.model.inputs[0].dtype

    def steer(**inputs: Any) -> Mapping[str, Any]:
        with keras.StatelessScope(state_mapping=[(variable, tf.constant(value)) for variable, value in weights]):
            frames = inputs.pop(FRAME)
            if steps:
                images = tf.cast(prepare_frames(frames, file.preprocessing), dtype)
                steering, after = steps.step(images, list(inputs.values()))
                return dict(zip(signature.outputs, (steering, *after), strict=True))
            images = prepare_frames(tf.reshape(frames, (-1, *signature.frame, 3)), file.preprocessing)
            shaped = tf.reshape(tf.cast(images, dtype), (-1, *file.model.input_shape[1:]))
            return {STEERING: file.model(shaped, training=False)}

    return steer
