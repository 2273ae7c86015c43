"""Render the frames of a car's cameras, RGB uint8 (160, 320, 3)."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from bcclone.images import FRAME_HEIGHT, FRAME_WIDTH, Image
from bcclone.simulator.camera import bonnet, pose_of
from bcclone.simulator.car import Car
from bcclone.simulator.render.arrays import Eye, air_of, blank_canvas, surface_of
from bcclone.simulator.render.faces import draw_cards, draw_faces
from bcclone.simulator.render.raycast import cast
from bcclone.simulator.scene import build_scene
from bcclone.simulator.settings import Conditions
from bcclone.vehicle import MOUNTS
from bcclone.view import FOCAL_PX


class Renderer:
    """Draws what a car's cameras see of a track. The very first frame waits for the compiler, whose work is cached."""

    def __init__(self, track_name: str, conditions: Conditions) -> None:
        self.conditions, self.scene = conditions, build_scene(track_name, conditions)
        self._surface, self._air = surface_of(self.scene), air_of(conditions)
        self._bonnets = {camera: _bonnet_pixels(camera, conditions) for camera in MOUNTS}

    def frame(self, car: Car, camera: str = "center") -> Image:
        """Return the frame of the center, left or right camera; the same car gives the same bytes."""
        pose = pose_of(car, camera, self.conditions.camera_shift_m, self.conditions.camera_pitch)
        canvas = blank_canvas(FRAME_HEIGHT, FRAME_WIDTH)
        eye = Eye(pose.position, pose.axes, FOCAL_PX)
        cast(eye, self._surface, self._air, canvas)
        draw_faces(eye, self.scene.faces.values, self._surface, self._air, canvas)
        draw_cards(eye, self.scene.cards.placements, self.scene.pictures, self._air, canvas)
        hidden, paint = self._bonnets[camera]
        canvas.picture.reshape(-1, 3)[hidden] = paint
        return canvas.picture

    def frames(self, car: Car) -> Mapping[str, Image]:
        """Return the frames of the three cameras, each rendered by its own thread."""
        with ThreadPoolExecutor(len(MOUNTS)) as pool:
            return dict(zip(MOUNTS, pool.map(lambda camera: self.frame(car, camera), MOUNTS), strict=True))


def _bonnet_pixels(camera: str, conditions: Conditions) -> tuple[npt.NDArray[np.intp], Image]:
    """Return the flat indices of the pixels that show the bonnet, and their colours, uint8 (pixels, 3)."""
    hidden, paint = bonnet(camera, conditions.camera_shift_m, conditions.camera_pitch)
    lit = np.minimum(paint[hidden] * float(conditions.light), 255).astype(np.uint8)
    return np.flatnonzero(hidden), lit
