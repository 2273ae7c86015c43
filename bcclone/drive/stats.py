"""Count decisions, latencies and warnings for the web page and the log. No sockets, no files."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bcclone.drive.driver import Decision
from bcclone.drive.page.page_state import PageWarning
from bcclone.drive.protocol import Telemetry

HISTORY_SECONDS = 60.0
_HISTORY_STEP = 0.09  # keeps every third frame of 30 a second, in spite of rounding
_LATENCIES = 1000  # answers that p50 and p99 are computed from
_MAX_WARNINGS = 8
_RATE_SECONDS = 2.0
_PERCENTILES_EVERY = 0.5


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
class LiveFigures:
    """The figures of a moment, as the page shows them; the figures of a car are None while none is connected.

    seconds, first_answer_seconds: since the server began; frames_per_second: answers per second, of the last 2 s;
    warnings: the newest first; uncertainty: None without a monitor.
    """

    seconds: float
    first_answer_seconds: float | None
    frames: int
    frames_per_second: float
    speed_mph: float | None
    steering_degrees: float | None
    steering_model: float | None
    steering_sent: float | None
    throttle: float | None
    target_speed_mph: float | None
    latency_ms: LatencyFigures
    warnings: tuple[PageWarning, ...]
    uncertainty: UncertaintyFigures | None = None


class DriveStats:
    """Collects the figures of a drive; threads may write and read at the same time.

    max_latency_ms: slower answers are counted, 0 for none; when_uncertain: what the car does then
    """

    def __init__(
        self,
        max_latency_ms: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        when_uncertain: str = "ignore",
    ) -> None:
        self._when_uncertain = when_uncertain
        self.max_latency_ms = max_latency_ms
        self._clock, self._began = clock, clock()
        self._lock = threading.Lock()
        self._decision: Decision | None = None
        self._telemetry: Telemetry | None = None
        self._history: deque[HistoryPoint] = deque()
        self._latencies: deque[float] = deque(maxlen=_LATENCIES)
        self._latency: float | None = None  # of the last answer to the car that drives
        self._answers: deque[float] = deque(maxlen=1000)  # when each was sent
        self._warnings: dict[str, PageWarning] = {}
        self._percentiles: tuple[float | None, float | None] = (None, None)
        self._percentiles_at = -1.0
        self.frames = self.slow = 0
        self.key_held = False
        self.first_answer_seconds: float | None = None

    @property
    def seconds(self) -> float:
        """Return the seconds since the server began."""
        return self._clock() - self._began

    @property
    def jpeg(self) -> tuple[int, bytes]:
        """Return the number of the last frame, from 1, and the frame; b"" when no car drives."""
        with self._lock:
            return self.frames, self._telemetry.jpeg if self._telemetry else b""

    def decided(self, decision: Decision) -> None:
        """Count a decision of the driver."""
        with self._lock:
            self._decision, self.key_held = decision, False
            self._count(decision.telemetry)
        if decision.repeated:
            self.warn("the model is too slow for this machine: frames that waited got the steering of an earlier one")
        if decision.fault:
            self.warn(f"{decision.fault}; steering decays, the throttle is closed")

    def driven_by_hand(self, telemetry: Telemetry | None) -> None:
        """Count a telemetry while the model does not drive; None: a driving key is held, and nothing is reported."""
        with self._lock:
            self._decision, self.key_held = None, telemetry is None
            if telemetry is not None:
                self._count(telemetry)

    def car_changed(self) -> None:
        """Drop the figures of the car that drove until now: it has left, or another one drives."""
        with self._lock:
            self._decision = self._telemetry = self._latency = None
            self.key_held = False
            self._answers.clear()

    def answered(self, decision: Decision | None, seconds: float) -> None:
        """Count an answer that has been sent.

        decision: the one that it carried, None when the model decided nothing; seconds: its latency.
        """
        milliseconds = seconds * 1000
        with self._lock:
            if self.first_answer_seconds is None:
                self.first_answer_seconds = round(self.seconds, 2)
            self._latencies.append(milliseconds)
            self._answers.append(self.seconds)
            if self._telemetry is not None:  # None: the car has left meanwhile
                self._latency = milliseconds
                self._remember(decision, milliseconds)
        if 0 < self.max_latency_ms < milliseconds:
            self.slow += 1
            self.warn(f"answers that took longer than {self.max_latency_ms:g} ms")

    def warn(self, text: str) -> None:
        """Add a warning; the same text again is only counted."""
        with self._lock:
            before = self._warnings.pop(text, None)
            self._warnings[text] = PageWarning(text, before.count + 1 if before else 1, round(self.seconds, 1))
            while len(self._warnings) > _MAX_WARNINGS:
                del self._warnings[next(iter(self._warnings))]

    def figures(self) -> LiveFigures:
        """Return the current figures."""
        with self._lock:
            telemetry, decision = self._telemetry, self._decision
            latency = None if self._latency is None else round(self._latency, 2)
            return LiveFigures(
                seconds=round(self.seconds, 1),
                first_answer_seconds=self.first_answer_seconds,
                frames=self.frames,
                frames_per_second=self._rate(),
                speed_mph=telemetry.speed_mph if telemetry else None,
                steering_degrees=telemetry.steering_degrees if telemetry else None,
                steering_model=decision.steering if decision else None,
                steering_sent=decision.control.steering if decision else None,
                throttle=decision.control.throttle if decision else None,
                target_speed_mph=decision.set_speed_mph if decision else None,
                latency_ms=LatencyFigures(latency, *self._latency_percentiles(), self.slow, self.max_latency_ms),
                warnings=tuple(reversed(self._warnings.values())),
                uncertainty=self._uncertainty(decision),
            )

    def history(self) -> list[HistoryPoint]:
        """Return the points of the last 60 seconds."""
        after = self.seconds - HISTORY_SECONDS
        with self._lock:
            return [point for point in self._history if point.seconds > after]

    def _uncertainty(self, decision: Decision | None) -> UncertaintyFigures | None:
        uncertainty = decision.uncertainty if decision else None
        if uncertainty is None:
            return None
        return UncertaintyFigures(
            uncertainty.score, uncertainty.average, uncertainty.threshold, uncertainty.uncertain, self._when_uncertain
        )

    def _count(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self.frames += 1

    def _remember(self, decision: Decision | None, latency_ms: float) -> None:
        """Add a point to the history when the last one is old enough."""
        now = self.seconds
        if decision is None or (self._history and now - self._history[-1].seconds < _HISTORY_STEP):
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
