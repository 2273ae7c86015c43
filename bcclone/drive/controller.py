"""Compute the throttle from speed and steering: Udacity's proportional-integral controller, slower in corners."""

_KP, _KI = 0.1, 0.002
_MAX_INTEGRAL_THROTTLE = 0.5  # limit of the integral term, however long the car stood still
# fractions of full lock: on straight roads our models steer less than the first, in all corners less than the second
_STRAIGHT, _SHARPEST = 0.1, 0.5


class SpeedController:
    """Holds a set speed. Its gains (0.1, and 0.002 per telemetry) are those of Udacity's drive.py.

    slow_in_corners: the sharper the steering, the lower the speed, down to min_speed_mph.
    """

    def __init__(self, set_speed_mph: float, min_speed_mph: float = 10.0, slow_in_corners: bool = False) -> None:
        self.set_speed_mph, self.min_speed_mph, self.slow_in_corners = set_speed_mph, min_speed_mph, slow_in_corners
        self._integral = 0.0

    def throttle(self, speed_mph: float, steering: float = 0.0) -> float:
        """Return the throttle, -1 (brake) to 1, for the current speed and the steering that is sent with it."""
        error = self.target_mph(steering) - speed_mph
        bound = _MAX_INTEGRAL_THROTTLE / _KI
        self._integral = min(max(self._integral + error, -bound), bound)
        return min(max(_KP * error + _KI * self._integral, -1.0), 1.0)

    def target_mph(self, steering: float) -> float:
        """Return the speed to hold at this steering."""
        lowest = min(self.min_speed_mph, self.set_speed_mph)
        if not self.slow_in_corners:
            return self.set_speed_mph
        sharpness = min(max((abs(steering) - _STRAIGHT) / (_SHARPEST - _STRAIGHT), 0.0), 1.0)
        return self.set_speed_mph - sharpness * (self.set_speed_mph - lowest)

    def forget(self) -> None:
        """Reset the controller, for another car."""
        self._integral = 0.0
