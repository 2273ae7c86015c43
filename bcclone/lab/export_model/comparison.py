"""Run an exported file, and compare its answers with the answers of the original model.

A run takes inputs by name and returns outputs by name.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bcclone.dataset.images import Image
from bcclone.lab.export_model.export_settings import LITERT, ONNX, ExportModelSettings
from bcclone.model.model_file import ModelFile
from bcclone.model.onnx_model import FRAME, STEERING, OnnxModel, Signature
from bcclone.model.recurrent import steps_of
from bcclone.system.arrays import Float32Array
from bcclone.system.errors import UserError, first_line

TOLERANCE = 1e-5  # of the steering, which is -1 to 1
Inputs = Mapping[str, Any]
Outputs = dict[str, Float32Array]
Run = Callable[[Inputs], Outputs]


def open_exported(path: Path, kind: str) -> Run:
    """Return a function that runs a file of a format for one drive, on one core."""
    if kind == ONNX:
        return _open_onnx(path)
    return _open_litert(path) if kind == LITERT else _open_saved_model(path)


def _open_onnx(path: Path) -> Run:
    model = OnnxModel(path)
    return lambda inputs: dict(zip(model.signature.outputs, model.run(inputs), strict=True))


def _open_litert(path: Path) -> Run:
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(str(path), num_threads=1).get_signature_runner()
    return lambda inputs: {name: np.asarray(value) for name, value in runner(**inputs).items()}


def _open_saved_model(path: Path) -> Run:
    loaded = tf.saved_model.load(str(path))
    function = loaded.signatures["serving_default"]

    def run(inputs: Inputs, keep: Any = loaded) -> Outputs:  # the function alone does not keep the loaded model alive
        outputs = function(**{name: tf.constant(value) for name, value in inputs.items()})
        return {name: value.numpy() for name, value in outputs.items()}

    return run


def signature_of(file: ModelFile) -> Signature:
    """Return the inputs and outputs that a model has when it is exported."""
    steps = steps_of(file.model)
    frame = (file.preprocessing.frame_height, file.preprocessing.frame_width)
    return Signature(file.seq_length, steps.state_sizes if steps else (), frame, len(file.outputs))


def check_answers(path: Path, settings: ExportModelSettings, file: ModelFile, frames: Sequence[Image]) -> float:
    """Return the greatest difference between the answers of an exported file and its model on these frames.

    Raises UserError for a file that cannot be run, and for a difference above TOLERANCE.
    """
    remedy = "export it with another --to, and report this"
    try:
        difference = difference_of(path, settings.to, file, frames)
    except Exception as error:  # of the runtime, for what the converter wrote wrongly
        raise UserError(
            f"{settings.path}: not written, because it cannot be run: {first_line(error)}; {remedy}"
        ) from None
    if not difference <= TOLERANCE:
        raise UserError(
            f"{settings.path}: not written, because its answers and the answers of {settings.model} "
            f"differ by {difference:.2g}, more than {TOLERANCE:g}; {remedy}"
        )
    return difference


def difference_of(path: Path, kind: str, file: ModelFile, frames: Sequence[Image]) -> float:
    """Return the greatest difference between the answers of an exported file and its model on these frames."""
    own, exported, differences = own_run(file), open_exported(path, kind), []
    for inputs in inputs_of(signature_of(file), frames):
        expected, answers = own(inputs), exported(inputs)
        differences += [np.max(np.abs(expected[name] - answers[name])) for name in expected]
    return float(np.max(differences))  # NaN if one of them is


def own_run(file: ModelFile) -> Run:
    """Return a function that runs the model itself: OpenCV prepares the frames, and Keras computes the answers."""
    steps, dtype, shape = steps_of(file.model), file.model.inputs[0].dtype, file.model.input_shape[1:]

    def run(inputs: Inputs) -> Outputs:
        frames = inputs[FRAME].reshape(-1, file.preprocessing.frame_height, file.preprocessing.frame_width, 3)
        images = np.stack([file.preprocessing.apply(frame) for frame in frames]).astype(dtype)
        if steps is None:
            return {STEERING: keras.ops.convert_to_numpy(file.model(images.reshape(-1, *shape), training=False))}
        steering, after = steps.step(images, [inputs[name] for name in inputs if name != FRAME])
        names = [STEERING, *(f"next_{name}" for name in inputs if name != FRAME)]
        values = (keras.ops.convert_to_numpy(value) for value in (steering, *after))
        return dict(zip(names, values, strict=True))

    return run


def inputs_of(signature: Signature, frames: Sequence[Image]) -> list[Inputs]:
    """Return the inputs of one drive for each frame, uint8 (height, width, channels): windows that end with it."""
    random, length = np.random.default_rng(0), signature.inputs[FRAME][0] if len(signature.inputs[FRAME]) == 4 else 1
    states = {name: shape for name, shape in signature.inputs.items() if name != FRAME}
    inputs: list[Inputs] = []
    for number in range(len(frames)):
        window = np.stack([frames[max(number - back, 0)] for back in reversed(range(length))])
        drawn = {name: random.uniform(-1, 1, (1, *shape)).astype(np.float32) for name, shape in states.items()}
        inputs.append({FRAME: window.reshape(1, *signature.inputs[FRAME])} | drawn)
    return inputs


def noise_frames(count: int, signature: Signature) -> list[Image]:
    """Return frames of noise, from dark to bright; every colour and every kind of edge occurs."""
    random = np.random.default_rng(0)
    shape = (*signature.frame, 3)
    return [random.integers(0, 256 * (number + 1) // count, shape, dtype=np.uint8) for number in range(count)]
