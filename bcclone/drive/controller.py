"""Hold a speed: the car's speed and the model's answer go in, the throttle comes out.

This is Udacity's proportional-integral controller, with laws that lower the speed to hold: in
corners, or as the model predicts.
"""

import math
from dataclasses import dataclass
from functools import partial

from bcclone.dataset.answer import Answer
from bcclone.system.settings import Checked, Mph, SettingError, setting

HIGHEST_SPEED_MPH = 60.0
_speed = partial(setting, group="speed")
_KP, _KI = 0.1, 0.002
_MAX_INTEGRAL_THROTTLE = 0.5  # limit of the integral term, however long the car stood still
# fractions of full lock: on straight roads our models steer less than the first, in all corners
# less than the second
STRAIGHT, SHARPEST = 0.1, 0.5


@dataclass(frozen=True)
class SpeedSettings(Checked):
    """How fast a model drives: all that the controller of a drive, a play or an evaluation is built
    from.
    """

    speed_mph: Mph = setting(25.0, "speed to hold", 0, HIGHEST_SPEED_MPH, option="speed")
    slow_in_corners: bool = _speed(
        False,
        "slow down in corners: from --speed at a tenth of full steering to --min-speed at half of it",
    )
    min_speed_mph: Mph = _speed(
        10.0,
        "speed in the sharpest corner, with --slow-in-corners, and the lowest one with --predicted-speed",
        0,
        HIGHEST_SPEED_MPH,
        option="min-speed",
    )
    predicted_speed: bool = _speed(
        False,
        "drive as fast as the model predicts, between --min-speed and --speed; for a model trained with --predict "
        "speed or throttle",
    )

    def validate(self) -> None:
        if self.predicted_speed and self.slow_in_corners:
            raise SettingError(
                "{predicted_speed} slows down where the model does; leave out {slow_in_corners}"
            )

    @property
    def needs(self) -> tuple[str, ...]:
        """Return the names of the outputs, besides the steering, that the model must have."""
        return ("predicted_speed_mph",) if self.predicted_speed else ()

    @property
    def rule(self) -> str:
        """Return in words how the speed to hold changes on the road, "" if it does not."""
        if self.predicted_speed:
            return f"drives as fast as the model predicts, {self.min_speed_mph:.0f} mph at least"
        return (
            f"slows down to {self.min_speed_mph:.0f} mph in corners" if self.slow_in_corners else ""
        )


class SpeedController:
    """Holds a set speed. Its gains, 0.1, and 0.002 per telemetry, come from Udacity's drive.py.

    settings: what it was built from; set_speed_mph: may be changed while it drives.
    """

    def __init__(self, settings: SpeedSettings) -> None:
        self.settings, self.set_speed_mph = settings, settings.speed_mph
        self._integral = 0.0

    def throttle(self, speed_mph: float, answer: Answer) -> float:
        """Return the throttle, -1 (brake) to 1, for the current speed and the model's answer,
        whoever steers.
        """
        error = self.target_mph(answer) - speed_mph
        bound = _MAX_INTEGRAL_THROTTLE / _KI
        self._integral = min(max(self._integral + error, -bound), bound)
        return min(max(_KP * error + _KI * self._integral, -1.0), 1.0)

    def target_mph(self, answer: Answer) -> float:
        """Return the speed to hold with this answer."""
        mph, predicted = self.set_speed_mph, answer.predicted_speed_mph
        lowest = min(self.settings.min_speed_mph, mph)
        if self.settings.predicted_speed:
            if predicted is None or not math.isfinite(predicted):
                predicted = lowest
            mph = min(max(predicted, lowest), mph)
        elif self.settings.slow_in_corners:
            sharpness = min(
                max((abs(answer.steering) - STRAIGHT) / (SHARPEST - STRAIGHT), 0.0), 1.0
            )
            mph -= sharpness * (mph - lowest)
        return mph

    def forget(self) -> None:
        """Reset the controller, for another car."""
        self._integral = 0.0
