"""Decide who steers, a model or a person who takes over, and hand the wheel over without a jerk.

No I/O, and one owner of the mode: all steering of a car goes through one TakeOver, once a frame.
"""

from dataclasses import dataclass

from bcclone.recording.drivers import HUMAN, MODEL, DrivenRow

MOST_CHANGE = 0.05  # of the steering from frame to frame, at a hand-over


@dataclass(frozen=True)
class SteeringTurn:
    """The steering of a frame, -1 to 1, and who steers, as a row of drivers.csv."""

    steering: float
    by: DrivenRow


class TakeOver:
    """Chooses between a model's steering and a person's.

    A person's hands on the wheel begin a take-over, and taking them off ends it, unless `kept` is set: then the person
    steers until it is cleared. After either hand-over the steering changes by at most most_change from frame to frame
    until it is that of the new driver. count: take-overs so far.
    """

    def __init__(self, most_change: float = MOST_CHANGE) -> None:
        self.kept = False
        self.count = 0
        self._most_change = most_change
        self._driver = ""
        self._steering, self._handing_over = 0.0, False

    def steer(self, model: float | None, person: float | None) -> SteeringTurn:
        """Return the steering of the next frame.

        model: the model's steering, None if no model drives this car; person: the person's, None for hands off.
        """
        driver = HUMAN if model is None or person is not None or self.kept else MODEL
        if driver != self._driver:
            self._handing_over = bool(self._driver)
            self._driver = driver
            self.count += driver == HUMAN and model is not None
        wanted = (person or 0.0) if driver == HUMAN else (model or 0.0)
        self._steering = self._limited(wanted)
        number = self.count if driver == HUMAN and model is not None else None
        return SteeringTurn(self._steering, DrivenRow(driver, number))

    def _limited(self, wanted: float) -> float:
        if not self._handing_over:
            return wanted
        most = self._most_change
        steering = min(max(wanted, self._steering - most), self._steering + most)
        self._handing_over = steering != wanted
        return steering
