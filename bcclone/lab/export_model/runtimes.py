"""The packages that write exported files and run them; a run takes inputs by name and returns outputs by name."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.lab.export_model.export_settings import LITERT, ONNX
from bcclone.model.onnx_model import OnnxModel
from bcclone.system.arrays import Float32Array
from bcclone.system.errors import UserError

Inputs = Mapping[str, Any]
Outputs = dict[str, Float32Array]
Run = Callable[[Inputs], Outputs]


def open_exported(path: Path, kind: str) -> Run:
    """Return a function that runs a file of a format for one drive, on one core.

    Raises UserError where the package that runs it is missing.
    """
    if kind == ONNX:
        return _open_onnx(path)
    return _open_litert(path) if kind == LITERT else _open_saved_model(path)


def _open_onnx(path: Path) -> Run:
    model = OnnxModel(path)
    return lambda inputs: dict(zip(model.signature.outputs, model.run(inputs), strict=True))


def _open_litert(path: Path) -> Run:
    runner = litert_interpreter()(str(path), num_threads=1).get_signature_runner()
    return lambda inputs: {name: np.asarray(value) for name, value in runner(**inputs).items()}


def _open_saved_model(path: Path) -> Run:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    function = loaded.signatures["serving_default"]

    def run(inputs: Inputs, keep: Any = loaded) -> Outputs:  # the function does not keep what it belongs to
        outputs = function(**{name: tf.constant(value) for name, value in inputs.items()})
        return {name: value.numpy() for name, value in outputs.items()}

    return run


def load_tf2onnx() -> Any:
    """Return the package tf2onnx, which writes ONNX files; raises UserError where it is missing."""
    try:
        import tf2onnx
    except ImportError:
        raise UserError("writing ONNX needs another package: pip install 'bcclone[onnx]'") from None
    return tf2onnx


def litert_interpreter() -> Any:
    """Return the class that runs LiteRT files; raises UserError where its package is missing."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise UserError("LiteRT files need another package: pip install 'bcclone[litert]'") from None
    return Interpreter
