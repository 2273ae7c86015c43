"""What a feed gives and a training step takes."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Batch:
    """images: uint8 (batch, height, width, 3), or windows (batch, seq_length, height, width, 3), oldest frame first;
    steering: float32 (batch, 1), -1 left to 1 right.

    NumPy arrays, or tensors where the frames are gathered by TensorFlow.
    """

    images: Any
    steering: Any

    def __len__(self) -> int:
        return int(self.steering.shape[0])
