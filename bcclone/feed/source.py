"""Positions of samples -> the samples themselves."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from bcclone.feed.order import Order
from bcclone.images import Image
from bcclone.store import Store


@dataclass(frozen=True)
class Batch:
    """images: uint8 (batch, height, width, 3); steering: float32 (batch, 1), -1 left to 1 right."""

    images: Image
    steering: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.images)


class StoreSource:
    """The training or the validation samples of a store, gathered from its memory-mapped frames."""

    def __init__(self, store: Store, validation: bool = False) -> None:
        samples = store.samples[store.part(validation)]
        self._frames = store.frames
        self._frame, self._flipped = samples["frame"].copy(), samples["flipped"].copy()
        self._steering = samples["steering"].copy()

    def __len__(self) -> int:
        return len(self._frame)

    def gather(self, positions: Order) -> Batch:
        """Return the samples at these positions, 0 to len(self) - 1, flips applied."""
        images = np.empty((len(positions), *self._frames.shape[1:]), np.uint8)
        sources = zip(self._frame[positions].tolist(), self._flipped[positions].tolist(), strict=True)
        for place, (frame, flipped) in enumerate(sources):
            if flipped:  # straight into the batch: a reversed copy in NumPy is ten times slower
                cv2.flip(self._frames[frame], 1, dst=images[place])
            else:
                images[place] = self._frames[frame]
        return Batch(images, self._steering[positions][:, np.newaxis])
