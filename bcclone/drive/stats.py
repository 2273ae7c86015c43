"""Count the replies of a drive, their latencies and its warnings.

Each reply goes in with its latency; the fields that a drive adds to the page's state come out, and
the points of its plots. No sockets, no files; the caller gives the clock.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bcclone.drive.arbiter import SILENCES, ConnectionArbiter, Reply
from bcclone.drive.driver import Decision
from bcclone.drive.protocol import Telemetry

HISTORY_SECONDS = 60.0
_HISTORY_STEP = 0.09  # keeps every third frame of 30 a second, in spite of rounding
_LATENCIES = 1000  # answers that p50 and p99 are computed from
_MAX_WARNINGS = 8
_RATE_SECONDS = 2.0


@dataclass(frozen=True)
class HistoryPoint:
    """One point of the plots.

    seconds: since the server began; steering_model: None when the model's steering was not usable.
    """

    seconds: float
    speed_mph: float
    set_speed_mph: float
    steering_model: float | None
    steering_sent: float
    throttle: float
    latency_ms: float


@dataclass
class _Answered:
    """A car and its last answer, used under a lock. sid: "" for none; key_held: a person drives, at
    the simulator.
    """

    sid: str = ""
    telemetry: Telemetry | None = None
    decision: Decision | None = None
    key_held: bool = False
    latency_ms: float | None = None


class DriveStats:
    """Collects the figures of a drive; threads may write and read at the same time.

    arbiter: knows which car drives; max_latency_ms: slower answers are counted, 0 for none.
    seconds: since the server began; frames: received so far.
    """

    def __init__(
        self,
        arbiter: ConnectionArbiter,
        max_latency_ms: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._arbiter, self._max_latency_ms = arbiter, max_latency_ms
        self._clock, self._began = clock, clock()
        self._lock = threading.Lock()
        self._last = _Answered()
        self._answers: deque[float] = deque(maxlen=1000)  # when each was sent
        self._history: deque[HistoryPoint] = deque()
        self._latencies: deque[float] = deque(maxlen=_LATENCIES)
        self._warnings: dict[
            str, tuple[int, float]
        ] = {}  # how often, and when last; the newest comes last
        self.frames = self._slow = 0
        self.first_answer_seconds: float | None = None

    @property
    def seconds(self) -> float:
        return self._clock() - self._began

    @property
    def jpeg(self) -> tuple[int, bytes]:
        """Return the number of the last frame, from 1, and the frame; b"" when no car drives."""
        with self._lock:
            telemetry = self._driving().telemetry
            return self.frames, telemetry.jpeg if telemetry else b""

    def answered(self, sid: str, reply: Reply, seconds: float | None) -> None:
        """Count a reply to a connection. seconds: its latency, None if it could not be sent."""
        if reply.fault:
            self.warn(reply.fault)
        if not reply.drives:
            return
        decision, latency_ms = reply.decision, None if seconds is None else seconds * 1000
        with self._lock:
            if sid != self._last.sid:
                self._last = _Answered(sid)
                self._answers.clear()
            if not reply.fault:
                self._last.decision, self._last.key_held = decision, reply.telemetry is None
            if reply.telemetry is not None:
                self._last.telemetry = reply.telemetry
                self.frames += 1
            if latency_ms is not None:
                self._last.latency_ms = round(latency_ms, 2)
                self._count_latency(decision, latency_ms)
        if decision is not None and decision.repeated:
            self.warn(
                "the model is too slow for this machine: frames that waited got the steering of an earlier one"
            )
        if decision is not None and decision.fault:
            self.warn(f"{decision.fault}; steering decays, the throttle is closed")
        if 0 < self._max_latency_ms < (latency_ms or 0.0):
            self.warn(f"answers that took longer than {self._max_latency_ms:g} ms")

    def warn(self, text: str) -> None:
        """Add a warning; the same text again is only counted."""
        with self._lock:
            count, _ = self._warnings.pop(text, (0, 0.0))
            self._warnings[text] = count + 1, round(self.seconds, 1)
            while len(self._warnings) > _MAX_WARNINGS:
                del self._warnings[next(iter(self._warnings))]

    def figures(self, dialect: str = "", clients: int = 0) -> dict[str, Any]:
        """Return what a drive adds to the page's state, for JSON; docs/reference/page.md describes
        the fields.

        dialect: of the car that drives; clients: number of open connections. The figures of a car
        are None while none is connected.
        """
        arbiter, driver = self._arbiter, self._arbiter.driver
        with self._lock:
            car, since = self._driving(), self.seconds - _RATE_SECONDS
            telemetry, decision = car.telemetry, car.decision
            sent = sum(at > since for at in self._answers) if car.sid else 0
            p50, p99 = (
                np.percentile(self._latencies, [50, 99]).round(2).tolist()
                if self._latencies
                else (None, None)
            )
            return {
                "seconds": round(self.seconds, 1),
                "connection": self._connection(car),
                "dialect": dialect,
                "clients": clients,
                "waiting_cars": arbiter.waiting,
                "autonomous": arbiter.autonomous,
                "frames": self.frames,
                "first_answer_seconds": self.first_answer_seconds,
                "frames_per_second": round(sent / _RATE_SECONDS, 1),
                "answered": driver.answered,
                "faults": driver.faults,
                "wakeups": arbiter.wakeups,
                "speed_mph": telemetry.speed_mph if telemetry else None,
                "steering_degrees": telemetry.steering_degrees if telemetry else None,
                "steering_model": decision.steering if decision else None,
                "steering_sent": decision.control.steering if decision else None,
                "throttle": decision.control.throttle if decision else None,
                "target_speed_mph": decision.target_speed_mph if decision else None,
                "speed_rule": driver.controller.settings.rule,
                "latency_ms": {
                    "last": car.latency_ms,
                    "p50": p50,
                    "p99": p99,
                    "slow": self._slow,
                    "limit": self._max_latency_ms,
                },
                "warnings": [
                    {"text": text, "count": count, "seconds": seconds}
                    for text, (count, seconds) in reversed(self._warnings.items())
                ],
            }

    def history(self) -> list[HistoryPoint]:
        """Return the points of the last 60 seconds."""
        after = self.seconds - HISTORY_SECONDS
        with self._lock:
            return [point for point in self._history if point.seconds > after]

    def _driving(self) -> _Answered:
        """Return the car that drives and its last answer, nothing before its first one."""
        return self._last if self._last.sid == self._arbiter.driving_sid else _Answered()

    def _connection(self, car: _Answered) -> str:
        arbiter = self._arbiter
        if arbiter.driving_sid is None:
            return "none"
        if arbiter.silent_seconds > SILENCES[0]:
            return "silent"
        if not arbiter.autonomous:
            return "handed over"
        return "key held" if car.key_held else "driving"

    def _count_latency(self, decision: Decision | None, latency_ms: float) -> None:
        now = self.seconds
        if self.first_answer_seconds is None:
            self.first_answer_seconds = round(now, 2)
        self._latencies.append(latency_ms)
        self._answers.append(now)
        self._slow += 0 < self._max_latency_ms < latency_ms
        is_due = not self._history or now - self._history[-1].seconds >= _HISTORY_STEP
        if decision is None or self._driving() is not self._last or not is_due:
            return
        speed, control = decision.telemetry.speed_mph, decision.control
        values = (
            speed,
            decision.target_speed_mph,
            decision.steering,
            control.steering,
            control.throttle,
            latency_ms,
        )
        self._history.append(HistoryPoint(now, *values))
        while self._history[0].seconds < now - HISTORY_SECONDS:
            self._history.popleft()
