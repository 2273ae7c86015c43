"""Model, frames -> whether the drive server stays as it was: memory and times of a long drive at 30 frames a second."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from bcclone.bench import Measure
from bcclone.bench.round_trips import measure_round_trips, telemetry_texts
from bcclone.drive.process import server_process

_RATE = 30.0
_PARTS = 12  # of the drive; the first is for warming up
_MEMORY_BAR = 1.05
_DRIFT_BAR = 1.25  # of the p99: the machine's own moods are as large


def measure_soak(
    model: Path, jpegs: Sequence[bytes], minutes: float, on_part: Callable[[str], None] = lambda text: None
) -> list[Measure]:
    """Drive for so many minutes; on_part is told of each twelfth. Memory is known on Linux alone."""
    texts = telemetry_texts(jpegs)
    rounds = max(round(minutes * 60 * _RATE / _PARTS), 1)
    memory: list[float] = []
    p99: list[float] = []
    with server_process([model]) as server:
        for number in range(_PARTS):
            p99.append(float(np.percentile(measure_round_trips(server.port, texts, rounds, rate=_RATE), 99)))
            memory += _memory_mb(server.pid)
            on_part(f"part {number + 1} of {_PARTS}: p99 {p99[-1]:.1f} ms{f', {memory[-1]:.1f} MB' if memory else ''}")
    early, late = np.median(p99[1:5]), np.median(p99[-4:])
    return [
        Measure("frames answered", float(rounds * _PARTS), "frames"),
        *_compare_memory(memory),
        Measure("p99 of the first third", float(early), "ms"),
        Measure("p99 of the last third to the first", float(late / early), "x", _DRIFT_BAR, least=False),
    ]


def _compare_memory(memory: Sequence[float]) -> list[Measure]:
    if not memory:
        return []
    return [
        Measure("memory at the end", memory[-1], "MB"),
        Measure("memory at the end to after warming up", memory[-1] / memory[0], "x", _MEMORY_BAR, least=False),
    ]


def _memory_mb(pid: int) -> list[float]:
    """Return the resident memory of a process, none where the system does not tell it as Linux does."""
    status = Path(f"/proc/{pid}/status")
    found = re.search(r"VmRSS:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return [int(found[1]) / 1024] if found else []
