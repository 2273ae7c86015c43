"""Answer each telemetry of one car with a control: the policy's steering and a controller's
throttle.

A telemetry goes in, a Decision comes out. A frame or an answer that cannot be used gets a safe
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

# When the model takes longer than this for each of the last frames, the frames of the simulator's
# two loops queue, and the latency doubles.
_TOO_SLOW_SECONDS, _FRAMES_TOO_SLOW = 0.05, 3
_DECAY = 0.8  # factor on the last steering for each frame without usable steering


class SteeringPolicy(Protocol):
    """Answers camera frames; may remember earlier frames of the drive. Unreadable frames are left
    out.
    """

    def answer(self, frame: Image) -> Answer:
        """Return the steering, and what else it predicts, for an RGB frame, uint8 (160, 320, 3)."""

    def forget(self) -> None:
        """Forget the frames so far: the next one does not follow the last one."""


@dataclass(frozen=True)
class Decision:
    """A telemetry and the control that answers it.

    frame: its number, from 1, which identifies it throughout the drive; steering: the model's
    steering, None when that was not usable, and `fault` is the reason; target_speed_mph: the speed
    that the throttle is to hold; frame_readable: whether the camera frame could be decoded; by: who
    gave the steering of the control; repeated: the steering is of the last frame that the model
    saw, an earlier one.
    """

    frame: int
    telemetry: Telemetry
    control: Control
    steering: float | None
    target_speed_mph: float
    fault: str = ""
    frame_readable: bool = True
    by: DrivenRow = BY_MODEL
    repeated: bool = False


class Driver:
    """Answers telemetry by a policy's steering and a controller's throttle.

    speed: what its controller is built from; hands: of persons who may take over, None: only the
    model drives; clock: returns seconds; framing: how the car's pictures become frames, None if
    they are frames; answered: decisions so far; faults: frames and messages so far that could not
    be used.
    """

    def __init__(
        self,
        policy: SteeringPolicy,
        speed: SpeedSettings,
        hands: PageHands | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises UserError for a policy that does not predict what the settings ask for."""
        if speed.needs:
            answer = policy.answer(np.zeros((FRAME_HEIGHT, FRAME_WIDTH, 3), np.uint8))
            policy.forget()
            for output in OUTPUTS:
                if output.name in speed.needs and getattr(answer, output.name) is None:
                    raise UserError(output.refusal)
        self.controller = SpeedController(speed)
        self._policy = policy
        self._hands = hands
        self._clock = clock
        self.framing: Framing | None = None
        self._sent = Answer(0.0)  # the last usable answer, with the steering that was sent
        self._answer: Answer | None = (
            None  # of the model to the last frame that it saw, None if that was not usable
        )
        self._answer_seconds: deque[float] = deque(maxlen=_FRAMES_TOO_SLOW)
        self.answered = self.faults = 0

    @property
    def too_slow(self) -> bool:
        """Return whether each of the last frames took so long that one that waits meanwhile is out
        of date.
        """
        return (
            len(self._answer_seconds) == _FRAMES_TOO_SLOW
            and min(self._answer_seconds) > _TOO_SLOW_SECONDS
        )

    def decide(self, telemetry: Telemetry, late: bool = False) -> Decision:
        """Return the decision on a telemetry. late: it had to wait for the decision before.

        Without usable steering, the last steering decays to 0 and the throttle is closed. On a
        machine that is too slow, a late frame gets the model's last steering again, so that the
        model sees the next one, which is newer.
        """
        frame: Image | None = None
        answer: Answer | None = None
        fault = ""
        repeated = False
        # the model's answer to the frame
        try:
            frame = (
                self.framing.apply(decode_image(telemetry.jpeg))
                if self.framing
                else decode_jpeg(telemetry.jpeg)
            )
        except BadImage as error:
            reason = error if telemetry.jpeg else "none, or not base64"
            fault = f"bad camera frame: {reason}"
        else:
            repeated = late and self.too_slow and self._answer is not None
            if not repeated:
                self._answer, fault = self._ask_model(frame)
            answer = self._answer
        # the control that the answer gives, which persons may change
        if answer is None:
            self.count_fault(fault)
            control = Control(self._sent.steering * _DECAY, 0.0)
        else:
            self._sent = replace(answer, steering=min(max(answer.steering, -1.0), 1.0))
            control = Control(
                self._sent.steering, self.controller.throttle(telemetry.speed_mph, self._sent)
            )
        if self._hands is not None:
            control = self._hands.control(control)
        self._sent = replace(self._sent, steering=control.steering)
        self.answered += 1
        return Decision(
            frame=self.answered,
            telemetry=telemetry,
            control=control,
            steering=None if answer is None else answer.steering,
            target_speed_mph=self.controller.target_mph(self._sent),
            fault=fault,
            frame_readable=frame is not None,
            by=BY_MODEL if self._hands is None else self._hands.by,
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

    def _ask_model(self, frame: Image) -> tuple[Answer | None, str]:
        """Return the model's answer to a frame and "", or None and the reason; note how long it
        took.
        """
        start = self._clock()
        try:
            answer = self._policy.answer(frame)
        except Exception as error:  # the car needs an answer, whatever the model raises
            return None, f"bad inference: {first_line(error)}"
        finally:
            self._answer_seconds.append(self._clock() - start)
        if not math.isfinite(answer.steering):
            return None, f"bad inference: steering is {answer.steering}"
        return answer, ""
