"""Serve with `model.predict` for each frame, as most drive servers do, for comparison.

python -m benchmarks.predicting MODEL --port 0 --end-with-stdin
"""

import sys

import numpy as np

from bcclone.dataset.answer import Answer
from bcclone.dataset.images import Image
from bcclone.drive.drive_settings import DriveSettings
from bcclone.drive.process import end_with_stdin
from bcclone.drive.server import serve_policy
from bcclone.model.model_file import load_model_file
from bcclone.model.policy import Policy, window_after
from bcclone.system.tensorflow_quietly import load_tensorflow
from benchmarks.driving import server_arguments


class PredictingPolicy(Policy):
    """A policy that calls Keras's predict for each frame."""

    def answer(self, frame: Image) -> Answer:
        """Return the answer for an RGB frame, uint8 (160, 320, 3); a recurrent network gets its window each time."""
        self._memory = window_after(self._memory, self.preprocessing.apply(frame), self.seq_length)
        window = np.stack(self._memory).reshape(1, *self.model.input_shape[1:])
        return Answer.of(self.model.predict(window, verbose=0)[0])


def main() -> int:
    """Serve until standard input ends."""
    arguments = server_arguments(__doc__)
    load_tensorflow(threads=1)
    policy = PredictingPolicy(load_model_file(arguments.model, None))
    if arguments.end_with_stdin:
        end_with_stdin()
    serve_policy(policy, DriveSettings(port=arguments.port), lambda text: print(text, flush=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
