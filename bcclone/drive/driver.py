"""Telemetry -> reply: every message gets one, and a bad frame a safe one. No sockets, no files."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from bcclone.drive.controller import SpeedController
from bcclone.images import BadImage, Image, decode_jpeg
from bcclone.protocol import Control, ProtocolError, Telemetry, format_steer, parse_telemetry

logger = logging.getLogger(__name__)

_DECAY = 0.8  # of the last steering with each reply that no frame decided


class Steers(Protocol):
    """What turns a frame into steering, -1 to 1."""

    def act(self, frame: Image) -> float:
        """Return the steering for an RGB frame, uint8 (160, 320, 3)."""


@dataclass(frozen=True)
class Reply:
    """What is sent back: a Socket.IO event and its object."""

    event: str
    data: dict[str, str] = field(default_factory=dict)


MANUAL = Reply("manual")


class Driver:
    """Answers telemetry by a policy's steering and a controller's throttle.

    on_control is called with each telemetry and the control that answers it, to record or to show them.
    """

    def __init__(
        self,
        policy: Steers,
        controller: SpeedController,
        on_control: Callable[[Telemetry, Control], None] | None = None,
    ) -> None:
        self._policy, self._controller, self._on_control = policy, controller, on_control
        self._steering = 0.0
        self.answered = self.faults = 0

    def reply(self, payload: Any) -> Reply:
        """Return the answer to the object of a telemetry event, whatever it is.

        What cannot be read is answered with `manual`, which keeps the car's loop alive and its controls as
        they are; a frame that cannot be used, with the last steering, decaying, and the throttle closed.
        """
        try:
            telemetry = parse_telemetry(payload)
        except ProtocolError as error:
            self._count_fault("telemetry", error)
            return MANUAL
        if telemetry is None:
            return MANUAL
        return Reply("steer", format_steer(self.decide(telemetry), telemetry.decimal_comma))

    def decide(self, telemetry: Telemetry) -> Control:
        """Return the control for a telemetry: what the policy says, or a safe one where it says nothing usable."""
        control = self._control(telemetry)
        self._steering = control.steering
        self.answered += 1
        if self._on_control is not None:
            self._on_control(telemetry, control)
        return control

    def _control(self, telemetry: Telemetry) -> Control:
        try:
            steering = self._policy.act(decode_jpeg(telemetry.jpeg))
        except BadImage as error:
            self._count_fault("camera frame", error)
            return self._safe_control()
        except Exception as error:  # whatever inference raises, the car must not be left without an answer
            self._count_fault("inference", error)
            return self._safe_control()
        if not math.isfinite(steering):
            self._count_fault("inference", ValueError(f"steering is {steering}"))
            return self._safe_control()
        return Control(min(max(steering, -1.0), 1.0), self._controller.throttle(telemetry.speed_mph))

    def _safe_control(self) -> Control:
        return Control(self._steering * _DECAY, 0.0)

    def _count_fault(self, what: str, error: Exception) -> None:
        self.faults += 1
        if self.faults in (1, 10, 100) or self.faults % 1000 == 0:
            logger.warning("fault %d: bad %s: %s; answered safely", self.faults, what, error)
