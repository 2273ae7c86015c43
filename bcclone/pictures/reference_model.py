"""Let a reference model steer on the frames of a recorded run -> its steering and saliency.

The car does not follow its steering; a clip shows it beside the steering of the driver.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bcclone.camera.images import BadImage, Image
from bcclone.model.policy import Policy, load_policy
from bcclone.pictures.run_data import GAP_SECONDS, RunFrames
from bcclone.system.errors import UserError
from bcclone.system.numbers import Float32Array, FloatArray, Memory
from bcclone.system.tensorflow_quietly import load_tensorflow

if TYPE_CHECKING:  # it loads TensorFlow
    from bcclone.model.saliency import Saliency


ReferenceModel = tuple[Policy, "Saliency"]


def load_reference(path: Path, preprocess: str | None = None) -> ReferenceModel:
    """Load a model that steers on the frames of recorded drives, and its saliency.

    Raises UserError for a file that is no model, and for a network whose saliency cannot be
    computed.

    preprocess: text of a preprocessing, if the file does not state its own; None if it does
    """
    # one thread is enough: the model takes one frame at a time, and the clip's encoder uses the
    # other cores. A program that loaded TensorFlow before has chosen its threads already
    if "tensorflow" not in sys.modules:
        load_tensorflow(threads=1)
    from bcclone.model.saliency import Saliency

    policy = load_policy(path, preprocess)
    return policy, Saliency(policy.model, policy.preprocessing)


class ReferenceDrive:
    """The answers of a model along one run; an earlier frame than the last begins anew.

    Frames may be left out in these calls: the model is shown those of them that its answer depends
    on. Several runs may share the model: each drive has a memory of its own.

    seconds: seconds of driving from the first frame of the run to each frame, (frames,)
    """

    def __init__(
        self, policy: Policy, saliency: "Saliency", frames: RunFrames, seconds: FloatArray
    ) -> None:
        self._policy = policy
        self._saliency = saliency
        self._frames = frames
        self._seconds = seconds
        self._memory: Memory = ()
        self._next = 0  # number of the first frame that the model has not been shown
        # how many frames an answer depends on; for a recurrent network, all frames of the drive
        self._length = self._policy.seq_length
        if self._policy.carries_states:
            self._length = sys.maxsize

    def answer(self, index: int, frame: Image) -> tuple[float | None, Float32Array]:
        """Return the model's steering, and how much each pixel decided, (160, 320), 0 to 1.

        The steering is -1 to 1, None if it is not finite. Raises UserError for frames that the
        model cannot take.

        index: number of the frame in the run, from 0
        frame: RGB uint8 (160, 320, 3)
        """
        if index < self._next:
            self._memory = ()
            self._next = 0
        # show the model the frames that a clip leaves out, as far as the answer depends on them
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
        saliency = self._saliency.of_input(image)
        if not np.isfinite(answer.steering):
            return None, saliency
        return min(max(answer.steering, -1.0), 1.0), saliency
