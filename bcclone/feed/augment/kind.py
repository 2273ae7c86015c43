"""A kind of augmentation, and the values that all kinds work with: the random numbers and inputs of a batch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bcclone.dataset.images import Image
from bcclone.dataset.preprocessing import Preprocessing

Numbers = Mapping[str, Any]  # name -> float32 (samples, numbers), NumPy arrays or tensors


@dataclass(frozen=True)
class Draws:
    """The random numbers of a batch, NumPy arrays or tensors.

    normal: float32 (samples, kinds.NORMALS), standard normal; uniform: float32 (samples, kinds.UNIFORMS), 0 to 1.
    """

    normal: Any
    uniform: Any

    def at(self, first: int, samples: int) -> "Draws":
        """Return the random numbers of so many samples from `first` on."""
        return Draws(self.normal[first : first + samples], self.uniform[first : first + samples])


@dataclass(frozen=True)
class AugmentationInputs:
    """The properties of samples that augmentation depends on, NumPy arrays or tensors, (samples,) each.

    flipped: bool, whether the images are mirrored; lookahead_m: float32, how far ahead the car aims when it steers back
    to its line.
    """

    flipped: Any
    lookahead_m: Any

    def at(self, positions: npt.NDArray[np.uint32]) -> "AugmentationInputs":
        """Return the inputs of the samples at these positions, uint32 (positions,)."""
        return AugmentationInputs(self.flipped[positions], self.lookahead_m[positions])


@dataclass(frozen=True)
class Extent:
    """The rows of a prepared image that are changed: `rows` rows from `top` on, of (height, width)."""

    top: int
    rows: int
    width: int
    height: int

    @classmethod
    def of(cls, preprocessing: Preprocessing, rows: slice) -> "Extent":
        top, below, _ = rows.indices(preprocessing.height)
        return cls(top, below - top, preprocessing.width, preprocessing.height)


@dataclass(frozen=True)
class LensChange:
    """A change of finished RGB views, which leaves the steering as it is.

    setting: the field of AugmentSettings with the fraction of samples to change; uniforms: how many random numbers of
    0 to 1 a sample needs, by name; parameters: (numbers, fraction, extent, xp) -> the parameters of each sample;
    on_cpu: (images, extent, parameters), changes the rows of images, uint8 (samples, frames, height, width, 3), in
    place, the frames of a sample alike; on_device: (images, parameters, xp) -> images, for all images at once, float32
    (images, rows, width, 3), levels of 0 to 255. A test compares the two.

    xp is the array library, as in the Python array API standard: NumPy for the processor, keras.ops for the device.
    """

    setting: str
    uniforms: Mapping[str, int]
    parameters: Callable[[Numbers, float, Extent, Any], Any]
    on_cpu: Callable[[Image, Extent, Any], None]
    on_device: Callable[[Any, Any, Any], Any]
