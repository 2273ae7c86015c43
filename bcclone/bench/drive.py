"""Measure the latency of the drive server: both async modes, `model.predict`, and open dashboards.

The servers run side by side and are measured in rounds, so that a slow moment of the machine affects all alike.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np

from bcclone.bench import Measure, given_or_untrained_model, measure_in_rounds
from bcclone.bench.drive_pages import watching
from bcclone.bench.round_trips import (
    FRAMES_PER_SECOND,
    RoundTrips,
    frames_to_send,
    measure_round_trips,
    telemetry_texts,
)
from bcclone.bench.settings import DriveBenchSettings
from bcclone.drive.process import server_process
from bcclone.drive.settings import ASYNC_MODES
from bcclone.images import decode_jpeg
from bcclone.policy import load_policy

_P50_BAR_MS, _P99_BAR_MS, _PREDICT_BAR, _PAGES_BAR = 3.0, 8.0, 10.0, 1.1
_PAGES = 2
_DECISIONS = 500
_WATCHED = f"{_PAGES} pages"
_ROUNDS = 10
_PREDICT_DIVISOR = 20  # fewer requests to model.predict, which takes that much longer
_PREDICTING = ("-m", "bcclone.bench.predicting")


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
            with watching(modes[default], _PAGES, saliency):
                return drives[default]()

        drives: dict[str, Callable[[], list[float]]] = {
            mode: partial(measure_round_trips, port, texts, RoundTrips(count)) for mode, port in modes.items()
        }
        drives[_WATCHED] = partial(with_pages, saliency=False)
        drives[f"{_WATCHED} and pixels"] = partial(with_pages, saliency=True)
        default_port = modes[default]
        for name, port, trips in (
            ("two loops", default_port, RoundTrips(count, loops=2)),
            ("30 a second", default_port, RoundTrips(max(count // 4, 1), rate=FRAMES_PER_SECOND)),
            ("model.predict", predicting, RoundTrips(max(count // _PREDICT_DIVISOR, 1))),
        ):
            drives[name] = partial(measure_round_trips, port, texts, trips)
        rounds = measure_in_rounds(drives, _ROUNDS)
    times = {name: np.concatenate(of_drive) for name, of_drive in rounds.items()}
    return [*first, _measure_decision(model, jpegs), *_compare(times, default)]


def _first_frame_seconds(model: Path, texts: Sequence[str]) -> list[Measure]:
    begun = time.perf_counter()
    with server_process([model]) as server:
        listening = time.perf_counter()
        (first,) = measure_round_trips(server.port, texts, RoundTrips(1))
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
