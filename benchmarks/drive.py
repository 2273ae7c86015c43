"""Measure the drive server, its start and its latency: async modes, dashboards, two loops, a busy
core -> a Report.

The servers run side by side and are measured in rounds, so that a slow moment of the machine
affects all alike.
"""

import itertools
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

from bcclone import SteeringPolicy, UserError
from bcclone.camera.images import decode_jpeg
from bcclone.drive.drive_settings import ASYNC_MODES
from bcclone.drive.server import server_process
from bcclone.realcar.export_model.export_settings import ONNX, ExportModelSettings
from bcclone.realcar.export_model.model_export import export_model
from bcclone.system.progress import Notify
from bcclone.system.settings import Checked, setting
from benchmarks.driving import (
    FRAMES_PER_SECOND,
    measure_round_trips,
    model_or_untrained,
    rendered_frames,
    telemetry_texts,
    watching,
)
from benchmarks.measures import Measure, Report
from benchmarks.rounds import free_ports, measure_in_rounds

_P50_BAR_MS, _P99_BAR_MS, _PREDICT_BAR, _PAGES_BAR = 3.0, 8.0, 10.0, 1.1
_P50_TO_DECISION, _BUSY_P99_TO_DECISION = 1.4, 2.0
_LISTENING_BAR_S = 1.0
_DEFAULT = ASYNC_MODES[0]
_PAGES = 2
_DECISION, _BUSY = "a decision without a server", "one core busy"
_WATCHED, _PREDICT, _LEAST, _TWO = (
    f"{_PAGES} pages",
    "model.predict",
    "the least server",
    "two loops",
)
_ROUNDS = 10
_PREDICT_DIVISOR = 20  # fewer requests to model.predict, which takes that much longer
_OTHER_SERVERS = {_PREDICT: "predict", _LEAST: "least"}


@dataclass(frozen=True)
class Settings(Checked):
    """How fast the drive server answers."""

    rounds: int = setting(2000, "number of requests to each server", 10)
    model: Path | None = setting(
        None, "model to measure with", unit="PATH", shown="an untrained network, which is as fast"
    )


def measure(settings: Settings, notify: Notify) -> Report:
    """Return the drive server's measures; the default mode must reach the bars."""
    with model_or_untrained(settings.model) as model:
        jpegs = rendered_frames()
        starts = _starts(model, telemetry_texts(jpegs))
        return Report(
            [*starts, *_compare(_times(model, jpegs, max(settings.rounds // _ROUNDS, 1)))]
        )


def _times(model: Path, jpegs: Sequence[bytes], count: int) -> dict[str, np.ndarray]:
    """Return the milliseconds of answers, about `count` in each of the rounds, by what was
    measured.
    """
    from bcclone.model.policy import load_policy  # after load_tensorflow(), as drive.py does

    texts = telemetry_texts(jpegs)
    with ExitStack() as stack:
        ports = {
            mode: stack.enter_context(server_process([model, "--async-mode", mode])).port
            for mode in ASYNC_MODES
        }
        for name, kind in _OTHER_SERVERS.items():
            program = ("-m", "benchmarks.other_servers", kind)
            ports[name] = stack.enter_context(server_process([model], program)).port
        trips = {
            mode: partial(measure_round_trips, ports[mode], texts, count) for mode in ASYNC_MODES
        }

        def with_pages(saliency: bool) -> list[float]:
            with watching(ports[_DEFAULT], _PAGES, saliency):
                return trips[_DEFAULT]()

        few = max(count // 4, 1), max(count // _PREDICT_DIVISOR, 1)
        drives: dict[str, Callable[[], list[float]]] = {
            **trips,
            _WATCHED: partial(with_pages, saliency=False),
            f"{_WATCHED} and pixels": partial(with_pages, saliency=True),
            _TWO: partial(trips[_DEFAULT], loops=2),
            "30 a second": partial(
                measure_round_trips, ports[_DEFAULT], texts, few[0], rate=FRAMES_PER_SECOND
            ),
            _PREDICT: partial(measure_round_trips, ports[_PREDICT], texts, few[1]),
            _LEAST: partial(measure_round_trips, ports[_LEAST], texts[:1], count),
            _DECISION: partial(_decide, load_policy(model), jpegs, count),
        }
        for name in (_DEFAULT, _DECISION):
            drives[f"{name}, {_BUSY}"] = partial(_beside_a_busy_process, drives[name])
        return {
            name: np.concatenate(each) for name, each in measure_in_rounds(drives, _ROUNDS).items()
        }


def _starts(model: Path, texts: Sequence[str]) -> list[Measure]:
    """Measure the start with the model as it is and, where that can be written, as an ONNX file."""
    if not all(map(find_spec, ("tf2onnx", "onnxruntime"))):
        return _start(model, texts)
    with tempfile.TemporaryDirectory() as folder:
        exported = ExportModelSettings(model, ONNX, Path(folder) / "model.onnx")
        export_model(exported)
        return [*_start(model, texts), *_start(exported.path, texts)]


def _start(model: Path, texts: Sequence[str]) -> list[Measure]:
    (port,) = free_ports(1)
    command = [
        sys.executable,
        "-P",
        "-m",
        "bcclone",
        "drive",
        str(model),
        "--port",
        str(port),
        "--quiet",
    ]
    since = time.perf_counter()
    with subprocess.Popen(command) as process:
        try:
            _await_page(port, process)
            listening = time.perf_counter()
            (first,) = measure_round_trips(port, texts, 1)
            served = time.perf_counter()
        finally:
            process.kill()
    kind = model.suffix
    return [
        Measure(
            f"start to the page's first answer, {kind}",
            listening - since,
            "s",
            _LISTENING_BAR_S,
            least=False,
        ),
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
    raise UserError(
        "the drive server ended before it listened; start it by itself to see why: python drive.py "
        "MODEL"
    )


def _decide(policy: SteeringPolicy, jpegs: Sequence[bytes], count: int) -> list[float]:
    """Decode, prepare and infer in this process: the lower limit of any server's time; return
    milliseconds.
    """
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


def _compare(times: dict[str, np.ndarray]) -> list[Measure]:
    p50, p99 = (
        {name: float(np.percentile(each, part)) for name, each in times.items()}
        for part in (50, 99)
    )
    busy, busy_decision = f"{_DEFAULT}, {_BUSY}", f"{_DECISION}, {_BUSY}"
    measures = []
    for name in times:
        what = name if name.startswith(_DECISION) else f"request to steer, {name}"
        p50_bar = _P50_BAR_MS if name == _DEFAULT else None
        p99_bar = _P99_BAR_MS if name in (_DEFAULT, busy) else None
        measures.append(Measure(f"{what}, p50", p50[name], "ms", p50_bar, least=False))
        measures.append(Measure(f"{what}, p99", p99[name], "ms", p99_bar, least=False))
    to_decision = p50[_DECISION]
    ratios = {
        f"{_WATCHED} to none, p50": (p50[_WATCHED] / p50[_DEFAULT], _PAGES_BAR),
        f"{_WATCHED} to none, p99": (p99[_WATCHED] / p99[_DEFAULT], _PAGES_BAR),
        f"{_DEFAULT} to a decision, p50": (p50[_DEFAULT] / to_decision, _P50_TO_DECISION),
        f"{_TWO} to a decision, p50": (
            p50[_TWO] / 2 / to_decision,
            _P50_TO_DECISION,
        ),  # they wait for each other
        f"{_LEAST} to a decision, p50": (p50[_LEAST] / to_decision, None),
        f"{_DEFAULT} to a decision, {_BUSY}, p99": (
            p99[busy] / p99[busy_decision],
            _BUSY_P99_TO_DECISION,
        ),
    }
    faster = Measure(
        f"times faster than {_PREDICT}, p50", p50[_PREDICT] / p50[_DEFAULT], "x", _PREDICT_BAR
    )
    return [
        *measures,
        faster,
        *(Measure(name, ratio, "x", bar, False) for name, (ratio, bar) in ratios.items()),
    ]
