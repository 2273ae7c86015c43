"""The interface of donkeycar 5 for its type tflite_linear: a picture of its camera to angle and throttle.

donkeycar 5.3 (parts/interpreter.py, parts/keras.py) gives one input, float32 (1, height, width, 3) of 0 to 1, RGB, and
reads two outputs of (1, 1) in the alphabetical order of their names, which here are those of its own linear models.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bcclone.dataset.answer import OUTPUTS
from bcclone.dataset.framing import Framing
from bcclone.dataset.images import BadImage, Image
from bcclone.drive.controller import SHARPEST, STRAIGHT
from bcclone.lab.export_model.exact_frames import prepare_pictures
from bcclone.lab.export_model.export_settings import ExportModelSettings
from bcclone.lab.export_model.interface import Inputs, Interface, Outputs, calibrated, constants_of
from bcclone.model.model_file import ModelFile
from bcclone.model.recurrent import steps_of
from bcclone.system.errors import UserError

PICTURE, ANGLE, THROTTLE = "img_in", "n_outputs0", "n_outputs1"
_SPEED, _THROTTLE = (
    next(number for number, each in enumerate(OUTPUTS) if each.predict == name) for name in ("speed", "throttle")
)


def donkeycar_interface(file: ModelFile, settings: ExportModelSettings) -> Interface:
    """Return the interface of a model in a donkeycar; raises UserError for a model that cannot drive one."""
    _check(file, settings)
    width, height = settings.camera
    prepared, law = file.preprocessing, throttle_law(settings, len(file.outputs))
    constants, dtype = constants_of(file), file.model.inputs[0].dtype
    framing = _framing_of(file, settings)

    def answer(images: Any) -> Mapping[str, Any]:
        numbers = file.model(images, training=False)
        angle = keras.ops.clip(calibrated(numbers, file.calibration)[:, :1], -1.0, 1.0)
        return {ANGLE: angle, THROTTLE: law(angle, numbers)}

    def graph(**inputs: Any) -> Mapping[str, Any]:
        pictures = tf.floor(inputs[PICTURE] * 255.0 + 0.5)
        with constants():
            return answer(tf.cast(prepare_pictures(pictures, prepared, framing), dtype))

    def own(inputs: Inputs) -> Outputs:
        frames = [framing.apply(np.rint(picture * 255).astype(np.uint8)) for picture in inputs[PICTURE]]
        images = np.stack([prepared.apply(frame) for frame in frames]).astype(dtype)
        return {name: keras.ops.convert_to_numpy(value) for name, value in answer(images).items()}

    return Interface(
        inputs={PICTURE: (height, width, 3)},
        outputs={ANGLE: (1,), THROTTLE: (1,)},
        graph=graph,
        own=own,
        inputs_of=_inputs_of,
        camera=settings.camera,
    )


def throttle_law(settings: ExportModelSettings, outputs: int) -> Callable[[Any, Any], Any]:
    """Return the function from the angle, (cars, 1), and the network's numbers, (cars, outputs), to the throttle."""
    if follows_prediction(settings, outputs):
        return lambda angle, numbers: keras.ops.clip(numbers[:, _THROTTLE : _THROTTLE + 1], 0.0, 1.0)
    throttle = settings.constant_throttle
    if (mph := settings.throttle_speed_mph) is not None:
        return lambda angle, numbers: keras.ops.clip(
            numbers[:, _SPEED : _SPEED + 1] * (throttle * OUTPUTS[_SPEED].unit / mph), 0.0, 1.0
        )
    if (lowest := settings.throttle_in_bends) is None:
        return lambda angle, numbers: keras.ops.full_like(angle, throttle)

    def in_bends(angle: Any, numbers: Any) -> Any:
        sharpness = keras.ops.clip((keras.ops.abs(angle) - STRAIGHT) / (SHARPEST - STRAIGHT), 0.0, 1.0)
        return throttle + (lowest - throttle) * sharpness

    return in_bends


def follows_prediction(settings: ExportModelSettings, outputs: int) -> bool:
    """Return whether the throttle is that of the network: it has so many outputs, and no other law is asked for."""
    others = (settings.throttle, settings.throttle_in_bends, settings.throttle_speed_mph)
    return outputs > _THROTTLE and others == (None, None, None)


def describe_throttle(settings: ExportModelSettings, outputs: int) -> str:
    throttle = settings.constant_throttle
    if follows_prediction(settings, outputs):
        return "as the model predicts it, 0 to 1"
    if settings.throttle_speed_mph is not None:
        return f"as the model predicts the speed, {throttle:g} at {settings.throttle_speed_mph:g} mph"
    lowest = settings.throttle_in_bends
    return f"{throttle:g}" if lowest is None else f"{throttle:g}, down to {lowest:g} in bends"


def _inputs_of(pictures: Sequence[Image]) -> Iterable[Inputs]:
    """Yield the input for each picture as donkeycar makes it: the product in float64, then float32."""
    for picture in pictures:
        yield {PICTURE: (picture.astype(np.float64) * (1.0 / 255.0)).astype(np.float32)[np.newaxis]}


def _framing_of(file: ModelFile, settings: ExportModelSettings) -> Framing:
    width, height = settings.camera
    try:
        return (file.framing or Framing(width, height)).for_size(width, height)
    except BadImage as error:
        raise UserError(
            f"{settings.model}: its camera's pictures have another shape: {error}; give the size of yours with "
            "--camera, or calibrate the model for it: bcclone calibrate"
        ) from None


def _check(file: ModelFile, settings: ExportModelSettings) -> None:
    if file.seq_length > 1 or steps_of(file.model):
        raise UserError(
            f"{settings.model}: a network of {file.seq_length} frames, expected one of single frames, because "
            "donkeycar's tflite_linear gives one picture and keeps no state; train one without --seq-length"
        )
    if settings.throttle_speed_mph is not None and len(file.outputs) <= _SPEED:
        raise UserError(
            f"{settings.model}: it predicts no speed for --throttle-speed; leave that out, or train a model with: "
            f"bcclone model data.h5 --predict {OUTPUTS[_SPEED].predict}"
        )
