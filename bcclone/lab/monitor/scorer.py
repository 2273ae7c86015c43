"""What every kind of monitor takes and returns: it scores prepared images, and is stored as arrays."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from bcclone.dataset.images import Image
from bcclone.lab.monitor.monitor_settings import MonitorSettings
from bcclone.model.model_file import ModelFile
from bcclone.system.arrays import Float32Array

Arrays = Mapping[str, Any]  # name -> NumPy array


class UnsuitableNetwork(ValueError):
    """A network that a kind of monitor cannot score; the text is the reason and the remedy."""


@dataclass(frozen=True)
class FitInputs:
    """What a kind is fitted to: the model, the store of its samples, and the settings."""

    model: ModelFile
    store: Path
    settings: MonitorSettings


# prepared images, uint8 (batch, height, width, channels), to their scores, (batch,); the higher, the more unusual
Scorer = Callable[[Image], Float32Array]


def compiled_scorer(model: ModelFile, compute: Callable[[Any], Any]) -> Scorer:
    """Return a scorer that is compiled as one call. compute: prepared images of a model to scores, (batch,)."""
    shape = (None, *model.preprocessing.shape)
    compute_now = tf.function(compute, autograph=False).get_concrete_function(tf.TensorSpec(shape, tf.uint8))
    return lambda images: np.asarray(compute_now(tf.constant(images)).numpy(), np.float32)


def single_frame_layers(model: ModelFile, kind: str) -> list[Any]:
    """Return the layers of a network of single frames; raises UnsuitableNetwork. kind: of the monitor."""
    if model.seq_length > 1:
        raise UnsuitableNetwork(
            f"a monitor of kind {kind} needs a network of single frames, this one takes windows of "
            f"{model.seq_length}; choose --kind ensemble"
        )
    return list(model.model.layers)
