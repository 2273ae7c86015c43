"""Measure the latency of the drive server: both async modes, `model.predict`, open dashboards, and a soak test.

The servers run side by side and are measured in rounds, so that a slow moment of the machine affects all alike. The
soak test drives one server at 30 frames per second, and compares its speed and memory over time.
"""

import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from bcclone.bench import Measure, given_or_untrained_model, measure_in_rounds
from bcclone.bench.round_trips import frames_to_send, measure_round_trips, telemetry_texts
from bcclone.bench.settings import DriveBenchSettings, SoakSettings
from bcclone.drive.process import server_process
from bcclone.drive.settings import ASYNC_MODES
from bcclone.images import decode_jpeg
from bcclone.policy import load_policy

_RATE = 30.0
_PERIODS = 12  # of the drive; the first warms up
_MEMORY_BAR = 1.05
_DRIFT_BAR = 1.25  # of the p99: a busy machine alone causes as much
_P50_BAR_MS, _P99_BAR_MS, _PREDICT_BAR, _PAGES_BAR = 3.0, 8.0, 10.0, 1.1
_PAGES = 2
_DECISIONS = 500
_WATCHED = f"{_PAGES} pages"
_ROUNDS = 10
_PREDICT_DIVISOR = 20  # fewer requests to model.predict, which takes that much longer
_PREDICTING = ("-m", "bcclone.bench.predicting")
_WATCH = """
import sys, urllib.request
with urllib.request.urlopen(sys.argv[1]) as events:
    events.readline()
    print("watching", flush=True)
    while events.read(65536):
        pass
"""


def measure_drive(settings: DriveBenchSettings) -> list[Measure]:
    """Return the drive server's measures; the default mode must reach the bars."""
    with given_or_untrained_model(settings.model) as model:
        return _measure(model, frames_to_send(settings.recording), settings.rounds)


def _measure(model: Path, jpegs: Sequence[bytes], requests: int) -> list[Measure]:
    texts = telemetry_texts(jpegs)
    first = _first_frame_seconds(model, texts)
    default = ASYNC_MODES[0]
    with ExitStack() as stack:
        modes = {mode: stack.enter_context(server_process([model, "--async-mode", mode])).port for mode in ASYNC_MODES}
        predicting = stack.enter_context(server_process([model], _PREDICTING)).port
        count = max(requests // _ROUNDS, 1)

        def with_pages(saliency: bool) -> list[float]:
            with _pages(modes[default], saliency):
                return drives[default]()

        drives: dict[str, Callable[[], list[float]]] = {
            mode: partial(measure_round_trips, port, texts, count) for mode, port in modes.items()
        }
        drives[_WATCHED] = partial(with_pages, saliency=False)
        drives[f"{_WATCHED} and pixels"] = partial(with_pages, saliency=True)
        drives["two loops"] = lambda: measure_round_trips(modes[default], texts, count, loops=2)
        drives["30 a second"] = lambda: measure_round_trips(modes[default], texts, max(count // 4, 1), rate=30.0)
        drives["model.predict"] = lambda: measure_round_trips(predicting, texts, max(count // _PREDICT_DIVISOR, 1))
        rounds = measure_in_rounds(drives, _ROUNDS)
    times = {name: np.concatenate(of_drive) for name, of_drive in rounds.items()}
    return [*first, _measure_decision(model, jpegs), *_compare(times, default)]


def _first_frame_seconds(model: Path, texts: Sequence[str]) -> list[Measure]:
    begun = time.perf_counter()
    with server_process([model]) as server:
        listening = time.perf_counter()
        (first,) = measure_round_trips(server.port, texts, 1)
        served_at = time.perf_counter()
    return [
        Measure("start to listening, warmed up", listening - begun, "s"),
        Measure("start to first frame answered", served_at - begun, "s"),
        Measure("request to steer, the first frame", first, "ms"),
    ]


def _measure_decision(model: Path, jpegs: Sequence[bytes]) -> Measure:
    """Decode, prepare and infer in this process: the lower limit of any server's time."""
    policy = load_policy(model)
    seconds = []
    for number in range(_DECISIONS):
        begun = time.perf_counter()
        policy.act(decode_jpeg(jpegs[number % len(jpegs)]))
        seconds.append(time.perf_counter() - begun)
    return Measure("a decision without a server, p50", float(np.median(seconds)) * 1000, "ms")


def _compare(times: dict[str, np.ndarray], default: str) -> list[Measure]:
    measures = []
    for name, milliseconds in times.items():
        p50, p99 = np.percentile(milliseconds, [50, 99])
        bars = (_P50_BAR_MS, _P99_BAR_MS) if name == default else (None, None)
        measures.append(Measure(f"request to steer, {name}, p50", float(p50), "ms", bars[0], least=False))
        measures.append(Measure(f"request to steer, {name}, p99", float(p99), "ms", bars[1], least=False))
    p50, p99 = np.percentile(times[default], [50, 99])
    pages = np.percentile(times[_WATCHED], [50, 99])
    predict = float(np.median(times["model.predict"]))
    measures.append(Measure("times faster than model.predict, p50", predict / float(p50), "x", _PREDICT_BAR))
    measures.append(Measure(f"{_WATCHED} to none, p50", float(pages[0] / p50), "x", _PAGES_BAR, least=False))
    measures.append(Measure(f"{_WATCHED} to none, p99", float(pages[1] / p99), "x", _PAGES_BAR, least=False))
    return measures


@contextmanager
def _pages(port: int, saliency: bool) -> Iterator[None]:
    """Open two dashboards, each read by a process of its own. saliency: with the saliency overlay."""
    _set_saliency(port, saliency)
    command = [sys.executable, "-c", _WATCH, f"http://127.0.0.1:{port}/events"]
    readers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(_PAGES)]
    try:
        for reader in readers:
            if reader.stdout is not None:
                reader.stdout.readline()
        yield
    finally:
        for reader in readers:
            reader.kill()
            reader.communicate()
        _set_saliency(port, False)


def _set_saliency(port: int, on: bool) -> None:
    body = json.dumps({"saliency": on}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/control", body, {"Content-Type": "application/json"})
    urllib.request.urlopen(request).close()


def measure_soak(settings: SoakSettings, notify: Callable[[str], None] = lambda text: None) -> list[Measure]:
    """Drive for some minutes; notify is called after each twelfth. Memory is measured on Linux only."""
    with given_or_untrained_model(settings.model) as model:
        return _measure_soak(model, telemetry_texts(frames_to_send(settings.recording)), settings.minutes, notify)


def _measure_soak(model: Path, texts: Sequence[str], minutes: float, notify: Callable[[str], None]) -> list[Measure]:
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
