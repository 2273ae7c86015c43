"""What an exported file takes and gives: the same computation in TensorFlow, for the file, and by the model itself.

A computation takes inputs by name and returns outputs by name.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bcclone.dataset.images import Image
from bcclone.lab.export_model.exact_frames import prepare_frames
from bcclone.model.layer_kinds import RECURRENT
from bcclone.model.model_file import ModelFile
from bcclone.model.onnx_model import FRAME, Signature
from bcclone.model.policy import SteeringCalibration
from bcclone.model.recurrent import steps_of
from bcclone.system.arrays import Float32Array

Inputs = Mapping[str, Any]
Outputs = dict[str, Float32Array]
Run = Callable[[Inputs], Outputs]
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Interface:
    """The inputs and outputs of an exported file, and what it computes.

    inputs, outputs: the shape of each by its name, without the number of drives; graph: computes the outputs from the
    inputs in TensorFlow; own: the same by the model itself, with OpenCV; inputs_of: the inputs of one drive for camera
    frames, uint8 (height, width, 3); camera: their width and height.
    """

    inputs: Shapes
    outputs: Shapes
    graph: Callable[..., Mapping[str, Any]]
    own: Run
    inputs_of: Callable[[Sequence[Image]], Iterable[Inputs]]
    camera: tuple[int, int]

    def specs(self, drives: int | None) -> dict[str, tf.TensorSpec]:
        return {
            name: tf.TensorSpec((drives, *shape), tf.uint8 if name == FRAME else tf.float32, name=name)
            for name, shape in self.inputs.items()
        }

    def noise(self, count: int) -> list[Image]:
        """Return frames of noise, from dark to bright; every colour and every kind of edge occurs."""
        random, (width, height) = np.random.default_rng(0), self.camera
        levels = (256 * (number + 1) // count for number in range(count))
        return [random.integers(0, level, (height, width, 3), dtype=np.uint8) for level in levels]


def frame_interface(file: ModelFile) -> Interface:
    """Return the interface of a model that takes whole frames of the simulator, its states, and gives its answers."""
    steps, dtype, prepared = steps_of(file.model), file.model.inputs[0].dtype, file.preprocessing
    height, width = prepared.frame_height, prepared.frame_width
    signature = Signature(
        file.seq_length, steps.state_sizes if steps else (), (height, width), predicts=len(file.outputs)
    )
    constants = constants_of(file)
    for layer in file.model.layers:
        if isinstance(layer, RECURRENT):
            layer.unroll = True  # an ONNX file with a loop is refused, since it may never end

    def answers(images: Any, states: list[Any]) -> dict[str, Any]:
        if steps:
            numbers, states = steps.step(images, states)
        else:
            numbers = file.model(keras.ops.reshape(images, (-1, *file.model.input_shape[1:])), training=False)
        return dict(zip(signature.outputs, (calibrated(numbers, file.calibration), *states), strict=True))

    def graph(**inputs: Any) -> Mapping[str, Any]:
        with constants():
            frames = inputs.pop(FRAME)
            frames = frames if steps else tf.reshape(frames, (-1, height, width, 3))
            return answers(tf.cast(prepare_frames(frames, prepared), dtype), list(inputs.values()))

    def own(inputs: Inputs) -> Outputs:
        frames = inputs[FRAME].reshape(-1, height, width, 3)
        images = np.stack([prepared.apply(frame) for frame in frames]).astype(dtype)
        values = answers(images, [inputs[name] for name in inputs if name != FRAME])
        return {name: keras.ops.convert_to_numpy(value) for name, value in values.items()}

    return Interface(
        inputs=signature.inputs,
        outputs=signature.outputs,
        graph=graph,
        own=own,
        inputs_of=lambda frames: _inputs_of(signature, frames),
        camera=(width, height),
    )


def constants_of(file: ModelFile) -> Callable[[], keras.StatelessScope]:
    """Return a function that opens a scope in which the model's weights are constants."""
    weights = [(variable, variable.numpy()) for variable in file.model.variables]
    return lambda: keras.StatelessScope(state_mapping=[(variable, tf.constant(value)) for variable, value in weights])


def calibrated(numbers: Any, calibration: SteeringCalibration | None) -> Any:
    """Return a network's numbers, (drives, outputs), with its steering, the first, as that of a car, -1 to 1."""
    if calibration is None:
        return numbers
    steering = keras.ops.clip(numbers[:, :1] * calibration.gain + calibration.bias, -1.0, 1.0)
    return keras.ops.concatenate([steering, numbers[:, 1:]], axis=1)


def _inputs_of(signature: Signature, frames: Sequence[Image]) -> Iterable[Inputs]:
    """Yield the inputs of one drive for each frame: windows that end with it, and states drawn at random."""
    random, length = np.random.default_rng(0), signature.inputs[FRAME][0] if len(signature.inputs[FRAME]) == 4 else 1
    states = {name: shape for name, shape in signature.inputs.items() if name != FRAME}
    for number in range(len(frames)):
        window = np.stack([frames[max(number - back, 0)] for back in reversed(range(length))])
        drawn = {name: random.uniform(-1, 1, (1, *shape)).astype(np.float32) for name, shape in states.items()}
        yield {FRAME: window.reshape(1, *signature.inputs[FRAME])} | drawn
