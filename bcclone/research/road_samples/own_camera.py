"""See a drawn road as the simulator does: its camera on a car near the middle of the road.

In: random numbers. Out: the road, the car's pose on it, and the camera: where it is, its rays, and
the bonnet in front of it.
"""

from dataclasses import dataclass, replace

import numpy as np

from bcclone.camera.geometry import FOCAL_PX
from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH
from bcclone.research.road_samples.drawn_road import DrawnRoad, draw_road
from bcclone.research.road_samples.poses import Pose
from bcclone.simulator.camera import CameraPose, bonnet, pose_of
from bcclone.simulator.car import Car
from bcclone.simulator.world_settings import Conditions
from bcclone.system.numbers import FloatArray, Random


@dataclass(frozen=True)
class OwnRoadChoice:
    """Which of the drawn roads are as wide, and bend as much, as those of the simulator."""

    widths_m: tuple[float, float] = (4.5, 14.0)
    widest_radius_m: float = 300.0  # of the sharpest bends
    most_lanes: int = 2


_CHOICE = OwnRoadChoice()


def draw_own_road(random: Random) -> DrawnRoad:
    """Return a random road on whose middle the car keeps, whatever lines it has."""
    while True:
        road = draw_road(random)
        narrowest_m, widest_m = _CHOICE.widths_m
        is_usual = narrowest_m < road.width_m < widest_m and road.lanes <= _CHOICE.most_lanes
        if is_usual and not road.floor and road.radius_m < _CHOICE.widest_radius_m:
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
