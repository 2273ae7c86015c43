"""Laws of control, for tests of the controller and of plays."""

from dataclasses import dataclass

from bcclone.dataset.answer import Answer
from bcclone.drive.controller import SpeedSettings


@dataclass(frozen=True)
class Law:
    """Settings, and the speed to hold with an answer, slow enough to stay on the road; tests of
    plays run for each.
    """

    name: str
    settings: SpeedSettings
    answer: Answer
    held_mph: float


LAWS = (
    Law("set speed", SpeedSettings(speed_mph=6.0), Answer(0.0), 6.0),
    Law(
        "slower in corners",
        SpeedSettings(speed_mph=20.0, slow_in_corners=True, min_speed_mph=4.0),
        Answer(0.5),
        4.0,
    ),
    Law(
        "as predicted",
        SpeedSettings(speed_mph=20.0, predicted_speed=True, min_speed_mph=2.0),
        Answer(0.0, 6.0),
        6.0,
    ),
)
