"""Compute the throttle from speed and steering: Udacity's proportional-integral controller, slower in corners."""

import math
from collections.abc import Callable

_KP, _KI = 0.1, 0.002
_MAX_INTEGRAL_THROTTLE = 0.5  # limit of the integral term, however long the car stood still
# fractions of full lock: on straight roads our models steer less than the first, in all corners less than the second
_STRAIGHT, _SHARPEST = 0.1, 0.5
_SLOW = 0.4  # fraction of the speed that is held in doubt


class SpeedController:
    """Holds a set speed. Its gains (0.1, and 0.002 per telemetry) are those of Udacity's drive.py.

    slow_in_corners: the sharper the steering, the lower the speed, down to min_speed_mph; on_doubt: one of
    monitor_settings.ON_DOUBT; "slow" holds 0.4 of the speed while in_doubt is set, "stop" brakes and stands;
    learned_mph: returns the speed that the model asks for now, which is held between min_speed_mph and the set speed.
    """

    def __init__(
        self,
        set_speed_mph: float,
        min_speed_mph: float = 10.0,
        slow_in_corners: bool = False,
        on_doubt: str = "ignore",
        learned_mph: Callable[[], float] | None = None,
    ) -> None:
        self.set_speed_mph, self.min_speed_mph, self.slow_in_corners = set_speed_mph, min_speed_mph, slow_in_corners
        self.on_doubt, self.in_doubt = on_doubt, False
        self._learned_mph = learned_mph
        self._integral = 0.0

    def throttle(self, speed_mph: float, steering: float = 0.0) -> float:
        """Return the throttle, -1 (brake) to 1, for the current speed and the steering that is sent with it."""
        error = self.target_mph(steering) - speed_mph
        if self._stops:
            self._integral = 0.0  # what was added up while driving would push against the brake
            return min(max(_KP * error, -1.0), 0.0)
        bound = _MAX_INTEGRAL_THROTTLE / _KI
        self._integral = min(max(self._integral + error, -bound), bound)
        return min(max(_KP * error + _KI * self._integral, -1.0), 1.0)

    def target_mph(self, steering: float) -> float:
        """Return the speed to hold at this steering, and in this doubt."""
        if self._stops:
            return 0.0
        slower = _SLOW if self.in_doubt and self.on_doubt == "slow" else 1.0
        return slower * self._undoubted_mph(steering)

    @property
    def _stops(self) -> bool:
        return self.in_doubt and self.on_doubt == "stop"

    def _undoubted_mph(self, steering: float) -> float:
        lowest = min(self.min_speed_mph, self.set_speed_mph)
        if self._learned_mph is not None:
            learned = self._learned_mph()
            return min(max(learned, lowest), self.set_speed_mph) if math.isfinite(learned) else lowest
        if not self.slow_in_corners:
            return self.set_speed_mph
        sharpness = min(max((abs(steering) - _STRAIGHT) / (_SHARPEST - _STRAIGHT), 0.0), 1.0)
        return self.set_speed_mph - sharpness * (self.set_speed_mph - lowest)

    def forget(self) -> None:
        """Reset the controller, for another car."""
        self._integral, self.in_doubt = 0.0, False
