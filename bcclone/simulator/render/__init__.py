"""Render what a car's cameras see: a car -> pictures, RGB uint8 (height, width, 3), with depths and
labels.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from bcclone.camera.geometry import FOCAL_PX
from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, Image
from bcclone.camera.vehicle import MOUNTS
from bcclone.simulator.camera import bonnet, pose_of
from bcclone.simulator.car import Car
from bcclone.simulator.render.ground import color_ground
from bcclone.simulator.render.inputs import (
    Canvas,
    Eye,
    air_of,
    bonnet_canvas,
    empty_profiles,
    empty_row,
    surface_of,
)
from bcclone.simulator.render.profile import find_depths
from bcclone.simulator.render.surface import (
    CAR,
    EDGE,
    GROUND,
    LINE,
    OBJECT,
    ROAD,
    SKY,
    WATER,
)
from bcclone.simulator.render.things import draw_cards, draw_drops, draw_faces
from bcclone.simulator.scene import build_scene
from bcclone.simulator.world_settings import Conditions
from bcclone.system.arrays import Float32Array, IndexArray
from bcclone.system.exact_math import exponentials, normals

# what a pixel can show -> its number in Canvas.labels
LABELS = {
    "sky": SKY,
    "ground": GROUND,
    "water": WATER,
    "road": ROAD,
    "line": LINE,
    "edge": EDGE,
    "object": OBJECT,
    "car": CAR,
}
_MOMENTS_A_SECOND = 50


class Renderer:
    """Draws what a car's cameras see of a track.

    The very first frame on a machine is slow: Numba compiles the code, and caches it on disk.

    height, width: size of the pictures in pixels; every size has the field of view of the
        simulator's frames of 160 x 320 pixels
    """

    def __init__(
        self,
        track_name: str,
        conditions: Conditions,
        height: int = FRAME_HEIGHT,
        width: int = FRAME_WIDTH,
    ) -> None:
        self.conditions = conditions
        self.scene = build_scene(track_name, conditions)
        self._height = height
        self._width = width
        # computed once, because it is the same in all frames
        self._surface = surface_of(self.scene)
        self._air = air_of(conditions)
        self._coloring: Float32Array | None = None
        if conditions.color_seed:
            self._coloring = _draw_coloring(conditions.color_seed)
        self._bonnets = {
            camera: _lit_bonnet(camera, conditions, (height, width)) for camera in MOUNTS
        }

    def frame(self, car: Car, camera: str = "center", seconds: float = 0.0) -> Image:
        """Return the picture of a camera; the same car and time give the same bytes.

        camera: center, left or right
        seconds: time since the drive began; the drops of rain and the flakes of snow differ from
            time to time, and so does the light in a cycle of day and night
        """
        return self._draw(car, camera, seconds).picture

    def view(self, car: Car, camera: str = "center", seconds: float = 0.0) -> Canvas:
        """Return the picture of frame() with depths, infinite for the sky, and LABELS."""
        # on the canvas the sky has a large but finite depth
        canvas = self._draw(car, camera, seconds)
        depths_m = np.where(canvas.labels == SKY, np.float32(np.inf), canvas.depths_m)
        return canvas._replace(depths_m=depths_m)

    def frames(self, car: Car, seconds: float = 0.0) -> Mapping[str, Image]:
        """Return the frames of the three cameras, each rendered by its own thread."""

        def frame_of(camera: str) -> Image:
            return self.frame(car, camera, seconds)

        with ThreadPoolExecutor(len(MOUNTS)) as pool:
            return dict(zip(MOUNTS, pool.map(frame_of, MOUNTS), strict=True))

    def _draw(self, car: Car, camera: str, seconds: float) -> Canvas:
        """Draw a frame, layer by layer; color_ground() takes most of the time."""
        places, colors, bottoms = self._bonnets[camera]
        pose = pose_of(car, camera, self.conditions)
        # with these focal lengths every size of picture has the same field of view
        eye = Eye(
            position=pose.position,
            axes=pose.axes,
            focal_across_px=FOCAL_PX * self._width / FRAME_WIDTH,
            focal_up_px=FOCAL_PX * self._height / FRAME_HEIGHT,
            bottoms=bottoms,
        )
        air = self._air
        if self.conditions.night_cycle:
            air = air_of(self.conditions, seconds)
        canvas = bonnet_canvas(self._height, self._width)

        find_depths(eye, self._surface, empty_profiles(self._height, self._width), canvas.depths_m)
        color_ground(eye, self._surface, air, canvas, empty_row(self._width))
        draw_faces(eye, self.scene.faces, self._surface, air, canvas)
        draw_cards(eye, self.scene.cards.placements, self.scene.pictures, air, canvas)
        # the canvas began with the bonnet's depth and label, so that only its colours are left
        canvas.picture.reshape(-1, 3)[places] = colors
        if self._coloring is not None:
            recolored = canvas.picture * self._coloring[canvas.labels]
            canvas.picture[...] = np.minimum(recolored, np.float32(255.0))
        if self.conditions.rain or self.conditions.snow:
            # a whole number for each camera and each 1/50 s, which is shorter than the time between
            # two frames; the drops change from one number to the next
            cameras = list(MOUNTS)
            moment = round(seconds * _MOMENTS_A_SECOND) * len(cameras) + cameras.index(camera)
            light = air.daylight + air.headlights
            draw_drops(canvas.picture, self.conditions.rain, self.conditions.snow, light, moment)
        return canvas


def _lit_bonnet(
    camera: str, conditions: Conditions, size: tuple[int, int]
) -> tuple[IndexArray, Image, IndexArray]:
    """Return the part of a camera's picture that the bonnet hides, under the conditions' light.

    Three things: indices of the hidden pixels in the flattened picture, (pixels,); their colours,
    RGB uint8 (pixels, 3); and `bottoms`, as in Eye.

    size: height and width of the picture
    """
    hidden, paint = bonnet(camera, conditions, size)
    # a full night leaves a fifth of the light
    light = float(conditions.light * (1 - 0.8 * conditions.night))
    lit = np.minimum(paint[hidden] * light, 255).astype(np.uint8)
    # argmax() finds the first hidden row of a column
    bottoms = np.where(hidden.any(axis=0), hidden.argmax(axis=0), size[0])
    return np.flatnonzero(hidden), lit, bottoms


# Random colours. A network that has only seen one renderer's colours learns them by heart: green
# grass, gray asphalt, a bright sky. With others (domain randomization: J. Tobin and others,
# https://arxiv.org/abs/1703.06907), only the shape of the road is left to learn from.
#
# How bright a label's pixels may become: mean and standard deviation of the logarithm of their
# factor
_SURROUNDINGS = (-0.35, 0.9)
# each label takes its random numbers in this order, so the order decides what a seed means
_BRIGHTNESS = {
    SKY: (0.0, 0.3),
    GROUND: _SURROUNDINGS,
    WATER: _SURROUNDINGS,
    OBJECT: _SURROUNDINGS,
    ROAD: (-0.1, 0.45),
    # relative to the road
    LINE: (0.0, 0.35),
    EDGE: (0.0, 0.35),
}
_TINT = 0.2  # standard deviation of what each colour channel adds to the logarithm
_BRIGHTEST = 2.5  # largest factor


def _draw_coloring(seed: int) -> Float32Array:
    """Return a random colour and brightness for each label: factors of RGB, float32 (labels, 3).

    The car's own bonnet stays as it is.
    """
    randomness = np.random.default_rng([seed, 21])  # 21: random numbers that nothing else uses
    factors = np.ones((CAR + 1, 3), np.float32)
    for label, (mean, deviation) in _BRIGHTNESS.items():
        # logarithms of the factors: one number for all channels, and one for each
        logarithm = mean + deviation * normals(randomness)
        tints = _TINT * normals(randomness, (3,))
        factors[label] = exponentials((logarithm + tints).astype(np.float32))
    factors[[LINE, EDGE]] *= factors[ROAD]
    return np.minimum(factors, np.float32(_BRIGHTEST))
