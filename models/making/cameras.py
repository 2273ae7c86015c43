"""Choose a camera and its faults: random numbers -> a unit vector for each pixel, float64 (height,
width, 3), and what the camera makes of a picture, RGB uint8 (height, width, 3).

Any camera has any field of view, from a narrow lens to a fisheye, and is tilted and rolled. Its
lens is the unified camera model (C. Mei, P. Rives, "Single view point omnidirectional camera
calibration from planar grids", ICRA 2007): xi is 0 for a pinhole and about 1 for a fisheye. The
model needs no trigonometric function for each pixel, so that the rays are the same on every
processor. The simulator's own camera is there, too, and its frames seen through another lens.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bcclone.camera.geometry import FOCAL_PX, simulated_camera
from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, Image, cv2, decode_image
from bcclone.simulator.camera import CameraPose, bonnet, pose_of
from bcclone.simulator.car import Car
from bcclone.simulator.world_settings import Conditions
from bcclone.system.arrays import Float32Array, FloatArray, Random
from bcclone.system.exact_math import arctangent, cosine, exponentials, sine
from models.making.roads import DrawnRoad, Pose, chance, draw_road, log_uniform

# ---- any camera


@dataclass(frozen=True)
class AnyCamera:
    """A camera: its lens, and its directions relative to the car, in radians."""

    focal: float  # focal length over the width of the image
    xi: float  # parameter of the unified camera model: how much the lens distorts
    aspect: float  # vertical focal length over the horizontal one, in pixels of a square image
    pitch: float  # upwards
    roll: float  # anticlockwise, as seen from behind the camera
    yaw: float  # to the right

    def rays(self, height: int, width: int) -> FloatArray:
        """Return each pixel's line of sight as a unit vector, float64 (height, width, 3).

        A vector's numbers are its parts to the right, up and ahead, as seen from the car.
        """
        # a pixel's place on the image plane at distance 1, right and up from the middle
        column = (np.arange(width) + 0.5) / width
        row = (np.arange(height) + 0.5) / height
        x = ((column - 0.5) / self.focal)[None, :]
        y = ((0.5 - row) / (self.focal * self.aspect))[:, None]
        x, y = _turned(x, y, self.roll)
        # beyond this squared distance from the middle, a lens with xi above 1 sees nothing
        farthest = 0.98 / max(self.xi * self.xi - 1.0, 1e-9)
        squared = np.minimum(x * x + y * y, farthest)
        stretch = _stretch(squared, self.xi)
        right = stretch * x
        up = stretch * y
        ahead = stretch - self.xi
        ahead, up = _turned(ahead, up, self.pitch)
        ahead, right = _turned(ahead, right, self.yaw)
        rays = np.stack([right, up, ahead], axis=-1)
        return np.asarray(rays / np.sqrt((rays * rays).sum(axis=-1, keepdims=True)))

    def pixel(self, width: int) -> float:
        """Return the angle that a pixel in the middle of the image shows, in radians."""
        return (1.0 + self.xi) / (self.focal * width)


def _turned(x: FloatArray, y: FloatArray, angle: float) -> tuple[FloatArray, FloatArray]:
    """Return the point (x, y), turned from x towards y by an angle."""
    return x * cosine(angle) - y * sine(angle), x * sine(angle) + y * cosine(angle)


def _stretch(squared: Any, xi: float) -> Any:
    """Return the factor that puts a point of the image plane onto the unit sphere.

    The sphere's middle is (0, 0, xi).

    squared: the square of the point's distance from the middle of the image plane
    """
    return (xi + np.sqrt(np.maximum(1.0 + (1.0 - xi * xi) * squared, 0.0))) / (1.0 + squared)


@dataclass(frozen=True)
class CameraChoice:
    """The ranges from which cameras are chosen; fields of view are horizontal."""

    narrowest_degrees: float = 40.0  # narrowest field of view on a road
    narrowest_floor_degrees: float = 70.0  # on a floor; a narrower lens often shows neither line
    widest_degrees: float = 160.0  # widest field of view on a road with sharp bends
    widest_gentle_degrees: float = 100.0  # in gentle bends, of which a wider lens shows too little
    gentle_m: float = 80.0  # from this radius on, bends are gentle
    pinhole_degrees: float = 75.0  # a lens with a narrower field of view may have no distortion
    aspects: tuple[float, float] = (0.85, 2.6)  # range of AnyCamera.aspect
    horizons: tuple[float, float] = (0.1, 0.5)  # row of the horizon from above, over all rows
    roll_degrees: float = 1.5  # standard deviation
    yaw_degrees: float = 0.4  # standard deviation


_CAMERAS = CameraChoice()


def draw_camera(
    random: Random, radius_m: float, floor: bool, choice: CameraChoice = _CAMERAS
) -> AnyCamera:
    """Return a random camera for a road.

    radius_m: radius of the road's sharpest bends
    floor: the road is only lines on a floor
    """
    # a field of view that shows enough of this road to steer by
    narrowest = choice.narrowest_degrees
    if floor:
        narrowest = choice.narrowest_floor_degrees
    widest = choice.widest_gentle_degrees
    if radius_m < choice.gentle_m:
        widest = choice.widest_degrees
    field = log_uniform(random, narrowest, widest)

    # the wider the field, the more a lens must distort
    if field < choice.pinhole_degrees:
        xi = 0.0
        if chance(random, 0.5):
            xi = random.uniform(0.0, 0.5)
    else:
        least_xi = min((field - choice.pinhole_degrees) / 80.0, 0.6)
        xi = random.uniform(least_xi, 1.1)
    half_field = math.radians(field / 2)
    focal = 0.5 * (cosine(half_field) + xi) / sine(half_field)
    aspect = log_uniform(random, *choice.aspects)

    # the camera is tilted so that the horizon is in the upper half of the image: `horizon` is its
    # height on the image plane, and the tilt turns the ray there level
    horizon = (0.5 - random.uniform(*choice.horizons)) / (focal * aspect)
    stretch = float(_stretch(horizon * horizon, xi))
    pitch = -arctangent(stretch * horizon / max(stretch - xi, 0.05))
    roll = math.radians(random.normal(0.0, choice.roll_degrees))
    yaw = math.radians(random.normal(0.0, choice.yaw_degrees))
    return AnyCamera(focal, xi, aspect, pitch, roll, yaw)


# ---- the simulator's own camera


# which of the drawn roads are as wide, and bend as much, as those of the simulator
_OWN_WIDTHS_M = (4.5, 14.0)
_OWN_WIDEST_RADIUS_M = 300.0  # of the sharpest bends
_OWN_MOST_LANES = 2


def draw_own_road(random: Random) -> DrawnRoad:
    """Return a random road on whose middle the car keeps, whatever lines it has."""
    while True:
        road = draw_road(random)
        narrowest_m, widest_m = _OWN_WIDTHS_M
        is_usual = narrowest_m < road.width_m < widest_m and road.lanes <= _OWN_MOST_LANES
        if is_usual and not road.floor and road.radius_m < _OWN_WIDEST_RADIUS_M:
            return replace(road, lane_m=0.0)


@dataclass(frozen=True)
class OwnCamera:
    """The simulator's centre camera on a car at the origin that faces ahead."""

    pose: CameraPose
    conditions: Conditions

    def line(self, line: FloatArray) -> FloatArray:
        """Return a road's line, as in DrawnPlace, as seen from the camera instead of the car."""
        right_m, _, ahead_m = self.pose.position
        return np.asarray(line - (right_m, ahead_m, 0.0, 0.0, 0.0))

    def rays(self, height: int, width: int) -> FloatArray:
        """Return each pixel's line of sight as a unit vector, float64 (height, width, 3).

        A vector's numbers are its parts to the right, up and ahead, as seen from the car.
        """
        # a pixel's place on the image plane at distance 1, right and up from the middle
        right = ((np.arange(width) + 0.5) / width - 0.5) * (FRAME_WIDTH / FOCAL_PX)
        up = (0.5 - (np.arange(height) + 0.5) / height) * (FRAME_HEIGHT / FOCAL_PX)
        # axis by axis: NumPy's matrix product rounds differently on different processors
        rays = np.stack(
            [axis[0] * right[None, :] + axis[1] * up[:, None] + axis[2] for axis in self.pose.axes],
            axis=-1,
        )
        return np.asarray(rays / np.sqrt((rays * rays).sum(axis=-1, keepdims=True)))

    def pixel(self, width: int) -> float:
        """Return the angle that a pixel in the middle of a picture shows, in radians."""
        return FRAME_WIDTH / (FOCAL_PX * width)

    def with_bonnet(self, picture: FloatArray, light: float) -> FloatArray:
        """Return a picture, RGB (height, width, 3), with the bonnet in it. light: 1 is full"""
        height, width = picture.shape[:2]
        mask, paint = bonnet("center", self.conditions, (height, width))
        return np.where(mask[..., None], light * paint, picture)


def draw_own_camera(pose: Pose, random: Random) -> OwnCamera:
    """Return the camera on a car of this pose, moved and tilted a little."""
    conditions = Conditions(
        camera_shift_m=random.uniform(-0.2, 0.2), camera_pitch=random.uniform(-1.5, 1.5)
    )
    car = Car(0.0, 0.0, 0.0, 0.0, pitch=pose.rise)
    return OwnCamera(pose_of(car, "center", conditions), conditions)


# ---- another lens before the simulator's camera


_ROAD_RADIUS_M = 10.0  # of bends for which a lens is chosen: the random roads wind
# the simulator's lens shows 98 degrees from left to right, and the horizon in the upper half
_OTHER_LENSES = CameraChoice(
    narrowest_degrees=42.0, widest_degrees=96.0, aspects=(0.85, 2.4), horizons=(0.12, 0.5)
)


def through_other_lens(frame: Image, random: Random, height: int, width: int) -> Image:
    """Return what a random camera sees of a frame of the simulator.

    What the frame does not show repeats its edge.

    height, width: size of the returned image
    """
    camera = draw_camera(random, _ROAD_RADIUS_M, floor=False, choice=_OTHER_LENSES)
    columns, rows = _places(camera, height, width)
    # a pixel of the image shows several pixels of the frame
    wide = (float(columns.max()) - float(columns.min())) / width
    high = (float(rows.max()) - float(rows.min())) / height
    share = random.uniform(0.25, 0.5)  # spread of the blur in pixels of the image
    blurred = cv2.GaussianBlur(
        frame, (0, 0), sigmaX=max(share * wide, 0.1), sigmaY=max(share * high, 0.1)
    )
    view = cv2.remap(blurred, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(view, np.uint8)


def _places(camera: AnyCamera, height: int, width: int) -> tuple[Float32Array, Float32Array]:
    """Return which column and row of a frame each pixel shows, (height, width) each."""
    _, to_pixel = simulated_camera()
    # rounded, so that the places are the same on every processor
    across, along, depth = np.round(to_pixel, 9)
    rays = camera.rays(height, width) * (1.0, -1.0, 1.0)  # to the right, down and ahead
    ahead = np.maximum(_product(rays, depth), 0.05)
    # far outside, the remapping needs no exact places
    columns = np.clip(_product(rays, across) / ahead, -10.0, FRAME_WIDTH + 10.0)
    rows = np.clip(_product(rays, along) / ahead, -10.0, FRAME_HEIGHT + 10.0)
    return columns.astype(np.float32), rows.astype(np.float32)


def _product(rays: FloatArray, row: FloatArray) -> FloatArray:
    """Return the products of rays, (height, width, 3), and a row of a matrix, (height, width).

    NumPy's matrix product rounds differently on different processors.
    """
    return np.asarray(rays[..., 0] * row[0] + rays[..., 1] * row[1] + rays[..., 2] * row[2])


# ---- the faults of a camera


@dataclass(frozen=True)
class EffectChoice:
    """The ranges from which a camera's faults are chosen; 1 is full light."""

    dark_share: float = 0.14  # fraction of the pictures that are dark
    brightness: tuple[float, float] = (0.2, 0.6)  # mean of a picture that is not dark
    darkness: tuple[float, float] = (0.03, 0.2)  # mean of a dark picture
    darkest_ground: float = 0.5  # least mean of the lower half, over that of the picture
    cast: float = 0.1  # standard deviation of each colour channel's factor
    gamma: tuple[float, float] = (0.5, 1.6)  # exponent of the light
    gamma_steps: int = 1024  # rows of the gamma's table, for light from 0 to 1
    root_of_noise: float = 0.15  # square root of the strongest noise; weak noise is more frequent
    bonnet_share: float = 0.12  # fraction of the pictures that show a part of the own car
    glare_share: float = 0.1  # fraction of the pictures that show the sun or a lamp
    full_noise_from: float = 40.0  # mean of 0 to 255 below which a picture has less noise
    jpeg_quality: tuple[int, int] = (25, 90)


_EFFECTS = EffectChoice()
# of the light in each row of the gamma's table
_LOGARITHMS = np.array(
    [math.log(step / _EFFECTS.gamma_steps) for step in range(1, _EFFECTS.gamma_steps + 1)]
)


def with_effects(picture: FloatArray, random: Random) -> Image:
    """Return what a camera with random faults makes of a picture, RGB uint8 (height, width, 3).

    picture: RGB of 0 to 255 and above, of any exposure, (height, width, 3)
    """
    light = (picture / 255).astype(np.float32)
    if chance(random, _EFFECTS.bonnet_share):
        light = _with_bonnet(light, random)
    if chance(random, _EFFECTS.glare_share):
        light = _with_glare(light, random)
    image = _exposed(light, random)

    # out of focus, or moved while the shutter was open
    if chance(random, 0.5):
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), random.uniform(0.3, 1.2)), np.uint8)
    if chance(random, 0.25):
        length = int(random.integers(2, 7))
        kernel = (1, length)
        if chance(random, 0.7):
            kernel = (length, 1)
        image = np.asarray(cv2.blur(image, kernel), np.uint8)

    # the sensor adds noise, and the camera's program changes the contrast: black becomes `low`, and
    # full light `high`
    mean = float(image.mean())
    strength = 255 * random.uniform(0.0, _EFFECTS.root_of_noise) ** 2
    strength *= min(mean / _EFFECTS.full_noise_from, 1.0)
    noise = strength * random.standard_normal(image.shape, np.float32)
    low = random.uniform(-0.1, 0.15)
    low = max(low, -0.3 * mean / 255)  # dark pictures keep their contrasts
    high = random.uniform(0.75, 1.1)
    image = np.clip(255 * low + (high - low) * (image + noise), 0, 255).astype(np.uint8)

    if chance(random, 0.5):
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(*_EFFECTS.jpeg_quality))]
        content = cv2.imencode(".jpg", image[..., ::-1], quality)[1].tobytes()
        image = decode_image(content)
    return image


def _with_bonnet(light: Float32Array, random: Random) -> Float32Array:
    """Return the picture with a bonnet, a bumper or a wheel at its lower edge.

    light: RGB of 0 to 1 and above, (height, width, 3)
    """
    height, width, _ = light.shape
    x = np.linspace(-1, 1, width, dtype=np.float32)
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    middle = np.float32(random.normal(0.0, 0.3))
    bend = np.float32(random.uniform(-0.1, 0.6))
    top = np.float32(random.uniform(0.72, 0.98))
    depth = y - (top + bend * (x - middle) ** 2)  # how far a pixel is below the upper edge
    dark = random.uniform(0.02, 0.6)
    color = (dark * (1.0 + 0.3 * random.uniform(-1.0, 1.0, 3))).astype(np.float32)
    shine = np.float32(random.uniform(-1.5, 3.0))
    covered = np.clip(depth * height, 0.0, 1.0)[..., None]
    body = color * np.maximum(1.0 + shine * depth, 0.1)[..., None]
    return np.asarray(light + covered * (body - light), np.float32)


def _with_glare(light: Float32Array, random: Random) -> Float32Array:
    """Return the picture with a bright spot around the sun or a lamp, which veils what is near it.

    light: RGB of 0 to 1 and above, (height, width, 3)
    """
    height, width, _ = light.shape
    x = np.linspace(-1, 1, width, dtype=np.float32) - np.float32(random.uniform(-1.1, 1.1))
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    y = 2 * (y - np.float32(random.uniform(-0.1, 0.6)))
    radius = np.float32(log_uniform(random, 0.05, 0.7))
    strength = np.float32(log_uniform(random, 0.3, 4.0))
    squared = (x * x + y * y) / (radius * radius)
    veil = strength / ((1 + squared) * (1 + squared))
    tint = np.array([1.0, random.uniform(0.85, 1.0), random.uniform(0.65, 1.0)], np.float32)
    return np.asarray(light + veil[..., None] * tint, np.float32)


def _exposed(light: Float32Array, random: Random) -> Image:
    """Return the image that the lens and the sensor of a camera make of light, RGB uint8.

    light: RGB of 0 to 1 and above, (height, width, 3)
    """
    # exposure for a random brightness, with a white balance that is a little wrong
    brightness_range = _EFFECTS.brightness
    if chance(random, _EFFECTS.dark_share):
        brightness_range = _EFFECTS.darkness
    brightness = log_uniform(random, *brightness_range)
    exposure = brightness / max(float(light.mean()), 0.02)
    # a camera lets the ground be dark under a bright sky, but not black
    ground = float(light[light.shape[0] // 2 :].mean())
    exposure = max(exposure, _EFFECTS.darkest_ground * brightness / max(ground, 0.02))
    balance = exposure * (1 + random.normal(0.0, _EFFECTS.cast, 3))
    light = light * balance.astype(np.float32)

    if chance(random, 0.4):
        light = light * _vignette(light.shape[0], light.shape[1], random.uniform(0.1, 0.45))
    if chance(random, 0.3):  # weaker or stronger colours
        grey = light.mean(axis=2, keepdims=True)
        light = grey + (light - grey) * np.float32(random.uniform(0.0, 1.8))

    # the light to the power of gamma, from a table whose values are the same on every processor
    gamma = log_uniform(random, *_EFFECTS.gamma)
    table = exponentials((gamma * _LOGARITHMS).astype(np.float32))
    rows = (np.clip(light, 0, 1) * (_EFFECTS.gamma_steps - 1)).astype(np.int64)
    return np.asarray(255 * table[rows], np.uint8)


def _vignette(height: int, width: int, strength: float) -> Float32Array:
    """Return the factor of each pixel's light, (height, width, 1); it falls towards the corners.

    strength: how much light is missing at the middle of an edge; twice as much in a corner
    """
    x = np.linspace(-1, 1, width, dtype=np.float32)
    y = np.linspace(-1, 1, height, dtype=np.float32)
    squared = x * x + (y * y)[:, None]
    return np.asarray((1 - np.float32(strength) * squared)[..., None])
