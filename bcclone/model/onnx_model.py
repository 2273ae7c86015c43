"""Drive with an ONNX file, which ONNX Runtime runs without TensorFlow.

A file of `bcclone export` prepares the frames itself, so an `OnnxModel` takes whole frames of the
simulator, or pictures of the camera whose framing is in its metadata. Files of other programs can
be used as such, too, if they have the inputs and outputs of a Signature (docs/how-to/models.md).
The others are read by foreign/onnx_network.py.

ONNX Runtime runs what a file says, so the content is checked before: it may have ONNX's own
operators, without loops and branches, on tensors that the file itself holds.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bcclone.camera.framing import FRAMING, Framing
from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH
from bcclone.dataset.answer import OUTPUTS
from bcclone.dataset.preprocessing import PRESETS, Preprocessing
from bcclone.dataset.preprocessing_text import LARGEST_PICTURE
from bcclone.model.model_path import read_exported
from bcclone.system.arrays import Float32Array
from bcclone.system.codec import explained, from_text, whole_number
from bcclone.system.errors import UserError, first_line, require_package

# names in the metadata of a file of bcclone export, besides FRAMING
PICTURE = "bcclone_picture"  # JSON of what the file takes
SEQ_LENGTH = "bcclone_seq_length"  # frames of a window in the training of a recurrent network
# names of the input with the picture or window, and of the output with the prediction
FRAME = "frame"
STEERING = "steering"

_LONGEST_WINDOW = 1000  # most frames of a window that a file may ask for
_LARGEST_STATE = 1 << 20  # most numbers in a state
_LONGEST_NAME = 40  # characters of a name in a message


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
        """Return the shape of each input by its name, without the number of drives."""
        frame: tuple[int, ...] = (*self.frame, 3)
        if self.seq_length > 1 and not self.state_sizes:
            frame = (self.seq_length, *frame)
        inputs = {FRAME: frame}
        for number, size in enumerate(self.state_sizes):
            inputs[f"state_{number}"] = (size,)
        return inputs

    @property
    def outputs(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each output by its name: the prediction, and the next states."""
        outputs: dict[str, tuple[int, ...]] = {STEERING: (self.predicts,)}
        for number, size in enumerate(self.state_sizes):
            outputs[f"next_state_{number}"] = (size,)
        return outputs


class OnnxModel:
    """A network in an ONNX file, ready to run on one core."""

    preprocessing: Preprocessing = PRESETS["carnd-160x320-rgb"]  # whole frames
    calibration = None  # export makes a calibration a part of the network
    model = None  # it is not a network of Keras
    prepares_itself = True

    def __init__(self, path: Path, session: Any = None) -> None:
        """Raises UserError for a file that is missing, damaged, or no network that drives.

        session: what open_session() returns for the file, None to open it here
        """
        self._path = path
        self._session = session or open_session(path)
        with explained(path, "a network that drives", "export it again"):
            # how the network frames the pictures of its camera; None if it takes frames
            framing = self._session.get_modelmeta().custom_metadata_map.get(FRAMING)
            self.framing = from_text(Framing, framing) if framing else None
            self.signature = _signature_of(self._session, self.framing, path)
        self.input_shape = self.signature.inputs[FRAME]
        self.seq_length = self.signature.seq_length
        self.state_sizes = self.signature.state_sizes

    def as_call(self) -> Callable[..., list[Float32Array]]:
        """Return the network as a call: its inputs -> its outputs, then its new states."""
        names = list(self.signature.inputs)
        return lambda *inputs: self.run(dict(zip(names, inputs, strict=True)))

    def run(self, inputs: Mapping[str, Any]) -> list[Float32Array]:
        """Return the outputs of the signature for its inputs, arrays of (drives, ...) by name.

        Raises UserError when the network cannot compute them.
        """
        outputs = outputs_of(self._session, self._path, list(self.signature.outputs), inputs)
        for (name, shape), output in zip(self.signature.outputs.items(), outputs, strict=True):
            expected = (len(inputs[FRAME]), *shape)
            if output.shape != expected:
                raise UserError(
                    f"{self._path}: {name} has the shape {output.shape}, expected {expected}; "
                    "export it again"
                )
        return outputs


def load_onnxruntime() -> Any:
    require_package("onnxruntime", "an ONNX file", "bcclone[onnx]")
    import onnxruntime

    return onnxruntime


def is_exported(session: Any) -> bool:
    """Return whether a file takes whole pictures, as bcclone export writes it."""
    if PICTURE in session.get_modelmeta().custom_metadata_map:
        return True
    return any(
        tensor.name == FRAME and tensor.type == "tensor(uint8)" for tensor in session.get_inputs()
    )


def outputs_of(
    session: Any, path: Path, names: Sequence[str], inputs: Mapping[str, Any]
) -> list[npt.NDArray[Any]]:
    """Return the outputs of these names for the inputs; raises UserError when it cannot.

    path: of the session's file, for the message
    """
    try:
        return [np.asarray(output) for output in session.run(names, dict(inputs))]
    except Exception as error:  # the errors of ONNX Runtime have no other class in common
        raise UserError(f"{path}: cannot be run: {first_line(error)}; export it again") from None


def open_session(path: Path) -> Any:
    """Return a session of ONNX Runtime for a file; raises UserError if it cannot be run."""
    onnxruntime = load_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # one core, as drive.py runs TensorFlow
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # only fatal errors: the exception tells of the others
    content = read_exported(path)
    try:
        _check_content(content)
        # enable_fallback=0: no second try after an error, of which ONNX Runtime would print lines
        return onnxruntime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
    except Exception as error:  # as in outputs_of()
        raise UserError(
            f"{path}: not an ONNX file that can be run: {first_line(error)}; export it again"
        ) from None


def _signature_of(session: Any, framing: Framing | None, path: Path) -> Signature:
    """Return the signature of a file.

    Raises UserError for a network that cannot drive, and ValueError for metadata that is wrong.

    framing: the framing in the file's metadata
    """
    inputs = {tensor.name: tuple(tensor.shape[1:]) for tensor in session.get_inputs()}
    outputs = {tensor.name: tuple(tensor.shape[1:]) for tensor in session.get_outputs()}
    has_right_types = all(
        tensor.type == ("tensor(uint8)" if tensor.name == FRAME else "tensor(float)")
        for tensor in (*session.get_inputs(), *session.get_outputs())
    )

    # read the sizes from the names that our exports use; then compare the whole signature
    frame = inputs.get(FRAME, ())
    columns = outputs.get(STEERING) or (1,)
    state_sizes = tuple(
        shape[0] for name, shape in inputs.items() if name != FRAME and len(shape) == 1
    )
    seq_length = frame[0] if len(frame) == 4 else 1
    size = (framing.height, framing.width) if framing else (FRAME_HEIGHT, FRAME_WIDTH)
    signature = Signature(seq_length, state_sizes, size, predicts=columns[0])
    # a size that is not fixed is a text; a large one would fill the memory
    limits = [(seq_length, _LONGEST_WINDOW), (columns[0], len(OUTPUTS))]
    limits += [(extent, LARGEST_PICTURE) for extent in size]
    limits += [(state_size, _LARGEST_STATE) for state_size in state_sizes]
    are_sane = all(isinstance(found, int) and 0 < found <= most for found, most in limits)
    if not (
        has_right_types and are_sane and inputs == signature.inputs and outputs == signature.outputs
    ):
        raise UserError(
            f"{path}: a network from {_described(inputs)} to {_described(outputs)}; expected "
            f"camera frames, uint8 {FRAME} {(*size, 3)}, to {STEERING} (1,), "
            "as bcclone export writes it; export it again"
        )
    if not state_sizes:
        return signature
    # a recurrent network takes single frames; the metadata has the length of a window in training
    trained = session.get_modelmeta().custom_metadata_map.get(SEQ_LENGTH, 1)
    return replace(signature, seq_length=whole_number(SEQ_LENGTH, trained, 1, _LONGEST_WINDOW))


def _described(tensors: Mapping[str, tuple[Any, ...]]) -> str:
    return ", ".join(f"{name[:40]} {shape}" for name, shape in tensors.items())[:200]


# ---- the content of a file


def _check_content(content: bytes) -> None:
    """Raise ValueError, with the reason, for a file that ONNX Runtime shall not open."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.ModelProto.FromString(content)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError("no protocol buffer of ONNX") from None
    if model.functions or model.training_info:
        raise ValueError("it has functions of its own, or a training; expected a graph alone")
    graph = model.graph
    attributes = [attribute for node in graph.node for attribute in node.attribute]
    for node in graph.node:
        name = node.op_type[:_LONGEST_NAME]
        # an attribute that is a graph holds the body of a loop or a branch
        has_graph = any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute)
        if has_graph or node.op_type in {"If", "Loop", "Scan", "SequenceMap"}:
            raise ValueError(f"the operator {name} controls the flow, so that it may never end")
        if node.domain not in {"", "ai.onnx", "ai.onnx.ml"}:
            raise ValueError(
                f"the operator {name} is of {node.domain[:_LONGEST_NAME]!r}, expected ONNX's own"
            )
    has_sparse = any(
        attribute.HasField("sparse_tensor") or attribute.sparse_tensors for attribute in attributes
    )
    if graph.sparse_initializer or has_sparse:
        raise ValueError("it has sparse tensors, which it may declare larger than the memory")
    for tensor in graph.initializer:
        _check_tensor(tensor)
    for attribute in attributes:
        for tensor in (attribute.t, *attribute.tensors):  # t is empty if the attribute has none
            _check_tensor(tensor)
    _check_divisions(model)


def _check_tensor(tensor: Any) -> None:
    """Raise ValueError for a tensor in another file, or larger than its bytes in this file."""
    elements_per_byte = 8  # no type of ONNX has more elements in a byte
    name = tensor.name[:_LONGEST_NAME]
    if tensor.external_data or tensor.data_location:
        raise ValueError(
            f"the tensor {name!r} lies in another file, expected all in one (PyTorch: "
            "torch.onnx.export(..., external_data=False))"
        )
    shape = list(tensor.dims)
    size = tensor.ByteSize()
    is_negative = min(shape, default=0) < 0
    if is_negative or (shape and math.prod(shape) > elements_per_byte * size):
        raise ValueError(f"the tensor {name!r} has the shape {shape[:8]}, but {size} bytes")


def _check_divisions(model: Any) -> None:
    """Raise ValueError for a division of whole numbers.

    The processor ends a program that divides the smallest whole number by -1.
    """
    import onnx

    divisions = [node for node in model.graph.node if node.op_type in {"Div", "Mod"}]
    if not divisions:
        return
    graph = onnx.shape_inference.infer_shapes(model).graph
    types = {
        value.name: value.type.tensor_type.elem_type
        for value in (*graph.input, *graph.value_info, *graph.output)
    }
    types |= {tensor.name: tensor.data_type for tensor in graph.initializer}
    real_types = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE}
    for node in divisions:
        if any(types.get(name) not in real_types for name in node.input):
            raise ValueError(
                f"the operator {node.op_type} divides whole numbers, expected floating-point ones"
            )
