"""Count the replies of a drive, their latencies and its warnings.

From the replies and their latencies, `DriveStats` computes what a drive adds to the page's state,
and the points of the plots. It uses no sockets and no files, and gets its clock from the caller.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bcclone.drive.arbiter import SILENT_SECONDS, ConnectionArbiter, Reply
from bcclone.drive.driver import Decision
from bcclone.drive.protocol import Telemetry

HISTORY_SECONDS = 60.0  # the plots show this long
# between two points; a little under 0.1 s, so that at 30 frames a second every third is kept
_HISTORY_STEP_SECONDS = 0.09
_LATENCIES = 1000  # answers kept for p50 and p99
_ANSWERS = 1000  # answers kept for the rate
_RATE_SECONDS = 2.0  # the rate is counted over this long
_MAX_WARNINGS = 8  # the page lists this many


@dataclass(frozen=True)
class HistoryPoint:
    """One point of the plots."""

    seconds: float  # since the server began
    speed_mph: float
    set_speed_mph: float
    steering_model: float | None  # None when the model's steering was not usable
    steering_sent: float
    throttle: float
    latency_ms: float


@dataclass
class _AnsweredCar:
    """A car and its last answer, used under a lock."""

    sid: str = ""  # id of its connection, "" for no car
    telemetry: Telemetry | None = None
    decision: Decision | None = None
    key_held: bool = False  # a person drives, at the simulator
    latency_ms: float | None = None


class DriveStats:
    """Collects the figures of a drive; threads may write and read at the same time."""

    def __init__(
        self,
        arbiter: ConnectionArbiter,
        max_latency_ms: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to count.

        arbiter: knows which car drives
        max_latency_ms: answers that take longer count as slow; 0 for no limit
        """
        self.frames = 0  # received so far
        self.first_answer_seconds: float | None = None  # after the server began
        self._arbiter = arbiter
        self._max_latency_ms = max_latency_ms
        self._clock = clock
        self._began = clock()
        self._lock = threading.Lock()
        self._last = _AnsweredCar()
        self._answers: deque[float] = deque(maxlen=_ANSWERS)  # when each was sent
        self._history: deque[HistoryPoint] = deque()
        self._latencies: deque[float] = deque(maxlen=_LATENCIES)  # in milliseconds
        self._slow = 0  # number of slow answers
        # text -> how often, and when last; the newest comes last
        self._warnings: dict[str, tuple[int, float]] = {}

    @property
    def seconds(self) -> float:
        """Return the seconds since the server began."""
        return self._clock() - self._began

    @property
    def last_frame(self) -> tuple[int, bytes]:
        """Return the last frame's number, from 1, and its JPEG image, b"" when no car drives."""
        with self._lock:
            telemetry = self._driving().telemetry
            jpeg = b"" if telemetry is None else telemetry.jpeg
            return self.frames, jpeg

    def answered(self, sid: str, reply: Reply, seconds: float | None) -> None:
        """Count a reply to a connection. seconds: its latency, None if it could not be sent."""
        if reply.fault:
            self.warn(reply.fault)
        if not reply.drives:  # the car waits for its turn, or the drive has ended
            return
        decision = reply.decision
        latency_ms = None if seconds is None else seconds * 1000
        # the figures
        with self._lock:
            if sid != self._last.sid:
                self._last = _AnsweredCar(sid)
                self._answers.clear()
            car = self._last
            if not reply.fault:
                car.decision = decision
                # a simulator sends empty telemetry while a driving key is held
                car.key_held = reply.telemetry is None
            if reply.telemetry is not None:
                car.telemetry = reply.telemetry
                self.frames += 1
            if latency_ms is not None:
                car.latency_ms = round(latency_ms, 2)
                self._count_latency(decision, latency_ms)
        # the warnings
        if decision is not None and decision.repeated:
            self.warn(
                "the model is too slow for this machine: "
                "frames that waited got the steering of an earlier one"
            )
        if decision is not None and decision.fault:
            self.warn(f"{decision.fault}; steering decays, the throttle is closed")
        if latency_ms is not None and self._is_slow(latency_ms):
            self.warn(f"answers that took longer than {self._max_latency_ms:g} ms")

    def warn(self, text: str) -> None:
        """Add a warning; the same text again is counted, and becomes the newest."""
        with self._lock:
            count, _ = self._warnings.pop(text, (0, 0.0))
            self._warnings[text] = (count + 1, round(self.seconds, 1))
            while len(self._warnings) > _MAX_WARNINGS:
                oldest = next(iter(self._warnings))
                del self._warnings[oldest]

    def figures(self, dialect: str = "", clients: int = 0) -> dict[str, Any]:
        """Return what a drive adds to the page's state, for JSON.

        docs/reference/page.md describes the fields; those of a car are None while none is
        connected.

        dialect: the telemetry dialect of the car that drives
        clients: number of open connections
        """
        arbiter = self._arbiter
        driver = arbiter.driver
        with self._lock:
            car = self._driving()
            return {
                "seconds": round(self.seconds, 1),
                "connection": self._connection(car),
                "dialect": dialect,
                "clients": clients,
                "waiting_cars": arbiter.waiting,
                "autonomous": arbiter.autonomous,
                "frames": self.frames,
                "first_answer_seconds": self.first_answer_seconds,
                # as many as answers: each frame gets one
                "frames_per_second": self._answers_per_second(car),
                "answered": driver.answered,
                "faults": driver.faults,
                "wakeups": arbiter.wakeups,
                **_telemetry_figures(car.telemetry),
                **_decision_figures(car.decision),
                "speed_rule": driver.controller.settings.rule,
                "latency_ms": self._latency_figures(car),
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

    def _driving(self) -> _AnsweredCar:
        """Return the car that drives and its last answer; an empty one before its first answer."""
        if self._last.sid == self._arbiter.driving_sid:
            return self._last
        return _AnsweredCar()

    def _answers_per_second(self, car: _AnsweredCar) -> float:
        """Return how many answers a car got in a second, over the last two."""
        if not car.sid:
            return 0.0
        since = self.seconds - _RATE_SECONDS
        recent = sum(sent_at > since for sent_at in self._answers)
        return round(recent / _RATE_SECONDS, 1)

    def _latency_figures(self, car: _AnsweredCar) -> dict[str, Any]:
        """Return the latency of a car's last answer, and those of the last answers of all cars."""
        p50 = None
        p99 = None
        if self._latencies:
            p50, p99 = np.percentile(self._latencies, [50, 99]).round(2).tolist()
        return {
            "last": car.latency_ms,
            "p50": p50,
            "p99": p99,
            "slow": self._slow,
            "limit": self._max_latency_ms,
        }

    def _connection(self, car: _AnsweredCar) -> str:
        """Return the state of the connection that drives."""
        arbiter = self._arbiter
        if arbiter.driving_sid is None:
            return "none"
        if arbiter.silent_seconds > SILENT_SECONDS:
            return "silent"
        if not arbiter.autonomous:
            return "handed over"
        return "key held" if car.key_held else "driving"

    def _is_slow(self, latency_ms: float) -> bool:
        return 0 < self._max_latency_ms < latency_ms

    def _count_latency(self, decision: Decision | None, latency_ms: float) -> None:
        """Count an answer that was sent, and add a point to the plots if one is due."""
        now = self.seconds
        if self.first_answer_seconds is None:
            self.first_answer_seconds = round(now, 2)
        self._latencies.append(latency_ms)
        self._answers.append(now)
        if self._is_slow(latency_ms):
            self._slow += 1
        is_due = not self._history or now - self._history[-1].seconds >= _HISTORY_STEP_SECONDS
        another_drives = self._driving() is not self._last  # a connection that took over meanwhile
        if decision is None or not is_due or another_drives:
            return
        point = HistoryPoint(
            seconds=now,
            speed_mph=decision.telemetry.speed_mph,
            set_speed_mph=decision.target_speed_mph,
            steering_model=decision.steering,
            steering_sent=decision.control.steering,
            throttle=decision.control.throttle,
            latency_ms=latency_ms,
        )
        self._history.append(point)
        while self._history[0].seconds < now - HISTORY_SECONDS:
            self._history.popleft()


def _telemetry_figures(telemetry: Telemetry | None) -> dict[str, float | None]:
    """Return what a car reports, for JSON."""
    if telemetry is None:
        return {"speed_mph": None, "steering_degrees": None}
    return {"speed_mph": telemetry.speed_mph, "steering_degrees": telemetry.steering_degrees}


def _decision_figures(decision: Decision | None) -> dict[str, float | None]:
    """Return what was decided for a car, for JSON."""
    if decision is None:
        names = ("steering_model", "steering_sent", "throttle", "target_speed_mph")
        return dict.fromkeys(names)
    return {
        "steering_model": decision.steering,
        "steering_sent": decision.control.steering,
        "throttle": decision.control.throttle,
        "target_speed_mph": decision.target_speed_mph,
    }
