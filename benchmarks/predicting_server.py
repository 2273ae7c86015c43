"""Serve a model by `model.predict` for each frame, as most drive servers do, for comparison.

python -m benchmarks.predicting_server MODEL --port 0
"""

import argparse
from pathlib import Path

import numpy as np

from bcclone import Answer, DriveSettings
from bcclone.camera.images import Image
from bcclone.drive.drive import serve_policy
from bcclone.model.policy import Memory, Policy, window_after
from bcclone.system.process import claim_process
from bcclone.system.tensorflow_quietly import load_tensorflow


class PredictingPolicy(Policy):
    """A policy that calls Keras's predict for each frame."""

    def next_answer(self, image: Image, memory: Memory) -> tuple[Answer, Memory]:
        """Return the answer for the next prepared image of a drive, and the drive's new memory.

        A recurrent network gets its whole window each time.
        """
        window = window_after(memory, image, self.seq_length)
        inputs = np.stack(window).reshape(1, *self.model.input_shape[1:])
        outputs = self.model.predict(inputs, verbose=0)[0]
        return Answer.of(outputs), window


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    claim_process()  # without it, TensorFlow would not compute on one thread
    load_tensorflow(threads=1)  # as drive.py does
    serve_predictions(arguments.model, arguments.port)


def serve_predictions(model: Path, port: int) -> None:
    """Serve as drive.py does, with a policy that calls Keras's predict."""
    from bcclone.model.model_file import load_model  # after load_tensorflow(), as drive.py does

    def show(text: str) -> None:
        print(text, flush=True)

    policy = PredictingPolicy(load_model(model, None))
    serve_policy(policy, DriveSettings(port=port), show)


if __name__ == "__main__":
    main()
