"""Drive along with a recorded run: a model file and the run's frames -> its steering and its saliency for each."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bcclone.dataset.images import BadImage, Image
from bcclone.pictures.video.run_data import RunFrames
from bcclone.system.arrays import Float32Array, FloatArray, Memory
from bcclone.system.errors import UserError

if TYPE_CHECKING:
    from bcclone.model.policy import Policy
    from bcclone.model.saliency import Saliency

_GAP_SECONDS = 1.0  # a longer one ends an episode: the next frame does not follow on the previous one


@dataclass(frozen=True)
class ReferenceModel:
    """A model that steers along with recorded drives, and its saliency."""

    policy: "Policy"
    saliency: "Saliency"

    @classmethod
    def open(cls, path: Path, preprocess: str | None = None) -> "ReferenceModel":
        """Load a model. preprocess: name of its preprocessing, if the file does not state it.

        Raises UserError for a file that is no model, and for a network whose saliency cannot be computed.
        """
        if "tensorflow" not in sys.modules:  # a program that uses it already has chosen its threads
            from bcclone.system.tensorflow_quietly import load_tensorflow

            load_tensorflow(threads=1)  # it steers frame by frame, and the encoder uses the other cores
        from bcclone.model.policy import load_policy
        from bcclone.model.saliency import Saliency

        policy = load_policy(path, preprocess)
        return cls(policy, Saliency(policy.model, policy.preprocessing))


class ReferenceDrive:
    """The answers of a model along one run; its frames are asked for in order, and some may be left out.

    Several runs may share the model: each drive has a memory of its own.
    """

    def __init__(self, model: ReferenceModel, frames: RunFrames, seconds: FloatArray) -> None:
        self._policy, self._saliency = model.policy, model.saliency
        self._frames, self._seconds = frames, seconds
        self._memory: Memory = ()
        self._next = 0
        # how many frames decide an answer; for a recurrent network, all frames of the drive
        self._length = sys.maxsize if self._policy.carries_states else self._policy.seq_length

    def answer(self, index: int, frame: Image) -> tuple[float | None, Float32Array]:
        """Return the steering, -1 to 1, None if it is not finite, and how much each pixel decided, (160, 320), 0 to 1.

        frame: RGB uint8 (160, 320, 3). Raises UserError for frames that the model cannot take.
        """
        try:
            for shown in range(max(self._next, index - self._length + 1), index + 1):  # also what the clip leaves out
                if shown and self._seconds[shown] - self._seconds[shown - 1] > _GAP_SECONDS:
                    self._memory = ()
                if (pixels := frame if shown == index else self._frames.decode(shown)) is not None:
                    image = self._policy.preprocessing.apply(pixels)
                    answer, self._memory = self._policy.next_answer(image, self._memory)
        except BadImage as error:
            raise UserError(
                f"{self._frames.folder}: the model cannot take these frames: {error}; leave --model out"
            ) from None
        self._next, steering = index + 1, answer.steering
        return (min(max(steering, -1.0), 1.0) if np.isfinite(steering) else None), self._saliency.mask_of(image)
