"""Draw how the samples of a batch are changed: a seed -> moves of the camera, light, shadows, ...

NumPy draws the random numbers of a batch. They alone determine how its samples are augmented. The
functions below turn them into the parameters of each kind of change, by the array library `xp`:
NumPy, or keras.ops for tensors. on_cpu.py and on_device.py apply them, with the same result up to
rounding.

The viewpoints follow Bojarski and others, "End to End Learning for Self-Driving Cars", 2016,
section 2: shifts and rotations of the real cameras, with the label of a car that returns. The three
cameras give the ground truth (docs/explanation/replay.md).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bcclone.camera.geometry import CameraMove, Warp, flip_pixels, warp_to
from bcclone.camera.vehicle import CAMERA_AHEAD_M, steering_to_line
from bcclone.dataset.preprocessing import Preprocessing, seen_rows
from bcclone.feed.feed_settings import AugmentSettings
from bcclone.system.arrays import Float32Array

Numbers = Mapping[str, Any]  # name -> float32 (samples, numbers), NumPy arrays or tensors

SHAPES = 4  # the most shadows of one image
MOST_PATCHES = 3  # of one image

# how many random numbers a sample needs, by name; those of another order would be other ones
_NORMALS = {"yaw": 1, "pitch": 1, "contrast": 1, "brightness": 1, "tint": 3, "gamma": 1}
_UNIFORMS = {
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
    "shape_geometry": 5 * SHAPES,
    "blur": 1,
    "blur_sigma": 1,
    "patches": 1,
    "patch_count": 1,
    "patch_geometry": 4 * MOST_PATCHES,
    "patch_color": 3 * MOST_PATCHES,
    "noise": 1,
    "noise_quality": 1,
}
NORMALS = sum(_NORMALS.values())
UNIFORMS = sum(_UNIFORMS.values())


class AugmentationInputs(NamedTuple):
    """What the augmentation of a batch depends on, NumPy arrays or tensors."""

    flipped: Any  # bool (samples,), whether the images are mirrored
    lookahead_m: Any  # float32 (samples,), how far ahead the car aims when it steers back
    # random numbers of draw(), (samples, numbers):
    normal: Any  # float32, standard normal
    uniform: Any  # uint16, in steps of 2^-16: half of the bytes that a GPU has to be sent

    @property
    def numbers(self) -> Numbers:
        """Return the random numbers by name, float32; the uniform ones are from 0 to 1."""
        numbers = {}
        uniform = self.uniform * np.float32(2**-16)
        for table, widths in ((self.normal, _NORMALS), (uniform, _UNIFORMS)):
            first = 0
            for name, width in widths.items():
                numbers[name] = table[:, first : first + width]
                first += width
        return numbers


def draw(samples: int, seed: Sequence[int]) -> tuple[Float32Array, npt.NDArray[np.uint16]]:
    """Return the random numbers of a batch: standard normal, and from 0 to 1 in steps of 2^-16.

    seed: for example training seed, epoch and first sample
    """
    random = np.random.default_rng(seed)
    normal = random.standard_normal((samples, NORMALS), np.float32)
    uniform = random.random((samples, UNIFORMS), np.float32)
    # in these steps, most of the products below are exact, so that all compilers round alike
    return normal, (uniform * np.float32(2**16)).astype(np.uint16)


class Extent(NamedTuple):
    """The rows of a prepared image that are changed."""

    top: int  # the first one
    rows: int
    width: int  # of the image
    height: int  # of the whole image


def extent_of(preprocessing: Preprocessing) -> Extent:
    """Return the rows that the networks of bcclone see."""
    rows = seen_rows(preprocessing.height)
    return Extent(rows.start, rows.stop - rows.start, preprocessing.width, preprocessing.height)


# ---- viewpoint


def camera_moves(numbers: Numbers, settings: AugmentSettings, xp: Any = np) -> CameraMove:
    """Return the movements of the cameras of a batch, (samples,) each."""
    most = 3.0  # standard deviations; without a limit, a rare turn would show no road
    yaw = xp.clip(numbers["yaw"][:, 0], -most, most)
    pitch = xp.clip(numbers["pitch"][:, 0], -most, most)
    return CameraMove(
        lateral_offset_m=settings.shift_m * (2.0 * numbers["offset"][:, 0] - 1.0),
        yaw_rad=math.radians(settings.turn_degrees) * yaw,
        pitch_rad=math.radians(settings.pitch_degrees) * pitch,
    )


def steering_change(move: CameraMove, lookahead_m: Any, xp: Any = np) -> Any:
    """Return the change of steering, (samples,), of a car that steers back to its line.

    It aims lookahead_m ahead. The line is followed by the rear axle; the camera is ahead of it.
    """
    axle_m = move.lateral_offset_m - CAMERA_AHEAD_M * xp.sin(move.yaw_rad)
    return steering_to_line(axle_m, move.yaw_rad, lookahead_m, xp)


def view_warps(
    preprocessing: Preprocessing, top: int, move: CameraMove, flipped: Any, xp: Any = np
) -> Warp:
    """Return the warp of each prepared image to the view of its moved camera.

    The camera is mounted at a slight angle, and a mirror image is that of a camera mounted at the
    opposite angle. A network trained on both would drive next to its line. So mirror images, too,
    become views of the real camera.

    top: the row of a prepared image that is the first row of a view
    flipped: bool (samples,), whether the image is a mirror image
    """
    plain = preprocessing.frame_to_prepared
    mirrored = flip_pixels(preprocessing.width) @ plain
    up_by_top = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, -top], [0.0, 0.0, 1.0]])
    images = xp.where(flipped[:, None, None], mirrored.astype(np.float32), plain.astype(np.float32))
    views = (up_by_top @ plain).astype(np.float32)
    return warp_to(move, flipped, xp).between_images(views, images)


# ---- light

_GRAY = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green and blue: ITU-R BT.601
_IDENTITY = np.eye(3, dtype=np.float32)


class Light(NamedTuple):
    """A change of light: a color matrix and an offset, then a gamma."""

    colors: Any  # float32 (samples, 3, 3), from the images' colors to RGB
    offset: Any  # float32 (samples, 3), added to levels of 0 to 255
    gamma: Any  # float32 (samples,), the exponent of levels of 0 to 1


def light_of(numbers: Numbers, strength: float, to_rgb: Float32Array, xp: Any = np) -> Light:
    """Return random brightness, contrast, tint and gamma; for some images, saturation or fog.

    strength: 1 for the usual light, 0 for none
    to_rgb: float32 (3, 4), converts the images' own colors to RGB first
    """
    # factors and an exponent that are usually near 1; the brightness is added, and usually near 0
    contrast = xp.exp(0.25 * strength * numbers["contrast"])
    brightness = 25.0 * strength * numbers["brightness"]
    tint = xp.exp(0.08 * strength * numbers["tint"])
    gamma = xp.exp(0.25 * strength * numbers["gamma"])[:, 0]

    # three images of ten have other saturation, from grey to one and a half; two of ten have fog
    has_other_saturation = numbers["desaturate"] < 0.3 * strength
    saturation = xp.where(has_other_saturation, 1.5 * numbers["saturation"], 1.0)[:, :, None]
    has_fog = numbers["fog"] < 0.2 * strength
    fog = xp.where(has_fog, 0.6 * numbers["fog_density"], 0.0)
    fog_level = 120.0 + 110.0 * numbers["fog_level"]

    # contrast leaves a grey of about the mean of the simulator's frames as it is, and so does
    # saturation, since each row of its matrix adds up to 1
    middle = 115.0
    offset = tint * middle * (1.0 - contrast) + brightness
    offset = (1.0 - fog) * offset + fog * fog_level

    colors = tint[:, :, None] * (saturation * _IDENTITY + (1.0 - saturation) * _GRAY)
    matrix = xp.matmul(((1.0 - fog) * contrast)[:, :, None] * colors, to_rgb)
    return Light(colors=matrix[:, :, :3], offset=offset + matrix[:, :, 3], gamma=gamma)


# ---- shadows, or spots of light: of bushes (flat ellipses), and of trunks and walls (bands)


class Shadows(NamedTuple):
    """Up to SHAPES shadows, or spots of light, of each image; where they overlap, they are one."""

    factor: Any  # float32 (samples,), brightness in the shadow
    soft: Any  # bool (samples,), whether the edges are blurred
    # float32 (samples, SHAPES, rows), between which columns a shape covers each row; the right one
    # is smaller than the left one where it covers none
    left: Any
    right: Any


def shadows_of(numbers: Numbers, fraction: float, extent: Extent, xp: Any = np) -> Shadows:
    width = float(extent.width)
    height = float(extent.height)
    # four of five are shadows, the others spots of light
    is_dark = numbers["shadow_dark"][:, 0] < 0.8
    strength = numbers["shadow_strength"][:, 0]
    factor = xp.where(is_dark, 0.3 + 0.5 * strength, 1.1 + 0.4 * strength)

    # the same five numbers describe an ellipse or a band, float32 (samples, SHAPES, 1) each
    geometry = xp.reshape(numbers["shape_geometry"], (-1, SHAPES, 5, 1))
    first, second, third, fourth, fifth = (geometry[:, :, n] for n in range(5))
    row = np.arange(extent.rows, dtype=np.float32)

    # an ellipse: with a and b, one over half its width and height, it covers what fulfils
    # (a (right cos + down sin))^2 + (b (down cos - right sin))^2 <= 1, a quadratic in `right`
    angle = math.radians(80.0) * fifth - math.radians(40.0)
    sine = xp.sin(angle)
    cosine = xp.cos(angle)
    a = 2.0 / ((0.08 + 0.87 * third) * width)
    b = 2.0 / ((0.03 + 0.37 * fourth) * height)
    down = row - ((0.3 + 0.7 * second) * height - extent.top)
    square = (a * cosine) ** 2 + (b * sine) ** 2
    middle = (-0.15 + 1.3 * first) * width - down * (a**2 - b**2) * sine * cosine / square
    root = square - (a * b * down) ** 2
    half = xp.where(root >= 0.0, xp.sqrt(xp.maximum(root, 0.0)) / square, -1.0)

    # a band from the horizon to the lower edge of the image; `nearness` is 0 and 1 there
    horizon = int(0.33 * height) - extent.top
    nearness = (row - horizon) / (height - extent.top - horizon)
    near_start = (2.0 * third - 0.5) * width
    near_end = (2.0 * fourth - 0.5) * width
    far_left = width * xp.minimum(first, second)
    far_right = width * xp.maximum(first, second)
    band_left = far_left + nearness * (xp.minimum(near_start, near_end) - far_left)
    band_right = far_right + nearness * (xp.maximum(near_start, near_end) - far_right)

    is_band = numbers["shape"][:, :, None] < 0.5
    left = xp.where(is_band, band_left, middle - half)
    right = xp.where(is_band, band_right, middle + half)
    count = 1.0 + xp.floor(SHAPES * numbers["shadow_shapes"])
    exists = (numbers["shadow"] < fraction) & (np.arange(SHAPES, dtype=np.float32) < count)
    covers = exists[:, :, None] & ((nearness >= 0.0) | ~is_band)
    return Shadows(
        factor=factor,
        soft=numbers["shadow_soft"][:, 0] < 0.5,
        left=left,
        right=xp.where(covers, right, left - 1.0),
    )


# ---- the lens


def blur_taps(numbers: Numbers, fraction: float, xp: Any = np) -> Any:
    """Return the weights of a Gaussian blur along rows and columns, float32 (samples, 3).

    They are those of the pixel itself, its neighbours, and the pixels two away (0 for a narrow
    Gaussian); sharp images have 1, 0, 0.
    """
    sigma = 0.4 + 1.1 * numbers["blur_sigma"]  # pixels
    # a narrow Gaussian does not reach beyond the neighbours
    reach_if_blurred = xp.where(sigma > 1.0, 2.0, 1.0)
    reach = xp.where(numbers["blur"] < fraction, reach_if_blurred, 0.0)
    distance = np.arange(3, dtype=np.float32)
    taps = xp.where(distance <= reach, xp.exp(-0.5 * (distance / sigma) ** 2), 0.0)
    # all five weights add up to 1; the pixel itself counts once, the others on both sides
    return taps / (2.0 * xp.sum(taps, axis=1, keepdims=True) - taps[:, :1])


class Patches(NamedTuple):
    """Up to MOST_PATCHES rectangles of one color over each image, in pixels of the changed rows."""

    count: Any  # float32 (samples,), number of patches
    # float32 (samples, MOST_PATCHES, 4), whole numbers: left, top, right and bottom, inclusive
    corners: Any
    colors: Any  # float32 (samples, MOST_PATCHES, 3), RGB, whole numbers


def patches_of(numbers: Numbers, fraction: float, extent: Extent, xp: Any = np) -> Patches:
    """Return patches for a fraction of the images, like objects in front of the lens."""
    width = float(extent.width)
    height = float(extent.height)
    has_any = numbers["patches"][:, 0] < fraction
    count = 1.0 + xp.floor(MOST_PATCHES * numbers["patch_count"][:, 0])

    # below the upper fifth, which is sky; up to 30 % of the width and 23 % of the height
    geometry = xp.reshape(numbers["patch_geometry"], (-1, MOST_PATCHES, 4))
    left = 0.95 * width * geometry[:, :, 0]
    top = (0.2 + 0.75 * geometry[:, :, 1]) * height
    right = left + (0.03 + 0.27 * geometry[:, :, 2]) * width
    bottom = top + (0.03 + 0.2 * geometry[:, :, 3]) * height
    corners = [
        xp.floor(left),
        xp.floor(top) - extent.top,
        xp.floor(right),
        xp.floor(bottom) - extent.top,
    ]
    return Patches(
        count=xp.where(has_any, count, xp.zeros_like(count)),
        corners=xp.stack(corners, axis=-1),
        colors=xp.floor(256.0 * xp.reshape(numbers["patch_color"], (-1, MOST_PATCHES, 3))),
    )


def jpeg_quality(numbers: Numbers, fraction: float, xp: Any = np) -> Any:
    """Return the JPEG quality of each image, float32 (samples,), whole numbers; 0: no noise."""
    quality = 20.0 + xp.floor(60.0 * numbers["noise_quality"][:, 0])
    return xp.where(numbers["noise"][:, 0] < fraction, quality, xp.zeros_like(quality))
