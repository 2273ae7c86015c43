"""Write a model, with the preparation of its frames, as a SavedModel or as a LiteRT file.

Both hold one function with the signature of the exported network; its weights are constants, because TensorFlow's
converter loses Keras 3's variables.
"""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from bcclone.lab.export_model.tensorflow_frames import prepare_frames
from bcclone.model.model_file import ModelFile
from bcclone.model.onnx_model import FRAME, STEERING, Signature
from bcclone.model.recurrent import steps_of

Function = Callable[..., Any]


def write_saved_model(folder: Path, file: ModelFile, signature: Signature) -> None:
    """Write a SavedModel for any number of drives, whose signature is "serving_default"."""
    _save(folder, file, signature, drives=None)


def litert_content(file: ModelFile, signature: Signature) -> bytes:
    """Return the content of a LiteRT file for one drive, computing in float32."""
    with tempfile.TemporaryDirectory(prefix="bcclone-") as folder:
        _save(Path(folder), file, signature, drives=1)
        content: bytes = tf.lite.TFLiteConverter.from_saved_model(folder).convert()
    return content


def _save(folder: Path, file: ModelFile, signature: Signature, drives: int | None) -> None:
    module = tf.Module()
    module.steer = tf.function(_with_constants(file, signature), autograph=False)
    specs = {
        name: tf.TensorSpec((drives, *shape), tf.uint8 if name == FRAME else tf.float32, name=name)
        for name, shape in signature.inputs.items()
    }
    tf.saved_model.save(module, str(folder), signatures=module.steer.get_concrete_function(**specs))


def _with_constants(file: ModelFile, signature: Signature) -> Function:
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
            given = tf.reshape(tf.cast(images, dtype), (-1, *file.model.input_shape[1:]))
            return {STEERING: file.model(given, training=False)}

    return steer
