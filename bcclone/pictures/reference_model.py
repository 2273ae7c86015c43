"""Let a reference model steer along a recorded run: its frames -> steering and saliency."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bcclone.camera.images import BadImage, Image
from bcclone.model.policy import Policy, load_policy
from bcclone.pictures.run_data import GAP_SECONDS, RunFrames
from bcclone.system.arrays import Float32Array, FloatArray, Memory
from bcclone.system.errors import UserError
from bcclone.system.tensorflow_quietly import load_tensorflow

if TYPE_CHECKING:  # it loads TensorFlow
    from bcclone.model.saliency import Saliency


@dataclass(frozen=True)
class ReferenceModel:
    """A model that steers along with recorded drives, and its saliency."""

    policy: Policy
    saliency: "Saliency"

    @classmethod
    def open(cls, path: Path, preprocess: str | None = None) -> "ReferenceModel":
        """Load a model.

        Raises UserError for a file that is no model, and for a network whose saliency cannot be
        computed.

        preprocess: name of its preprocessing, if the file does not state it
        """
        # it steers frame by frame, and the encoder uses the other cores; a program that uses
        # TensorFlow already has chosen its threads
        if "tensorflow" not in sys.modules:
            load_tensorflow(threads=1)
        from bcclone.model.saliency import Saliency

        policy = load_policy(path, preprocess)
        return cls(policy, Saliency(policy.model, policy.preprocessing))


class ReferenceDrive:
    """The answers of a model along one run, whose frames come in order; some may be left out.

    Several runs may share the model: each drive has a memory of its own.
    """

    def __init__(self, model: ReferenceModel, frames: RunFrames, seconds: FloatArray) -> None:
        self._policy = model.policy
        self._saliency = model.saliency
        self._frames = frames
        self._seconds = seconds
        self._memory: Memory = ()
        self._next = 0
        # how many frames decide an answer; for a recurrent network, all frames of the drive
        self._length = self._policy.seq_length
        if self._policy.carries_states:
            self._length = sys.maxsize

    def answer(self, index: int, frame: Image) -> tuple[float | None, Float32Array]:
        """Return the model's steering, and how much each pixel decided, (160, 320), 0 to 1.

        The steering is -1 to 1, None if it is not finite. Raises UserError for frames that the
        model cannot take.

        frame: RGB uint8 (160, 320, 3)
        """
        # the frames that a clip leaves out decide the answer, too
        first = max(self._next, index - self._length + 1)
        try:
            for shown in range(first, index + 1):
                if shown and self._seconds[shown] - self._seconds[shown - 1] > GAP_SECONDS:
                    self._memory = ()
                pixels = frame if shown == index else self._frames.decode(shown)
                if pixels is not None:
                    image = self._policy.preprocessing.apply(pixels)
                    answer, self._memory = self._policy.next_answer(image, self._memory)
        except BadImage as error:
            raise UserError(
                f"{self._frames.folder}: the model cannot take these frames: {error}; "
                "leave --model out"
            ) from None
        self._next = index + 1
        mask = self._saliency.of_input(image)
        if not np.isfinite(answer.steering):
            return None, mask
        return min(max(answer.steering, -1.0), 1.0), mask
