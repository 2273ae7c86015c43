"""Convert a network's steering, -1 to 1, to another car's, or to the curvature that it means."""

import math
from dataclasses import asdict, dataclass

from bcclone.camera.geometry import HEIGHT_M
from bcclone.camera.vehicle import FULL_LOCK_DEGREES, WHEELBASE_M, YAW_GAIN


@dataclass(frozen=True)
class SteeringCalibration:
    """Turns a network's steering into a car's: gain x the network's steering + bias."""

    gain: float
    bias: float = 0.0
    # how much later than the network the driver steered; below 0 if the pictures were late. The
    # answers of `predict` follow as late, those of a drive do not
    delay_seconds: float = 0.0
    # facts about the car, None where unknown; apply() does not use them
    camera_height_m: float | None = None  # height of the car's camera above the road
    steering_ratio: float | None = None  # angle of the steering wheel / angle of the road wheels

    def __post_init__(self) -> None:
        known = [value for value in asdict(self).values() if value is not None]
        if not all(map(math.isfinite, known)):
            raise ValueError(f"a calibration of {asdict(self)}, expected finite numbers")
        for fact in (self.camera_height_m, self.steering_ratio):
            if fact is not None and fact <= 0:
                raise ValueError("a camera height or a steering ratio of 0 or less, expected more")

    def apply(self, steering: float) -> float:
        """Return the car's steering, -1 to 1; NaN stays NaN."""
        value = self.gain * steering + self.bias
        return value if math.isnan(value) else min(max(value, -1.0), 1.0)


def curvature_in_heights(steering: float) -> float:
    """Return the curvature that a network's steering, -1 to 1, means, in 1 / camera heights.

    The network learned the simulator's car, a kinematic bicycle whose camera is HEIGHT_M above the
    road. A road of half the size, under a camera of half the height, gives the same picture. So a
    picture shows the curvature only as a multiple of 1 / the camera's height.
    """
    wheel_angle = math.radians(FULL_LOCK_DEGREES * min(max(steering, -1.0), 1.0))
    return YAW_GAIN * math.tan(wheel_angle) / WHEELBASE_M * HEIGHT_M
