"""Drive with an ONNX file of another program, such as PyTorch, which ONNX Runtime runs.

A `ForeignOnnxModel` takes a prepared image, uint8 (1, height, width, channels), and returns the
steering, float32 (1, 1). Its network may take the channels first, as PyTorch's do.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.camera.images import Image
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.preprocessing_text import RAW
from bcclone.model.foreign.outputs import note_steering, steering_in, steering_output
from bcclone.model.foreign.preprocessing import declared_preprocessing, scaled
from bcclone.model.foreign.tree import pilot_of, several_inputs
from bcclone.model.onnx_model import outputs_of
from bcclone.system.arrays import Float32Array
from bcclone.system.errors import UserError, shown

_COLORS = (1, 3)  # numbers of channels of a picture
_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}


class ForeignOnnxModel:
    """A network of one picture in an ONNX file, ready to run on one core.

    Of its outputs, the steering is chosen by steering_output().
    """

    prepares_itself = False
    framing = None  # it takes frames
    calibration = None  # the network's steering is the car's
    model = None  # it is not a network of Keras
    seq_length = 1
    state_sizes = ()

    def __init__(self, path: Path, session: Any, given: Preprocessing | str | None = None) -> None:
        """Raises UserError for a network that does not take one picture, or whose pictures are
        prepared in an unknown way.

        session: of ONNX Runtime, for the file
        given: as declared_preprocessing() takes it
        """
        self._path = path
        self._session = session
        inputs = session.get_inputs()
        if len(inputs) != 1:
            raise UserError(f"{path}: {several_inputs([tensor.name for tensor in inputs])}")
        (self._input,) = inputs
        self._channels_first, self.input_shape = self._picture()
        outputs = {tensor.name: tensor for tensor in session.get_outputs()}
        self._output, is_named = steering_output(outputs)
        extents = outputs[self._output].shape[1:]
        numbers = math.prod(extents) if all(isinstance(each, int) for each in extents) else 0
        pilot = pilot_of(self._input.name, numbers)
        if not (is_named or pilot):
            note_steering(path, self._output, outputs)
        is_whole = self._input.type == "tensor(uint8)"
        self.preprocessing = declared_preprocessing(
            path, given, self.input_shape, pilot, likely_scale="" if is_whole else "0..1"
        )
        if is_whole and self.preprocessing.scale not in ("", RAW):
            raise UserError(
                f"{path}: takes whole numbers of 0 to 255, which {self.preprocessing.scale} would "
                "round to 0 or 1; leave that out of --preprocess"
            )

    def _picture(self) -> tuple[bool, tuple[int, int, int]]:
        """Return whether the channels are first, and the rows, columns and channels of a picture.

        Raises UserError for any other input.
        """
        shape = self._input.shape
        is_one_picture = (
            self._input.type in _DTYPES
            and len(shape) == 4
            and not (isinstance(shape[0], int) and shape[0] != 1)
            and all(isinstance(extent, int) for extent in shape[1:])
        )
        if is_one_picture:
            _, first, middle, last = shape
            # a picture of 3 rows or columns is none, so that one of these alone can be the channels
            if (first in _COLORS) != (last in _COLORS):
                if first in _COLORS:
                    return True, (middle, last, first)
                return False, (first, middle, last)
        raise UserError(
            f"{self._path}: takes {shown(self._input.name)}, {self._input.type} {shape}; expected "
            "one picture of a fixed size, float of (1, 3, rows, columns) or (1, rows, columns, 3), "
            "or with 1 channel: export it so"
        )

    def as_call(self) -> Callable[..., list[Float32Array]]:
        """Return the network as a call: a prepared image -> a list with the steering."""
        return lambda images: [self.predict(images)]

    def predict(self, images: Image) -> Float32Array:
        """Return the steering, (1, 1), for a prepared image, uint8 (1, height, width, channels).

        Raises UserError when the network cannot compute it.
        """
        pixels = scaled(images.astype(np.float32), self.preprocessing.scale)
        if self._channels_first:
            pixels = pixels.transpose(0, 3, 1, 2)
        inputs = {self._input.name: pixels.astype(_DTYPES[self._input.type])}
        (answer,) = outputs_of(self._session, self._path, [self._output], inputs)
        return steering_in(answer.reshape(-1).astype(np.float32))
