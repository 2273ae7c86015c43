"""Render what cameras see: a car -> pictures, RGB uint8 (height, width, 3), depths, and what each
pixel shows.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from bcclone.camera.geometry import FOCAL_PX
from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, Image
from bcclone.camera.vehicle import MOUNTS
from bcclone.simulator.camera import bonnet, pose_of
from bcclone.simulator.car import Car
from bcclone.simulator.render.faces import draw_cards, draw_drops, draw_faces
from bcclone.simulator.render.inputs import Canvas, Eye, air_of, blank_canvas, surface_of
from bcclone.simulator.render.raycast import cast
from bcclone.simulator.render.surface import CAR, EDGE, GROUND, LINE, OBJECT, ROAD, SKY, WATER
from bcclone.simulator.scene import build_scene
from bcclone.simulator.world_settings import Conditions
from bcclone.system.arrays import Float32Array, IndexArray, Random
from bcclone.system.exact_math import exponentials, normals

_NAMES = ("sky", "ground", "water", "road", "line", "edge", "object", "car")
LABELS = {
    name: label for label, name in enumerate(_NAMES)
}  # of what a pixel shows, as in render/surface.py
_DROPS_PER_SECOND = (
    50  # how often the drops of rain or snow change: more often than a camera takes frames
)
# logarithms of factors of brightness: mean and standard deviation
_SURROUNDINGS = (-0.35, 0.9)
_BRIGHTNESS = {
    SKY: (0.0, 0.3),
    GROUND: _SURROUNDINGS,
    WATER: _SURROUNDINGS,
    OBJECT: _SURROUNDINGS,
    ROAD: (-0.1, 0.45),
}
_PAINT = (0.0, 0.35)  # of lines and edges, relative to the road
_TINT = 0.2  # standard deviation of each colour channel's logarithm
_BRIGHTEST = 2.5


@dataclass(frozen=True)
class View:
    """What a camera sees.

    picture: RGB uint8 (height, width, 3); depths_m: along the camera's axis, infinite for the sky
    and 0 for the car's own bonnet, float32 (height, width); labels: values of LABELS, uint8
    (height, width).
    """

    picture: Image
    depths_m: Float32Array
    labels: Image


class Renderer:
    """Draws what a car's cameras see of a track. The very first frame is slow: Numba compiles, and
    caches, the code.

    height, width: of the pictures; every size has the field of view of the simulator's frames of
    160 x 320 pixels.
    """

    def __init__(
        self,
        track_name: str,
        conditions: Conditions,
        height: int = FRAME_HEIGHT,
        width: int = FRAME_WIDTH,
    ) -> None:
        self.conditions, self.scene = conditions, build_scene(track_name, conditions)
        self._size = height, width
        self._surface, self._air = surface_of(self.scene), air_of(conditions)
        self._coloring = draw_coloring(conditions.color_seed) if conditions.color_seed else None
        self._bonnets = {camera: _bonnet(camera, conditions, self._size) for camera in MOUNTS}

    def frame(self, car: Car, camera: str = "center", seconds: float = 0.0) -> Image:
        """Return the picture of the center, left or right camera; the same car gives the same
        bytes.

        seconds: since the drive began, for drops of rain and the cycle of day and night.
        """
        return self._draw(car, camera, seconds).picture

    def view(self, car: Car, camera: str = "center", seconds: float = 0.0) -> View:
        """Return the picture with depths and labels."""
        canvas = self._draw(car, camera, seconds)
        depths = np.where(canvas.labels == SKY, np.float32(np.inf), canvas.depths)
        return View(canvas.picture, depths, canvas.labels)

    def frames(self, car: Car, seconds: float = 0.0) -> Mapping[str, Image]:
        """Return the frames of the three cameras, each rendered by its own thread."""
        with ThreadPoolExecutor(len(MOUNTS)) as pool:
            return dict(
                zip(
                    MOUNTS,
                    pool.map(lambda camera: self.frame(car, camera, seconds), MOUNTS),
                    strict=True,
                )
            )

    def _draw(self, car: Car, camera: str, seconds: float) -> Canvas:
        conditions, (height, width) = self.conditions, self._size
        pose = pose_of(car, camera, conditions)
        canvas, (pixels, paint, bottoms) = blank_canvas(height, width), self._bonnets[camera]
        eye = Eye(*pose, FOCAL_PX * width / FRAME_WIDTH, FOCAL_PX * height / FRAME_HEIGHT, bottoms)
        air = air_of(conditions, seconds) if conditions.night_cycle else self._air
        cast(eye, self._surface, air, canvas)
        draw_faces(eye, self.scene.faces, self._surface, air, canvas)
        draw_cards(eye, self.scene.cards.placements, self.scene.pictures, air, canvas)
        canvas.picture.reshape(-1, 3)[pixels] = paint
        if self._coloring is not None:
            color(canvas.picture, canvas.labels, self._coloring)
        if conditions.rain or conditions.snow:
            moment = round(seconds * _DROPS_PER_SECOND) * len(MOUNTS) + list(MOUNTS).index(camera)
            draw_drops(
                canvas.picture,
                conditions.rain,
                conditions.snow,
                air.daylight + air.headlights,
                moment,
            )
        return canvas


def _bonnet(
    camera: str, conditions: Conditions, size: tuple[int, int]
) -> tuple[IndexArray, Image, IndexArray]:
    """Return the flat indices of the bonnet's pixels, their colours, and the bonnet's first row in
    each column.
    """
    hidden, paint = bonnet(camera, conditions, size)
    lit = np.minimum(
        paint[hidden] * float(conditions.light * (1 - 0.8 * conditions.night)), 255
    ).astype(np.uint8)
    bottoms = np.where(hidden.any(axis=0), hidden.argmax(axis=0), size[0])
    return np.flatnonzero(hidden), lit, bottoms


def draw_coloring(seed: int) -> Float32Array:
    """Draw a colour and a brightness for each kind of thing: factors of each label's RGB, float32
    (labels, 3).

    A network that has only seen one renderer's colours learns them by heart: green grass, gray
    asphalt, a bright sky. With random colours (domain randomization: J. Tobin and others,
    https://arxiv.org/abs/1703.06907), only the shape of the road is left to learn from. The car's
    own bonnet stays as it is.
    """
    randomness = np.random.default_rng([seed, 21])
    factors = np.ones((CAR + 1, 3), np.float32)
    for label, brightness in _BRIGHTNESS.items():
        factors[label] = _random_factors(randomness, *brightness)
    for label in (LINE, EDGE):
        factors[label] = factors[ROAD] * _random_factors(randomness, *_PAINT)
    return np.minimum(factors, np.float32(_BRIGHTEST))


def color(picture: Image, labels: Image, factors: Float32Array) -> None:
    """Multiply each pixel of a picture, RGB uint8 (height, width, 3), by the factors of its label,
    (height, width).
    """
    picture[...] = np.minimum(picture * factors[labels], np.float32(255.0))


def _random_factors(randomness: Random, mean: float, deviation: float) -> Float32Array:
    brightness = mean + deviation * normals(randomness)
    return exponentials((brightness + _TINT * normals(randomness, (3,))).astype(np.float32))
