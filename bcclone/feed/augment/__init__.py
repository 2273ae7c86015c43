"""Augment training samples: random viewpoints, with the steering back to the line; random light.

A module for each augmentation contains all of it: the random numbers that it needs, the parameters
computed from them (by NumPy, or by keras.ops for tensors), and the change itself twice, compiled
for the processor and as operations on arrays for the device. `random_numbers` draws the numbers;
`on_cpu` and `on_device` apply the changes, with the same result up to rounding. Importing this
package loads no large package.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from bcclone.camera.images import Image
    from bcclone.dataset.preprocessing import Preprocessing

LEVELS = 1 << 16  # a random number from 0 to 1 is sent to a device as one of this many levels
Numbers = Mapping[str, Any]  # name -> float32 (samples, numbers), NumPy arrays or tensors


class AugmentationInputs(NamedTuple):
    """What the augmentation of a batch depends on, NumPy arrays or tensors."""

    flipped: Any  # bool (samples,), whether the images are mirrored
    lookahead_m: Any  # float32 (samples,), how far ahead the car aims when it steers back
    # random numbers of draw(), float32 (samples, numbers):
    normal: Any  # standard normal
    uniform: Any  # from 0 to 1

    def packed(self) -> "AugmentationInputs":
        """Return what is sent to a device: `uniform` as uint16, in steps of 1 / LEVELS.

        These are half the bytes, and fine enough.
        """
        return self._replace(uniform=(self.uniform * LEVELS).astype("uint16"))


@dataclass(frozen=True)
class Extent:
    """The rows of a prepared image that are changed."""

    top: int  # the first row that is changed
    rows: int  # number of the rows that are changed
    width: int  # width of the image
    height: int  # height of the whole image

    @classmethod
    def of(cls, preprocessing: "Preprocessing", whole_images: bool) -> "Extent":
        """Return all rows of whole images, otherwise those that the networks of bcclone see."""
        from bcclone.dataset.preprocessing import seen_rows

        height = preprocessing.height
        rows = slice(0, height) if whole_images else seen_rows(height)
        return cls(
            top=rows.start,
            rows=rows.stop - rows.start,
            width=preprocessing.width,
            height=height,
        )


@dataclass(frozen=True)
class LensChange:
    """A change of finished RGB views, which leaves the steering as it is.

    It is implemented twice; a test compares the two. xp is the array library, as in the Python
    array API standard: NumPy for the processor, keras.ops for the device.
    """

    # the field of AugmentSettings with the fraction of samples to change
    setting: str
    # how many random numbers of 0 to 1 a sample needs, by name
    uniforms: Mapping[str, int]
    # (numbers, fraction, extent, xp) -> the parameters of each sample
    parameters: Callable[[Numbers, float, Extent, Any], Any]
    # (images, extent, parameters): changes the rows of images, uint8 (samples, frames, height,
    # width, 3), in place, the frames of a sample alike
    on_cpu: Callable[["Image", Extent, Any], None]
    # (images, parameters, xp) -> images, all at once, float32 (images, rows, width, 3), levels of
    # 0 to 255
    on_device: Callable[[Any, Any, Any], Any]
