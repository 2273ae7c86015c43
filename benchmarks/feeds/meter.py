"""Measure a loader while it delivers: the sizes of its batches -> samples per second, memory and CPU time."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

OnBatch = Callable[[int], bool]  # receives a batch's size; returns False when enough were loaded


@dataclass(frozen=True)
class Benchmark:
    """What every loader has to do: deliver a store's training samples, shuffled, mirrored where they should be.

    workers: processes or threads that it may use: one per core, as the other loaders' documentations advise; shards:
    the same store as a folder of shards, if it is to be measured.
    """

    store: Path
    workers: int
    batch_size: int = 64
    seed: int = 0
    shards: Path | None = None

    def __post_init__(self) -> None:
        if self.workers < 1 or self.batch_size < 1:
            raise ValueError(f"{self.workers} workers, batches of {self.batch_size}, expected 1 or more")


@dataclass(frozen=True)
class Timing:
    """How long a loader is measured: it warms up for `warm_samples` or `warm_seconds`, then is timed for `seconds`."""

    warm_samples: int
    warm_seconds: float = 4.0
    seconds: float = 4.0

    def __post_init__(self) -> None:
        if min(self.warm_samples, self.warm_seconds, self.seconds) < 0:
            raise ValueError(f"{self}, expected no negative numbers")


@dataclass(frozen=True)
class LoaderFigures:
    """The figures of a loader in a round.

    resident_mb: memory that it and its child processes added, shared pages divided among their users (PSS);
    anonymous_mb: the same without pages of files, which the system can drop; None on systems other than Linux;
    cpu_share: CPU time as a fraction of all cores' time; others_cpu_share: the same of other programs, which
    shows whether the machine was quiet.
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


class Meter:
    """Measures this process and its children from its creation to the end of the timing."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._memory = used_memory()
        self._since = time.perf_counter()
        self._first = 0.0
        self._samples = 0
        self._timed_from = 0.0
        self._timed_until = 0.0
        self._cpu = self._all_cpu = 0.0
        self._used: MemoryUse | None = None

    def take(self, size: int) -> bool:
        """Count a batch; return False at the end. Takes a microsecond, except when the timing starts or ends."""
        now = time.perf_counter()
        self._first = self._first or now - self._since
        self._samples += size
        if not self._timed_from:
            if self._samples >= self._timing.warm_samples or now - self._since >= self._timing.warm_seconds:
                self._samples, self._cpu, self._all_cpu = 0, cpu_seconds(), busy_seconds()
                self._timed_from = time.perf_counter()
        elif now - self._timed_from >= self._timing.seconds:
            self._timed_until = now
            self._cpu = cpu_seconds() - self._cpu
            self._all_cpu = busy_seconds() - self._all_cpu
            self._used = used_memory()
            return False
        return True

    def figures(self) -> LoaderFigures:
        """Return the figures; raises RuntimeError if the loader ended too early."""
        if self._used is None:
            raise RuntimeError("the loader ended before its time was over")
        seconds = self._timed_until - self._timed_from
        capacity = seconds * (psutil.cpu_count() or 1)
        anonymous = None
        if self._used.anonymous_mb is not None and self._memory.anonymous_mb is not None:
            anonymous = self._used.anonymous_mb - self._memory.anonymous_mb
        return LoaderFigures(
            samples_per_second=self._samples / seconds,
            first_batch_seconds=self._first,
            resident_mb=self._used.resident_mb - self._memory.resident_mb,
            anonymous_mb=anonymous,
            cpu_share=self._cpu / capacity,
            others_cpu_share=max(self._all_cpu - self._cpu, 0.0) / capacity,
        )


@dataclass(frozen=True)
class MemoryUse:
    """The memory that processes use, in MB (10^6 bytes)."""

    resident_mb: float
    anonymous_mb: float | None


def used_memory() -> MemoryUse:
    """Return the memory of this process and its children."""
    memories = [_memory_of(process) for process in _family()]
    anonymous = [memory.anonymous_mb for memory in memories if memory.anonymous_mb is not None]
    total = sum(anonymous) if len(anonymous) == len(memories) else None
    return MemoryUse(sum(memory.resident_mb for memory in memories), total)


def _memory_of(process: psutil.Process) -> MemoryUse:
    """Return the memory of a process; on systems other than Linux, its resident set."""
    try:
        rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:  # another system, or the process has just ended
        try:
            return MemoryUse(process.memory_info().rss / 1e6, None)
        except psutil.Error:
            return MemoryUse(0.0, 0.0)
    return MemoryUse(_kilobytes("Pss", rollup) * 1024 / 1e6, _kilobytes("Pss_Anon", rollup) * 1024 / 1e6)


def _kilobytes(name: str, text: str) -> int:
    line = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
    return int(line[1]) if line else 0


def cpu_seconds() -> float:
    """Return the CPU time so far of this process and its children, including ended ones."""
    total = 0.0
    for process in _family():
        try:
            times = process.cpu_times()
        except psutil.Error:  # it has just ended
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def busy_seconds() -> float:
    """Return the CPU time so far of all processes of the machine."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


def _family() -> list[psutil.Process]:
    this = psutil.Process()
    return [this, *this.children(recursive=True)]
