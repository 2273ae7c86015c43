"""Decide who steers, a model or a person.

For each frame, the control of the car is chosen from the input of a person's hands and the control
of the model. Drives and plays share this module, which uses no sockets and no files.
"""

from bcclone.drive.hand_input import HandControls, HandInput
from bcclone.drive.protocol import Control
from bcclone.recording.run_tables import BY_MODEL, HUMAN, MODEL, DrivenBy

_HAND_OVER_CHANGE = 0.05  # most that the steering changes from frame to frame during a hand-over


class Wheel:
    """Chooses between a model's steering and a person's, and hands the wheel over without a jerk.

    A person's hands on the wheel begin a take-over, and taking them off ends it, unless `kept` is
    set: then the person steers until it is cleared. At the begin and at the end of a take-over the
    steering changes by at most 0.05 from frame to frame, until it is what the new driver asks for.
    """

    def __init__(self, count: int = 0, by: DrivenBy = BY_MODEL) -> None:
        self.kept = False
        self.count = count  # number of take-overs so far, also of earlier cars
        self.by = by  # who steers; at first, who is to steer
        self._hands = HandControls()
        self._driver = ""  # MODEL or HUMAN, "" before the first frame
        self._steering = 0.0  # of the last frame
        self._handing_over = False  # whether changes of the steering are limited

    def turn(self, hands: HandInput, steps: int, model: Control | None) -> Control:
        """Return the control of the next frame.

        hands: the controls in use
        steps: how many steps of 0.02 s they have been in use since the last frame
        model: the model's control, None if there is no model
        """
        person = self._hands.advance(hands, steps)
        # a person steers, or the model does
        if model is None or person.steering is not None or self.kept:
            self._change_driver(HUMAN, takes_over=model is not None)
            steering = person.steering or 0.0
        else:
            self._change_driver(MODEL, takes_over=False)
            steering = model.steering or 0.0  # 0.0 also for -0.0
        if self._handing_over:
            lowest = self._steering - _HAND_OVER_CHANGE
            highest = self._steering + _HAND_OVER_CHANGE
            limited = min(max(steering, lowest), highest)
            self._handing_over = limited != steering
            steering = limited
        self._steering = steering
        # a person's throttle or brake counts more than the model's, whoever steers
        throttle = 0.0
        if person.throttle is not None:
            throttle = person.throttle
        elif model is not None:
            throttle = model.throttle
        return Control(steering, throttle)

    def _change_driver(self, driver: str, takes_over: bool) -> None:
        """Note who steers from now on. takes_over: whether a person takes over from a model."""
        if driver == self._driver:
            return
        self._handing_over = self._driver != ""
        self._driver = driver
        if takes_over:
            self.count += 1
            self.by = DrivenBy(driver, self.count)
        else:
            self.by = DrivenBy(driver)
