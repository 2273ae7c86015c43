"""What a network's steering means on the road, and which steering of another car it is."""

import math
from dataclasses import asdict, dataclass

from bcclone.camera.geometry import HEIGHT_M
from bcclone.camera.vehicle import FULL_LOCK_DEGREES, WHEELBASE_M, YAW_GAIN


@dataclass(frozen=True)
class SteeringCalibration:
    """How a car steers: gain x the network's steering + bias.

    camera_height_m: of the car's camera above the road; steering_ratio: of the steering wheel's
    angle to the wheels'. None where unknown; they change no answer.
    """

    gain: float
    bias: float = 0.0
    camera_height_m: float | None = None
    steering_ratio: float | None = None

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) for value in asdict(self).values() if value is not None):
            raise ValueError(f"a calibration of {asdict(self)}, expected finite numbers")
        if any(
            value is not None and value <= 0
            for value in (self.camera_height_m, self.steering_ratio)
        ):
            raise ValueError("a camera height or a steering ratio of 0 or less, expected more")

    def apply(self, steering: float) -> float:
        """Return the car's steering, -1 to 1; NaN stays NaN."""
        value = self.gain * steering + self.bias
        return value if math.isnan(value) else min(max(value, -1.0), 1.0)


def curvature_in_heights(steering: float) -> float:
    """Return the curvature, in 1 / camera heights, of the path that a network's steering, -1 to 1,
    means.

    The network learned the simulator's car, a kinematic bicycle whose camera is HEIGHT_M above the
    road. In a picture, a road of half the size under a camera of half the height is the same, so
    the curvature is known up to that height.
    """
    wheel = math.radians(FULL_LOCK_DEGREES * min(max(steering, -1.0), 1.0))
    return YAW_GAIN * math.tan(wheel) / WHEELBASE_M * HEIGHT_M
