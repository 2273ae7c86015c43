"""What a feed gives and a training step takes."""

from dataclasses import dataclass
from typing import Any

from bcclone.augment.draws import AugmentationInputs, Draws


@dataclass(frozen=True)
class Augmentation:
    """What decides how the samples of a batch are augmented."""

    inputs: AugmentationInputs
    draws: Draws


@dataclass(frozen=True)
class Batch:
    """images: uint8 (batch, height, width, 3), or windows (batch, seq_length, height, width, 3), oldest frame first;
    steering: float32 (batch, 1), -1 left to 1 right; augmentation: where the training step is to augment them.

    NumPy arrays, or tensors where the frames are gathered by TensorFlow.
    """

    images: Any
    steering: Any
    augmentation: Augmentation | None = None

    def __len__(self) -> int:
        return int(self.steering.shape[0])
