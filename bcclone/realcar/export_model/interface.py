"""The interface of an exported file, which TensorFlow computes for the file, and the model itself
to compare.

A computation takes inputs by name and returns outputs by name. There are two interfaces:

- frames: whole frames of the simulator, and the states of a recurrent network;
- donkeycar 5, type tflite_linear: a picture of its camera to angle and throttle. donkeycar 5.3 (parts/interpreter.py,
  parts/keras.py) gives one input, float32 (1, height, width, 3) of 0 to 1, RGB, and reads two outputs of (1, 1) in the
  alphabetical order of their names, which here are those of its own linear models.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bcclone.camera.framing import Framing
from bcclone.camera.images import BadImage, Image
from bcclone.dataset.answer import OUTPUTS
from bcclone.drive.controller import SHARPEST, STRAIGHT
from bcclone.model.layer_kinds import RECURRENT
from bcclone.model.loaded_model import ModelFile
from bcclone.model.onnx_model import FRAME, Signature
from bcclone.model.steering_calibration import SteeringCalibration
from bcclone.realcar.export_model.export_settings import ExportModelSettings
from bcclone.realcar.export_model.frame_preparation import prepare
from bcclone.system.arrays import Float32Array
from bcclone.system.errors import UserError

Inputs = Mapping[str, Any]
Outputs = dict[str, Float32Array]
Run = Callable[[Inputs], Outputs]
Shapes = Mapping[str, tuple[int, ...]]
Law = Callable[
    [Any, Any], Any
]  # angle, (cars, 1), and the network's numbers, (cars, outputs) -> throttle, (cars, 1)

PICTURE, ANGLE, THROTTLE = "img_in", "n_outputs0", "n_outputs1"
_SPEED, _THROTTLE = (
    next(number for number, each in enumerate(OUTPUTS) if each.predict == name)
    for name in ("speed", "throttle")
)


@dataclass(frozen=True)
class Interface:
    """The inputs and outputs of an exported file, and what it computes.

    inputs, outputs: the shape of each by its name, without the number of drives; graph: computes
    the outputs from the inputs in TensorFlow; own: the same by the model itself, with OpenCV;
    inputs_of: the inputs of one drive for camera frames, uint8 (height, width, 3); camera: their
    width and height; throttle: where that of a donkeycar comes from.
    """

    inputs: Shapes
    outputs: Shapes
    graph: Callable[..., Mapping[str, Any]]
    own: Run
    inputs_of: Callable[[Sequence[Image]], Iterable[Inputs]]
    camera: tuple[int, int]
    throttle: str = ""

    def specs(self, drives: int | None) -> dict[str, tf.TensorSpec]:
        return {
            name: tf.TensorSpec(
                (drives, *shape), tf.uint8 if name == FRAME else tf.float32, name=name
            )
            for name, shape in self.inputs.items()
        }


def frame_interface(file: ModelFile) -> Interface:
    """Return the interface of a model that takes whole frames of the simulator, its states, and
    gives its answers.
    """
    steps, dtype, prepared = file.steps, file.model.inputs[0].dtype, file.preprocessing
    height, width = prepared.frame_height, prepared.frame_width
    signature = Signature(
        file.seq_length,
        steps.state_sizes if steps else (),
        (height, width),
        predicts=len(file.outputs),
    )
    constants = _constants_of(file)
    for layer in file.model.layers:
        if isinstance(layer, RECURRENT):
            layer.unroll = True  # an ONNX file with a loop is refused, since it may never end

    def answers(images: Any, states: list[Any]) -> dict[str, Any]:
        if steps:
            numbers, states = steps.step(images, states)
        else:
            numbers = file.model(
                keras.ops.reshape(images, (-1, *file.model.input_shape[1:])), training=False
            )
        return dict(
            zip(signature.outputs, (_calibrated(numbers, file.calibration), *states), strict=True)
        )

    def graph(**inputs: Any) -> Mapping[str, Any]:
        with constants():
            frames = inputs.pop(FRAME)
            frames = frames if steps else tf.reshape(frames, (-1, height, width, 3))
            return answers(tf.cast(prepare(frames, prepared), dtype), list(inputs.values()))

    def own(inputs: Inputs) -> Outputs:
        frames = inputs[FRAME].reshape(-1, height, width, 3)
        images = np.stack([prepared.apply(frame) for frame in frames]).astype(dtype)
        values = answers(images, [inputs[name] for name in inputs if name != FRAME])
        return {name: keras.ops.convert_to_numpy(value) for name, value in values.items()}

    def inputs_of(frames: Sequence[Image]) -> Iterable[Inputs]:
        """Yield the inputs for each frame: the window that ends with it, and states drawn at
        random.
        """
        random, states = np.random.default_rng(0), dict(signature.inputs)
        shape = states.pop(FRAME)
        for number in range(len(frames)):
            window = [
                frames[max(number - back, 0)]
                for back in reversed(range(1 if steps else file.seq_length))
            ]
            drawn = {
                name: random.uniform(-1, 1, (1, *sizes)).astype(np.float32)
                for name, sizes in states.items()
            }
            yield {FRAME: np.stack(window).reshape(1, *shape)} | drawn

    return Interface(signature.inputs, signature.outputs, graph, own, inputs_of, (width, height))


def donkeycar_interface(file: ModelFile, settings: ExportModelSettings) -> Interface:
    """Return the interface of a model in a donkeycar; raises UserError for a model that cannot
    drive one.
    """
    if file.seq_length > 1 or file.steps:
        raise UserError(
            f"{settings.model}: a network of {file.seq_length} frames, expected one of single frames, because "
            "donkeycar's tflite_linear gives one picture and keeps no state; train one without --seq-length"
        )
    if settings.throttle_speed_mph is not None and len(file.outputs) <= _SPEED:
        raise UserError(
            f"{settings.model}: it predicts no speed for --throttle-speed; leave that out, or train a model with: "
            f"bcclone model data.h5 --predict {OUTPUTS[_SPEED].predict}"
        )
    width, height = settings.camera
    try:
        framing = (file.framing or Framing(width, height)).for_size(width, height)
    except BadImage as error:
        raise UserError(
            f"{settings.model}: its camera's pictures have another shape: {error}; give the size of yours with "
            "--camera, or calibrate the model for it: bcclone calibrate"
        ) from None
    prepared, (law, words) = file.preprocessing, throttle_law(settings, len(file.outputs))
    constants, dtype = _constants_of(file), file.model.inputs[0].dtype

    def answer(images: Any) -> Mapping[str, Any]:
        numbers = file.model(images, training=False)
        angle = keras.ops.clip(_calibrated(numbers, file.calibration)[:, :1], -1.0, 1.0)
        return {ANGLE: angle, THROTTLE: law(angle, numbers)}

    def graph(**inputs: Any) -> Mapping[str, Any]:
        with constants():
            return answer(tf.cast(prepare(inputs[PICTURE] * 255.0, prepared, framing), dtype))

    def own(inputs: Inputs) -> Outputs:
        frames = [
            framing.apply(np.rint(picture * 255).astype(np.uint8)) for picture in inputs[PICTURE]
        ]
        images = np.stack([prepared.apply(frame) for frame in frames]).astype(dtype)
        return {name: keras.ops.convert_to_numpy(value) for name, value in answer(images).items()}

    def inputs_of(pictures: Sequence[Image]) -> Iterable[Inputs]:
        """Yield the input for each picture as donkeycar makes it: the product in float64, then
        float32.
        """
        for picture in pictures:
            yield {
                PICTURE: (picture.astype(np.float64) * (1.0 / 255.0)).astype(np.float32)[np.newaxis]
            }

    shapes = {PICTURE: (height, width, 3)}, {ANGLE: (1,), THROTTLE: (1,)}
    return Interface(*shapes, graph, own, inputs_of, settings.camera, words)


def throttle_law(settings: ExportModelSettings, outputs: int) -> tuple[Law, str]:
    """Return how the throttle follows from the answer of a network with so many outputs, and the
    words for it.

    The throttle that a network predicts is taken unless another law is asked for.
    """
    lowest, mph = settings.throttle_in_bends, settings.throttle_speed_mph
    if outputs > _THROTTLE and (settings.throttle, lowest, mph) == (None, None, None):

        def predicted(_: Any, numbers: Any) -> Any:
            return keras.ops.clip(numbers[:, _THROTTLE : _THROTTLE + 1], 0.0, 1.0)

        return predicted, "as the model predicts it, 0 to 1"
    throttle = settings.constant_throttle

    def law(angle: Any, numbers: Any) -> Any:
        if mph is not None:
            factor = throttle * OUTPUTS[_SPEED].unit / mph
            return keras.ops.clip(numbers[:, _SPEED : _SPEED + 1] * factor, 0.0, 1.0)
        if lowest is None:
            return keras.ops.full_like(angle, throttle)
        sharpness = keras.ops.clip(
            (keras.ops.abs(angle) - STRAIGHT) / (SHARPEST - STRAIGHT), 0.0, 1.0
        )
        return throttle + (lowest - throttle) * sharpness

    if mph is not None:
        return law, f"as the model predicts the speed, {throttle:g} at {mph:g} mph"
    return law, f"{throttle:g}" if lowest is None else f"{throttle:g}, down to {lowest:g} in bends"


def _constants_of(file: ModelFile) -> Callable[[], keras.StatelessScope]:
    """Return a function that opens a scope in which the model's weights are constants."""
    weights = [(variable, variable.numpy()) for variable in file.model.variables]
    return lambda: keras.StatelessScope(
        state_mapping=[(variable, tf.constant(value)) for variable, value in weights]
    )


def _calibrated(numbers: Any, calibration: SteeringCalibration | None) -> Any:
    """Return a network's numbers, (drives, outputs), with its steering, the first, as that of a
    car, -1 to 1.
    """
    if calibration is None:
        return numbers
    steering = keras.ops.clip(numbers[:, :1] * calibration.gain + calibration.bias, -1.0, 1.0)
    return keras.ops.concatenate([steering, numbers[:, 1:]], axis=1)
