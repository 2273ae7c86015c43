"""Drive with a LiteRT file, such as a pilot of donkeycar, by TensorFlow.

A `LiteRtModel` takes a prepared image, uint8 (1, height, width, channels), and returns the
steering, float32 (1, 1). A file of `bcclone export` prepares frames itself, as an ONNX file does.
"""

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bcclone.camera.framing import FRAMING, Framing
from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, Image
from bcclone.dataset.preprocessing import PRESETS, Preprocessing
from bcclone.model.foreign.outputs import note_steering, steering_in, steering_output
from bcclone.model.foreign.preprocessing import declared_preprocessing, scaled
from bcclone.model.foreign.tree import pilot_of, several_inputs
from bcclone.model.model_path import read_exported
from bcclone.model.onnx_model import PICTURE
from bcclone.system.arrays import Float32Array
from bcclone.system.codec import from_text
from bcclone.system.errors import UserError, first_line


class LiteRtModel:
    """A network of one picture in a LiteRT file, ready to run on one core.

    Of its outputs, the steering is chosen by steering_output(), in the order of their names, since
    LiteRT does not tell that of the file. Inputs and outputs may be
    quantized: whole numbers, whose unit and zero the file states.
    """

    calibration = None  # the network's steering is the car's
    model = None  # it is not a network of Keras
    seq_length = 1
    state_sizes = ()

    def __init__(self, path: Path, given: Preprocessing | str | None = None) -> None:
        """Raises UserError for a file that cannot be run, or whose pictures are prepared in an
        unknown way.

        given: as declared_preprocessing() takes it
        """
        try:
            content = read_exported(path)
            self._interpreter = _interpreter_of(content, path)
            inputs = self._interpreter.get_input_details()
            if len(inputs) > 1:
                names = [str(tensor["name"]) for tensor in inputs]
                raise UserError(f"{path}: {several_inputs(names)}")
            (self._input,) = inputs
            _, rows, columns, channels = map(int, self._input["shape"])
            self.input_shape = (rows, columns, channels)
            # a file of bcclone export takes pixels of 0 to 255 and prepares them itself
            stated = _metadata_of(content)
            self.prepares_itself = PICTURE in stated
            # how the network frames the pictures of its camera; None if it takes frames
            self.framing: Framing | None = None
            if FRAMING in stated:
                self.framing = from_text(Framing, stated[FRAMING].decode())
            outputs = _named_outputs(self._interpreter)
        except (ValueError, RuntimeError, KeyError) as error:
            raise UserError(
                f"{path}: not a LiteRT file of one picture that can be run: {first_line(error)}; "
                "use the .h5 or .keras file that it was made from"
            ) from None

        # which output is the steering
        steering, is_named = steering_output(sorted(outputs))
        self._output = outputs[steering]
        numbers = math.prod(map(int, self._output["shape"]))
        pilot = pilot_of(self._input["name"], numbers)
        if not (is_named or pilot):
            note_steering(path, steering, sorted(outputs))

        if self.prepares_itself:
            size = (FRAME_HEIGHT, FRAME_WIDTH)
            if self.framing:
                size = (self.framing.height, self.framing.width)
            if self.input_shape != (*size, 3):
                raise UserError(
                    f"{path}: takes {self.input_shape}, and states pictures of {(*size, 3)}; "
                    "export it again"
                )
            # frames as they are; a framing is applied before
            self.preprocessing = PRESETS["carnd-160x320-rgb"]
            return

        # A quantized input with large units takes pixels of 0 to 255: 255 units exceed 2. One with
        # small units takes 0 to 1 or -1 to 1. One that is not quantized has a unit of 0, and is
        # assumed to take 0 to 1.
        unit, _ = self._input["quantization"]
        takes_pixels_as_they_are = unit * 255 > 2
        likely_scale = "" if takes_pixels_as_they_are else "0..1"
        self.preprocessing = declared_preprocessing(
            path, given, self.input_shape, pilot, likely_scale
        )

    def as_call(self) -> Callable[..., list[Float32Array]]:
        """Return the network as a call: a prepared image -> a list with the steering."""
        return lambda images: [self.predict(images)]

    def predict(self, images: Image) -> Float32Array:
        """Return the steering, (1, 1), for a prepared image, uint8 (1, height, width, channels)."""
        pixels = self._quantized(scaled(images.astype(np.float32), self.preprocessing.scale))
        self._interpreter.set_tensor(self._input["index"], pixels)
        self._interpreter.invoke()
        answer = self._interpreter.get_tensor(self._output["index"])
        numbers = answer.reshape(-1).astype(np.float32)
        unit, zero = self._output["quantization"]  # both 0 for an output that is not quantized
        return steering_in((numbers - zero) * np.float32(unit or 1))

    def _quantized(self, values: Float32Array) -> npt.NDArray[Any]:
        """Return the values as numbers of the input's type."""
        dtype = self._input["dtype"]
        if np.issubdtype(dtype, np.integer):
            unit, zero = self._input["quantization"]
            if unit:
                values = values / unit + zero
            limits = np.iinfo(dtype)
            values = np.rint(values).clip(limits.min, limits.max)
        return values.astype(dtype)


def _interpreter_of(content: bytes, path: Path) -> Any:
    """Return the interpreter of a file; raises UserError, ValueError or RuntimeError."""
    if b"Flex" in content:  # operators of TensorFlow, which could read and write files
        raise UserError(
            f"{path}: has operators of TensorFlow itself, expected those of LiteRT; use the .h5 "
            "file"
        )
    import tensorflow as tf

    with warnings.catch_warnings(action="ignore"):  # TensorFlow warns that its interpreter is old
        interpreter = tf.lite.Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    return interpreter


def _named_outputs(interpreter: Any) -> dict[str, dict[str, Any]]:
    """Return the outputs by the names in the file's first signature, or by those of its tensors."""
    if signatures := interpreter.get_signature_list():
        runner = interpreter.get_signature_runner(next(iter(signatures)))
        return dict(runner.get_output_details())
    return {str(tensor["name"]): tensor for tensor in interpreter.get_output_details()}


def _metadata_of(content: bytes) -> dict[str, bytes]:
    """Return the metadata of a file of bcclone export, by name; {} for any other file.

    Raises ValueError for metadata that cannot be read.
    """
    if PICTURE.encode() not in content:
        return {}
    from tensorflow.lite.python import schema_py_generated as schema

    metadata = {}
    try:
        model = schema.Model.GetRootAs(content)
        for number in range(model.MetadataLength()):
            entry = model.Metadata(number)
            text = model.Buffers(entry.Buffer()).DataAsNumpy()
            metadata[entry.Name().decode()] = bytes(text)
    except Exception as error:  # a damaged file makes the reader of the format raise anything
        raise ValueError(f"its metadata cannot be read: {first_line(error)}") from None
    return metadata
