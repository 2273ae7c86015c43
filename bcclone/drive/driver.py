"""Telemetry -> decision: what the policy says, or a safe control where it says nothing usable. No sockets, no files."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from bcclone.drive.controller import SpeedController
from bcclone.images import BadImage, Image, decode_jpeg
from bcclone.protocol import Control, Telemetry

logger = logging.getLogger(__name__)

_LONGEST_REASON = 200
_DECAY = 0.8  # of the last steering with each answer that no frame decided


class SteeringPolicy(Protocol):
    """Turns camera frames into steering; may remember earlier frames of the drive. Unreadable frames are left out."""

    def act(self, frame: Image) -> float:
        """Return the steering for an RGB frame, uint8 (160, 320, 3)."""

    def forget(self) -> None:
        """Begin anew: the next frame does not follow on the last one."""


@dataclass(frozen=True)
class Decision:
    """A telemetry and the control that answers it. steering: what the model said; None: nothing usable, `fault` says
    why. set_speed_mph: the speed that the throttle is to hold. frame_readable: the frame is a whole image of its size.
    """

    telemetry: Telemetry
    control: Control
    steering: float | None
    set_speed_mph: float
    fault: str = ""
    frame_readable: bool = True


class Driver:
    """Answers telemetry by a policy's steering and a controller's throttle."""

    def __init__(
        self,
        policy: SteeringPolicy,
        controller: SpeedController,
        on_decision: Callable[[Decision], None] = lambda decision: None,
    ) -> None:
        self.controller = controller
        self._policy, self._on_decision = policy, on_decision
        self._steering = 0.0
        self.answered = self.faults = 0

    def decide(self, telemetry: Telemetry) -> Control:
        """Return the control for a telemetry.

        Without usable steering it is the last one, decaying to 0, with the throttle closed.
        """
        frame, fault = _decode(telemetry.jpeg)
        steering = None
        if frame is not None:
            steering, fault = self._infer(frame)
        if steering is None:
            self.count_fault(fault)
            control = Control(self._steering * _DECAY, 0.0)
        else:
            sent = min(max(steering, -1.0), 1.0)
            control = Control(sent, self.controller.throttle(telemetry.speed_mph, sent))
        self._steering = control.steering
        self.answered += 1
        held = self.controller.target_mph(control.steering)
        self._hand_on(Decision(telemetry, control, steering, held, fault, frame is not None))
        return control

    def forget(self) -> None:
        """Begin anew, as for another car."""
        self._steering = 0.0
        self.controller.forget()
        self.forget_frames()

    def forget_frames(self) -> None:
        """Take note that the next frame does not follow on the last one: time has passed, or the car was moved."""
        self._policy.forget()

    def count_fault(self, fault: str) -> None:
        """Count what could not be used, and log the first and then ever fewer."""
        self.faults += 1
        if self.faults in (1, 10, 100) or self.faults % 1000 == 0:
            logger.warning("fault %d: %s; answered safely", self.faults, fault)

    def _infer(self, frame: Image) -> tuple[float | None, str]:
        """Return the model's steering, or None and why there is none."""
        try:
            steering = self._policy.act(frame)
        except Exception as error:  # whatever inference raises, the car must not be left without an answer
            first, *_ = str(error).splitlines() or [type(error).__name__]
            return None, f"bad inference: {first[:_LONGEST_REASON]}"
        if not math.isfinite(steering):
            return None, f"bad inference: steering is {steering}"
        return steering, ""

    def _hand_on(self, decision: Decision) -> None:
        try:
            self._on_decision(decision)
        except Exception:  # who records or watches must not cost the car its answer
            logger.exception("a decision could not be handed on")


def _decode(jpeg: bytes) -> tuple[Image | None, str]:
    """Return the frame, or None and why there is none."""
    try:
        return decode_jpeg(jpeg), ""
    except BadImage as error:
        return None, f"bad camera frame: {error}"
