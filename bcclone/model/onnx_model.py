"""Drive with an ONNX file, which ONNX Runtime runs without TensorFlow.

An `OnnxModel` takes images or windows, uint8 (drives, ...), and returns what the network predicts,
float32 (drives, outputs); a recurrent one also takes and returns states.

A file of `bcclone export` prepares the frames itself, so an image here is a whole frame of the
simulator. If its metadata has a framing, the file also frames the pictures itself, and an image is
a picture of that camera. Files of other programs can be used, too, if they have the inputs and
outputs of a Signature (see docs/how-to/models.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.camera.framing import Framing
from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, Image
from bcclone.dataset.answer import OUTPUTS
from bcclone.dataset.preprocessing import PRESETS, Preprocessing
from bcclone.dataset.preprocessing_text import LARGEST_PICTURE
from bcclone.model.model_path import read_exported
from bcclone.model.onnx_content import check_onnx
from bcclone.system.codec import explained, from_text, whole_number
from bcclone.system.errors import UserError, first_line, require_package
from bcclone.system.numbers import Float32Array

# names in the metadata of a file of bcclone export; FRAMING is an attribute of model files, too
PICTURE = "bcclone_picture"  # JSON of what the file takes
SEQ_LENGTH = "bcclone_seq_length"  # frames of a window in the training of a recurrent network
FRAMING = "bcclone_framing"  # JSON of the framing
# names of the input with the picture or window, and of the output with the prediction
FRAME = "frame"
STEERING = "steering"

_LONGEST_WINDOW = 1000  # most frames of a window that a file may ask for


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of an exported network.

    A recurrent network takes one frame at a time, and its states.
    """

    seq_length: int = 1  # frames of a window; for a recurrent network, of a window in its training
    state_sizes: tuple[int, ...] = ()  # numbers in each state; () if it is not recurrent
    # height and width of a frame, or of a picture of another camera, in pixels
    frame: tuple[int, int] = (FRAME_HEIGHT, FRAME_WIDTH)
    predicts: int = 1  # columns of the output STEERING: the first ones of OUTPUTS

    @property
    def inputs(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each input by its name, without the number of drives.

        Frames are uint8, states float32.
        """
        frame: tuple[int, ...] = (*self.frame, 3)
        if self.seq_length > 1 and not self.state_sizes:
            frame = (self.seq_length, *frame)
        inputs = {FRAME: frame}
        for number, size in enumerate(self.state_sizes):
            inputs[f"state_{number}"] = (size,)
        return inputs

    @property
    def outputs(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each output by its name, without the number of drives.

        They are the prediction, and the states for the next frame, float32.
        """
        outputs: dict[str, tuple[int, ...]] = {STEERING: (self.predicts,)}
        for number, size in enumerate(self.state_sizes):
            outputs[f"next_state_{number}"] = (size,)
        return outputs


class OnnxModel:
    """A network in an ONNX file, ready to run on one core."""

    preprocessing: Preprocessing = PRESETS["carnd-160x320-rgb"]  # whole frames
    calibration = None  # export makes a calibration a part of the network

    def __init__(self, path: Path) -> None:
        """Raises UserError for a file that is missing, damaged, or no network that drives."""
        self._path = path
        self._session = _session_of(path)
        with explained(path, "a network that drives", "export it again"):
            # how the network frames the pictures of its camera; None if it takes frames
            self.framing = _framing_of(self._session)
            self.signature = _signature_of(self._session, self.framing, path)

    def run(self, inputs: Mapping[str, Any]) -> list[Float32Array]:
        """Return the outputs of the signature for its inputs, arrays of (drives, ...) by name.

        Raises UserError when the network cannot compute them.
        """
        names = list(self.signature.outputs)
        try:
            outputs = [np.asarray(output) for output in self._session.run(names, dict(inputs))]
        except Exception as error:  # the errors of ONNX Runtime have no other class in common
            raise UserError(
                f"{self._path}: cannot be run: {first_line(error)}; export it again"
            ) from None
        for (name, shape), output in zip(self.signature.outputs.items(), outputs, strict=True):
            expected = (len(inputs[FRAME]), *shape)
            if output.shape != expected:
                raise UserError(
                    f"{self._path}: {name} has the shape {output.shape}, expected {expected}; "
                    "export it again"
                )
        return outputs

    def predict(self, frames: Image) -> Float32Array:
        """Return the prediction, (drives, outputs), for frames or windows of them.

        frames: uint8 (drives, ...)
        """
        return self.run({FRAME: frames})[0]

    def step(
        self, frames: Image, states: Sequence[Float32Array]
    ) -> tuple[Float32Array, list[Float32Array]]:
        """Return the prediction, (drives, outputs), and the states for the next frame."""
        inputs = dict(zip(self.signature.inputs, (frames, *states), strict=True))
        predicted, *next_states = self.run(inputs)
        return predicted, next_states


def load_onnxruntime() -> Any:
    require_package("onnxruntime", "an ONNX file", "bcclone[onnx]")
    import onnxruntime

    return onnxruntime


def _session_of(path: Path) -> Any:
    """Return a session of ONNX Runtime for a file; raises UserError if it cannot be run."""
    onnxruntime = load_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # one core, as drive.py runs TensorFlow
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # only fatal errors: the exception tells of the others
    content = read_exported(path)
    try:
        check_onnx(content)
        # enable_fallback=0: no second try after an error, of which ONNX Runtime would print lines
        return onnxruntime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
    except Exception as error:  # as in run()
        raise UserError(
            f"{path}: not an ONNX file that can be run: {first_line(error)}; export it again"
        ) from None


def _framing_of(session: Any) -> Framing | None:
    """Return the framing in a file's metadata, if any; raises ValueError for one that is wrong."""
    framing = session.get_modelmeta().custom_metadata_map.get(FRAMING)
    if not framing:
        return None
    return from_text(Framing, framing)


def _signature_of(session: Any, framing: Framing | None, path: Path) -> Signature:
    """Return the signature of a file.

    Raises UserError for a network that cannot drive, and ValueError for metadata that is wrong.

    framing: the framing in the file's metadata
    """
    tensors = [*session.get_inputs(), *session.get_outputs()]
    inputs = {tensor.name: tuple(tensor.shape[1:]) for tensor in session.get_inputs()}
    outputs = {tensor.name: tuple(tensor.shape[1:]) for tensor in session.get_outputs()}

    # read the sizes from the names that our exports use; then compare the whole signature
    frame = inputs.get(FRAME, ())
    columns = outputs.get(STEERING) or (1,)
    state_sizes = tuple(
        shape[0] for name, shape in inputs.items() if name != FRAME and len(shape) == 1
    )
    seq_length = frame[0] if len(frame) == 4 else 1
    size = (FRAME_HEIGHT, FRAME_WIDTH)
    if framing:
        size = (framing.height, framing.width)
    signature = Signature(seq_length, state_sizes, size, predicts=columns[0])

    has_right_types = all(tensor.type == _type_of(tensor.name) for tensor in tensors)
    if (
        not has_right_types
        or not _are_sane(signature)  # before the shapes below, which need whole numbers
        or inputs != signature.inputs
        or outputs != signature.outputs
    ):
        raise UserError(
            f"{path}: a network from {_described(inputs)} to {_described(outputs)}; expected "
            f"camera frames, uint8 {FRAME} {(*size, 3)}, to {STEERING} (1,), "
            "as bcclone export writes it; of other programs, name the .h5 or .keras file"
        )
    if not state_sizes:
        return signature
    # a recurrent network takes single frames; the metadata has the length of a window in training
    trained = session.get_modelmeta().custom_metadata_map.get(SEQ_LENGTH, 1)
    return replace(signature, seq_length=whole_number(SEQ_LENGTH, trained, 1, _LONGEST_WINDOW))


def _are_sane(signature: Signature) -> bool:
    """Return whether all sizes are whole numbers, and small enough to allocate such arrays."""
    largest_state = 1 << 20
    limits = [(signature.seq_length, _LONGEST_WINDOW), (signature.predicts, len(OUTPUTS))]
    limits += [(extent, LARGEST_PICTURE) for extent in signature.frame]
    limits += [(size, largest_state) for size in signature.state_sizes]
    return all(isinstance(extent, int) and 0 < extent <= most for extent, most in limits)


def _type_of(name: str) -> str:
    return "tensor(uint8)" if name == FRAME else "tensor(float)"


def _described(tensors: Mapping[str, tuple[Any, ...]]) -> str:
    return ", ".join(f"{name[:40]} {shape}" for name, shape in tensors.items())[:200]
