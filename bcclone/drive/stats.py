"""Decisions, answers and warnings -> the figures that the page and the log show. No sockets, no files."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bcclone.drive.driver import Decision
from bcclone.protocol import Telemetry

HISTORY_SECONDS = 60.0
_HISTORY_STEP = 0.09  # so that every third frame of 30 a second is kept, whatever is rounded
_LATENCIES = 1000  # that p50 and p99 are taken of
_WARNINGS = 8
_RATE_SECONDS = 2.0
_PERCENTILES_EVERY = 0.5


@dataclass(frozen=True)
class Moment:
    """What the plots show of one moment. seconds: since the server began; steering_model: None when a fault decided."""

    seconds: float
    speed_mph: float
    set_speed_mph: float
    steering_model: float | None
    steering_sent: float
    throttle: float
    latency_ms: float


@dataclass(frozen=True)
class Warned:
    """Something that went wrong, how often, and when last, in seconds since the server began."""

    text: str
    count: int
    seconds: float


class Monitor:
    """Keeps what happened of late; threads may write and read at the same time.

    max_latency_ms: slower answers are counted, 0: none is. on_answer is called with the seconds that each answer took.
    began: when the program began, by the clock; None: now.
    """

    def __init__(
        self,
        max_latency_ms: float = 0.0,
        began: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.max_latency_ms = max_latency_ms
        self.on_answer: Callable[[float], None] = lambda seconds: None
        self._clock, self._began = clock, clock() if began is None else began
        self._lock = threading.Lock()
        self._decision: Decision | None = None
        self._telemetry: Telemetry | None = None
        self._history: deque[Moment] = deque()
        self._latencies: deque[float] = deque(maxlen=_LATENCIES)
        self._latency: float | None = None  # of the last answer to the car that drives
        self._answers: deque[float] = deque(maxlen=1000)
        self._warnings: dict[str, Warned] = {}
        self._percentiles: tuple[float | None, float | None] = (None, None)
        self._percentiles_at = -1.0
        self.frames = self.slow = 0
        self.key_held = False
        self.first_answer_seconds: float | None = None

    @property
    def seconds(self) -> float:
        """Return the seconds since the program began."""
        return self._clock() - self._began

    @property
    def jpeg(self) -> tuple[int, bytes]:
        """Return the number of the last frame, from 1, and the frame; b"" for none of the car that drives."""
        with self._lock:
            return self.frames, self._telemetry.jpeg if self._telemetry else b""

    def decided(self, decision: Decision) -> None:
        """Take note of a decision of the driver."""
        with self._lock:
            self._decision, self.key_held = decision, False
            self._saw(decision.telemetry)
        if decision.fault:
            self.warn(f"{decision.fault}; steering decays, the throttle is closed")

    def driven_by_hand(self, telemetry: Telemetry | None) -> None:
        """Take note of what the car reports while the model does not drive; None: nothing, since a key is held."""
        with self._lock:
            self._decision, self.key_held = None, telemetry is None
            if telemetry is not None:
                self._saw(telemetry)

    def car_changed(self) -> None:
        """Show nothing of the car that drove until now: it has left, or another one drives."""
        with self._lock:
            self._decision = self._telemetry = self._latency = None
            self.key_held = False
            self._answers.clear()

    def answered(self, seconds: float) -> None:
        """Take note of how long an answer took, from the whole message to the whole answer."""
        milliseconds = seconds * 1000
        self.on_answer(seconds)
        with self._lock:
            if self.first_answer_seconds is None:
                self.first_answer_seconds = round(self.seconds, 2)
            self._latencies.append(milliseconds)
            if self._telemetry is not None:  # the car may have left meanwhile
                self._latency = milliseconds
            self._answers.append(self.seconds)
            self._remember(milliseconds)
        if 0 < self.max_latency_ms < milliseconds:
            self.slow += 1
            self.warn(f"answers that took longer than {self.max_latency_ms:g} ms")

    def warn(self, text: str) -> None:
        """Show a warning; the same again only counts."""
        with self._lock:
            before = self._warnings.pop(text, None)
            self._warnings[text] = Warned(text, before.count + 1 if before else 1, round(self.seconds, 1))
            while len(self._warnings) > _WARNINGS:
                del self._warnings[next(iter(self._warnings))]

    def figures(self) -> dict[str, Any]:
        """Return the figures of now, ready for JSON; those of a car are None while there is none."""
        with self._lock:
            telemetry, decision = self._telemetry, self._decision
            p50, p99 = self._latency_percentiles()
            return {
                "seconds": round(self.seconds, 1),
                "first_answer_seconds": self.first_answer_seconds,
                "frames": self.frames,
                "frames_per_second": self._rate(),
                "speed_mph": telemetry.speed_mph if telemetry else None,
                "steering_degrees": telemetry.steering_degrees if telemetry else None,
                "steering_model": decision.steering if decision else None,
                "steering_sent": decision.control.steering if decision else None,
                "throttle": decision.control.throttle if decision else None,
                "target_speed_mph": decision.set_speed_mph if decision else None,
                "latency_ms": {
                    "last": None if self._latency is None else round(self._latency, 2),
                    "p50": p50,
                    "p99": p99,
                    "slow": self.slow,
                    "limit": self.max_latency_ms,
                },
                "warnings": [asdict(warned) for warned in reversed(self._warnings.values())],
            }

    def history(self) -> list[dict[str, Any]]:
        """Return the moments of the last 60 seconds, ready for JSON."""
        after = self.seconds - HISTORY_SECONDS
        with self._lock:
            return [asdict(moment) for moment in self._history if moment.seconds > after]

    def _saw(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self.frames += 1

    def _remember(self, latency_ms: float) -> None:
        """Keep a moment for the plots, if the last one is old enough."""
        now, decision = self.seconds, self._decision
        if decision is None or (self._history and now - self._history[-1].seconds < _HISTORY_STEP):
            return
        speed, control = decision.telemetry.speed_mph, decision.control
        values = (speed, decision.set_speed_mph, decision.steering, control.steering, control.throttle, latency_ms)
        self._history.append(Moment(now, *values))
        while self._history[0].seconds < now - HISTORY_SECONDS:
            self._history.popleft()

    def _rate(self) -> float:
        """Return the answers a second of late."""
        since = self.seconds - _RATE_SECONDS
        return round(sum(moment > since for moment in self._answers) / _RATE_SECONDS, 1)

    def _latency_percentiles(self) -> tuple[float | None, float | None]:
        if self._latencies and self.seconds - self._percentiles_at > _PERCENTILES_EVERY:
            p50, p99 = np.percentile(self._latencies, [50, 99])
            self._percentiles, self._percentiles_at = (round(float(p50), 2), round(float(p99), 2)), self.seconds
        return self._percentiles
