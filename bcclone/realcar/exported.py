"""The function in an exported file: its inputs and outputs, and two ways to compute the outputs.

Every exported file takes the camera's own picture, RGB, 0 to 255, in its size, and frames it by the
model's framing. There are two kinds:

- of pictures: from pictures, uint8, and the states of a recurrent network, to the network's numbers
  and the new states;
- donkeycar 5, type tflite_linear: from a picture to angle and throttle. donkeycar 5.3 and 5.4
  (parts/interpreter.py, parts/keras.py) divide the picture by 255 and give it as float32, (1,
  height, width, 3). They read two outputs of (1, 1) in the alphabetical order of their names; here
  these are the names of donkeycar's own linear models. So that no other program steers wrongly with
  the file, it also takes the numbers 0 to 255.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from bcclone.camera.framing import STEPS_PER_PIXEL, Framing, sampling_of
from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, BadImage, Image, cv2
from bcclone.dataset.answer import OUTPUTS
from bcclone.dataset.preprocessing import Preprocessing, color_matrices
from bcclone.drive.controller import SHARPEST, STRAIGHT
from bcclone.model.layer_kinds import RECURRENT
from bcclone.model.model_file import ModelFile, SteeringCalibration
from bcclone.model.onnx_model import FRAME, Signature
from bcclone.model.recurrent import step
from bcclone.realcar.export_settings import DONKEYCAR, INT8, ExportModelSettings
from bcclone.system.arrays import Float32Array, FloatArray
from bcclone.system.errors import UserError, shown_command

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

    Raises UserError for a model that cannot be exported so, and for a camera of another shape.
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
        """Return how TensorFlow describes the inputs; `drives` in a call, None for any number."""
        types = dict.fromkeys(self.inputs, "float32") | {self.picture: self.picture_type}
        return {
            name: tf.TensorSpec((drives, *shape), types[name], name=name)
            for name, shape in self.inputs.items()
        }

    def graph(self, **inputs: Any) -> Mapping[str, Any]:
        """Compute the outputs in TensorFlow, by the function that is written into the file.

        The weights are constants, because TensorFlow's converters lose Keras 3's variables.
        """
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
    """Return width and height of the pictures that a file takes, and how they become frames."""
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
            "of yours with --camera, or calibrate the model for it: "
            f"{shown_command('calibrate', settings.model, 'TUB', '-o', 'car.h5')}"
        ) from None


def _check_donkeycar(file: ModelFile, settings: ExportModelSettings) -> None:
    if file.seq_length > 1:
        raise UserError(
            f"{settings.model}: a network of {file.seq_length} frames, expected one of single "
            "frames, because donkeycar's tflite_linear gives one picture and keeps no state; train "
            "one without --seq-length"
        )
    if settings.throttle_speed_mph is not None and len(file.outputs) <= _SPEED:
        predict = OUTPUTS[_SPEED].predict
        train = shown_command("model", "data.h5", "-o", "model.h5", "--predict", predict)
        raise UserError(
            f"{settings.model}: it predicts no speed for --throttle-speed; leave that out, or "
            f"train a model with: {train}"
        )


def throttle_law(settings: ExportModelSettings, outputs: int) -> tuple[Law, str]:
    """Return the law by which the throttle follows from the answer of a network, and its words.

    The throttle that a network predicts is taken unless the settings ask for another law.
    """
    clip = keras.ops.clip
    throttle = settings.constant_throttle
    lowest = settings.throttle_in_bends
    mph = settings.throttle_speed_mph
    if mph is not None:
        factor = throttle * OUTPUTS[_SPEED].unit / mph
        words = f"as the model predicts the speed, {throttle:g} at {mph:g} mph"
        return lambda angle, numbers: clip(_column(numbers, _SPEED) * factor, 0.0, 1.0), words
    if lowest is not None:

        def by_bends(angle: Any, _: Any) -> Any:
            sharpness = (keras.ops.abs(angle) - STRAIGHT) / (SHARPEST - STRAIGHT)
            return throttle + (lowest - throttle) * clip(sharpness, 0.0, 1.0)

        return by_bends, f"{throttle:g}, down to {lowest:g} in bends"
    if outputs > _THROTTLE and settings.throttle is None:
        words = "as the model predicts it, 0 to 1"
        return lambda angle, numbers: clip(_column(numbers, _THROTTLE), 0.0, 1.0), words
    return lambda angle, numbers: keras.ops.full_like(angle, throttle), f"{throttle:g}"


def _column(numbers: Any, column: int) -> Any:
    return numbers[:, column : column + 1]


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
    """Return a network's numbers, (drives, outputs), with the steering of the car, -1 to 1."""
    steering = numbers[:, :1]
    if calibration:
        steering = steering * calibration.gain + calibration.bias
    steering = keras.ops.clip(steering, -1.0, 1.0)
    return keras.ops.concatenate([steering, numbers[:, 1:]], axis=1)


# ---- camera pictures -> the network's inputs, by operations that every exported format has: what
# Preprocessing.apply() does, and Framing.apply() before it. TensorFlow resizes and converts colours
# a little otherwise than OpenCV, so a pixel may differ from the model's own; export_model()
# measures what that makes of the steering

Pixels = npt.NDArray[np.int32]


def prepare(pictures: Any, preprocessing: Preprocessing, framing: Framing | None = None) -> Any:
    """Return the network's inputs, float32 (pictures, height, width, channels).

    They are whole numbers from 0 to 255.

    pictures: RGB, 0 to 255 (pictures, rows, columns, 3), of the framing's size; without a framing,
        frames of the simulator
    """
    images = _of_fixed_size(pictures)
    if framing:
        images = _framed(images, framing, preprocessing)
    else:
        left, top, right, bottom = preprocessing.region
        images = images[:, top:bottom, left:right]
    for change in preprocessing.steps:
        if change == "size":
            images = _resized(
                images, preprocessing.width, preprocessing.height, preprocessing.interpolation
            )
        elif change == "blur":
            images = _blurred(images, preprocessing.blur)
        else:
            images = _recolored(images, preprocessing)
    return tf.round(images)


def _of_fixed_size(pictures: Any) -> Any:
    """Return pictures as float32, by operations that refuse pictures of another size in LiteRT.

    LiteRT adapts an input to the size of any picture, and would answer pictures of another size
    with a wrong steering. It raises an error where a row of another length, or a column of another
    height, is added to them; so both are added, and taken away. ONNX fixes the sizes itself.
    """
    images = tf.cast(pictures, tf.float32)
    count, rows, columns, channels = images.shape
    if count is None:
        return images
    row = tf.zeros((count, 1, columns, channels))
    column = tf.zeros((count, rows + 1, 1, channels))
    larger = tf.concat([tf.concat([images, row], axis=1), column], axis=2)
    return larger[:, :rows, :columns]


def _resized(images: Any, width: int, height: int, interpolation: str) -> Any:
    """Return images, (images, rows, columns, channels), resized.

    LiteRT and ONNX have no resizing by area. In its place, images are resized linearly to a whole
    multiple of the size, and each block of pixels is averaged.
    """
    rows, columns = images.shape[1:3]
    down = 1
    across = 1
    if interpolation == "area":
        down = max(rows // height, 1)
        across = max(columns // width, 1)
    size = (height * down, width * across)
    if (rows, columns) != size:
        images = tf.image.resize(images, size, "bilinear")
    if (down, across) == (1, 1):
        return images
    return tf.nn.avg_pool2d(images, (down, across), (down, across), "VALID")


def _blurred(images: Any, size: int) -> Any:
    """Return images blurred by a Gaussian kernel of `size` rows and columns."""
    kernel = cv2.getGaussianKernel(size, 0)
    weights = np.repeat((kernel @ kernel.T)[:, :, np.newaxis, np.newaxis], images.shape[3], axis=2)
    edge = (size // 2, size // 2)
    padded = tf.pad(images, [(0, 0), edge, edge, (0, 0)], "REFLECT")
    return tf.nn.depthwise_conv2d(padded, weights.astype(np.float32), (1, 1, 1, 1), "VALID")


def _recolored(images: Any, preprocessing: Preprocessing) -> Any:
    """Return RGB images in the preprocessing's colours."""
    matrix, _ = color_matrices(preprocessing.color)
    recolored = tf.tensordot(images, matrix[:, :3].T, axes=1) + matrix[:, 3]
    return tf.clip_by_value(recolored, 0.0, 255.0)


def _framed(pictures: Any, framing: Framing, preprocessing: Preprocessing) -> Any:
    """Return the region of the frames that the preprocessing keeps.

    A plain preprocessing (see is_plain) would resize this region next; then the result has the
    final size already, so that the pictures are sampled only once.
    """
    # the places in the picture that a frame's pixels show, (rows, columns, 2): column and row
    if framing.lens:
        sampling = sampling_of(framing)
        width = sampling.width
        height = sampling.height
        places = sampling.corner + sampling.fraction / STEPS_PER_PIXEL
    else:
        # cut the rows and columns that the framing states; None keeps all of them
        pictures = pictures[
            :, slice(*(framing.rows or (None,))), slice(*(framing.columns or (None,)))
        ]
        rows, columns = pictures.shape[1:3]
        # a picture with more detail than the frame is first reduced by whole factors
        width = columns // max(columns // FRAME_WIDTH, 1)
        height = rows // max(rows // FRAME_HEIGHT, 1)
        across = (np.arange(FRAME_WIDTH) + 0.5) * width / FRAME_WIDTH - 0.5
        down = (np.arange(FRAME_HEIGHT) + 0.5) * height / FRAME_HEIGHT - 0.5
        places = np.stack(np.meshgrid(across, down), axis=-1)
    # only the places of the pixels that the preprocessing keeps
    left, top, right, bottom = preprocessing.region
    places = places[top:bottom, left:right]
    if preprocessing.is_plain:
        size = (preprocessing.width, preprocessing.height)
        places = np.asarray(cv2.resize(places, size), np.float64)
    return _sampled(_resized(pictures, width, height, "area"), places)


def _sampled(pictures: Any, places: FloatArray) -> Any:
    """Return the colours of pictures at these places, linearly interpolated.

    pictures: (pictures, rows, columns, 3)
    places: column and row of each pixel of the result, (height, width, 2)
    """
    rows, columns = pictures.shape[1:3]
    # beyond the picture, its edge is repeated
    places = np.clip(places, 0, (columns - 1, rows - 1))
    corner = places.astype(np.int32)
    part = (places - corner).astype(np.float32)
    across = part[..., :1]
    down = part[..., 1:]
    left = corner[..., 0]
    right = np.minimum(left + 1, columns - 1)
    upper = columns * corner[..., 1]
    lower = columns * np.minimum(corner[..., 1] + 1, rows - 1)
    flat = tf.reshape(pictures, (-1, rows * columns, 3))

    def between(row: Pixels) -> Any:
        first = tf.gather(flat, row + left, axis=1)
        return first + (tf.gather(flat, row + right, axis=1) - first) * across

    above = between(upper)
    return above + (between(lower) - above) * down
