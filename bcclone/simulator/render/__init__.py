"""Scene and car -> what its cameras see, RGB uint8 (160, 320, 3)."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from bcclone.images import FRAME_HEIGHT, FRAME_WIDTH, Image
from bcclone.simulator.camera import FOCAL_PX, MOUNTS, bonnet, view_of
from bcclone.simulator.car import Car
from bcclone.simulator.conditions import Conditions
from bcclone.simulator.render.arrays import Canvas, Eye, air_of, surface_of
from bcclone.simulator.render.cards import draw_cards
from bcclone.simulator.render.faces import draw_faces
from bcclone.simulator.render.raycast import cast
from bcclone.simulator.scene import build_scene


class Renderer:
    """Draws what a car's cameras see of a track. The first frame ever waits for the compiler; its work is kept."""

    def __init__(self, track_name: str, conditions: Conditions) -> None:
        self.conditions, self.scene = conditions, build_scene(track_name, conditions)
        self._surface, self._air = surface_of(self.scene), air_of(conditions)
        self._bonnets = {camera: bonnet(camera, conditions.camera_shift_m) for camera in MOUNTS}

    def frame(self, car: Car, camera: str = "center") -> Image:
        """Return what a camera of the car, center, left or right, sees; the same for the same car, to the byte."""
        view = view_of(car, camera, self.conditions.camera_shift_m)
        canvas = Canvas(
            np.empty((FRAME_HEIGHT, FRAME_WIDTH, 3), np.uint8), np.empty((FRAME_HEIGHT, FRAME_WIDTH), np.float32)
        )
        eye = Eye(view.position, view.axes, FOCAL_PX)
        cast(eye, self._surface, self._air, canvas)
        draw_faces(eye, self.scene.faces.values, self._surface, self._air, canvas)
        draw_cards(eye, self.scene.cards.places, self.scene.pictures, self._air, canvas)
        hidden, paint = self._bonnets[camera]
        canvas.picture[hidden] = np.minimum(paint[hidden] * float(self.conditions.light), 255)
        return canvas.picture

    def frames(self, car: Car) -> Mapping[str, Image]:
        """Return what all three cameras see, drawn side by side where there are cores."""
        with ThreadPoolExecutor(len(MOUNTS)) as pool:
            return dict(zip(MOUNTS, pool.map(lambda camera: self.frame(car, camera), MOUNTS), strict=True))
