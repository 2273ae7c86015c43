"""Draw the random numbers of a batch, which determine all augmentation parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

SHAPES, PATCHES = 4, 3  # the most shadows, and the most patches, of one image

# name -> how many numbers each sample has
_NORMAL = {"yaw": 1, "pitch": 1, "contrast": 1, "brightness": 1, "tint": 3, "gamma": 1}
_UNIFORM = {
    "offset": 1,
    "desaturate": 1,
    "saturation": 1,
    "fog": 1,
    "fog_density": 1,
    "fog_level": 1,
    "shadow": 1,
    "shadow_shapes": 1,
    "shadow_soft": 1,
    "shadow_dark": 1,
    "shadow_strength": 1,
    "shape": SHAPES,
    "shape_geometry": SHAPES * 5,
    "blur": 1,
    "blur_sigma": 1,
    "patches": 1,
    "patch_count": 1,
    "patch_geometry": PATCHES * 4,
    "patch_color": PATCHES * 3,
    "noise": 1,
    "noise_quality": 1,
}


def _columns(widths: Mapping[str, int]) -> dict[str, slice]:
    ends = np.cumsum(list(widths.values())).tolist()
    return {name: slice(end - width, end) for (name, width), end in zip(widths.items(), ends, strict=True)}


_NORMAL_COLUMNS, _UNIFORM_COLUMNS = _columns(_NORMAL), _columns(_UNIFORM)
NORMALS, UNIFORMS = sum(_NORMAL.values()), sum(_UNIFORM.values())  # per sample


@dataclass(frozen=True)
class Draws:
    """The random numbers of a batch, NumPy arrays or tensors.

    normal: float32 (samples, NORMALS), standard normal; uniform: float32 (samples, UNIFORMS), 0 to 1.
    """

    normal: Any
    uniform: Any

    def normals(self, name: str) -> Any:
        """Return the normal numbers of this name, float32 (samples, numbers)."""
        return self.normal[:, _NORMAL_COLUMNS[name]]

    def uniforms(self, name: str) -> Any:
        """Return the uniform numbers of this name, float32 (samples, numbers)."""
        return self.uniform[:, _UNIFORM_COLUMNS[name]]

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

    def __post_init__(self) -> None:
        flips, lookaheads = self.flipped.shape[0], self.lookahead_m.shape[0]
        if flips != lookaheads:
            raise ValueError(f"{flips} flips for {lookaheads} lookaheads, expected equal numbers")

    def at(self, positions: npt.NDArray[np.uint32]) -> "AugmentationInputs":
        """Return the inputs of the samples at these positions, uint32 (positions,)."""
        return AugmentationInputs(self.flipped[positions], self.lookahead_m[positions])


def draw(samples: int, seed: Sequence[int]) -> Draws:
    """Return random numbers for `samples` samples. seed: for example training seed, epoch and first sample."""
    random = np.random.default_rng(seed)
    return Draws(random.standard_normal((samples, NORMALS), np.float32), random.random((samples, UNIFORMS), np.float32))
