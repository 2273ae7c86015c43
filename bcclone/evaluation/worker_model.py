"""Load a model in a worker process: check that it is the same file, and compute on one core.

In: the path of a model, and its hash on the machine that gives out the work. Out: a `Policy`.

A worker uses one thread of TensorFlow on the CPU, so that the results do not depend on the number
of workers. This module also makes the names under which results are kept for a later run, and the
error of a model without usable steering.
"""

import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bcclone.camera.images import cv2
from bcclone.model.policy import Policy, load_policy
from bcclone.simulator.roads import read_road_file
from bcclone.system.errors import UserError
from bcclone.system.files import sha256_of
from bcclone.system.pool import source_digest
from bcclone.system.process import is_own_process
from bcclone.system.tensorflow_quietly import load_tensorflow

# held while a task computes: a worker of a cluster may run tasks in several threads, but TensorFlow
# and OpenCV have one setting for the whole process
one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class InputFile:
    """A file that each worker must find at the same path, with the same content."""

    path: Path
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Self:
        """Return the absolute path and the hash of a file on this machine."""
        return cls(path.absolute(), sha256_of(path))

    def check(self) -> None:
        """Raise UserError if this worker does not find the file, or finds other content."""
        try:
            sha256 = sha256_of(self.path)
        except OSError as error:
            raise UserError(
                f"{self.path}: a worker cannot read it ({error.strerror}); share or copy it"
            ) from None
        if sha256 != self.sha256:
            raise UserError(f"{self.path}: has other content on a worker; copy it again")


def result_key(name: str, track: str, *parts: object) -> str:
    """Return the name under which a result is kept for a later run.

    It is `name`, and a hash of all that the result depends on.

    The hash covers the parts, bcclone's sources, and the content of a road's JSON file.

    track: name of a track, or path of a road's JSON file
    parts: settings and hashes of files, whose repr() is hashed
    """
    content = read_road_file(Path(track)) if track.endswith(".json") else b""
    hashed = repr((source_digest(), parts, content)).encode()
    return f"{name}-{hashlib.sha256(hashed).hexdigest()[:24]}"


def not_finite(model: object, where: str) -> UserError:
    """Return the error of a model without usable steering.

    where: such as "at row 7"
    """
    return UserError(
        f"{model}: no usable steering {where}, expected a finite number from -1 to 1; "
        "use a model that is trained, and whose --preprocess is the one of its training"
    )


def load_on_one_core(model: InputFile, preprocess: str | None) -> Policy:
    """Load a model's policy in a worker process, which then computes with one thread.

    The process uses no GPU, since results of GPUs may differ. This lasts until the worker ends,
    because TensorFlow cannot take it back.

    preprocess: the preprocessing for a model file that does not state its own
    """
    if is_own_process():  # as each worker is
        cv2.setNumThreads(1)
    load_tensorflow(threads=1, use_gpus=False)
    # the pictures of simulated roads and recordings are frames already, so even a model with a
    # framing, for another camera's pictures, must not frame them again
    return load_policy(model.path, preprocess, must_agree=False).without_framing()
