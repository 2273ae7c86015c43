"""Speed -> throttle: the proportional-integral controller of Udacity's drive.py."""

_KP, _KI = 0.1, 0.002
# The integral alone may open the throttle to this, and no further, however long the car stood still.
_MOST_FROM_INTEGRAL = 0.5


class SpeedController:
    """Holds a set speed. Its gains (0.1, 0.002 a telemetry) are those of Udacity's drive.py."""

    def __init__(self, set_speed_mph: float) -> None:
        self.set_speed_mph = set_speed_mph
        self._integral = 0.0

    def throttle(self, speed_mph: float) -> float:
        """Return the throttle for the current speed, -1 (brake) to 1."""
        error = self.set_speed_mph - speed_mph
        bound = _MOST_FROM_INTEGRAL / _KI
        self._integral = min(max(self._integral + error, -bound), bound)
        return min(max(_KP * error + _KI * self._integral, -1.0), 1.0)
