"""Answer each telemetry of one car with a control: the policy's steering and a controller's
throttle.

A telemetry goes in, a Decision comes out. A picture or an answer that cannot be used gets a safe
control; persons at the page may take over. No sockets, no files; the caller gives the clock.
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
from bcclone.drive.protocol import Control, Telemetry
from bcclone.drive.wheel import PageHands
from bcclone.recording.run_tables import BY_MODEL, DrivenRow
from bcclone.system.errors import UserError, first_line

logger = logging.getLogger(__name__)


class SteeringPolicy(Protocol):
    """Answers pictures of a camera; may remember earlier ones of the drive.

    The camera is the simulator's, unless the policy has a `framing` (model-file.md): then answer()
    also gets pictures of any other size, as they come, and raises BadImage for one that it cannot
    take. Pictures that cannot be decoded are left out.
    """

    def answer(self, picture: Image) -> Answer:
        """Return the steering, and what else it predicts, for an RGB picture.

        The simulator's are uint8 (160, 320, 3).
        """

    def forget(self) -> None:
        """Forget the pictures so far: the next one does not follow the last one."""


def framing_of_policy(policy: SteeringPolicy) -> Framing | None:
    """Return how a policy's pictures become frames, None if they are frames already."""
    framing: Framing | None = getattr(policy, "framing", None)
    return framing


@dataclass(frozen=True)
class Decision:
    """A telemetry and the control that answers it."""

    frame: int  # its number, from 1, which identifies it throughout the drive
    telemetry: Telemetry
    control: Control
    steering: float | None  # the model's; None when it was not usable, and `fault` is the reason
    target_speed_mph: float  # that the throttle is to hold
    fault: str = ""
    frame_readable: bool = True  # whether the model could take the camera's picture
    by: DrivenRow = BY_MODEL  # who gave the steering of the control
    repeated: bool = False  # the steering is of the last frame that the model saw, an earlier one


@dataclass(frozen=True)
class SlowMachine:
    """When the model is too slow: frames of the simulator's two loops queue, latency doubles."""

    seconds: float = 0.05  # that the model takes for a frame
    frames: int = 3  # the last ones, all of which took longer


_SLOW = SlowMachine()
_DECAY = 0.8  # factor on the last steering for each frame without usable steering


class Driver:
    """Answers telemetry by a policy's steering and a controller's throttle."""

    def __init__(
        self,
        policy: SteeringPolicy,
        speed: SpeedSettings,
        hands: PageHands | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises UserError for a policy that does not predict what the settings ask for.

        hands: of persons who may take over, None: only the model drives; clock: returns seconds.
        """
        _check_outputs(policy, speed)
        self.controller = SpeedController(speed)
        self.answered = 0  # decisions so far
        self.faults = 0  # frames and messages so far that could not be used
        self._policy = policy
        self._takes_frames_only = framing_of_policy(policy) is None
        self._hands = hands
        self._clock = clock
        self._sent = Answer(0.0)  # the last usable answer, with the steering that was sent
        # of the model, to the last frame that it saw; None if that was not usable
        self._answer: Answer | None = None
        self._answer_seconds: deque[float] = deque(maxlen=_SLOW.frames)

    @property
    def too_slow(self) -> bool:
        """Return whether a frame that waits for the model's answer is out of date by then."""
        is_measured = len(self._answer_seconds) == _SLOW.frames
        return is_measured and min(self._answer_seconds) > _SLOW.seconds

    def decide(self, telemetry: Telemetry, late: bool = False) -> Decision:
        """Return the decision on a telemetry. late: it had to wait for the decision before.

        Without usable steering, the last steering decays to 0 and the throttle is closed. On a
        machine that is too slow, a late frame gets the model's last steering again, so that the
        model sees the next one, which is newer.
        """
        answer: Answer | None = None
        fault = ""
        is_readable = True
        repeated = False
        # the model's answer to the picture
        try:
            picture = self._decode(telemetry.jpeg)
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
            control = Control(self._sent.steering * _DECAY, 0.0)
        else:
            steering = answer.steering
            self._sent = replace(answer, steering=min(max(steering, -1.0), 1.0))
            throttle = self.controller.throttle(telemetry.speed_mph, self._sent)
            control = Control(self._sent.steering, throttle)
        # persons may change it
        by = BY_MODEL
        if self._hands is not None:
            control = self._hands.control(control)
            by = self._hands.by
        self._sent = replace(self._sent, steering=control.steering)
        self.answered += 1
        return Decision(
            frame=self.answered,
            telemetry=telemetry,
            control=control,
            steering=steering,
            target_speed_mph=self.controller.target_mph(self._sent),
            fault=fault,
            frame_readable=is_readable,
            by=by,
            repeated=repeated,
        )

    def forget(self) -> None:
        """Reset steering, controller and frames, for another car."""
        self._sent = Answer(0.0)
        self.controller.forget()
        if self._hands is not None:
            self._hands.forget()
        self.forget_frames()

    def forget_frames(self) -> None:
        """Forget the frames so far: time has passed, or the car was moved."""
        self._policy.forget()
        self._answer_seconds.clear()  # so that the steering before is not repeated

    def count_fault(self, fault: str) -> None:
        """Count a frame or message that could not be used; log the first, then fewer and fewer."""
        self.faults += 1
        if self.faults in (1, 10, 100) or self.faults % 1000 == 0:
            logger.warning("fault %d: %s; answered safely", self.faults, fault)

    def _decode(self, jpeg: bytes) -> Image:
        """Return the camera's picture; raises BadImage."""
        if self._takes_frames_only:
            return decode_jpeg(jpeg)  # checks the size before it decodes anything
        return decode_image(jpeg)

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


def _check_outputs(policy: SteeringPolicy, speed: SpeedSettings) -> None:
    """Raise UserError for a policy without an output that the law of speed needs."""
    if not speed.needs:
        return
    answer = policy.answer(np.zeros((FRAME_HEIGHT, FRAME_WIDTH, 3), np.uint8))
    policy.forget()
    for output in OUTPUTS:
        if output.name in speed.needs and getattr(answer, output.name) is None:
            raise UserError(output.refusal)
