"""Hold a speed: the car's speed in mph and the model's answer -> the throttle, -1 (brake) to 1.

This is the proportional-integral controller of Udacity's drive.py. The speed that it holds can be
lowered in corners, or follow what the model predicts.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from bcclone.dataset.answer import Answer
from bcclone.system.settings import Checked, Mph, Setting, SettingError, setting

HIGHEST_SPEED_MPH = 60.0
_speed = partial(setting, group="speed")
# speed_mph has another default in the settings of some drives
HeldSpeed = Annotated[
    float,
    Setting("speed to hold", minimum=0, maximum=HIGHEST_SPEED_MPH, unit="MPH", option="speed"),
]


@dataclass(frozen=True, kw_only=True)
class SpeedSettings(Checked):
    """How fast a model drives; the controller is built from this alone.

    The settings of drives and plays inherit it. Its values are given by name, so that those of a
    drive may be given by position.
    """

    speed_mph: HeldSpeed = setting(25.0)
    slow_in_corners: bool = _speed(
        False,
        "slow down in corners: from --speed at a tenth of full steering "
        "to --min-speed at half of it",
    )
    min_speed_mph: Mph = _speed(
        10.0,
        "speed in the sharpest corner, with --slow-in-corners, "
        "and the lowest one with --predicted-speed",
        0,
        HIGHEST_SPEED_MPH,
        option="min-speed",
    )
    predicted_speed: bool = _speed(
        False,
        "drive as fast as the model predicts, between --min-speed and --speed; "
        "for a model trained with --predict speed or throttle",
    )

    def validate(self) -> None:
        if self.predicted_speed and self.slow_in_corners:
            raise SettingError(
                "{predicted_speed} slows down where the model does; leave out {slow_in_corners}"
            )
        super().validate()


# gains of Udacity's drive.py: throttle for each mph of the error (_KP), and for each mph of the sum
# of the errors at all telemetries so far (_KI)
_KP = 0.1
_KI = 0.002
_MAX_INTEGRAL_THROTTLE = 0.5  # limit of the integral term, however long the car stood still

# steering, 1 is full lock, between which --slow-in-corners lowers the speed
STRAIGHT = 0.1  # up to here the speed is the highest; our models steer less on straight roads
SHARPEST = 0.5  # from here on the speed is the lowest; our models steer less in all corners


class SpeedController:
    """Holds a set speed, by a proportional and an integral term."""

    def __init__(self, settings: SpeedSettings) -> None:
        self.settings = settings
        self.set_speed_mph = settings.speed_mph  # a page may change it during the drive
        self._integral = 0.0  # sum of the errors in mph

    def throttle(self, speed_mph: float, answer: Answer) -> float:
        """Return the throttle, -1 (brake) to 1, for the car's speed and the model's answer."""
        error = self.target_mph(answer) - speed_mph
        bound = _MAX_INTEGRAL_THROTTLE / _KI
        self._integral = min(max(self._integral + error, -bound), bound)
        return min(max(_KP * error + _KI * self._integral, -1.0), 1.0)

    def target_mph(self, answer: Answer) -> float:
        """Return the speed to hold, in mph, with this answer of the model."""
        highest = self.set_speed_mph
        lowest = min(self.settings.min_speed_mph, highest)
        if self.settings.predicted_speed:
            predicted = answer.predicted_speed_mph
            if predicted is None or not math.isfinite(predicted):
                return lowest
            return min(max(predicted, lowest), highest)
        if self.settings.slow_in_corners:
            sharpness = (abs(answer.steering) - STRAIGHT) / (SHARPEST - STRAIGHT)
            return highest - min(max(sharpness, 0.0), 1.0) * (highest - lowest)
        return highest

    def forget(self) -> None:
        """Reset the controller, for another car."""
        self._integral = 0.0
