"""Count the replies of a drive, their latencies and its warnings.

Each reply goes in with its latency; DriveFigures for the page come out, and the points of its plots. No sockets, no
files; the caller gives the clock.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bcclone.drive.arbiter import ConnectionArbiter, Reply
from bcclone.drive.driver import Decision
from bcclone.drive.protocol import Telemetry

HISTORY_SECONDS = 60.0
_HISTORY_STEP = 0.09  # keeps every third frame of 30 a second, in spite of rounding
_LATENCIES = 1000  # answers that p50 and p99 are computed from
_MAX_WARNINGS = 8
_RATE_SECONDS = 2.0
_PERCENTILES_EVERY = 0.5
_SILENT_SECONDS = 3.0


@dataclass(frozen=True)
class CountedWarning:
    """A warning, how often it occurred, and when last, in seconds since the start; None: it holds now."""

    text: str
    count: int = 1
    seconds: float | None = None


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


@dataclass(frozen=True)
class LatencyFigures:
    """Milliseconds from the moment a telemetry was read whole to the whole answer.

    last: of the car that drives, None without one; p50, p99: of the last 1000 answers, None before the first; slow:
    number of answers over the limit; limit: 0 for none.
    """

    last: float | None
    p50: float | None
    p99: float | None
    slow: int
    limit: float


@dataclass(frozen=True)
class UncertaintyFigures:
    """What the monitor says of the last frame. average: of the last second; rule: what the car does then."""

    score: float
    average: float
    threshold: float
    uncertain: bool
    rule: str


@dataclass(frozen=True)
class DriveFigures:
    """What a drive adds to the page's state; docs/reference/page.md describes the fields.

    The figures of a car are None while none is connected.
    """

    seconds: float
    connection: str
    dialect: str
    clients: int
    waiting_cars: int
    autonomous: bool
    frames: int
    first_answer_seconds: float | None
    frames_per_second: float
    answered: int
    faults: int
    wakeups: int
    speed_mph: float | None
    steering_degrees: float | None
    steering_model: float | None
    steering_sent: float | None
    throttle: float | None
    target_speed_mph: float | None
    speed_rule: str
    latency_ms: LatencyFigures
    warnings: tuple[CountedWarning, ...]
    uncertainty: UncertaintyFigures | None


class DriveStats:
    """Collects the figures of a drive; threads may write and read at the same time.

    arbiter: knows which car drives; max_latency_ms: slower answers are counted, 0 for none.
    """

    def __init__(
        self, arbiter: ConnectionArbiter, max_latency_ms: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._arbiter, self._max_latency_ms = arbiter, max_latency_ms
        self._clock, self._began = clock, clock()
        self._lock = threading.Lock()
        self._sid = ""  # of the car that was answered last; the next five values are about it
        self._telemetry: Telemetry | None = None
        self._decision: Decision | None = None
        self._key_held = False
        self._latency: float | None = None
        self._answers: deque[float] = deque(maxlen=1000)  # when each was sent
        self._history: deque[HistoryPoint] = deque()
        self._latencies: deque[float] = deque(maxlen=_LATENCIES)
        self._warnings: dict[str, CountedWarning] = {}
        self._percentiles: tuple[float | None, float | None] = (None, None)
        self._percentiles_at = -1.0
        self.frames = self.slow = 0
        self.first_answer_seconds: float | None = None

    @property
    def seconds(self) -> float:
        """Return the seconds since the server began."""
        return self._clock() - self._began

    @property
    def jpeg(self) -> tuple[int, bytes]:
        """Return the number of the last frame, from 1, and the frame; b"" when no car drives."""
        with self._lock:
            telemetry = self._telemetry if self._is_driving() else None
            return self.frames, telemetry.jpeg if telemetry else b""

    def answered(self, sid: str, reply: Reply, seconds: float | None) -> None:
        """Count a reply that has been sent to a connection. seconds: its latency, None by polling."""
        if reply.fault:
            self.warn(reply.fault)
        if reply.drives:
            with self._lock:
                self._keep(sid, reply)
                if seconds is not None:
                    self._count_latency(reply.decision, seconds * 1000)
            self._warn_of(reply.decision, seconds or 0.0)

    def warn(self, text: str) -> None:
        """Add a warning; the same text again is only counted."""
        with self._lock:
            before = self._warnings.pop(text, None)
            self._warnings[text] = CountedWarning(text, before.count + 1 if before else 1, round(self.seconds, 1))
            while len(self._warnings) > _MAX_WARNINGS:
                del self._warnings[next(iter(self._warnings))]

    def figures(self, dialect: str = "", clients: int = 0) -> DriveFigures:
        """Return the current figures. dialect: of the car that drives; clients: number of open sessions."""
        arbiter, driver = self._arbiter, self._arbiter.driver
        with self._lock:
            drives = self._is_driving()
            telemetry, decision, latency = (
                (self._telemetry, self._decision, self._latency) if drives else (None, None, None)
            )
            return DriveFigures(
                seconds=round(self.seconds, 1),
                connection=self._connection(drives),
                dialect=dialect,
                clients=clients,
                waiting_cars=arbiter.waiting,
                autonomous=arbiter.autonomous,
                frames=self.frames,
                first_answer_seconds=self.first_answer_seconds,
                frames_per_second=self._rate() if drives else 0.0,
                answered=driver.answered,
                faults=driver.faults,
                wakeups=arbiter.wakeups,
                speed_mph=telemetry.speed_mph if telemetry else None,
                steering_degrees=telemetry.steering_degrees if telemetry else None,
                steering_model=decision.steering if decision else None,
                steering_sent=decision.control.steering if decision else None,
                throttle=decision.control.throttle if decision else None,
                target_speed_mph=decision.set_speed_mph if decision else None,
                speed_rule=driver.controller.settings.rule,
                latency_ms=LatencyFigures(
                    None if latency is None else round(latency, 2),
                    *self._latency_percentiles(),
                    self.slow,
                    self._max_latency_ms,
                ),
                warnings=tuple(reversed(self._warnings.values())),
                uncertainty=self._uncertainty(decision),
            )

    def history(self) -> list[HistoryPoint]:
        """Return the points of the last 60 seconds."""
        after = self.seconds - HISTORY_SECONDS
        with self._lock:
            return [point for point in self._history if point.seconds > after]

    def _is_driving(self) -> bool:
        """Return whether the car that was answered last drives; it may have left, or another one drives."""
        return self._sid == self._arbiter.driving_sid

    def _connection(self, drives: bool) -> str:
        arbiter = self._arbiter
        if arbiter.driving_sid is None:
            return "none"
        if arbiter.silent_seconds > _SILENT_SECONDS:
            return "silent"
        if not arbiter.autonomous:
            return "handed over"
        return "key held" if drives and self._key_held else "driving"

    def _uncertainty(self, decision: Decision | None) -> UncertaintyFigures | None:
        uncertainty = decision.uncertainty if decision else None
        if uncertainty is None:
            return None
        rule = self._arbiter.driver.controller.settings.when_uncertain
        return UncertaintyFigures(
            uncertainty.score, uncertainty.average, uncertainty.threshold, uncertainty.uncertain, rule
        )

    def _keep(self, sid: str, reply: Reply) -> None:
        """Keep the last reply to the car that drives, for the figures."""
        if sid != self._sid:
            self._sid, self._key_held = sid, False
            self._telemetry = self._decision = self._latency = None
            self._answers.clear()
        if not reply.fault:
            self._decision, self._key_held = reply.decision, reply.telemetry is None
        if reply.telemetry is not None:
            self._telemetry = reply.telemetry
            self.frames += 1

    def _count_latency(self, decision: Decision | None, milliseconds: float) -> None:
        if self.first_answer_seconds is None:
            self.first_answer_seconds = round(self.seconds, 2)
        self._latency = milliseconds
        self._latencies.append(milliseconds)
        self._answers.append(self.seconds)
        self.slow += 0 < self._max_latency_ms < milliseconds
        if decision is not None and self._is_driving():
            self._remember(decision, milliseconds)

    def _warn_of(self, decision: Decision | None, seconds: float) -> None:
        if decision is not None and decision.repeated:
            self.warn("the model is too slow for this machine: frames that waited got the steering of an earlier one")
        if decision is not None and decision.fault:
            self.warn(f"{decision.fault}; steering decays, the throttle is closed")
        if 0 < self._max_latency_ms < seconds * 1000:
            self.warn(f"answers that took longer than {self._max_latency_ms:g} ms")

    def _remember(self, decision: Decision, latency_ms: float) -> None:
        """Add a point to the history when the last one is old enough."""
        now = self.seconds
        if self._history and now - self._history[-1].seconds < _HISTORY_STEP:
            return
        speed, control = decision.telemetry.speed_mph, decision.control
        values = (speed, decision.set_speed_mph, decision.steering, control.steering, control.throttle, latency_ms)
        self._history.append(HistoryPoint(now, *values))
        while self._history[0].seconds < now - HISTORY_SECONDS:
            self._history.popleft()

    def _rate(self) -> float:
        """Return the recent answers per second."""
        since = self.seconds - _RATE_SECONDS
        return round(sum(sent > since for sent in self._answers) / _RATE_SECONDS, 1)

    def _latency_percentiles(self) -> tuple[float | None, float | None]:
        if self._latencies and self.seconds - self._percentiles_at > _PERCENTILES_EVERY:
            p50, p99 = np.percentile(self._latencies, [50, 99])
            self._percentiles, self._percentiles_at = (round(float(p50), 2), round(float(p99), 2)), self.seconds
        return self._percentiles
