"""Dimensions of the simulator's car, and the steering that brings it back to its line.

The line is the path that the car shall follow. A steering is -1, left, to 1, right. Every figure is
measured or read from the simulator's public source: docs/explanation/simulator.md.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from bcclone.system.arrays import BoolArray, FloatArray

MPH = 1 / 2.23693629  # one mile per hour, in metres per second
FULL_LOCK_DEGREES = 25.0  # angle of the front wheels at a steering of 1
WHEELBASE_M = 2.87
YAW_GAIN = 1.05  # the car's yaw rate, relative to that of a kinematic bicycle
STEERING_LAG_SECONDS = 0.15  # time constant with which the yaw rate follows the wheels
# change of the steering in each 0.02 s that a key is held; a released key centres the wheel at once
KEY_STEP = 0.05

# positions of the cameras: metres to the right, up and ahead of the car's origin
MOUNTS = {
    "center": (0.0, 1.2, 1.0),
    "left": (-0.806, 1.2, 0.984),
    "right": (0.825, 1.2, 0.999),
}
# distance of the centre camera ahead of the rear axle, whose middle is the point on the car's path
CAMERA_AHEAD_M = 2.6
# height of the car's origin, chosen so that at full throttle the cameras are as high as in
# recordings, 1.28 m: docs/explanation/replay.md
ORIGIN_ABOVE_ROAD_M = 0.045
# distance from the centre camera to a side camera, the mean of left and right
SIDE_CAMERA_M = (abs(MOUNTS["left"][0]) + abs(MOUNTS["right"][0])) / 2


@dataclass(frozen=True)
class SteeringLaw:
    """How a car's steering becomes the curvature of its path: a kinematic bicycle with a lag.

    Curvatures are positive to the right, in 1 / the unit of lengths (1/m for the simulator's car).
    """

    # curvature / steering, for a small steering
    gain: float = YAW_GAIN * math.radians(FULL_LOCK_DEGREES) / WHEELBASE_M
    bias: float = 0.0  # curvature for a steering of 0
    lag_seconds: float = STEERING_LAG_SECONDS  # time constant; 0 for none

    def curvature(self, lagged: float) -> float:
        """Return the curvature of the path for a steering after the lag, -1 to 1."""
        full_lock = math.radians(FULL_LOCK_DEGREES)
        return self.gain * math.tan(lagged * full_lock) / full_lock + self.bias

    def follow(self, lagged: float, steering: float, seconds: float) -> float:
        """Return the lagged steering, which the car's yaw rate shows, after some seconds.

        lagged: the lagged steering at their start
        steering: steering of the wheels during these seconds
        """
        lag_seconds = max(self.lag_seconds, 1e-6)  # a lag of 0 must not divide by 0
        followed = 1 - math.exp(-seconds / lag_seconds)
        return lagged + followed * (steering - lagged)

    def curvatures(self, steering: FloatArray, seconds: FloatArray, ends: BoolArray) -> FloatArray:
        """Return the curvature of the path at each row of a drive, (rows,).

        seconds: time from each row to the next, (rows,)
        ends: whether a gap follows the row, after which the lag begins anew, (rows,)
        """
        curvatures = []
        lagged = 0.0
        begins = True
        for steered, passed, end in zip(
            steering.tolist(), seconds.tolist(), ends.tolist(), strict=True
        ):
            lagged = steered if begins else self.follow(lagged, steered, passed)
            curvatures.append(self.curvature(lagged))
            begins = end
        return np.array(curvatures)


def steering_to_line(lateral_offset_m: Any, yaw_rad: Any, lookahead_m: Any, xp: Any = np) -> Any:
    """Return the steering, -1 to 1, that aims at the point of a straight line lookahead_m ahead.

    The car drives the arc of curvature 2 x / l^2 through a point at distance l and lateral offset x
    (R. C. Coulter, "Implementation of the pure pursuit path tracking algorithm", CMU-RI-TR-92-01,
    1992).

    The first three parameters are numbers, or arrays (...,) like the result.

    lateral_offset_m: how far the car is to the right of the line
    yaw_rad: how far the car is turned to the right, from the direction of the line
    lookahead_m: how far ahead the point lies, measured along the line
    xp: the array library, NumPy, or keras.ops for tensors
    """
    # how far the point lies to the right of where the car heads
    target_m = -(lateral_offset_m * xp.cos(yaw_rad) + lookahead_m * xp.sin(yaw_rad))
    return steering_of(2 * target_m / (lookahead_m**2 + lateral_offset_m**2), xp)


def steering_of(curvature: Any, xp: Any = np) -> Any:
    """Return the steering, -1 to 1, that drives an arc of this curvature, in 1/m to the right.

    A kinematic bicycle needs the wheel angle atan(wheelbase x curvature). The car's yaw rate is
    YAW_GAIN times that of the bicycle, so the car needs a smaller angle.
    """
    wheel = xp.arctan(WHEELBASE_M * curvature / YAW_GAIN)
    return xp.clip(wheel / math.radians(FULL_LOCK_DEGREES), -1.0, 1.0)


def lookahead_of(lateral_offset_m: float, steering: float) -> float:
    """Return the lookahead in metres for which steering_to_line() gives this steering.

    The car is parallel to its line. The result is never less than lateral_offset_m.

    lateral_offset_m: distance from the line, to either side
    steering: size of the steering, more than 0
    """
    wheel_rad = math.radians(steering * FULL_LOCK_DEGREES)
    curvature = YAW_GAIN * math.tan(wheel_rad) / WHEELBASE_M
    square = 2 * lateral_offset_m / curvature - lateral_offset_m**2
    return math.sqrt(max(square, lateral_offset_m**2))
