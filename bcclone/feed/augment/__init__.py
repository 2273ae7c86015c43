"""Augment training samples: random viewpoints, with the steering that returns the car to its line,
and random light.

A module for each augmentation contains all of it: the random numbers that it needs, the parameters
computed from them (by NumPy, or by keras.ops for tensors), and the change itself twice, compiled
for the processor and as operations on arrays for the device. `on_cpu` and `on_device` apply them,
with the same result up to rounding. Importing this package loads no large package.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from bcclone.camera.images import Image
    from bcclone.dataset.preprocessing import Preprocessing

LEVELS = 1 << 16  # of a random number from 0 to 1 on its way to a device
Numbers = Mapping[str, Any]  # name -> float32 (samples, numbers), NumPy arrays or tensors


class AugmentationInputs(NamedTuple):
    """What the augmentation of a batch depends on, NumPy arrays or tensors.

    flipped: bool (samples,), whether the images are mirrored; lookahead_m: float32 (samples,), how
    far ahead the car aims when it steers back to its line; normal, uniform: float32 (samples,
    numbers), random numbers of on_cpu.draw(), standard normal and from 0 to 1.
    """

    flipped: Any
    lookahead_m: Any
    normal: Any
    uniform: Any

    def packed(self) -> "AugmentationInputs":
        """Return what is sent to a device: `uniform` as uint16, of LEVELS; half the bytes, and fine
        enough.
        """
        return self._replace(uniform=(self.uniform * LEVELS).astype("uint16"))


@dataclass(frozen=True)
class Extent:
    """The rows of a prepared image that are changed: `rows` rows from `top` on, of (height, width)."""

    top: int
    rows: int
    width: int
    height: int

    @classmethod
    def of(cls, preprocessing: "Preprocessing", whole_images: bool) -> "Extent":
        """Return all rows of whole images, otherwise those that the networks of bcclone see."""
        from bcclone.dataset.preprocessing import seen_rows

        width, height = preprocessing.width, preprocessing.height
        rows = slice(0, height) if whole_images else seen_rows(height)
        return cls(rows.start, rows.stop - rows.start, width, height)


@dataclass(frozen=True)
class LensChange:
    """A change of finished RGB views, which leaves the steering as it is.

    setting: the field of AugmentSettings with the fraction of samples to change; uniforms: how many
    random numbers of 0 to 1 a sample needs, by name; parameters: (numbers, fraction, extent, xp) ->
    the parameters of each sample; on_cpu: (images, extent, parameters), changes the rows of images,
    uint8 (samples, frames, height, width, 3), in place, the frames of a sample alike; on_device:
    (images, parameters, xp) -> images, for all images at once, float32 (images, rows, width, 3),
    levels of 0 to 255. A test compares the two.

    xp is the array library, as in the Python array API standard: NumPy for the processor, keras.ops
    for the device.
    """

    setting: str
    uniforms: Mapping[str, int]
    parameters: Callable[[Numbers, float, Extent, Any], Any]
    on_cpu: Callable[["Image", Extent, Any], None]
    on_device: Callable[[Any, Any, Any], Any]
