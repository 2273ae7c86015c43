"""Drive along with a recorded run: a model file and the run's frames -> its steering and its saliency for each."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bcclone.dataset.images import BadImage, Image
from bcclone.pictures.video.run_frames import FrameDecoder
from bcclone.system.arrays import Float32Array, FloatArray, Memory
from bcclone.system.errors import UserError

if TYPE_CHECKING:
    from bcclone.model.policy import Policy
    from bcclone.model.saliency import Saliency

_GAP_SECONDS = 1.0  # a longer one ends an episode: the next frame does not follow on the previous one


@dataclass(frozen=True)
class ReferenceModel:
    """A model that steers along with a recorded drive; several runs can share it, each with a memory of its own."""

    policy: "Policy"
    saliency: "Saliency"

    @property
    def seq_length(self) -> int:
        """Return how many consecutive frames decide one answer; for a recurrent network, all frames of a drive."""
        return sys.maxsize if self.policy.carries_states else self.policy.seq_length

    def steer(self, frame: Image, memory: Memory = ()) -> tuple[float, Memory]:
        """Return the steering, -1 to 1, for the next frame of a drive, RGB uint8 (160, 320, 3), and the new memory.

        memory: what the previous call returned; () begins a drive. Raises BadImage for a frame of another size.
        """
        image = self.policy.preprocessing.apply(frame)
        answer, memory = self.policy.next_answer(image, memory)
        return min(max(answer.steering, -1.0), 1.0), memory

    def mask(self, frame: Image) -> Float32Array:
        """Return how much each pixel decided: float32 (160, 320), 0 to 1; raises BadImage for another size."""
        return self.saliency.mask(frame)


def open_reference_model(path: Path, preprocess: str | None = None) -> ReferenceModel:
    """Load a model. preprocess: name of its preprocessing, if the file does not state it.

    Raises UserError for a file that is no model, and for a network whose saliency cannot be computed.
    """
    if "tensorflow" not in sys.modules:  # a program that uses it already has chosen its threads
        from bcclone.system.tensorflow_quietly import load_tensorflow

        load_tensorflow(threads=1)  # it steers frame by frame, and the encoder uses the other cores
    from bcclone.model.policy import load_policy
    from bcclone.model.saliency import Saliency

    policy = load_policy(path, preprocess)
    return ReferenceModel(policy, Saliency(policy.model, policy.preprocessing))


class ReferenceDrive:
    """The answers of a reference model along one run; its frames are asked for in order, and some may be left out."""

    def __init__(self, model: ReferenceModel, decoder: FrameDecoder, seconds: FloatArray) -> None:
        self._model, self._decoder, self._seconds = model, decoder, seconds
        self._memory: Memory = ()
        self._last: int | None = None

    def answer(self, index: int, frame: Image) -> tuple[float | None, Float32Array]:
        """Return the steering, None if it is not finite, and the mask for a frame; raises UserError if it cannot."""
        try:
            self._catch_up(index)
            steering, self._memory = self._model.steer(frame, self._memory)
            mask = self._model.mask(frame)
        except BadImage as error:
            raise UserError(
                f"{self._decoder.frames.folder}: the model cannot take these frames: {error}; leave --model out"
            ) from None
        return (steering if np.isfinite(steering) else None), mask

    def _catch_up(self, index: int) -> None:
        """Show the model the frames that the clip leaves out, as many as decide its next answer."""
        first = max(index - self._model.seq_length + 1, 0)
        begin = first if self._last is None else max(self._last + 1, first)
        for between in range(begin, index + 1):
            if between and self._seconds[between] - self._seconds[between - 1] > _GAP_SECONDS:
                self._memory = ()
            if between < index and (frame := self._decoder.decode(between)) is not None:
                _, self._memory = self._model.steer(frame, self._memory)
        self._last = index
