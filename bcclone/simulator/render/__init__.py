"""Scene and car -> what its cameras see, RGB uint8 (160, 320, 3)."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from bcclone.images import FRAME_HEIGHT, FRAME_WIDTH, Image
from bcclone.simulator.camera import bonnet, view_of
from bcclone.simulator.car import Car
from bcclone.simulator.conditions import Conditions
from bcclone.simulator.render.arrays import Eye, air_of, blank_canvas, surface_of
from bcclone.simulator.render.cards import draw_cards
from bcclone.simulator.render.faces import draw_faces
from bcclone.simulator.render.raycast import cast
from bcclone.simulator.scene import build_scene
from bcclone.vehicle import MOUNTS
from bcclone.view import FOCAL_PX


class Renderer:
    """Draws what a car's cameras see of a track. The first frame ever waits for the compiler; its work is kept."""

    def __init__(self, track_name: str, conditions: Conditions) -> None:
        self.conditions, self.scene = conditions, build_scene(track_name, conditions)
        self._surface, self._air = surface_of(self.scene), air_of(conditions)
        self._bonnets = {camera: _bonnet_pixels(camera, conditions) for camera in MOUNTS}

    def frame(self, car: Car, camera: str = "center") -> Image:
        """Return what a camera of the car, center, left or right, sees; the same for the same car, to the byte."""
        view = view_of(car, camera, self.conditions.camera_shift_m, self.conditions.camera_pitch)
        canvas = blank_canvas(FRAME_HEIGHT, FRAME_WIDTH)
        eye = Eye(view.position, view.axes, FOCAL_PX)
        cast(eye, self._surface, self._air, canvas)
        draw_faces(eye, self.scene.faces.values, self._surface, self._air, canvas)
        draw_cards(eye, self.scene.cards.places, self.scene.pictures, self._air, canvas)
        hidden, paint = self._bonnets[camera]
        canvas.picture.reshape(-1, 3)[hidden] = paint
        return canvas.picture

    def frames(self, car: Car) -> Mapping[str, Image]:
        """Return what all three cameras see, drawn side by side where there are cores."""
        with ThreadPoolExecutor(len(MOUNTS)) as pool:
            return dict(zip(MOUNTS, pool.map(lambda camera: self.frame(car, camera), MOUNTS), strict=True))


def _bonnet_pixels(camera: str, conditions: Conditions) -> tuple[npt.NDArray[np.intp], Image]:
    """Return which pixels of a frame show the bonnet, and their colours, uint8 (pixels, 3)."""
    hidden, paint = bonnet(camera, conditions.camera_shift_m, conditions.camera_pitch)
    lit = np.minimum(paint[hidden] * float(conditions.light), 255).astype(np.uint8)
    return np.flatnonzero(hidden), lit
