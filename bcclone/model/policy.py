"""Steer with a trained model: one frame after the other, for one or several drives.

An ONNX file needs no TensorFlow; a file of Keras or LiteRT loads it.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bcclone.camera.images import Image
from bcclone.dataset.answer import Answer
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.model.foreign.litert_model import LiteRtModel
from bcclone.model.model_path import is_litert, is_onnx
from bcclone.model.onnx_model import FRAME, OnnxModel
from bcclone.system.arrays import Float32Array, Memory
from bcclone.system.errors import UserError
from bcclone.system.progress import note
from bcclone.system.tensorflow_quietly import load_tensorflow

if TYPE_CHECKING:
    from bcclone.model.loaded_model import ModelFile
    from bcclone.model.recurrent import TakeStep

_JUDGED = 20  # answers of a drive, after which it is said that most are no steering


class Policy:
    """A model ready to drive: its preprocessing, its network, and the memory of the drive so far.

    A network of windows gets the last seq_length frames of a drive. A recurrent network takes one
    step per frame and carries its states. Call answer() for each frame of a drive, and forget()
    before a frame that does not follow the last one. To drive several cars, keep a memory for each
    and call next_answer(). The network always gets a batch of one, because TensorFlow rounds
    differently for other batch sizes, and a car's steering must not depend on how many are driven.

    framing: how pictures of the camera that the model drives with become frames, None for the
    simulator's; carries_states: whether an answer depends on all frames since the drive began;
    model: the network in Keras, None for one in an ONNX or LiteRT file; path: of the file, for a
    warning when most answers are no steering. The steering is calibrated as the file says.
    """

    def __init__(
        self, file: "ModelFile | OnnxModel | LiteRtModel", path: Path | None = None
    ) -> None:
        self.preprocessing, self.framing, self._calibration = (
            file.preprocessing,
            file.framing,
            file.calibration,
        )
        self.model: Any = None if isinstance(file, OnnxModel | LiteRtModel) else file.model
        self._network = _network_of(file)
        self.seq_length, self.carries_states = (
            self._network.seq_length,
            isinstance(self._network, _Recurrent),
        )
        self._memory: Memory = ()
        self._path, self._judged, self._beyond = path, 0, 0
        frame = np.zeros(
            (self.preprocessing.frame_height, self.preprocessing.frame_width, 3), np.uint8
        )
        self.next_answer(
            self.preprocessing.apply(frame), ()
        )  # the first call is slow; take it here

    def answer(self, frame: Image) -> Answer:
        """Return the answer for an RGB frame, uint8 (160, 320, 3), as the next one of the drive.

        Raises BadImage for a frame of another size, which is not remembered. The network may return
        NaN.
        """
        answer, self._memory = self.next_answer(self.preprocessing.apply(frame), self._memory)
        self._judged, self._beyond = self._judged + 1, self._beyond + (abs(answer.steering) > 1)
        if (
            self._path
            and self._judged == _JUDGED
            and (advice := self.advice(self._beyond, self._judged))
        ):
            note(f"{self._path}: {advice}")
        return answer

    def advice(self, beyond: int, answers: int) -> str:
        """Return what to do about a model most of whose answers are beyond -1 to 1, "" about
        another one.
        """
        if beyond <= answers / 2:
            return ""
        causes = (
            "frames that were prepared otherwise, or on steering in another unit, such as degrees"
        )
        if self.model is not None:
            from bcclone.model.layer_kinds import scaling_layer  # loads Keras

            if not scaling_layer(self.model):
                causes = f"pixels / 255 (add 0..1 to --preprocess), {causes}"
        return f"{beyond} of {answers} answers are beyond -1 to 1, full steering: was it trained on {causes}?"

    def forget(self) -> None:
        """Forget the frames so far; the next one begins another drive."""
        self._memory = ()

    def next_answer(self, image: Image, memory: Memory) -> tuple[Answer, Memory]:
        """Return the answer for the next prepared image of a drive, and its new memory.

        image: uint8 (height, width, channels); memory: of the frames before, () at the beginning.
        """
        outputs, after = self._network.step(image, memory)
        answer = Answer.of(outputs)
        return replace(answer, steering=self.calibrated(answer.steering)), after

    def calibrated(self, steering: float) -> float:
        return self._calibration.apply(steering) if self._calibration else steering


@dataclass(frozen=True)
class _Windows:
    """A network of single frames, or of the last frames stacked; the first frame of a drive fills
    its window.

    shape: of its input; infer: an input, uint8 (1, *shape), to the outputs, (1, outputs).
    """

    seq_length: int
    shape: Sequence[int]
    infer: Callable[[Image], Float32Array]

    def step(self, image: Image, memory: Memory) -> tuple[Float32Array, Memory]:
        """Return the outputs, (outputs,), for the next prepared image of a drive, and the new
        memory.
        """
        window = window_after(memory, image, self.seq_length)
        (outputs,) = self.infer(np.stack(window).reshape(1, *self.shape))
        return outputs, window if self.seq_length > 1 else ()


@dataclass(frozen=True)
class _Recurrent:
    """A recurrent network that takes one step per frame.

    Before the first frame of a drive its states are those after seq_length - 1 copies of that
    frame, so that the first steering is that of a window filled with it, as in training. take_step:
    an image, (1, height, width, channels), and states, (1, size) each, to the outputs, (1,
    outputs), and the new states.
    """

    seq_length: int
    state_sizes: Sequence[int]
    take_step: "TakeStep"

    def step(self, image: Image, memory: Memory) -> tuple[Float32Array, Memory]:
        """Return the outputs and the new memory, as _Windows does."""
        states = memory or tuple(np.zeros((1, size), np.float32) for size in self.state_sizes)
        for _ in range(1 if memory else self.seq_length):
            (outputs,), after = self.take_step(image[np.newaxis], states)
            states = tuple(after)
        return outputs, states


def _network_of(file: "ModelFile | OnnxModel | LiteRtModel") -> _Windows | _Recurrent:
    if isinstance(file, LiteRtModel):
        return _Windows(1, file.preprocessing.shape, file.predict)
    if isinstance(file, OnnxModel):
        signature = file.signature
        if signature.state_sizes:
            return _Recurrent(signature.seq_length, signature.state_sizes, file.step)
        return _Windows(signature.seq_length, signature.inputs[FRAME], file.predict)
    from bcclone.model.recurrent import compile_call, compile_step

    if steps := file.steps:
        return _Recurrent(file.seq_length, steps.state_sizes, compile_step(file.model, steps))
    return _Windows(file.seq_length, file.model.input_shape[1:], compile_call(file.model))


def window_after(window: Memory, image: Image, seq_length: int) -> Memory:
    """Return the window with this prepared image as the newest; an empty window is filled with it.

    window, image: uint8 (height, width, channels) each.
    """
    return (*window, image)[-seq_length:] if window else (image,) * seq_length


def load_policy(path: Path | str, preprocessing: Preprocessing | str | None = None) -> Policy:
    """Load a model of model.py, one of another program with its preprocessing, ONNX or LiteRT;
    raises UserError.

    preprocessing: a definition, or its text, such as "rows 60-140, 64x64, RGB, 0..1"; None for that
    of the file.
    """
    return _load(Path(path), preprocessing, is_for_all=True)


def load_one_of_several(path: Path, preprocessing: str | None) -> Policy:
    """Load a policy with a preprocessing that is only for those of the models that do not state
    their own.

    Warns of a model file that states another.
    """
    return _load(path, preprocessing, is_for_all=False)


def _load(path: Path, how: Preprocessing | str | None, is_for_all: bool) -> Policy:
    if is_onnx(path):
        if how is not None and is_for_all:
            raise UserError(
                f"{path}: an ONNX file prepares the frames itself; leave out --preprocess"
            )
        return Policy(OnnxModel(path), path)
    if "tensorflow" not in sys.modules:
        load_tensorflow()
    if is_litert(path):
        return Policy(LiteRtModel(path, how), path)
    from bcclone.model.loaded_model import ModelFile
    from bcclone.model.model_file import open_model

    loaded = open_model(path, how if is_for_all else None)
    if not isinstance(loaded, ModelFile):
        loaded = loaded.declared(how)
    elif how and (other := loaded.contradiction(how)):
        note(f"{path}: {other}")
    return Policy(loaded, path)
