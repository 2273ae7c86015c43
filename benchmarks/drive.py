"""Measure the drive server, its start and its latency: async modes, dashboards, two loops, a busy core -> a Report.

The servers run side by side and are measured in rounds, so that a slow moment of the machine affects all alike.
"""

import itertools
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from bcclone.dataset.images import decode_jpeg
from bcclone.drive.drive_settings import ASYNC_MODES
from bcclone.drive.driver import SteeringPolicy
from bcclone.drive.process import server_process
from bcclone.lab.export_model.export_settings import ONNX, ExportModelSettings
from bcclone.lab.export_model.model_export import export_model
from bcclone.system.errors import UserError
from bcclone.system.progress import Notify
from bcclone.system.settings import check_settings, setting
from benchmarks.driving import (
    FRAMES_PER_SECOND,
    RoundTrips,
    frames_to_send,
    measure_round_trips,
    model_or_untrained,
    telemetry_texts,
    watching,
)
from benchmarks.measures import Measure, Report
from benchmarks.rounds import measure_in_rounds

_P50_BAR_MS, _P99_BAR_MS, _PREDICT_BAR, _PAGES_BAR = 3.0, 8.0, 10.0, 1.1
_P50_TO_DECISION, _BUSY_P99_TO_DECISION = 1.4, 2.0
_LISTENING_BAR_S = 1.0
_PAGES = 2
_DECISION, _BUSY = "a decision without a server", "one core busy"
_WATCHED = f"{_PAGES} pages"
_ROUNDS = 10
_PREDICT_DIVISOR = 20  # fewer requests to model.predict, which takes that much longer
_LEAST = "the least server"
_PREDICTING, _LEAST_SERVER = (("-m", "benchmarks.other_servers", kind) for kind in ("predict", "least"))


@dataclass(frozen=True)
class Settings:
    """How fast the drive server answers."""

    rounds: int = setting(2000, "number of requests to each server", 10)
    model: Path | None = setting(
        None, "model to measure with", unit="PATH", shown="an untrained network, which is as fast"
    )
    recording: Path | None = setting(
        None, "driving_log.csv whose frames are sent", unit="PATH", shown="rendered frames"
    )

    def __post_init__(self) -> None:
        check_settings(self)


def measure(settings: Settings, notify: Notify = lambda line: None) -> Report:
    """Return the drive server's measures; the default mode must reach the bars."""
    with model_or_untrained(settings.model) as model:
        return Report(_measure(model, frames_to_send(settings.recording), settings.rounds))


def _measure(model: Path, jpegs: Sequence[bytes], requests: int) -> list[Measure]:
    from bcclone.model.policy import load_policy  # after load_tensorflow(), as drive.py does

    texts = telemetry_texts(jpegs)
    starts = _starts(model, texts)
    default = ASYNC_MODES[0]
    with ExitStack() as stack:
        modes = {mode: stack.enter_context(server_process([model, "--async-mode", mode])).port for mode in ASYNC_MODES}
        predicting = stack.enter_context(server_process([model], _PREDICTING)).port
        least = stack.enter_context(server_process([model], _LEAST_SERVER)).port
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
        same = telemetry_texts(frames_to_send(None))[:1]
        drives[_LEAST] = partial(measure_round_trips, least, same, RoundTrips(count))
        drives[_DECISION] = partial(_decide, load_policy(model), jpegs, count)
        for name in (default, _DECISION):
            drives[f"{name}, {_BUSY}"] = partial(_beside_a_busy_process, drives[name])
        rounds = measure_in_rounds(drives, _ROUNDS)
    times = {name: np.concatenate(of_drive) for name, of_drive in rounds.items()}
    return [*starts, *_compare(times, default)]


def _starts(model: Path, texts: Sequence[str]) -> list[Measure]:
    """Measure the start with the model as it is and, where that can be written, as an ONNX file."""
    if not all(map(find_spec, ("tf2onnx", "onnxruntime"))):
        return _start(model, texts)
    with tempfile.TemporaryDirectory() as folder:
        exported = ExportModelSettings(model, ONNX, Path(folder) / "model.onnx")
        export_model(exported)
        return [*_start(model, texts), *_start(exported.path, texts)]


def _start(model: Path, texts: Sequence[str]) -> list[Measure]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-P", "-m", "bcclone", "drive", str(model), "--port", str(port), "--quiet"]
    since = time.perf_counter()
    with subprocess.Popen(command) as process:
        try:
            _await_page(port, process)
            listening = time.perf_counter()
            (first,) = measure_round_trips(port, texts, RoundTrips(1))
            served = time.perf_counter()
        finally:
            process.kill()
    kind = model.suffix
    return [
        Measure(f"start to the page's first answer, {kind}", listening - since, "s", _LISTENING_BAR_S, least=False),
        Measure(f"start to the first steer, {kind}", served - since, "s"),
        Measure(f"handshake to the first steer, {kind}", first, "ms"),
    ]


def _await_page(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until the page answers, also while it says that the model is being loaded."""
    while process.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/").close()
            return
        except urllib.error.HTTPError as loading:
            loading.close()
            return
        except OSError:
            time.sleep(0.005)
    raise UserError("the drive server ended before it listened; start it by itself to see why: python drive.py MODEL")


def _decide(policy: SteeringPolicy, jpegs: Sequence[bytes], count: int) -> list[float]:
    """Decode, prepare and infer in this process: the lower limit of any server's time; return milliseconds."""
    milliseconds = []
    for jpeg in itertools.islice(itertools.cycle(jpegs), count):
        since = time.perf_counter()
        policy.answer(decode_jpeg(jpeg))
        milliseconds.append((time.perf_counter() - since) * 1000)
    return milliseconds


def _beside_a_busy_process(drive: Callable[[], list[float]]) -> list[float]:
    """Drive while another program computes all the time, as the simulator does on a small machine."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        try:
            return drive()
        finally:
            busy.kill()


def _compare(times: dict[str, np.ndarray], default: str) -> list[Measure]:
    measures = []
    for name, milliseconds in times.items():
        p50, p99 = np.percentile(milliseconds, [50, 99])
        p50_bar = _P50_BAR_MS if name == default else None
        p99_bar = _P99_BAR_MS if name in (default, f"{default}, {_BUSY}") else None
        what = name if name.startswith(_DECISION) else f"request to steer, {name}"
        measures.append(Measure(f"{what}, p50", float(p50), "ms", p50_bar, least=False))
        measures.append(Measure(f"{what}, p99", float(p99), "ms", p99_bar, least=False))
    p50, p99 = np.percentile(times[default], [50, 99])
    pages = np.percentile(times[_WATCHED], [50, 99])
    predict = float(np.median(times["model.predict"]))
    measures.append(Measure("times faster than model.predict, p50", predict / float(p50), "x", _PREDICT_BAR))
    measures.append(Measure(f"{_WATCHED} to none, p50", float(pages[0] / p50), "x", _PAGES_BAR, least=False))
    measures.append(Measure(f"{_WATCHED} to none, p99", float(pages[1] / p99), "x", _PAGES_BAR, least=False))
    bare, busy = times[_DECISION], times[f"{_DECISION}, {_BUSY}"]
    for name, loops in ((default, 1), ("two loops", 2), (_LEAST, 1)):  # two loops wait for each other
        bar = None if name == _LEAST else _P50_TO_DECISION
        ratio = float(np.median(times[name]) / loops / np.median(bare))
        measures.append(Measure(f"{name} to a decision, p50", ratio, "x", bar, least=False))
    ratio = float(np.percentile(times[f"{default}, {_BUSY}"], 99) / np.percentile(busy, 99))
    measures.append(Measure(f"{default} to a decision, {_BUSY}, p99", ratio, "x", _BUSY_P99_TO_DECISION, least=False))
    return measures
