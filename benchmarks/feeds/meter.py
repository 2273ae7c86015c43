"""Measure a loader while it delivers: the sizes of its batches -> samples per second, memory and
CPU time.
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
    """What every loader has to do: deliver a store's training samples, shuffled, mirrored where
    they should be.

    workers: processes or threads that it may use: one per core, as the other loaders'
    documentations advise; shards: the same store as a folder of shards, if it is to be measured.
    """

    store: Path
    workers: int
    batch_size: int = 64
    seed: int = 0
    shards: Path | None = None


@dataclass(frozen=True)
class Timing:
    """How long a loader is measured: it warms up for `warm_samples` or `warm_seconds`, then is
    timed for `seconds`.
    """

    warm_samples: int
    warm_seconds: float = 4.0
    seconds: float = 4.0


@dataclass(frozen=True)
class LoaderFigures:
    """The figures of a loader in a round.

    resident_mb: memory that it and its child processes added, shared pages divided among their
    users (PSS); anonymous_mb: the same without pages of files, which the system can drop; None on
    systems other than Linux; cpu_share: CPU time as a fraction of all cores' time;
    others_cpu_share: the same of other programs, which shows whether the machine was quiet.
    """

    samples_per_second: float
    first_batch_seconds: float
    resident_mb: float
    anonymous_mb: float | None
    cpu_share: float
    others_cpu_share: float

    def __str__(self) -> str:
        return f"{self.samples_per_second:,.0f} samples/s"

    @property
    def core_milliseconds(self) -> float:
        """Return the CPU time per sample, in milliseconds."""
        return 1000 * self.cpu_share * (psutil.cpu_count() or 1) / self.samples_per_second


class Use(NamedTuple):
    """What this process and its children, and all processes of the machine, have used until a
    moment.

    resident_mb, anonymous_mb: memory, 10^6 bytes, NaN if unknown; cpu, all_cpu: seconds.
    """

    at: float
    resident_mb: float
    anonymous_mb: float
    cpu: float
    all_cpu: float

    @classmethod
    def now(cls) -> "Use":
        """Return the use so far."""
        this = psutil.Process()
        memories, cpu = [], 0.0
        for process in [this, *this.children(recursive=True)]:
            with suppress(psutil.Error):  # it has just ended
                times = process.cpu_times()
                cpu += times.user + times.system + times.children_user + times.children_system
                memories.append(_memory_of(process))
        every = psutil.cpu_times()
        busy = float(
            sum(every) - every.idle - getattr(every, "iowait", 0.0) - getattr(every, "guest", 0.0)
        )
        resident, anonymous = map(sum, zip(*memories, strict=True))
        return cls(time.perf_counter(), resident, anonymous, cpu, busy)

    def others_since(self, begin: "Use") -> float:
        """Return how many cores other programs used since then, on average."""
        return max(self.all_cpu - begin.all_cpu - (self.cpu - begin.cpu), 0.0) / (
            self.at - begin.at
        )


def _memory_of(process: psutil.Process) -> tuple[float, float]:
    """Return the resident and the anonymous memory; on systems other than Linux, its resident set
    and NaN.
    """
    try:
        rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return process.memory_info().rss / 1e6, math.nan
    kilobytes = dict(re.findall(r"^(\w+):\s+(\d+) kB", rollup, re.MULTILINE))
    resident, anonymous = (int(kilobytes.get(name, 0)) * 1024 / 1e6 for name in ("Pss", "Pss_Anon"))
    return resident, anonymous


class Meter:
    """Measures this process and its children from its creation to the end of the timing."""

    def __init__(self, timing: Timing) -> None:
        self._timing, self._samples, self._first = timing, 0, 0.0
        self._begin = Use.now()
        self._timed: Use | None = None
        self._end: Use | None = None

    def take(self, size: int) -> bool:
        """Count a batch; return False at the end. Takes a microsecond, except when the timing
        starts or ends.
        """
        now = time.perf_counter()
        self._first = self._first or now - self._begin.at
        self._samples += size
        if self._timed is None:
            if (
                self._samples >= self._timing.warm_samples
                or now - self._begin.at >= self._timing.warm_seconds
            ):
                self._timed, self._samples = Use.now(), 0
        elif now - self._timed.at >= self._timing.seconds:
            self._end = Use.now()._replace(at=now)
            return False
        return True

    def figures(self) -> LoaderFigures:
        """Return the figures; raises RuntimeError if the loader ended too early."""
        begin, timed, end = self._begin, self._timed, self._end
        if timed is None or end is None:
            raise RuntimeError("the loader ended before its time was over")
        seconds, cores = end.at - timed.at, psutil.cpu_count() or 1
        anonymous = end.anonymous_mb - begin.anonymous_mb
        return LoaderFigures(
            samples_per_second=self._samples / seconds,
            first_batch_seconds=self._first,
            resident_mb=end.resident_mb - begin.resident_mb,
            anonymous_mb=None if math.isnan(anonymous) else anonymous,
            cpu_share=(end.cpu - timed.cpu) / seconds / cores,
            others_cpu_share=end.others_since(timed) / cores,
        )
