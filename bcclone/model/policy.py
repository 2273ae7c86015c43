"""Steer with a trained model, picture by picture.

A `Policy` takes each picture of a drive, returns an `Answer`, and remembers what the network needs
of earlier pictures. An ONNX file needs no TensorFlow; a file of Keras or LiteRT loads it.
"""

import copy
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from bcclone.camera.images import Image
from bcclone.dataset.answer import Answer
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.model.model_path import check_model_path, is_litert, is_onnx
from bcclone.model.onnx_model import OnnxModel, is_exported, open_session
from bcclone.system.arrays import Float32Array
from bcclone.system.errors import UserError
from bcclone.system.progress import note
from bcclone.system.tensorflow_quietly import load_tensorflow

if TYPE_CHECKING:
    from bcclone.model.foreign.litert_model import LiteRtModel
    from bcclone.model.foreign.onnx_network import ForeignOnnxModel
    from bcclone.model.foreign.stored import StoredModel
    from bcclone.model.model_file import ModelFile, TrainingInfo

# What a policy remembers of a drive between two frames: the last images, newest last, or the states
# of a recurrent network. It is () at the begin of a drive, and always for a policy that sees only
# one frame.
Memory = tuple[npt.NDArray[Any], ...]

# how many answers of a policy are judged, from the first one on: a warning is printed if most lie
# beyond -1 to 1; 20 frames are 1 to 2 s of a drive
_JUDGED_ANSWERS = 20


class Policy:
    """A model ready to drive: its framing, its preprocessing, its network, and the drive so far.

    Call answer() for each picture of a drive, and forget() before a picture that does not follow
    the last picture, such as the first one of another drive. A network of windows gets the last
    seq_length frames of a drive. A recurrent network takes one step per frame and carries its
    states to the next frame. The steering is calibrated as the model file says.

    To drive several cars, prepare their frames, keep a memory for each car, and call next_answer().
    The network always gets a batch of one image: TensorFlow rounds differently for other batch
    sizes, and a car's steering must not depend on how many cars are driven.
    """

    def __init__(
        self,
        file: "ModelFile | OnnxModel | ForeignOnnxModel | LiteRtModel",
        path: Path | None = None,
    ) -> None:
        """Compile the network.

        path: path of the model file, for the warning that most answers lie beyond -1 to 1; None for
            no warning
        """
        # how pictures of the camera become frames; None: the pictures are frames already, as those
        # of the simulator's camera
        self.framing = file.framing
        self.preprocessing = file.preprocessing
        self._calibration = file.calibration
        # how it was trained; None for an ONNX or LiteRT file
        self.training: TrainingInfo | None = getattr(file, "training", None)
        # the network in Keras; None for one in an ONNX or LiteRT file
        self.model: Any = file.model
        # whether the network takes the camera's pictures, and frames them itself
        self.frames_itself = self.model is None and self.framing is not None
        self._network = _Network(
            file.as_call(), file.input_shape, file.seq_length, file.state_sizes
        )
        self.seq_length = self._network.seq_length
        # whether an answer depends on all frames since the drive began
        self.carries_states = bool(self._network.state_sizes)
        self._memory: Memory = ()  # what the network keeps of the frames before
        self._path = path
        self._answers = 0  # answers of answer() so far
        self._answers_beyond = 0  # answers of answer() so far that lie beyond -1 to 1
        # the first call compiles the network, which takes long; no car should wait for that
        size = self.preprocessing.frame_height, self.preprocessing.frame_width
        if self.framing is not None and self.frames_itself:
            size = self.framing.height, self.framing.width
        self.next_answer(self._input_of(np.zeros((*size, 3), np.uint8)), memory=())

    def answer(self, picture: Image) -> Answer:
        """Return the answer for the next picture of the drive.

        Raises BadImage for a picture of another size; the policy does not remember that picture.
        The answer may be NaN, if the network returns NaN.

        picture: what the camera of the model's car took, RGB uint8 (height, width, 3); for a policy
            without a framing it is a frame, (160, 320, 3)
        """
        answer, self._memory = self.next_answer(self._input_of(picture), self._memory)
        self._answers += 1
        self._answers_beyond += abs(answer.steering) > 1
        if self._answers == _JUDGED_ANSWERS and self._path is not None:
            advice = self.advice(self._answers_beyond, self._answers)
            if advice:
                note(f"{self._path}: {advice}")
        return answer

    def _input_of(self, picture: Image) -> Image:
        if self.framing is None:
            return self.preprocessing.apply(picture)
        if self.frames_itself:
            return self.framing.fitted(picture)
        return self.preprocessing.apply(self.framing.apply(picture))

    def forget(self) -> None:
        """Forget the frames so far; the next picture begins another drive."""
        self._memory = ()

    def without_framing(self) -> Self:
        """Return this policy for pictures that are frames already, such as the simulator's.

        Raises UserError for a network that frames pictures itself.
        """
        if self.framing is not None and self.frames_itself:
            raise UserError(
                f"{self._path or 'the model'}: it frames pictures of its camera itself, "
                f"{self.framing.width}x{self.framing.height} pixels, so it cannot take frames of "
                "the simulator or of a recording; name the .h5 that it was made from"
            )
        policy = copy.copy(self)
        policy.framing = None
        return policy

    def next_answer(self, image: Image, memory: Memory) -> tuple[Answer, Memory]:
        """Return the answer for the next prepared image of a drive, and the drive's new memory.

        image: uint8 (height, width, channels)
        memory: what this method returned for the image before; () for the first image of a drive
        """
        outputs, after = self._network.step(image, memory)
        answer = Answer.of(outputs)
        return replace(answer, steering=self.calibrated(answer.steering)), after

    @property
    def delay_seconds(self) -> float:
        """Return how much later the driver of the calibration steers; answer() does not wait."""
        return self._calibration.delay_seconds if self._calibration else 0.0

    def calibrated(self, steering: float) -> float:
        """Return the steering of the model's car that does what the network's steering means."""
        return self._calibration.apply(steering) if self._calibration else steering

    def advice(self, beyond: int, answers: int) -> str:
        """Return advice for a model most of whose answers lie beyond -1 to 1; "" for any other."""
        if beyond <= answers / 2:
            return ""
        return (
            f"{beyond} of {answers} answers are beyond -1 to 1, full steering: was it trained on "
            "pixels / 255 (0..1 in --preprocess), on frames that were prepared otherwise, or on "
            "steering in another unit, such as degrees?"
        )


@dataclass(frozen=True)
class _Network:
    """A network of single frames, of windows of frames, or of one frame and states."""

    # inputs, (1, ...) each -> the outputs, (1, outputs), and then the new states
    run: Callable[..., Sequence[Float32Array]]
    shape: Sequence[int]  # of the network's input, without the batch
    seq_length: int  # frames of a window; of a recurrent network, of a window in its training
    state_sizes: Sequence[int] = ()  # numbers in each state of a recurrent network

    def step(self, image: Image, memory: Memory) -> tuple[Float32Array, Memory]:
        """Return the outputs, (outputs,), for the next image of a drive, and the new memory."""
        if not self.state_sizes:
            window = window_after(memory, image, self.seq_length)
            (outputs,) = self.run(np.stack(window).reshape(1, *self.shape))
            return outputs[0], window if self.seq_length > 1 else ()
        # a drive begins with states of 0 and seq_length steps on its first frame, so that the
        # first steering is that of a window filled with that frame, as in training
        states = memory or tuple(np.zeros((1, size), np.float32) for size in self.state_sizes)
        for _ in range(1 if memory else self.seq_length):
            outputs, *after = self.run(image[np.newaxis], *states)
            states = tuple(after)
        return outputs[0], states


def window_after(window: Memory, image: Image, seq_length: int) -> Memory:
    """Return the window with this prepared image added as the newest, and without the oldest.

    An empty window is filled with copies of the image.

    window: the images before, oldest first, each uint8 (height, width, channels)
    image: uint8 (height, width, channels)
    """
    if not window:
        return (image,) * seq_length
    return (*window, image)[-seq_length:]


def load_policy(
    path: Path | str,
    preprocessing: Preprocessing | str | None = None,
    must_agree: bool = True,
) -> Policy:
    """Load a model file of bcclone, or of another program with Keras, or an ONNX or LiteRT file.

    Raises UserError.

    preprocessing: a definition, or its text, such as "rows 60-140, 64x64, RGB, 0..1"; None for the
        preprocessing that the file states
    must_agree: whether a file that states another preprocessing, or prepares the frames itself, is
        an error; otherwise it keeps its own, and a note tells so
    """
    return policy_of(Path(path), None, preprocessing, must_agree)


def load_driving_policy(
    path: Path, preprocessing: Preprocessing | str | None
) -> tuple[Policy, str]:
    """Load a model file as load_policy() does, for one car; return its policy and its device.

    TensorFlow is loaded for single frames, and only if the file needs it; the file is read
    meanwhile. No other thread may import matplotlib or pandas meanwhile.
    """
    check_model_path(path)
    device = "CPU"
    with ThreadPoolExecutor(1, "read-model") as meanwhile:
        stored = None
        if not is_onnx(path):
            if not is_litert(path):
                from bcclone.model.foreign.stored import read_model  # loads h5py

                stored = meanwhile.submit(read_model, path).result
            # one thread is a fifth faster than two for single frames, and leaves a core to the
            # simulator
            device = load_tensorflow(threads=1, left_out=("matplotlib", "pandas"))
        return policy_of(path, stored, preprocessing), device


def policy_of(
    path: Path,
    stored: "Callable[[], StoredModel] | None",
    preprocessing: Preprocessing | str | None,
    must_agree: bool = True,
) -> Policy:
    """Load a policy as load_policy() does. stored: as model_of() takes it"""
    file: ModelFile | OnnxModel | ForeignOnnxModel | LiteRtModel
    if is_onnx(path):
        session = open_session(path)
        if is_exported(session):
            file = OnnxModel(path, session)
        else:
            from bcclone.model.foreign import onnx_network  # loads h5py

            file = onnx_network.ForeignOnnxModel(path, session, preprocessing)
    else:
        if "tensorflow" not in sys.modules:
            load_tensorflow()
        if is_litert(path):
            from bcclone.model.foreign import litert_model

            file = litert_model.LiteRtModel(path, preprocessing)
        else:
            from bcclone.model.model_file import model_of

            file = model_of(path, stored, preprocessing, must_agree)
    if file.prepares_itself and preprocessing is not None and must_agree:
        raise UserError(f"{path}: this file prepares the frames itself; leave out --preprocess")
    return Policy(file, path)


def not_finite(model: object, where: str) -> UserError:
    """Return the error of a model without usable steering. where: such as "at row 7"."""
    return UserError(
        f"{model}: no usable steering {where}, expected a finite number from -1 to 1; "
        "use a model that is trained, and whose --preprocess is the one of its training"
    )
