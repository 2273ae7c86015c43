"""What every kind of monitor gives: scores of prepared images, and the arrays that it is stored as."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from bcclone.dataset.images import Image
from bcclone.lab.monitor.monitor_settings import MonitorSettings
from bcclone.model.model_file import ModelFile
from bcclone.system.arrays import Float32Array
from bcclone.system.errors import UserError
from bcclone.system.progress import Notify

Arrays = Mapping[str, Any]  # name -> NumPy array


@dataclass(frozen=True)
class FitInputs:
    """What a kind is fitted to: the model, the SHA-256 of its file, the store of its samples, and the settings."""

    model: ModelFile
    model_sha256: str
    store: Path
    settings: MonitorSettings


# prepared images, uint8 (batch, height, width, 3), to their scores, (batch,); the higher, the more unusual
Scorer = Callable[[Image], Float32Array]


class Kind(Protocol):
    """A way to score: a module with these two functions."""

    def learn(self, inputs: FitInputs, notify: Notify) -> Arrays:
        """Return all that the scores need besides the model itself; raises UserError."""

    def make_scorer(self, model: ModelFile, arrays: Arrays) -> Scorer:
        """Return the scorer; raises UserError for a model of another form, ValueError or KeyError for other arrays."""


def compiled_scorer(shape: Sequence[int], compute: Callable[[Any], Any]) -> Scorer:
    """Return a scorer that is compiled as one call.

    shape: of an image; compute: images, uint8 (batch, *shape), to scores, (batch,).
    """
    compiled = tf.function(compute, autograph=False)
    compute_now = compiled.get_concrete_function(tf.TensorSpec((None, *shape), tf.uint8))
    return lambda images: np.asarray(compute_now(tf.constant(images)).numpy(), np.float32)


def single_frame_layers(model: ModelFile, kind: str) -> list[Any]:
    """Return the layers of a network of single frames; raises UserError for one of windows.

    kind: of the monitor, for the error.
    """
    if model.seq_length > 1:
        raise UserError(
            f"a monitor of kind {kind} needs a network of single frames, this one takes windows of "
            f"{model.seq_length}; choose --kind ensemble"
        )
    return list(model.model.layers)


def image_shape(model: ModelFile) -> tuple[int, int, int]:
    """Return height, width and channels of a model's prepared images."""
    return model.preprocessing.height, model.preprocessing.width, 3
