"""Measure a loader while it delivers.

In: the size of each of its batches, as it comes. Out: `LoaderFigures`: samples per second, memory
and CPU time.
"""

import math
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psutil

OnBatch = Callable[[int], bool]  # receives a batch's size; returns False when enough were loaded


@dataclass(frozen=True)
class Benchmark:
    """What every loader has to do.

    It delivers a store's training samples, shuffled, and mirrored where they should be.
    """

    store: Path
    # processes or threads that it may use; one per core, as the documentations of others advise
    workers: int
    batch_size: int = 64
    seed: int = 0
    shards: Path | None = None  # the same store as a folder of shards, if it is to be measured


@dataclass(frozen=True)
class Timing:
    """How long a loader is measured."""

    # it warms up for so many samples, or for so many seconds if that is less
    warm_samples: int
    warm_seconds: float = 4.0
    seconds: float = 4.0  # that are timed


@dataclass(frozen=True)
class LoaderFigures:
    """The figures of a loader in a round."""

    samples_per_second: float
    first_batch_seconds: float
    # memory that it and its child processes added; a shared page is divided among its users (PSS)
    resident_mb: float
    # the same without pages of files, which the system can drop; None on systems but Linux
    anonymous_mb: float | None
    cpu_share: float  # CPU time as a fraction of all cores' time
    others_cpu_share: float  # that of other programs; shows whether the machine was quiet

    def __str__(self) -> str:
        return f"{self.samples_per_second:,.0f} samples/s"

    @property
    def core_milliseconds(self) -> float:
        """Return the CPU time per sample, in milliseconds."""
        return 1000 * self.cpu_share * (psutil.cpu_count() or 1) / self.samples_per_second


class Use(NamedTuple):
    """What this process and its children, and all processes of the machine, have used so far."""

    at: float  # when, by time.perf_counter()
    resident_mb: float  # memory of this process and its children, in 10^6 bytes
    anonymous_mb: float  # its part without pages of files; NaN if unknown
    cpu: float  # seconds of this process and its children
    all_cpu: float  # seconds of all processes

    @classmethod
    def now(cls) -> "Use":
        """Return the use so far."""
        this = psutil.Process()
        resident_mb = 0.0
        anonymous_mb = 0.0
        cpu = 0.0
        for process in [this, *this.children(recursive=True)]:
            with suppress(psutil.Error):  # it has just ended
                times = process.cpu_times()
                cpu += times.user + times.system + times.children_user + times.children_system
                memory = _memory_of(process)
                resident_mb += memory[0]
                anonymous_mb += memory[1]
        return cls(time.perf_counter(), resident_mb, anonymous_mb, cpu, _busy_seconds())

    def others_since(self, begin: "Use") -> float:
        """Return how many cores other programs used since then, on average."""
        all_seconds = self.all_cpu - begin.all_cpu
        own_seconds = self.cpu - begin.cpu
        return max(all_seconds - own_seconds, 0.0) / (self.at - begin.at)


def _busy_seconds() -> float:
    """Return the seconds in which the cores of the machine computed, since it started."""
    times = psutil.cpu_times()
    waiting = times.idle + getattr(times, "iowait", 0.0)
    counted_twice = getattr(times, "guest", 0.0)  # it is in the time of users, too
    return float(sum(times) - waiting - counted_twice)


def _memory_of(process: psutil.Process) -> tuple[float, float]:
    """Return the resident and the anonymous memory, in 10^6 bytes.

    On systems other than Linux these are the resident set, and NaN.
    """
    try:
        rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return process.memory_info().rss / 1e6, math.nan
    kilobytes = dict(re.findall(r"^(\w+):\s+(\d+) kB", rollup, re.MULTILINE))
    megabytes = {name: int(size) * 1024 / 1e6 for name, size in kilobytes.items()}
    return megabytes.get("Pss", 0.0), megabytes.get("Pss_Anon", 0.0)


class Meter:
    """Measures this process and its children from its creation to the end of the timing."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._samples = 0  # while it warmed up; then since the timing started
        self._first_batch_seconds = 0.0  # 0 before the first batch
        self._begin = Use.now()
        self._timed: Use | None = None  # when the timing started
        self._end: Use | None = None

    def take(self, size: int) -> bool:
        """Count a batch; return False at the end.

        It takes a microsecond, except when the timing starts or ends.
        """
        now = time.perf_counter()
        self._first_batch_seconds = self._first_batch_seconds or now - self._begin.at
        self._samples += size
        if self._timed is None:
            is_warm = (
                self._samples >= self._timing.warm_samples
                or now - self._begin.at >= self._timing.warm_seconds
            )
            if is_warm:
                self._timed = Use.now()
                self._samples = 0
        elif now - self._timed.at >= self._timing.seconds:
            self._end = Use.now()._replace(at=now)
            return False
        return True

    def figures(self) -> LoaderFigures:
        """Return the figures; raises RuntimeError if the loader ended too early."""
        begin = self._begin
        timed = self._timed
        end = self._end
        if timed is None or end is None:
            raise RuntimeError("the loader ended before its time was over")
        seconds = end.at - timed.at
        cores = psutil.cpu_count() or 1
        anonymous_mb: float | None = end.anonymous_mb - begin.anonymous_mb
        if math.isnan(end.anonymous_mb):
            anonymous_mb = None
        return LoaderFigures(
            samples_per_second=self._samples / seconds,
            first_batch_seconds=self._first_batch_seconds,
            resident_mb=end.resident_mb - begin.resident_mb,
            anonymous_mb=anonymous_mb,
            cpu_share=(end.cpu - timed.cpu) / seconds / cores,
            others_cpu_share=end.others_since(timed) / cores,
        )
