"""Compare an exported file with the model that it was made from."""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from bcclone.dataset.images import Image
from bcclone.lab.export_model.export_settings import ExportModelSettings
from bcclone.lab.export_model.runtimes import Inputs, Outputs, Run, open_exported
from bcclone.model.model_file import ModelFile
from bcclone.model.onnx_model import FRAME, STEERING, Signature
from bcclone.model.recurrent import steps_of
from bcclone.system.errors import UserError

TOLERANCE = 1e-5  # of the steering, which is -1 to 1


def signature_of(file: ModelFile) -> Signature:
    """Return the inputs and outputs that a model has when it is exported."""
    steps = steps_of(file.model)
    frame = (file.preprocessing.frame_height, file.preprocessing.frame_width)
    return Signature(file.seq_length, steps.state_sizes if steps else (), frame, len(file.outputs))


def check_answers(path: Path, settings: ExportModelSettings, file: ModelFile, frames: Sequence[Image]) -> float:
    """Return the greatest difference between the answers of an exported file and those of its model on these frames.

    Raises UserError for a file that cannot be run, or answers otherwise.
    """
    remedy = "export it with another --to, and report this"
    try:
        difference = difference_of(path, settings.to, file, frames)
    except Exception as error:  # of the runtime, for what the converter wrote wrongly
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{settings.path}: not written, because it cannot be run: {reason[:200]}; {remedy}") from None
    if not difference <= TOLERANCE:
        raise UserError(
            f"{settings.path}: not written, because its answers differ by {difference:.2g} from those of "
            f"{settings.model}, more than {TOLERANCE:g}; {remedy}"
        )
    return difference


def difference_of(path: Path, kind: str, file: ModelFile, frames: Sequence[Image]) -> float:
    """Return the greatest difference between the answers of an exported file and those of its model on these frames."""
    return greatest_difference(own_run(file), open_exported(path, kind), inputs_of(signature_of(file), frames))


def own_run(file: ModelFile) -> Run:
    """Return the model as a function like those of exported files: OpenCV prepares the frames, and Keras computes."""
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


def inputs_of(signature: Signature, frames: Sequence[Image], seed: int = 0) -> list[Inputs]:
    """Return the inputs of one drive for each frame, uint8 (height, width, 3): windows of it and the ones before."""
    random, length = np.random.default_rng(seed), signature.inputs[FRAME][0] if len(signature.inputs[FRAME]) == 4 else 1
    states = {name: shape for name, shape in signature.inputs.items() if name != FRAME}
    inputs: list[Inputs] = []
    for number in range(len(frames)):
        window = np.stack([frames[max(number - back, 0)] for back in reversed(range(length))])
        drawn = {name: random.uniform(-1, 1, (1, *shape)).astype(np.float32) for name, shape in states.items()}
        inputs.append({FRAME: window.reshape(1, *signature.inputs[FRAME])} | drawn)
    return inputs


def greatest_difference(one: Run, other: Run, inputs: Sequence[Inputs]) -> float:
    """Return the greatest difference between the outputs of two runs; NaN if one of them is not a number."""
    differences = []
    for each in inputs:
        first, second = one(each), other(each)
        differences += [float(np.max(np.abs(first[name] - second[name]))) for name in first]
    return float(np.max(differences))


def noise_frames(count: int, signature: Signature) -> list[Image]:
    """Return frames of noise, in which every colour and every edge occurs, from dark to bright."""
    random = np.random.default_rng(0)
    shape = (*signature.frame, 3)
    return [random.integers(0, 256 * (number + 1) // count, shape, dtype=np.uint8) for number in range(count)]
