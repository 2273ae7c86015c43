"""Draw the random numbers of a batch, and turn them into the parameters of each augmentation.

First the viewpoint: how the camera moves, and the steering that goes with it. Then the appearance: light, shadows,
blur, patches and JPEG noise, which leave the steering as it is.

Bojarski and others, "End to End Learning for Self-Driving Cars", 2016, section 2: shifts and rotations of the real
cameras, with the label of a car that returns. The three cameras give the ground truth (docs/explanation/replay.md).

`xp` is the array library, as in the Python array API standard: NumPy, or keras.ops for tensors.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bcclone.dataset.images import Preprocessing
from bcclone.dataset.vehicle import CAMERA_AHEAD_M, steering_to_line
from bcclone.dataset.view import CameraMove, Warp, flip_pixels, warp_to
from bcclone.feed.augment.augment_settings import AugmentSettings

_LARGEST_TURN = 3.0  # standard deviations
_GRAY = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green and blue: ITU-R BT.601
_IDENTITY = np.eye(3, dtype=np.float32)
_MIDDLE = 115.0  # about the mean of the simulator's frames
_FOG_FRACTION, _DESATURATED_FRACTION = 0.2, 0.3
_HORIZON = 0.33  # of the image's height
_NARROW_SIGMA = 1.0  # pixels
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


def camera_moves(draws: Draws, settings: AugmentSettings, xp: Any = np) -> CameraMove:
    """Return the movements of the cameras of a batch, (samples,) each."""
    yaw, pitch = (
        math.radians(degrees) * xp.clip(draws.normals(name)[:, 0], -_LARGEST_TURN, _LARGEST_TURN)
        for name, degrees in (("yaw", settings.turn_degrees), ("pitch", settings.pitch_degrees))
    )
    return CameraMove(settings.shift_m * (2.0 * draws.uniforms("offset")[:, 0] - 1.0), yaw, pitch)


def steering_change(move: CameraMove, lookahead_m: Any, xp: Any = np) -> Any:
    """Return the change of steering, (samples,), of a car that steers back to its line, aiming lookahead_m ahead.

    The line is followed by the rear axle; the camera is ahead of it.
    """
    axle_m = move.lateral_offset_m - CAMERA_AHEAD_M * xp.sin(move.yaw_rad)
    return steering_to_line(axle_m, move.yaw_rad, lookahead_m, xp)


class Cameras:
    """The warps of images of one preprocessing to views of moved cameras. top: the first row of a view."""

    def __init__(self, preprocessing: Preprocessing, top: int = 0) -> None:
        plain = preprocessing.pixels
        self._images = tuple(pixels.astype(np.float32) for pixels in (plain, flip_pixels(preprocessing.width) @ plain))
        self._views = (np.array([[1.0, 0.0, 0.0], [0.0, 1.0, -top], [0.0, 0.0, 1.0]]) @ plain).astype(np.float32)

    def warps(self, move: CameraMove, flipped: Any, xp: Any = np) -> Warp:
        """Return the warp of each image to its view. flipped: bool (samples,), whether it is a mirror image.

        The camera is mounted at a slight angle, and a mirror image is that of a camera mounted at the opposite angle. A
        network trained on both would drive next to its line. So mirror images, too, become views of the real camera.
        """
        plain, mirrored = self._images
        images = xp.where(flipped[:, None, None], mirrored, plain)
        return warp_to(move, flipped, xp).through(self._views, images)


@dataclass(frozen=True)
class Extent:
    """The rows of a prepared image that are changed: `rows` rows from `top` on, of (height, width)."""

    top: int
    rows: int
    width: int
    height: int

    def __post_init__(self) -> None:
        if not (self.top >= 0 and 0 < self.rows <= self.height - self.top):
            raise ValueError(f"{self.rows} rows from row {self.top} on, expected rows of {self.height}")

    @classmethod
    def of(cls, preprocessing: Preprocessing, rows: slice) -> "Extent":
        """Return the extent of these rows in an image of this preprocessing."""
        top, below, _ = rows.indices(preprocessing.height)
        return cls(top, below - top, preprocessing.width, preprocessing.height)


@dataclass(frozen=True)
class Light:
    """A change of light: a color matrix and an offset, then a gamma.

    colors: float32 (samples, 3, 3), from the images' colors to RGB; offset: float32 (samples, 3), added to levels of 0
    to 255; gamma: float32 (samples,), the exponent of levels of 0 to 1.
    """

    colors: Any
    offset: Any
    gamma: Any


def light_of(draws: Draws, strength: float, to_rgb: npt.NDArray[np.float32], xp: Any = np) -> Light:
    """Return random brightness, contrast, tint and gamma; and for some images another saturation, or fog.

    to_rgb: float32 (3, 4), converts the images' own colors to RGB first.
    """
    contrast = xp.exp(0.25 * strength * draws.normals("contrast"))
    brightness = 25.0 * strength * draws.normals("brightness")
    tint = xp.exp(0.08 * strength * draws.normals("tint"))
    is_desaturated = draws.uniforms("desaturate") < _DESATURATED_FRACTION * strength
    saturation = xp.where(is_desaturated, 1.5 * draws.uniforms("saturation"), 1.0)[:, :, None]
    fog = xp.where(draws.uniforms("fog") < _FOG_FRACTION * strength, 0.6 * draws.uniforms("fog_density"), 0.0)
    colors = tint[:, :, None] * (saturation * _IDENTITY + (1.0 - saturation) * _GRAY)
    offset = tint * _MIDDLE * (1.0 - contrast) + brightness  # each row of a saturation matrix adds up to 1
    fog_level = 120.0 + 110.0 * draws.uniforms("fog_level")
    offset = (1.0 - fog) * offset + fog * fog_level
    gamma = xp.exp(0.25 * strength * draws.normals("gamma"))[:, 0]
    matrix = xp.matmul(((1.0 - fog) * contrast)[:, :, None] * colors, to_rgb)
    return Light(matrix[:, :, :3], offset + matrix[:, :, 3], gamma)


class Shadows(NamedTuple):
    """Up to SHAPES shadows, or spots of light, of each image, in pixels of the changed rows.

    factor: float32 (samples,), brightness in the shadow, 1 where there is none; soft: bool (samples,), whether the
    edges are blurred; present, band: bool (samples, SHAPES), which shapes exist, and which are bands instead of
    ellipses; ellipse: float32 (samples, SHAPES, 5), center x and y, width, height, angle in degrees;
    edges: float32 (samples, SHAPES, 4), left and right edge of a band at the horizon, and at the image's lower edge.
    """

    factor: Any
    soft: Any
    present: Any
    band: Any
    ellipse: Any
    edges: Any


def shadows_of(draws: Draws, fraction: float, extent: Extent, xp: Any = np) -> Shadows:
    """Return shadows for a fraction of the images: of bushes (flat ellipses), and of trunks and walls (bands)."""
    width, height = float(extent.width), float(extent.height)
    has_any = draws.uniforms("shadow")[:, 0] < fraction
    strength = draws.uniforms("shadow_strength")[:, 0]
    factor = xp.where(draws.uniforms("shadow_dark")[:, 0] < 0.8, 0.3 + 0.5 * strength, 1.1 + 0.4 * strength)
    count = 1.0 + xp.floor(SHAPES * draws.uniforms("shadow_shapes"))
    numbers = xp.reshape(draws.uniforms("shape_geometry"), (-1, SHAPES, 5))
    first, second, third, fourth, fifth = (numbers[:, :, index] for index in range(5))
    center_y = (0.3 + 0.7 * second) * height - extent.top
    ellipse = [(-0.15 + 1.3 * first) * width, center_y, (0.08 + 0.87 * third) * width]
    ellipse += [(0.03 + 0.37 * fourth) * height, 80.0 * fifth - 40.0]
    far, near = (first * width, second * width), ((2.0 * third - 0.5) * width, (2.0 * fourth - 0.5) * width)
    edges = [choose(*pair) for pair in (far, near) for choose in (xp.minimum, xp.maximum)]
    return Shadows(
        factor=xp.where(has_any, factor, xp.ones_like(factor)),
        soft=draws.uniforms("shadow_soft")[:, 0] < 0.5,
        present=(np.arange(SHAPES, dtype=np.float32) < count) & has_any[:, None],
        band=draws.uniforms("shape") < 0.5,
        ellipse=xp.stack(ellipse, axis=-1),
        edges=xp.stack(edges, axis=-1),
    )


def band_rows(extent: Extent) -> tuple[float, float]:
    """Return the rows, from the first changed one, where bands begin (the horizon) and end (the lower edge)."""
    return float(int(_HORIZON * extent.height) - extent.top), float(extent.height - extent.top)


def blur_taps_of(draws: Draws, fraction: float, xp: Any = np) -> Any:
    """Return the weights of a Gaussian blur along rows and columns, float32 (samples, 3).

    They are those of the pixel itself, its neighbours, and the pixels two away (0 for a narrow Gaussian); sharp images
    have 1, 0, 0.
    """
    sigma = 0.4 + 1.1 * draws.uniforms("blur_sigma")  # pixels
    reach = xp.where(draws.uniforms("blur") < fraction, xp.where(sigma > _NARROW_SIGMA, 2.0, 1.0), 0.0)
    distance = np.arange(3, dtype=np.float32)
    taps = xp.where(distance <= reach, xp.exp(-0.5 * (distance / sigma) ** 2), 0.0)
    return taps / (2.0 * xp.sum(taps, axis=1, keepdims=True) - taps[:, :1])


class Patches(NamedTuple):
    """Up to PATCHES rectangles of one color over each image, in pixels of the changed rows.

    count: float32 (samples,), number of patches; corners: float32 (samples, PATCHES, 4), whole numbers: left, top,
    right and bottom, inclusive; colors: float32 (samples, PATCHES, 3), RGB, whole numbers.
    """

    count: Any
    corners: Any
    colors: Any


def patches_of(draws: Draws, fraction: float, extent: Extent, xp: Any = np) -> Patches:
    """Return patches for a fraction of the images, like objects in front of the lens."""
    width, height = float(extent.width), float(extent.height)
    count = 1.0 + xp.floor(PATCHES * draws.uniforms("patch_count")[:, 0])
    numbers = xp.reshape(draws.uniforms("patch_geometry"), (-1, PATCHES, 4))
    left, top = 0.95 * width * numbers[:, :, 0], (0.2 + 0.75 * numbers[:, :, 1]) * height
    right, bottom = left + (0.03 + 0.27 * numbers[:, :, 2]) * width, top + (0.03 + 0.2 * numbers[:, :, 3]) * height
    corners = [xp.floor(left), xp.floor(top) - extent.top, xp.floor(right), xp.floor(bottom) - extent.top]
    colors = xp.floor(256.0 * xp.reshape(draws.uniforms("patch_color"), (-1, PATCHES, 3)))
    has_any = draws.uniforms("patches")[:, 0] < fraction
    return Patches(xp.where(has_any, count, xp.zeros_like(count)), xp.stack(corners, axis=-1), colors)


def jpeg_quality_of(draws: Draws, fraction: float, xp: Any = np) -> Any:
    """Return the JPEG quality of a fraction of the images, whole numbers as float32 (samples,); 0 for the others."""
    quality = 20.0 + xp.floor(60.0 * draws.uniforms("noise_quality")[:, 0])
    return xp.where(draws.uniforms("noise")[:, 0] < fraction, quality, xp.zeros_like(quality))
