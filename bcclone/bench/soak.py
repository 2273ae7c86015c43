"""Measure whether the drive server stays as fast and as small during a long drive at 30 frames per second."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from bcclone.bench import Measure, given_or_untrained_model
from bcclone.bench.round_trips import frames_to_send, measure_round_trips, telemetry_texts
from bcclone.bench.settings import SoakSettings
from bcclone.drive.process import server_process

_RATE = 30.0
_PERIODS = 12  # of the drive; the first warms up
_MEMORY_BAR = 1.05
_DRIFT_BAR = 1.25  # of the p99: a busy machine alone causes as much


def measure_soak(settings: SoakSettings, notify: Callable[[str], None] = lambda text: None) -> list[Measure]:
    """Drive for some minutes; notify is called after each twelfth. Memory is measured on Linux only."""
    with given_or_untrained_model(settings.model) as model:
        return _measure(model, telemetry_texts(frames_to_send(settings.recording)), settings.minutes, notify)


def _measure(model: Path, texts: Sequence[str], minutes: float, notify: Callable[[str], None]) -> list[Measure]:
    rounds = max(round(minutes * 60 * _RATE / _PERIODS), 1)
    memory: list[float] = []
    p99: list[float] = []
    with server_process([model]) as server:
        for number in range(_PERIODS):
            p99.append(float(np.percentile(measure_round_trips(server.port, texts, rounds, rate=_RATE), 99)))
            memory += _memory_mb(server.pid)
            notify(
                f"period {number + 1} of {_PERIODS}: p99 {p99[-1]:.1f} ms{f', {memory[-1]:.1f} MB' if memory else ''}"
            )
    early, late = np.median(p99[1:5]), np.median(p99[-4:])
    return [
        Measure("frames answered", float(rounds * _PERIODS), "frames"),
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
    """Return the resident memory of a process; nothing on systems other than Linux."""
    status = Path(f"/proc/{pid}/status")
    found = re.search(r"VmRSS:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return [int(found[1]) / 1024] if found else []
