"""Render what a car's cameras see: a car -> pictures, RGB uint8 (height, width, 3), with depths and
labels.
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
from bcclone.simulator.render.air import Air, air_of
from bcclone.simulator.render.cards import draw_cards
from bcclone.simulator.render.coloring import color, draw_coloring
from bcclone.simulator.render.drops import draw_drops
from bcclone.simulator.render.faces import draw_faces
from bcclone.simulator.render.ground import color_ground
from bcclone.simulator.render.inputs import (
    Canvas,
    Eye,
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
from bcclone.simulator.scene import build_scene
from bcclone.simulator.world_settings import Conditions
from bcclone.system.numbers import Float32Array, IndexArray

# what a pixel can show -> its number in View.labels
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


@dataclass(frozen=True)
class View:
    """What a camera sees."""

    picture: Image  # RGB uint8 (height, width, 3)
    # float32 (height, width), along the camera's axis: infinite for the sky, 0 for the bonnet
    depths_m: Float32Array
    labels: Image  # what each pixel shows, a value of LABELS, uint8 (height, width)


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
            self._coloring = draw_coloring(conditions.color_seed)
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

    def view(self, car: Car, camera: str = "center", seconds: float = 0.0) -> View:
        """Return the picture of frame(), with its depths and labels."""
        # on the canvas the sky has a large but finite depth
        canvas = self._draw(car, camera, seconds)
        depths_m = np.where(canvas.labels == SKY, np.float32(np.inf), canvas.depths_m)
        return View(canvas.picture, depths_m, canvas.labels)

    def frames(self, car: Car, seconds: float = 0.0) -> Mapping[str, Image]:
        """Return the frames of the three cameras, each rendered by its own thread."""

        def frame_of(camera: str) -> Image:
            return self.frame(car, camera, seconds)

        with ThreadPoolExecutor(len(MOUNTS)) as pool:
            return dict(zip(MOUNTS, pool.map(frame_of, MOUNTS), strict=True))

    def _draw(self, car: Car, camera: str, seconds: float) -> Canvas:
        """Draw a frame, layer by layer; color_ground() takes most of the time."""
        bonnet_pixels = self._bonnets[camera]
        eye = self._eye(car, camera, bonnet_pixels.bottoms)
        air = self._air
        if self.conditions.night_cycle:
            air = air_of(self.conditions, seconds)
        canvas = bonnet_canvas(self._height, self._width)

        find_depths(eye, self._surface, empty_profiles(self._height, self._width), canvas.depths_m)
        color_ground(eye, self._surface, air, canvas, empty_row(self._width))
        draw_faces(eye, self.scene.faces, self._surface, air, canvas)
        draw_cards(eye, self.scene.cards.placements, self.scene.pictures, air, canvas)
        # the canvas began with the bonnet's depth and label, so that only its colours are left
        canvas.picture.reshape(-1, 3)[bonnet_pixels.places] = bonnet_pixels.colors
        if self._coloring is not None:
            color(canvas.picture, canvas.labels, self._coloring)
        if self.conditions.rain or self.conditions.snow:
            self._draw_weather(canvas, air, camera, seconds)
        return canvas

    def _eye(self, car: Car, camera: str, bottoms: IndexArray) -> Eye:
        """Return a car's camera for the compiled code. bottoms: as in Eye."""
        pose = pose_of(car, camera, self.conditions)
        # with these focal lengths every size of picture has the same field of view
        return Eye(
            position=pose.position,
            axes=pose.axes,
            focal_across_px=FOCAL_PX * self._width / FRAME_WIDTH,
            focal_up_px=FOCAL_PX * self._height / FRAME_HEIGHT,
            bottoms=bottoms,
        )

    def _draw_weather(self, canvas: Canvas, air: Air, camera: str, seconds: float) -> None:
        """Draw rain and snow; their drops differ from camera to camera."""
        # a whole number for each camera and each 1/50 s, which is shorter than the time between two
        # frames; the drops change from one number to the next
        moments_per_second = 50
        cameras = list(MOUNTS)
        moment = round(seconds * moments_per_second) * len(cameras) + cameras.index(camera)
        light = air.daylight + air.headlights
        draw_drops(canvas.picture, self.conditions.rain, self.conditions.snow, light, moment)


@dataclass(frozen=True)
class _BonnetPixels:
    """The part of a camera's picture that the bonnet hides."""

    places: IndexArray  # indices of the hidden pixels in the flattened picture, (pixels,)
    colors: Image  # colours of these pixels, RGB uint8 (pixels, 3)
    bottoms: IndexArray  # as in Eye


def _lit_bonnet(camera: str, conditions: Conditions, size: tuple[int, int]) -> _BonnetPixels:
    """Return the bonnet under the conditions' light. size: height and width of the picture."""
    hidden, paint = bonnet(camera, conditions, size)
    # a full night leaves a fifth of the light
    light = float(conditions.light * (1 - 0.8 * conditions.night))
    lit = np.minimum(paint[hidden] * light, 255).astype(np.uint8)
    height = size[0]
    # argmax() finds the first hidden row of a column
    bottoms = np.where(hidden.any(axis=0), hidden.argmax(axis=0), height)
    return _BonnetPixels(np.flatnonzero(hidden), lit, bottoms)
