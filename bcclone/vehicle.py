"""The simulator's car in figures, and the steering that brings it back to its line.

Every figure is measured or read from the simulator's public source: docs/explanation/simulator.md.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

MPH = 1 / 2.23693629  # metres a second
FULL_LOCK_DEGREES = 25.0
WHEELBASE_M = 2.87
YAW_GAIN = 1.05  # of the kinematic bicycle's
STEERING_LAG_SECONDS = 0.15
# of the cameras: to the right, up and ahead of the car's origin, metres
MOUNTS = {"center": (0.0, 1.2, 1.0), "left": (-0.806, 1.2, 0.984), "right": (0.825, 1.2, 0.999)}
CAMERA_AHEAD_M = 2.6  # of the centre camera, ahead of the rear axle, which is what follows a path
# so that at full throttle the cameras are as high as in recordings, 1.28 m: docs/explanation/replay.md
ORIGIN_ABOVE_ROAD_M = 0.045
SIDE_CAMERA_M = (abs(MOUNTS["left"][0]) + abs(MOUNTS["right"][0])) / 2  # beside the centre camera, on average

_LONGEST_RETURN_SECONDS = 1000.0


def steering_to_line(beside_m: Any, turned: Any, lookahead_m: Any, xp: Any = np) -> Any:
    """Return the steering, -1 to 1, that aims at the point of a straight line so far ahead; for (...,), each one's.

    beside_m: of the line, to the right; turned: radians, to the right; xp: the array library, NumPy, or keras.ops for
    tensors. It drives the arc of curvature 2 x / l^2 through a point at the distance l, x aside (R. C. Coulter,
    "Implementation of the pure pursuit path tracking algorithm", CMU-RI-TR-92-01, 1992), with the steering of a
    kinematic bicycle, atan(wheelbase x curvature).
    """
    aside = -(beside_m * xp.cos(turned) + lookahead_m * xp.sin(turned))
    curvature = 2 * aside / (lookahead_m**2 + beside_m**2)
    wheel = xp.arctan(WHEELBASE_M * curvature / YAW_GAIN)
    return xp.clip(wheel / math.radians(FULL_LOCK_DEGREES), -1.0, 1.0)


def lookahead_of(beside_m: float, steering: float) -> float:
    """Return how far ahead a car parallel to its line aims that steers so, in metres: steering_to_line() solved for it.

    steering: more than 0; the answer is never shorter than beside_m.
    """
    curvature = YAW_GAIN * math.tan(math.radians(steering * FULL_LOCK_DEGREES)) / WHEELBASE_M
    return math.sqrt(max(2 * beside_m / curvature - beside_m**2, beside_m**2))


def steering_back(beside_m: float, speed: float, seconds: float) -> float:
    """Return the steering, 0 to 1, that held for so many seconds brings the car back to a straight line.

    beside_m: how far beside the line it begins, parallel to it; speed: m/s. The car's yaw follows its wheel with a
    lag, so that the point it aims at lies at the distance which would take it as far aside without one. It crosses the
    line at an angle; to end up along it, it has to steer against that. Returns 1 where full lock is not enough.
    """
    return -float(steering_to_line(beside_m, 0.0, _distance_that_turns(speed, seconds)))


def seconds_back(beside_m: float, speed: float, steering: float) -> float:
    """Return after how many seconds of this steering the car is back on its line: the inverse of steering_back().

    Returns infinity for a steering of 0 or less, or a car that stands.
    """
    shortest, longest = 0.0, _LONGEST_RETURN_SECONDS
    if steering <= 0 or steering_back(beside_m, speed, longest) > steering:
        return math.inf
    while longest - shortest > 1e-6:
        middle = (shortest + longest) / 2
        if steering_back(beside_m, speed, middle) > steering:
            shortest = middle
        else:
            longest = middle
    return longest


def _distance_that_turns(speed: float, seconds: float) -> float:
    """Return the distance that without a lag of the yaw takes the car as far aside as these seconds do with it.

    A yaw rate that comes as 1 - exp(-t / lag), twice integrated, over that of an immediate one.
    """
    lag = STEERING_LAG_SECONDS
    square = seconds**2 - 2 * lag * seconds + 2 * lag**2 * (1 - math.exp(-seconds / lag))
    return speed * math.sqrt(max(square, 0.0))
