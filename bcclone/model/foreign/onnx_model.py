"""Drive with an ONNX file, which ONNX Runtime runs without TensorFlow, or with a LiteRT file, which
TensorFlow runs.

An ONNX file of `bcclone export` prepares the frames itself, so an image here is a whole camera
frame. Other programs' files can be used, too, if they have these inputs and outputs (see
docs/how-to/models.md).

ONNX Runtime runs what a file says, so the content is checked before: plain operators on tensors
that the file holds.
"""

import math
import shlex
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.camera.framing import Framing
from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, Image
from bcclone.dataset.answer import OUTPUTS, steering_output
from bcclone.dataset.preprocessing import PRESETS, Preprocessing, preprocessing_of
from bcclone.dataset.preprocessing_text import EACH_IMAGE, scaling_of
from bcclone.model.model_path import check_model_path, is_litert, is_onnx
from bcclone.system.arrays import Float32Array
from bcclone.system.codec import explained, from_text, kind_of_content, read_bytes, whole_number
from bcclone.system.errors import UserError, first_line, require_package, shown
from bcclone.system.progress import note

# in the metadata of a recurrent network: the frames of a window in its training
SEQ_LENGTH = "bcclone_seq_length"
FRAMING = "bcclone_framing"
FRAME, STEERING = "frame", "steering"
BINS = 15  # of the steering, in categorical pilots of donkeycar
_LONGEST_WINDOW, _LARGEST_STATE = 1000, 1 << 20
_CONTROL_FLOW = {"If", "Loop", "Scan", "SequenceMap"}  # could run for ever
_DIVISIONS = {"Div", "Mod"}
_BEGINNING = 512
_DOMAINS = {"", "ai.onnx", "ai.onnx.ml"}
_ELEMENTS_PER_BYTE = 8  # of the smallest type, which is compressed to bits


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of an exported network.

    seq_length: the frames of a window; state_sizes: those of the states of a recurrent network,
    which takes one frame at a time and was trained on windows of seq_length; frame: the height and
    width of a camera frame; predicts: how many of OUTPUTS the network has, which are the columns of
    STEERING.
    """

    seq_length: int = 1
    state_sizes: tuple[int, ...] = ()
    frame: tuple[int, int] = (FRAME_HEIGHT, FRAME_WIDTH)
    predicts: int = 1

    @property
    def inputs(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each input by its name, without the number of drives: frames uint8,
        states float32.
        """
        frames = (self.seq_length,) if self.seq_length > 1 and not self.state_sizes else ()
        states = {f"state_{number}": (size,) for number, size in enumerate(self.state_sizes)}
        return {FRAME: (*frames, *self.frame, 3), **states}

    @property
    def outputs(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each output by its name: the prediction, and the states for the next
        frame, float32.
        """
        states = {f"next_state_{number}": (size,) for number, size in enumerate(self.state_sizes)}
        return {STEERING: (self.predicts,), **states}


class OnnxModel:
    """A network in an ONNX file, ready to run on one core."""

    preprocessing: Preprocessing = PRESETS["carnd-160x320-rgb"]  # whole frames
    calibration = None  # of the steering: it is in the network

    def __init__(self, path: Path) -> None:
        """Raises UserError for a missing or damaged file, and for other inputs and outputs."""
        onnxruntime = load_onnxruntime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = (
            1  # as drive.py runs TensorFlow
        )
        options.log_severity_level = 4  # what it would print, an error says
        content = _content_of(path)
        try:
            _check_content(content)
            session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"], enable_fallback=0
            )
        except (
            Exception
        ) as error:  # ONNX Runtime has a class for each cause, with no common one but this
            raise UserError(
                f"{path}: not an ONNX file that can be run: {first_line(error)}; export it again"
            ) from None
        with explained(path, "a network that drives", "export it again"):
            self._path, self._session, self.signature = path, session, _signature_of(session, path)
            framing = session.get_modelmeta().custom_metadata_map.get(FRAMING)
            self.framing = from_text(Framing, framing) if framing else None

    def run(self, inputs: Mapping[str, Any]) -> list[Float32Array]:
        """Return the outputs of the signature for its inputs, arrays of (drives, ...) by name.

        Raises UserError when the network cannot compute them.
        """
        try:
            outputs = [
                np.asarray(each)
                for each in self._session.run(list(self.signature.outputs), dict(inputs))
            ]
        except Exception as error:  # as in __init__()
            raise UserError(
                f"{self._path}: cannot be run: {first_line(error)}; export it again"
            ) from None
        for (name, shape), output in zip(self.signature.outputs.items(), outputs, strict=True):
            expected = len(inputs[FRAME]), *shape
            if output.shape != expected:
                raise UserError(
                    f"{self._path}: {name} has the shape {output.shape}, expected {expected}; export it again"
                )
        return outputs

    def predict(self, frames: Image) -> Float32Array:
        """Return the prediction, (drives, outputs), for frames or windows of them, uint8 (drives,
        ...).
        """
        return self.run({FRAME: frames})[0]

    def step(
        self, frames: Image, states: Sequence[Float32Array]
    ) -> tuple[Float32Array, list[Float32Array]]:
        """Return the prediction, (drives, outputs), and the new states, for the next frame of
        several drives.
        """
        inputs = dict(zip(self.signature.inputs, (frames, *states), strict=True))
        predicted, *after = self.run(inputs)
        return predicted, after


def load_onnxruntime() -> Any:
    require_package("onnxruntime", "an ONNX file", "bcclone[onnx]")
    import onnxruntime

    return onnxruntime


def _content_of(path: Path) -> bytes:
    """Return the content of an ONNX or LiteRT file; raises UserError for one that is missing or of
    another kind.
    """
    check_model_path(path)
    content, expected = (
        read_bytes(path, "model"),
        "an ONNX file" if is_onnx(path) else "a LiteRT file",
    )
    if (kind := kind_of_content(content[:_BEGINNING])) and not kind.startswith(expected):
        raise UserError(f"{path}: {kind}, expected {expected}")
    return content


def _signature_of(session: Any, path: Path) -> Signature:
    """Return the signature of a file; raises UserError for one that cannot drive, and ValueError
    for its metadata.
    """
    tensors = session.get_inputs(), session.get_outputs()
    inputs, outputs = ({each.name: tuple(each.shape[1:]) for each in side} for side in tensors)
    frame, columns = inputs.get(FRAME, ()), outputs.get(STEERING) or (1,)
    sizes = tuple(shape[0] for name, shape in inputs.items() if name != FRAME and len(shape) == 1)
    signature = Signature(frame[0] if len(frame) == 4 else 1, sizes, predicts=columns[0])
    limits = [(signature.seq_length, _LONGEST_WINDOW), (signature.predicts, len(OUTPUTS))]
    limits += [(size, _LARGEST_STATE) for size in sizes]
    fits = all(isinstance(extent, int) and 0 < extent <= most for extent, most in limits)
    fits = fits and (inputs, outputs) == (signature.inputs, signature.outputs)
    kinds = {each.name: each.type for side in tensors for each in side}
    if not fits or any(
        kind != f"tensor({'uint8' if name == FRAME else 'float'})" for name, kind in kinds.items()
    ):
        raise UserError(
            f"{path}: a network from {_described(inputs)} to {_described(outputs)}; expected camera frames, uint8 "
            f"{FRAME} {(FRAME_HEIGHT, FRAME_WIDTH, 3)}, to {STEERING} (1,), as bcclone export writes it; of other "
            "programs, name the .h5 or .keras file"
        )
    if not sizes:
        return signature
    trained = session.get_modelmeta().custom_metadata_map.get(SEQ_LENGTH, 1)
    return replace(signature, seq_length=whole_number(SEQ_LENGTH, trained, 1, _LONGEST_WINDOW))


def _described(tensors: Mapping[str, tuple[Any, ...]]) -> str:
    return ", ".join(f"{name[:40]} {shape}" for name, shape in tensors.items())[:200]


# ---- the content of a file


def _check_content(content: bytes) -> None:
    """Raise ValueError with the reason why the content of a file is not opened."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.ModelProto.FromString(content)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError("no protocol buffer of ONNX") from None
    if model.functions or model.training_info:
        raise ValueError("it has functions of its own, or a training; expected a graph alone")
    for node in model.graph.node:
        if node.op_type in _CONTROL_FLOW or any(
            each.HasField("g") or each.graphs for each in node.attribute
        ):
            raise ValueError(
                f"the operator {node.op_type[:40]} controls the flow, so that it may never end"
            )
        if node.domain not in _DOMAINS:
            raise ValueError(
                f"the operator {node.op_type[:40]} is of {node.domain[:40]!r}, expected ONNX's own"
            )
    _check_tensors(model.graph)
    if any(node.op_type in _DIVISIONS for node in model.graph.node):
        _check_divisions(model)


def _check_tensors(graph: Any) -> None:
    attributes = [attribute for node in graph.node for attribute in node.attribute]
    if graph.sparse_initializer or any(
        each.HasField("sparse_tensor") or each.sparse_tensors for each in attributes
    ):
        raise ValueError("it has sparse tensors, which it may declare larger than the memory")
    for tensor in (
        *graph.initializer,
        *(tensor for each in attributes for tensor in (each.t, *each.tensors)),
    ):
        if tensor.external_data or tensor.data_location:
            raise ValueError(
                f"the tensor {tensor.name[:40]!r} lies in another file, expected all in one"
            )
        shape, size = list(tensor.dims), tensor.ByteSize()
        if min(shape, default=0) < 0 or (shape and math.prod(shape) > _ELEMENTS_PER_BYTE * size):
            raise ValueError(
                f"the tensor {tensor.name[:40]!r} has the shape {shape[:8]}, but {size} bytes"
            )


def _check_divisions(model: Any) -> None:
    """Refuse to divide whole numbers: the processor ends a program that divides the smallest one by
    -1.
    """
    import onnx

    graph = onnx.shape_inference.infer_shapes(model).graph
    types = {
        each.name: each.type.tensor_type.elem_type
        for each in (*graph.input, *graph.value_info, *graph.output)
    }
    types |= {tensor.name: tensor.data_type for tensor in graph.initializer}
    real = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE}
    for node in graph.node:
        if node.op_type in _DIVISIONS and any(types.get(name) not in real for name in node.input):
            raise ValueError(
                f"the operator {node.op_type} divides whole numbers, expected floating-point ones"
            )


# ---- the files of other programs


def pilot_of(taken: str, numbers: int) -> str:
    """Return the class of a pilot of donkeycar (parts/keras.py), "" for another network.

    taken: the name of its input; numbers: how many it gives for the steering.
    """
    return ("KerasCategorical" if numbers == BINS else "KerasLinear") if "img_in" in taken else ""


def guess_of_output(path: Path, name: str) -> str:
    return f"{path}: no name of its outputs says which is the steering: {shown(name)} is taken; check that it is"


def several_inputs(names: Iterable[str]) -> str:
    return f"takes the inputs {shown([*names])}, expected pictures alone: such a network cannot drive here"


def declared_preprocessing(
    path: Path, how: Preprocessing | str | None, shape: Sequence[int], pilot: str, scale: str
) -> Preprocessing:
    """Return how the frames of another program's model are prepared, which its file does not state.

    how: a definition, or its text, in which the size may be missing; None for that of donkeycar,
    whose pilot_of() this is; shape: rows, columns and channels of the network's input, after the
    number of frames if it takes windows; scale: the likely one, "" if a layer of its own scales the
    pixels. Warns of pixels that nothing scales. Raises UserError when such images do not fit the
    network.
    """
    *_, rows, columns, channels = shape
    colors, likely = "GRAY" if channels == 1 else "RGB", scale and f", {scale}"
    if how is None and pilot:
        how = f"{colors}{likely}"
        note(
            f"{path}: a pilot of donkeycar ({pilot}); its pictures are prepared as {columns}x{rows}, {how}"
        )
    takes = f"its network takes {_extents(shape)} ({'frames x ' * (len(shape) == 4)}rows x columns x channels)"
    if channels not in (1, 3):
        raise UserError(
            f"{path}: {takes}; frames stacked as channels, and channels that come first, are not supported"
        )
    fitting = {name: its for name, its in PRESETS.items() if its.shape == (rows, columns, channels)}
    texts = [
        name if its.scale else name + likely
        for name, its in fitting.items()
        if scale or not its.scale
    ]
    examples = map(shlex.quote, texts or [f"rows 60-140, {columns}x{rows}, {colors}{likely}"])
    remedy = (
        f"give what it was trained with, such as --preprocess {' or --preprocess '.join(examples)}"
    )
    if how is None:
        search = f", or find it with a recording: bcclone import-model {path} --recording RECORDING"
        raise UserError(
            f"{path}: does not state its preprocessing; {takes}; {remedy}{'' if is_litert(path) else search}"
        )
    taken = preprocessing_of(how, (columns, rows)) if isinstance(how, str) else how
    if taken.shape != (rows, columns, channels):
        raise UserError(
            f"{path}: {takes}, and {taken.describe()} makes {_extents(taken.shape)}; {remedy}"
        )
    if scale and not taken.scale:
        what = (
            "its file does not say whether a layer scales" if is_litert(path) else "no layer scales"
        )
        note(
            f"{path}: {what} the pixels, which are 0 to 255; if its author divided them by 255, give --preprocess "
            f"'{taken.describe()}, 0..1', and if not, raw in place of 0..1"
        )
    return taken


def _extents(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


class LiteRtModel:
    """A network of one picture in a LiteRT file, such as a pilot of donkeycar, ready to run on one
    core.

    preprocessing: of its pictures, whose scale is applied here. Of several outputs, the steering is
    the one that is called so, or the first by name, as donkeycar takes them; of 15 bins, it is the
    place of the most probable one between -1 and 1. Inputs and outputs may be whole numbers, as the
    file quantizes them.
    """

    framing, calibration = None, None

    def __init__(self, path: Path, how: Preprocessing | str | None = None) -> None:
        """Raises UserError for a file that cannot be run, or whose pictures are prepared in an
        unknown way.
        """
        import tensorflow as tf

        content = _content_of(path)
        if b"Flex" in content:  # operators of TensorFlow, which could read and write files
            raise UserError(
                f"{path}: has operators of TensorFlow itself, expected those of LiteRT; use the .h5 file"
            )
        try:
            with warnings.catch_warnings(
                action="ignore"
            ):  # that TensorFlow's own interpreter is old
                interpreter = self._interpreter = tf.lite.Interpreter(
                    model_content=content, num_threads=1
                )
            interpreter.allocate_tensors()
            inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
            if len(inputs) > 1:
                raise UserError(f"{path}: {several_inputs(str(each['name']) for each in inputs)}")
            (self._input,) = inputs
            _, *shape = map(int, self._input["shape"])
            rows, columns, channels = shape
            named = {str(each["name"]): each for each in outputs}
            for name in [*interpreter.get_signature_list()][:1]:
                named = interpreter.get_signature_runner(name).get_output_details()
        except (ValueError, RuntimeError, KeyError) as error:
            raise UserError(
                f"{path}: not a LiteRT file of one picture that can be run: {first_line(error)}; use the .h5 or .keras "
                "file that it was made from"
            ) from None
        steering, is_named = steering_output(sorted(named))
        self._output = named[steering]
        pilot = pilot_of(self._input["name"], math.prod(map(int, self._output["shape"])))
        if not (is_named or pilot):
            note(guess_of_output(path, steering))
        scale = (
            "" if self._input["quantization"][0] * 255 > 2 else "0..1"
        )  # whole numbers say how large pixels are
        self.preprocessing = declared_preprocessing(path, how, shape, pilot, scale)

    def predict(self, images: Image) -> Float32Array:
        """Return the steering, (1, 1), for a prepared image, uint8 (1, height, width, channels)."""
        values, scale = images.astype(np.float32), self.preprocessing.scale
        if scale == EACH_IMAGE:
            values = (values - values.mean()) / max(values.std(), 1e-6)
        elif scale:
            values = values * np.float32(scaling_of(scale).scale) + np.float32(
                scaling_of(scale).offset
            )
        (unit, zero), dtype = self._input["quantization"], self._input["dtype"]
        if np.issubdtype(dtype, np.integer):
            limits = np.iinfo(dtype)
            values = np.rint(values / unit + zero if unit else values).clip(limits.min, limits.max)
        self._interpreter.set_tensor(self._input["index"], values.astype(dtype))
        self._interpreter.invoke()
        numbers = self._interpreter.get_tensor(self._output["index"]).reshape(-1).astype(np.float32)
        if len(numbers) == BINS:
            return np.array([[np.argmax(numbers) * 2 / (BINS - 1) - 1]], np.float32)
        unit, zero = self._output["quantization"]
        return np.asarray((numbers[:1] - zero) * (unit or 1), np.float32).reshape(1, 1)
