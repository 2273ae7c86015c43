"""The inputs and outputs of an exported file, and two ways to compute the outputs.

A model file becomes an `Interface`: names and shapes, a function in TensorFlow that is written into
the file, and the model's own computation, to compare with it. Both functions take inputs by name
and return outputs by name. Every exported file takes the camera's own picture, RGB, 0 to 255, in
its size, and frames it by the model's framing. There are two interfaces:

- of pictures: from pictures, uint8, and the states of a recurrent network, to the network's numbers
  and the new states;
- donkeycar 5, type tflite_linear: from a picture to angle and throttle. donkeycar 5.3
  (parts/interpreter.py, parts/keras.py) divides the picture by 255 and gives it as float32, (1,
  height, width, 3). It reads two outputs of (1, 1) in the alphabetical order of their names; here
  they have the names of donkeycar's own linear models. So that no other program steers wrongly with
  the file, it also takes the numbers 0 to 255.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bcclone.camera.framing import Framing
from bcclone.camera.images import BadImage, Image
from bcclone.dataset.answer import OUTPUTS
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.drive.controller import SHARPEST, STRAIGHT
from bcclone.model.layer_kinds import RECURRENT
from bcclone.model.model_facts import SteeringCalibration
from bcclone.model.model_file import ModelFile
from bcclone.model.onnx_model import FRAME, Signature
from bcclone.realcar.export_model.export_settings import (
    DONKEYCAR,
    DONKEYCAR_CAMERA,
    ExportModelSettings,
)
from bcclone.realcar.export_model.frame_preparation import prepare
from bcclone.system.errors import UserError
from bcclone.system.numbers import Float32Array

Inputs = Mapping[str, Any]
Outputs = dict[str, Float32Array]
Run = Callable[[Inputs], Outputs]
Shapes = Mapping[str, tuple[int, ...]]
# the throttle of a donkeycar: angle, (cars, 1), and the network's numbers, (cars, outputs) ->
# throttle, (cars, 1)
Law = Callable[[Any, Any], Any]

# names of the input and the outputs of donkeycar's own models
PICTURE = "img_in"
ANGLE = "n_outputs0"
THROTTLE = "n_outputs1"

_PREDICTS = [output.predict for output in OUTPUTS]
_SPEED = _PREDICTS.index("speed")  # column of the speed in a network's numbers
_THROTTLE = _PREDICTS.index("throttle")  # column of the throttle


@dataclass(frozen=True)
class ExportedCamera:
    """The camera whose pictures an exported file takes."""

    width: int  # of a picture, in pixels
    height: int
    # how its pictures become frames; None if they are frames already, as the simulator's are
    framing: Framing | None

    @property
    def size(self) -> tuple[int, int]:
        """Return width and height of its pictures."""
        return self.width, self.height

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return the shape of its pictures."""
        return self.height, self.width, 3

    def prepared(self, pictures: Sequence[Image], preprocessing: Preprocessing) -> Image:
        """Return the network's inputs as the model prepares them, with OpenCV.

        pictures: uint8 (height, width, 3) each
        """
        frames = pictures
        if self.framing:
            frames = [self.framing.apply(picture) for picture in pictures]
        return np.stack([preprocessing.apply(frame) for frame in frames])


@dataclass(frozen=True)
class Interface:
    """The inputs and outputs of an exported file, and what it computes."""

    inputs: Shapes  # the shape of each by its name, without the number of drives
    outputs: Shapes  # the same for the outputs; the first number of the first one is the steering
    graph: Callable[..., Mapping[str, Any]]  # computes the outputs from the inputs in TensorFlow
    model_run: Run  # computes the outputs by the model itself, which prepares pictures with OpenCV
    # pictures, uint8 (height, width, 3) each -> the inputs for each of them, for one drive
    inputs_of: Callable[[Sequence[Image]], Iterable[Inputs]]
    camera: ExportedCamera
    seq_length: int = 1  # frames of a window; for a recurrent network, of a window in its training
    throttle: str = ""  # where the throttle of a donkeycar comes from, in words

    @property
    def picture(self) -> str:
        """Return the name of the input that takes the picture; the others are states."""
        return next(iter(self.inputs))

    @property
    def picture_type(self) -> str:
        """Return the type of the numbers in this input."""
        return "uint8" if self.picture == FRAME else "float32"

    def specs(self, drives: int | None) -> dict[str, tf.TensorSpec]:
        """Return how TensorFlow describes the inputs.

        drives: number of drives in a call, None for any number
        """
        specs = {}
        for name, shape in self.inputs.items():
            dtype = "float32"
            if name == self.picture:
                dtype = self.picture_type
            specs[name] = tf.TensorSpec((drives, *shape), dtype, name=name)
        return specs


def exported_camera(file: ModelFile, settings: ExportModelSettings) -> ExportedCamera:
    """Return the camera of an export: that of the settings, or else of the model's framing.

    Raises UserError if the model's camera takes pictures of another shape.
    """
    prepared = file.preprocessing
    frame_size = (prepared.frame_width, prepared.frame_height)
    size = settings.camera
    if size is None and file.framing:
        size = (file.framing.width, file.framing.height)
    if size is None and settings.to == DONKEYCAR:
        size = DONKEYCAR_CAMERA
    if size is None:
        size = frame_size
    if file.framing is None and size == frame_size:
        return ExportedCamera(*size, framing=None)
    framing = file.framing or Framing(*size)
    try:
        return ExportedCamera(*size, framing.for_size(*size))
    except BadImage as error:
        raise UserError(
            f"{settings.model}: its camera's pictures have another shape: {error}; give the size "
            "of yours with --camera, or calibrate the model for it: bcclone calibrate"
        ) from None


def picture_interface(file: ModelFile, camera: ExportedCamera) -> Interface:
    """Return the interface of a model that takes pictures of a camera, and its states."""
    steps = file.steps
    prepared = file.preprocessing
    dtype = file.model.inputs[0].dtype
    signature = _signature(file, camera)
    constants = _constants_of(file)
    for layer in file.model.layers:
        if isinstance(layer, RECURRENT):
            layer.unroll = True  # an ONNX file with a loop is refused, since it may never end

    def answers(images: Any, states: list[Any]) -> dict[str, Any]:
        if steps:
            numbers, states = steps.step(images, states)
        else:
            windows = keras.ops.reshape(images, (-1, *file.model.input_shape[1:]))
            numbers = file.model(windows, training=False)
        values = (_calibrated(numbers, file.calibration), *states)
        return dict(zip(signature.outputs, values, strict=True))

    def graph(**inputs: Any) -> Mapping[str, Any]:
        with constants():
            pictures = inputs.pop(FRAME)
            if not steps:  # the pictures of all windows are prepared as single pictures
                pictures = tf.reshape(pictures, (-1, *camera.shape))
            images = tf.cast(prepare(pictures, prepared, camera.framing), dtype)
            return answers(images, list(inputs.values()))

    def model_run(inputs: Inputs) -> Outputs:
        pictures = inputs[FRAME].reshape(-1, *camera.shape)
        images = camera.prepared(pictures, prepared).astype(dtype)
        states = [inputs[name] for name in inputs if name != FRAME]
        return _to_numpy(answers(images, states))

    def inputs_of(pictures: Sequence[Image]) -> Iterable[Inputs]:
        return _inputs(file, signature, pictures)

    return Interface(
        inputs=signature.inputs,
        outputs=signature.outputs,
        graph=graph,
        model_run=model_run,
        inputs_of=inputs_of,
        camera=camera,
        seq_length=file.seq_length,
    )


def _signature(file: ModelFile, camera: ExportedCamera) -> Signature:
    state_sizes: tuple[int, ...] = ()
    if file.steps:
        state_sizes = file.steps.state_sizes
    size = (camera.height, camera.width)
    return Signature(file.seq_length, state_sizes, size, predicts=len(file.outputs))


def _inputs(file: ModelFile, signature: Signature, pictures: Sequence[Image]) -> Iterator[Inputs]:
    """Yield the inputs for each picture: the window that ends with it, and random states."""
    random = np.random.default_rng(0)
    states = dict(signature.inputs)
    shape = states.pop(FRAME)
    length = file.seq_length
    if file.steps:  # the states stand for the pictures before
        length = 1
    for number in range(len(pictures)):
        # the first picture is repeated in windows that begin before it
        window = [pictures[max(number - back, 0)] for back in reversed(range(length))]
        inputs: dict[str, Any] = {FRAME: np.stack(window).reshape(1, *shape)}
        for name, sizes in states.items():
            inputs[name] = random.uniform(-1, 1, (1, *sizes)).astype(np.float32)
        yield inputs


def donkeycar_interface(
    file: ModelFile, settings: ExportModelSettings, camera: ExportedCamera
) -> Interface:
    """Return the interface of a model in a donkeycar.

    Raises UserError for a model that cannot drive one.
    """
    _check_donkeycar(file, settings)
    prepared = file.preprocessing
    law, words = throttle_law(settings, len(file.outputs))
    constants = _constants_of(file)
    dtype = file.model.inputs[0].dtype

    def answer(images: Any) -> Mapping[str, Any]:
        numbers = file.model(images, training=False)
        angle = _calibrated(numbers, file.calibration)[:, :1]
        return {ANGLE: angle, THROTTLE: law(angle, numbers)}

    def graph(**inputs: Any) -> Mapping[str, Any]:
        with constants():
            images = prepare(_in_255ths(inputs[PICTURE]), prepared, camera.framing)
            return answer(tf.cast(images, dtype))

    def model_run(inputs: Inputs) -> Outputs:
        pictures = np.rint(inputs[PICTURE] * 255).astype(np.uint8)
        return _to_numpy(answer(camera.prepared(pictures, prepared).astype(dtype)))

    def inputs_of(pictures: Sequence[Image]) -> Iterable[Inputs]:
        """Yield the input for each picture as donkeycar makes it."""
        for picture in pictures:
            # donkeycar multiplies in float64, and then converts to float32
            fractions = picture.astype(np.float64) * (1.0 / 255.0)
            yield {PICTURE: fractions.astype(np.float32)[np.newaxis]}

    return Interface(
        inputs={PICTURE: camera.shape},
        outputs={ANGLE: (1,), THROTTLE: (1,)},
        graph=graph,
        model_run=model_run,
        inputs_of=inputs_of,
        camera=camera,
        throttle=words,
    )


def _in_255ths(pictures: Any) -> Any:
    """Return pictures of 0 to 1, as donkeycar gives them, or of 0 to 255, as pictures of 0 to 255.

    A number above 1 shows which of them a picture is; without one, a picture of 0 to 255 is black.
    Every fourth row and column is enough to find one.

    pictures: float32 (pictures, rows, columns, 3)
    """
    # not the maximum, whose range --quantize int8 would limit to that of donkeycar's pictures
    is_above_1 = tf.reduce_any(pictures[:, ::4, ::4] > 1.0, axis=(1, 2, 3), keepdims=True)
    return pictures * (255.0 - 254.0 * tf.cast(is_above_1, tf.float32))


def _check_donkeycar(file: ModelFile, settings: ExportModelSettings) -> None:
    if file.seq_length > 1 or file.steps:
        raise UserError(
            f"{settings.model}: a network of {file.seq_length} frames, expected one of single "
            "frames, because donkeycar's tflite_linear gives one picture and keeps no state; train "
            "one without --seq-length"
        )
    if settings.throttle_speed_mph is not None and len(file.outputs) <= _SPEED:
        raise UserError(
            f"{settings.model}: it predicts no speed for --throttle-speed; leave that out, or "
            f"train a model with: bcclone model data.h5 --predict {OUTPUTS[_SPEED].predict}"
        )


def throttle_law(settings: ExportModelSettings, outputs: int) -> tuple[Law, str]:
    """Return the law by which the throttle follows from the answer of a network, and its words.

    The throttle that a network predicts is taken unless the settings ask for another law.

    outputs: how many numbers the network answers
    """
    throttle = settings.constant_throttle
    lowest = settings.throttle_in_bends
    mph = settings.throttle_speed_mph

    def predicted(_: Any, numbers: Any) -> Any:
        return keras.ops.clip(numbers[:, _THROTTLE : _THROTTLE + 1], 0.0, 1.0)

    def by_speed(_: Any, numbers: Any) -> Any:
        assert mph is not None
        factor = throttle * OUTPUTS[_SPEED].unit / mph
        return keras.ops.clip(numbers[:, _SPEED : _SPEED + 1] * factor, 0.0, 1.0)

    def constant(angle: Any, _: Any) -> Any:
        return keras.ops.full_like(angle, throttle)

    def by_bends(angle: Any, _: Any) -> Any:
        assert lowest is not None
        sharpness = (keras.ops.abs(angle) - STRAIGHT) / (SHARPEST - STRAIGHT)
        return throttle + (lowest - throttle) * keras.ops.clip(sharpness, 0.0, 1.0)

    nothing_asked = settings.throttle is None and lowest is None and mph is None
    if outputs > _THROTTLE and nothing_asked:
        return predicted, "as the model predicts it, 0 to 1"
    if mph is not None:
        return by_speed, f"as the model predicts the speed, {throttle:g} at {mph:g} mph"
    if lowest is None:
        return constant, f"{throttle:g}"
    return by_bends, f"{throttle:g}, down to {lowest:g} in bends"


def _constants_of(file: ModelFile) -> Callable[[], keras.StatelessScope]:
    """Return a function that opens a scope in which the model's weights are constants."""
    weights = [(variable, variable.numpy()) for variable in file.model.variables]

    def scope() -> keras.StatelessScope:
        constants = [(variable, tf.constant(value)) for variable, value in weights]
        return keras.StatelessScope(state_mapping=constants)

    return scope


def _to_numpy(values: Mapping[str, Any]) -> Outputs:
    return {name: keras.ops.convert_to_numpy(value) for name, value in values.items()}


def _calibrated(numbers: Any, calibration: SteeringCalibration | None) -> Any:
    """Return a network's numbers, with the steering turned into the car's, -1 to 1.

    numbers: (drives, outputs); the first column is the steering
    """
    steering = numbers[:, :1]
    if calibration:
        steering = steering * calibration.gain + calibration.bias
    steering = keras.ops.clip(steering, -1.0, 1.0)
    return keras.ops.concatenate([steering, numbers[:, 1:]], axis=1)
