"""The function in an exported file: its inputs and outputs, and two ways to compute the outputs.

A model file becomes an `Interface`, with the function in TensorFlow that is written into the file,
and the model's own computation, to compare with it. Every exported file takes the camera's own
picture, RGB, 0 to 255, in its size, and frames it by the model's framing. There are two kinds:

- of pictures: from pictures, uint8, and the states of a recurrent network, to the network's numbers
  and the new states;
- donkeycar 5, type tflite_linear: from a picture to angle and throttle. donkeycar 5.3
  (parts/interpreter.py, parts/keras.py) divides the picture by 255 and gives it as float32, (1,
  height, width, 3). It reads two outputs of (1, 1) in the alphabetical order of their names; here
  they have the names of donkeycar's own linear models. So that no other program steers wrongly with
  the file, it also takes the numbers 0 to 255.

The weights are constants in the file, because TensorFlow's converters lose Keras 3's variables.
Keras's own model.export() writes neither the preparation nor the states of a recurrent network.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bcclone.camera.framing import Framing
from bcclone.camera.images import BadImage, Image
from bcclone.dataset.answer import OUTPUTS
from bcclone.drive.controller import SHARPEST, STRAIGHT
from bcclone.model.layer_kinds import RECURRENT
from bcclone.model.model_file import ModelFile, SteeringCalibration
from bcclone.model.onnx_model import FRAME, Signature
from bcclone.model.recurrent import step
from bcclone.realcar.export_settings import DONKEYCAR, INT8, ExportModelSettings
from bcclone.realcar.exported_frames import prepare
from bcclone.system.errors import UserError
from bcclone.system.numbers import Float32Array

Inputs = Mapping[str, Any]  # arrays by the names of the inputs
Outputs = dict[str, Float32Array]
# the throttle of a donkeycar: angle, (cars, 1), and the network's numbers, (cars, outputs) ->
# throttle, (cars, 1)
Law = Callable[[Any, Any], Any]

# names of the input and the outputs of donkeycar's own models
PICTURE = "img_in"
ANGLE = "n_outputs0"
THROTTLE = "n_outputs1"
DONKEYCAR_CAMERA = (160, 120)  # width and height of the pictures of a donkeycar as it is delivered

_PREDICTS = [output.predict for output in OUTPUTS]
_SPEED = _PREDICTS.index("speed")  # column of the speed in a network's numbers
_THROTTLE = _PREDICTS.index("throttle")  # column of the throttle


class Interface:
    """The inputs and outputs of an exported file, and what it computes.

    Raises UserError for a model that cannot be exported so, and for a camera of another shape than
    the model's.
    """

    def __init__(self, file: ModelFile, settings: ExportModelSettings) -> None:
        self.file = file
        # size of the camera's pictures, and how they become frames: None if they are frames already
        self.size, self.framing = _camera_of(file, settings)
        width, height = self.size
        self._state_sizes = file.state_sizes
        self._law: Law | None = None
        self.throttle = ""  # where the throttle of a donkeycar comes from, in words
        if settings.to == DONKEYCAR:
            _check_donkeycar(file, settings)
            self._law, self.throttle = throttle_law(settings, len(file.outputs))
            self.picture = PICTURE  # name of the input that takes the picture
            self.picture_type = "float32"
            # the shapes of inputs and outputs by name, without the number of drives; the first
            # number of the first output is the steering
            self.inputs: dict[str, tuple[int, ...]] = {PICTURE: (height, width, 3)}
            self.outputs: dict[str, tuple[int, ...]] = {ANGLE: (1,), THROTTLE: (1,)}
        else:
            signature = Signature(
                file.seq_length, self._state_sizes, (height, width), len(file.outputs)
            )
            self.picture = FRAME
            self.picture_type = "uint8"
            self.inputs = signature.inputs
            self.outputs = signature.outputs
        if settings.quantize == INT8 and list(self.inputs.values()) != [(height, width, 3)]:
            raise UserError(
                f"{settings.model}: it sees several frames; --quantize int8 takes networks of "
                "single frames; use --quantize float16"
            )
        for layer in file.model.layers:
            if isinstance(layer, RECURRENT):
                layer.unroll = True  # an ONNX file with a loop is refused, since it may never end
        self._weights = [(variable, variable.numpy()) for variable in file.model.variables]

    @property
    def steering(self) -> str:
        """Return the name of the output whose first number is the steering."""
        return next(iter(self.outputs))

    def specs(self, drives: int | None) -> dict[str, tf.TensorSpec]:
        """Return how TensorFlow describes the inputs.

        drives: number of drives in a call, None for any number
        """
        types = dict.fromkeys(self.inputs, "float32") | {self.picture: self.picture_type}
        return {
            name: tf.TensorSpec((drives, *shape), types[name], name=name)
            for name, shape in self.inputs.items()
        }

    def graph(self, **inputs: Any) -> Mapping[str, Any]:
        """Compute the outputs from the inputs in TensorFlow."""
        constants = [(variable, tf.constant(value)) for variable, value in self._weights]
        with keras.StatelessScope(state_mapping=constants):
            pictures = inputs.pop(self.picture)
            if self._law:
                pictures = _in_255ths(pictures)
            elif (
                not self._state_sizes
            ):  # the pictures of all windows are prepared as single pictures
                pictures = tf.reshape(pictures, (-1, *self._picture_shape))
            images = prepare(pictures, self.file.preprocessing, self.framing)
            return self._answers(tf.cast(images, self._dtype), list(inputs.values()))

    def model_run(self, inputs: Inputs) -> Outputs:
        """Compute the outputs by the model itself, which prepares pictures with OpenCV."""
        pictures = inputs[self.picture]
        if self._law:
            pictures = np.rint(pictures * 255).astype(np.uint8)
        frames = list(pictures.reshape(-1, *self._picture_shape))
        if self.framing:
            frames = [self.framing.apply(frame) for frame in frames]
        images = np.stack([self.file.preprocessing.apply(frame) for frame in frames])
        states = [value for name, value in inputs.items() if name != self.picture]
        answers = self._answers(images.astype(self._dtype), states)
        return {name: keras.ops.convert_to_numpy(value) for name, value in answers.items()}

    def inputs_of(self, pictures: Sequence[Image]) -> Iterator[Inputs]:
        """Yield the inputs for each picture: the window that ends with it, and random states."""
        random = np.random.default_rng(0)
        states = dict(self.inputs)
        shape = states.pop(self.picture)
        # the states stand for the pictures before
        length = 1 if self._state_sizes else self.file.seq_length
        for number, picture in enumerate(pictures):
            if self._law:
                # donkeycar multiplies in float64, and then converts to float32
                fractions = picture.astype(np.float64) * (1.0 / 255.0)
                yield {self.picture: fractions.astype(np.float32)[np.newaxis]}
                continue
            # the first picture is repeated in windows that begin before it
            window = [pictures[max(number - back, 0)] for back in reversed(range(length))]
            inputs: dict[str, Any] = {self.picture: np.stack(window).reshape(1, *shape)}
            for name, sizes in states.items():
                inputs[name] = random.uniform(-1, 1, (1, *sizes)).astype(np.float32)
            yield inputs

    @property
    def _picture_shape(self) -> tuple[int, int, int]:
        width, height = self.size
        return height, width, 3

    @property
    def _dtype(self) -> str:
        return str(self.file.model.inputs[0].dtype)

    def _answers(self, images: Any, states: list[Any]) -> dict[str, Any]:
        """Return the outputs for prepared images, (images, height, width, channels), and states."""
        if self._state_sizes:
            numbers, *states = step(self.file.model, images, states)
        else:
            windows = keras.ops.reshape(images, (-1, *self.file.model.input_shape[1:]))
            numbers = self.file.model(windows, training=False)
        calibrated = _calibrated(numbers, self.file.calibration)
        if self._law:
            angle = calibrated[:, :1]
            return {ANGLE: angle, THROTTLE: self._law(angle, numbers)}
        return dict(zip(self.outputs, (calibrated, *states), strict=True))


def _camera_of(
    file: ModelFile, settings: ExportModelSettings
) -> tuple[tuple[int, int], Framing | None]:
    """Return width and height of the pictures that a file takes, and how they become frames.

    The size is that of the settings, or else that of the model's framing.
    """
    frame_size = (file.preprocessing.frame_width, file.preprocessing.frame_height)
    size = settings.camera
    if size is None and file.framing:
        size = (file.framing.width, file.framing.height)
    if size is None:
        size = DONKEYCAR_CAMERA if settings.to == DONKEYCAR else frame_size
    if file.framing is None and size == frame_size:
        return size, None
    framing = file.framing or Framing(*size)
    try:
        return size, framing.for_size(*size)
    except BadImage as error:
        raise UserError(
            f"{settings.model}: its camera's pictures have another shape: {error}; give the size "
            "of yours with --camera, or calibrate the model for it: bcclone calibrate"
        ) from None


def _check_donkeycar(file: ModelFile, settings: ExportModelSettings) -> None:
    if file.seq_length > 1:
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


def _in_255ths(pictures: Any) -> Any:
    """Return pictures of 0 to 1, as donkeycar gives them, or of 0 to 255, as pictures of 0 to 255.

    A number above 1 shows which of them a picture is; without one, a picture of 0 to 255 is black.
    Every fourth row and column is enough to find one.

    pictures: float32 (pictures, rows, columns, 3)
    """
    # not the maximum, whose range --quantize int8 would limit to that of donkeycar's pictures
    is_above_1 = tf.reduce_any(pictures[:, ::4, ::4] > 1.0, axis=(1, 2, 3), keepdims=True)
    return pictures * (255.0 - 254.0 * tf.cast(is_above_1, tf.float32))


def _calibrated(numbers: Any, calibration: SteeringCalibration | None) -> Any:
    """Return a network's numbers, with the steering turned into the car's, -1 to 1.

    numbers: (drives, outputs); the first column is the steering
    """
    steering = numbers[:, :1]
    if calibration:
        steering = steering * calibration.gain + calibration.bias
    steering = keras.ops.clip(steering, -1.0, 1.0)
    return keras.ops.concatenate([steering, numbers[:, 1:]], axis=1)
