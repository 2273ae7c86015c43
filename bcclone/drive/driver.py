"""Answer the telemetry of one car: a policy gives the steering, a controller the throttle.

A `Driver` returns a `Decision` for each telemetry. A picture or an answer that cannot be used gets
a safe control; persons at the page may take over. The driver uses no sockets and no files, and gets
its clock from the caller.
"""

import logging
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from bcclone.camera.framing import Framing
from bcclone.camera.images import (
    FRAME_HEIGHT,
    FRAME_WIDTH,
    BadImage,
    Image,
    decode_image,
    decode_jpeg,
)
from bcclone.dataset.answer import OUTPUTS, Answer
from bcclone.drive.controller import SpeedController, SpeedSettings
from bcclone.drive.hands import Hands
from bcclone.drive.protocol import Control, Telemetry
from bcclone.recording.run_tables import BY_MODEL, DrivenBy
from bcclone.system.errors import UserError, first_line

logger = logging.getLogger(__name__)


class SteeringPolicy(Protocol):
    """Answers a camera's pictures with steering; may remember earlier pictures of the drive.

    The pictures are the simulator's frames, unless the policy has an attribute `framing`
    (docs/reference/model-file.md): then answer() also gets pictures of any other size, as the
    camera sends them, and raises BadImage for a picture that it cannot take. It is not called for
    pictures that cannot be decoded.
    """

    def answer(self, picture: Image) -> Answer:
        """Return the steering, and what else the model predicts, for an RGB picture.

        picture: uint8 (height, width, 3); a frame of the simulator is (160, 320, 3)
        """

    def forget(self) -> None:
        """Forget the pictures so far, because the next picture does not continue them."""


def framing_of_policy(policy: SteeringPolicy) -> Framing | None:
    """Return how a policy turns pictures into frames; None if it takes only frames."""
    framing: Framing | None = getattr(policy, "framing", None)
    return framing


@dataclass(frozen=True)
class Decision:
    """A telemetry and the control that answers it."""

    telemetry: Telemetry
    control: Control
    steering: float | None  # the model's, before limits and hands; None if it was not usable
    target_speed_mph: float  # speed that the throttle is to hold
    fault: str = ""  # why the model's steering was not usable, "" if it was
    frame_readable: bool = True  # whether the model could take the camera's picture
    by: DrivenBy = BY_MODEL  # who gave the steering of the control
    repeated: bool = False  # the model was not asked: its steering for an earlier frame is repeated


# A model is too slow if the last _SLOW_FRAMES frames all took longer than _SLOW_SECONDS. Two loops
# of the simulator send frames independently (fact 4 of docs/reference/protocol.md). If an answer
# takes longer than the simulator needs for its next frame, the frame of one loop waits for the
# answer to the other's, and the time until a frame is answered doubles.
_SLOW_SECONDS = 0.05
_SLOW_FRAMES = 3
_DECAY = 0.8  # factor on the last steering for each frame without usable steering


class Driver:
    """Answers telemetry by a policy's steering and a controller's throttle."""

    def __init__(
        self,
        policy: SteeringPolicy,
        speed: SpeedSettings,
        hands: Hands | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises UserError for a policy that does not predict what the settings ask for.

        hands: hands of the persons who may take over; None if only the model drives
        clock: returns the time in seconds
        """
        if speed.predicted_speed:
            _check_predicted_speed(policy)
        self.controller = SpeedController(speed)
        self.answered = 0  # decisions so far
        self.faults = 0  # frames and messages so far that could not be used
        self._policy = policy
        self._takes_frames_only = framing_of_policy(policy) is None
        self._hands = hands
        self._clock = clock
        # the last usable answer, but its steering is the one that was sent last
        self._last_usable = Answer(0.0)
        # the model's answer to the last frame whose picture it could take; None if the answer was
        # not usable. A bad picture leaves it as it is.
        self._answer: Answer | None = None
        self._answer_seconds: deque[float] = deque(maxlen=_SLOW_FRAMES)

    @property
    def too_slow(self) -> bool:
        """Return whether the model is so slow that a frame that had to wait for it is outdated."""
        is_measured = len(self._answer_seconds) == _SLOW_FRAMES
        return is_measured and min(self._answer_seconds) > _SLOW_SECONDS

    def decide(self, telemetry: Telemetry, late: bool = False) -> Decision:
        """Return the decision on a telemetry.

        Without usable steering, the last steering decays to 0 and the throttle is closed. On a
        machine that is too slow, a late frame gets the model's last steering again, so that the
        model has time for the next frame, which is newer.

        late: whether the telemetry had to wait for the decision on an earlier one
        """
        answer: Answer | None = None
        fault = ""
        is_readable = True
        repeated = False
        # the model's answer to the picture
        try:
            # decode_jpeg() refuses another size before it decodes anything
            decode = decode_jpeg if self._takes_frames_only else decode_image
            picture = decode(telemetry.jpeg)
            repeated = late and self.too_slow and self._answer is not None
            if not repeated:
                self._answer, fault = self._ask_model(picture)
            answer = self._answer
        except BadImage as error:
            is_readable = False
            reason = error if telemetry.jpeg else "none, or not base64"
            fault = f"bad camera frame: {reason}"
        # the control that the answer gives
        steering = None
        if answer is None:
            self.count_fault(fault)
            control = Control(self._last_usable.steering * _DECAY, 0.0)
        else:
            steering = answer.steering
            self._last_usable = replace(answer, steering=min(max(steering, -1.0), 1.0))
            throttle = self.controller.throttle(telemetry.speed_mph, self._last_usable)
            control = Control(self._last_usable.steering, throttle)
        # persons at the page may change the control
        by = BY_MODEL
        if self._hands is not None:
            control = self._hands.next_control(control)
            by = self._hands.driven_by
        self._last_usable = replace(self._last_usable, steering=control.steering)
        self.answered += 1
        return Decision(
            telemetry=telemetry,
            control=control,
            steering=steering,
            target_speed_mph=self.controller.target_mph(self._last_usable),
            fault=fault,
            frame_readable=is_readable,
            by=by,
            repeated=repeated,
        )

    def forget(self) -> None:
        """Reset steering, controller and frames, for another car."""
        self._last_usable = Answer(0.0)
        self.controller.forget()
        if self._hands is not None:
            self._hands.forget()
        self.forget_frames()

    def forget_frames(self) -> None:
        """Forget the frames so far: time has passed, or the car was moved."""
        self._policy.forget()
        # no longer `too_slow`, so that the steering of an earlier frame is not repeated
        self._answer_seconds.clear()

    def count_fault(self, fault: str) -> None:
        """Count a frame or message that could not be used; log the first, then fewer and fewer."""
        self.faults += 1
        if self.faults in (1, 10, 100) or self.faults % 1000 == 0:
            logger.warning("fault %d: %s; answered safely", self.faults, fault)

    def _ask_model(self, picture: Image) -> tuple[Answer | None, str]:
        """Return the model's answer to a picture and "", or None and the reason.

        Raises BadImage for a picture that the model cannot take. Notes how long an answer took.
        """
        start = self._clock()
        try:
            answer = self._policy.answer(picture)
        except BadImage:
            raise
        except Exception as error:  # the car needs an answer, whatever the model raises
            self._answer_seconds.append(self._clock() - start)
            return None, f"bad inference: {first_line(error)}"
        self._answer_seconds.append(self._clock() - start)
        if not math.isfinite(answer.steering):
            return None, f"bad inference: steering is {answer.steering}"
        return answer, ""


def _check_predicted_speed(policy: SteeringPolicy) -> None:
    """Raise UserError for a policy that predicts no speed."""
    # a black picture, since only an answer shows which outputs a policy has
    size = (FRAME_HEIGHT, FRAME_WIDTH)
    if framing := framing_of_policy(policy):
        size = (framing.height, framing.width)
    answer = policy.answer(np.zeros((*size, 3), np.uint8))
    policy.forget()
    for output in OUTPUTS:
        if output.name == "predicted_speed_mph" and answer.predicted_speed_mph is None:
            raise UserError(output.refusal)
