"""Count the replies of a drive, their latencies and its warnings, for the page.

`DriveStats` uses no sockets and no files, and gets its clock from the caller.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from bcclone.drive.arbiter import SILENT_SECONDS, ConnectionArbiter, Reply

_ANSWERS = 1000  # answers kept for p50, p99 and the rate
_RATE_SECONDS = 2.0  # the rate is counted over this long
_MAX_WARNINGS = 8  # the page lists this many


class DriveStats:
    """Collects the figures of a drive; threads may write and read at the same time."""

    def __init__(
        self, arbiter: ConnectionArbiter, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """arbiter: knows which car drives"""
        self.frames = 0  # received so far
        self.first_answer_seconds: float | None = None  # after the server began
        self._arbiter = arbiter
        self._clock = clock
        self._began = clock()
        self._lock = threading.Lock()
        self._answers: deque[float] = deque(maxlen=_ANSWERS)  # when each was sent
        self._latencies: deque[float] = deque(maxlen=_ANSWERS)  # in milliseconds
        # text -> how often, and when last; the newest comes last
        self._warnings: dict[str, tuple[int, float]] = {}
        self._begin_car("")

    def _begin_car(self, sid: str) -> None:
        """Forget the car that was answered last. sid: id of the next one's connection"""
        self._sid = sid
        # the last reply without a fault; its telemetry is None while a driving key is held
        self._reply = Reply()
        self._jpeg = b""
        self._latency_ms: float | None = None
        self._answers.clear()

    @property
    def seconds(self) -> float:
        """Return the seconds since the server began."""
        return self._clock() - self._began

    @property
    def last_frame(self) -> tuple[int, bytes]:
        """Return the last frame's number, from 1, and its JPEG image, b"" when no car drives."""
        with self._lock:
            jpeg = self._jpeg if self._drives else b""
            return self.frames, jpeg

    def answered(self, sid: str, reply: Reply, seconds: float | None) -> None:
        """Count a reply to a connection. seconds: its latency, None if it could not be sent."""
        if reply.fault:
            self.warn(reply.fault)
        if not reply.drives:  # the car waits for its turn, or the drive has ended
            return
        with self._lock:
            if sid != self._sid:
                self._begin_car(sid)
            if not reply.fault:
                self._reply = reply
            if reply.telemetry is not None:
                self._jpeg = reply.telemetry.jpeg
                self.frames += 1
            if seconds is not None:
                now = self.seconds
                if self.first_answer_seconds is None:
                    self.first_answer_seconds = now
                self._latency_ms = round(seconds * 1000, 2)
                self._latencies.append(seconds * 1000)
                self._answers.append(now)
        decision = reply.decision
        if decision is not None and decision.repeated:
            self.warn(
                "this computer is too slow: late pictures get the last steering again; "
                "close other programs, start the simulator with Fastest"
            )
        if decision is not None and decision.fault:
            self.warn(f"{decision.fault}; steering decays, the throttle is closed")

    def warn(self, text: str) -> None:
        """Add a warning; the same text again is counted, and becomes the newest."""
        with self._lock:
            count, _ = self._warnings.pop(text, (0, 0.0))
            self._warnings[text] = (count + 1, round(self.seconds, 1))
            while len(self._warnings) > _MAX_WARNINGS:
                oldest = next(iter(self._warnings))
                del self._warnings[oldest]

    def figures(self) -> dict[str, Any]:
        """Return what a drive adds to the page's state, for JSON.

        docs/reference/page.md describes the fields; those of a car are None while none is
        connected.
        """
        arbiter = self._arbiter
        with self._lock:
            reply = self._reply if self._drives else Reply()
            telemetry = reply.telemetry
            decision = reply.decision
            control = decision.control if decision else None
            since = self.seconds - _RATE_SECONDS
            recent = sum(sent_at > since for sent_at in self._answers) if self._drives else 0
            p50 = None
            p99 = None
            if self._latencies:
                p50, p99 = np.percentile(self._latencies, [50, 99]).round(2).tolist()
            return {
                "seconds": round(self.seconds, 1),
                "connection": self._connection(),
                "waiting_cars": arbiter.waiting,
                "autonomous": arbiter.autonomous,
                "frames": self.frames,
                # as many as answers: each frame gets one
                "frames_per_second": round(recent / _RATE_SECONDS, 1),
                "answered": arbiter.driver.answered,
                "faults": arbiter.driver.faults,
                "speed_mph": telemetry.speed_mph if telemetry else None,
                "steering_degrees": telemetry.steering_degrees if telemetry else None,
                "steering_model": decision.steering if decision else None,
                "steering_sent": control.steering if control else None,
                "throttle": control.throttle if control else None,
                "target_speed_mph": decision.target_speed_mph if decision else None,
                "latency_ms": {
                    "last": self._latency_ms if self._drives else None,
                    "p50": p50,
                    "p99": p99,
                },
                "warnings": [
                    {"text": text, "count": count, "seconds": seconds}
                    for text, (count, seconds) in reversed(self._warnings.items())
                ],
            }

    @property
    def _drives(self) -> bool:
        """Return whether the car of the last answer still drives."""
        return self._sid != "" and self._sid == self._arbiter.driving_sid

    def _connection(self) -> str:
        """Return the state of the connection that drives."""
        arbiter = self._arbiter
        if arbiter.driving_sid is None:
            return "none"
        if arbiter.silent_seconds > SILENT_SECONDS:
            return "silent"
        if not arbiter.autonomous:
            return "handed over"
        # _reply.drives is False only before the first reply of the car
        is_key_held = self._drives and self._reply.drives and self._reply.telemetry is None
        return "key held" if is_key_held else "driving"
