"""Measure the drive server, its start and its latency -> a Report.

Compared are the async modes, open pages, two loops, a busy core, and other servers. The servers run
side by side and are measured in rounds, so that a slow moment of the machine affects all alike.
"""

import itertools
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from bcclone import SteeringPolicy, UserError
from bcclone.camera.images import decode_jpeg
from bcclone.drive.drive_settings import ASYNC_MODES
from bcclone.realcar.export import export_model
from bcclone.realcar.export_settings import ONNX, ExportModelSettings
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
from benchmarks.rounds import await_answer, free_ports, measure_in_rounds

Drive = Callable[[], list[float]]  # drives some frames; returns the milliseconds of each answer

_PAGES = 2  # that are open at a time

# names of what is measured
_DEFAULT = ASYNC_MODES[0]
_WATCHED = f"{_PAGES} pages"
_TWO_LOOPS = "two loops"
_PREDICT = "model.predict"
_DECISION = "a decision without a server"
_BUSY = "one core busy"


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
        times = _times(model, jpegs, settings.rounds)
        return Report([*starts, *_time_measures(times), *_ratio_measures(times)])


# ---- the start


def _starts(model: Path, texts: Sequence[str]) -> list[Measure]:
    """Measure the start with the model as it is and, where that can be written, as an ONNX file."""
    measures = _start(model, texts)
    if all(map(find_spec, ("tf2onnx", "onnxruntime"))):
        with tempfile.TemporaryDirectory() as folder:
            exported = ExportModelSettings(model, ONNX, Path(folder) / "model.onnx")
            export_model(exported)
            measures += _start(exported.path, texts)
    return measures


def _start(model: Path, texts: Sequence[str]) -> list[Measure]:
    most_seconds = 1.0  # until the page answers
    (port,) = free_ports(1)
    command = [sys.executable, "-P", "-m", "bcclone", "drive", str(model)]
    command += ["--port", str(port), "--quiet"]
    since = time.perf_counter()
    with subprocess.Popen(command) as process:
        try:
            _await_page(port, process)
            listening = time.perf_counter() - since
            (first_ms,) = measure_round_trips(port, texts, 1)
            served = time.perf_counter() - since
        finally:
            process.kill()
    kind = model.suffix
    page_name = f"start to the page's first answer, {kind}"
    return [
        Measure(page_name, listening, "s", most_seconds, least=False),
        Measure(f"start to the first steer, {kind}", served, "s"),
        Measure(f"handshake to the first steer, {kind}", first_ms, "ms"),
    ]


def _await_page(port: int, process: subprocess.Popen[bytes]) -> None:
    if not await_answer(f"http://127.0.0.1:{port}/", process):
        raise UserError(
            "the drive server ended before it listened; start it by itself to see why: python "
            "drive.py MODEL"
        )


# ---- the latency


def _times(model: Path, jpegs: Sequence[bytes], requests: int) -> dict[str, np.ndarray]:
    """Return the milliseconds of about so many answers, by the name of what was measured."""
    from bcclone.model.policy import load_policy  # after load_tensorflow(), as drive.py does

    rounds = 10
    count = max(requests // rounds, 1)
    with _servers(model) as ports:
        drives = _drives(ports, load_policy(model), jpegs, count)
        results = measure_in_rounds(drives, rounds)
    return {name: np.concatenate(milliseconds) for name, milliseconds in results.items()}


@contextmanager
def _servers(model: Path) -> Iterator[dict[str, int]]:
    """Start the drive server in each async mode, and one with predict(); yield ports by name."""
    programs: dict[str, tuple[str, ...]] = {_PREDICT: ("benchmarks.predicting_server",)}
    for mode in ASYNC_MODES:
        programs[mode] = ("bcclone", "drive", "--async-mode", mode)
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(_server(*program, str(model)))
            for name, program in programs.items()
        }


@contextmanager
def _server(*program: str) -> Iterator[int]:
    """Run a server within the block; yield its port."""
    line = [sys.executable, "-m", *program, "--port", "0"]
    with subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        printed = ""
        for text in process.stdout or ():
            printed += text
            if listening := re.search(r"listening on \S+:(\d+);", text):
                yield int(listening[1])
                break
        else:
            raise UserError(f"a server ended before it listened: {printed}")
        process.terminate()
        process.communicate()


def _drives(
    ports: Mapping[str, int], policy: SteeringPolicy, jpegs: Sequence[bytes], count: int
) -> dict[str, Drive]:
    """Return what is measured, in the order of the table: name -> a drive.

    ports: of the servers by name
    count: frames that the drives of the default mode take
    """
    texts = telemetry_texts(jpegs)
    default_port = ports[_DEFAULT]
    drives: dict[str, Drive] = {}
    for mode in ASYNC_MODES:
        drives[mode] = partial(measure_round_trips, ports[mode], texts, count)

    # the default mode as people use it: with pages, with the simulator's two loops and its rate
    def drive_watched(saliency: bool) -> list[float]:
        with watching(default_port, _PAGES, saliency):
            return drives[_DEFAULT]()

    drives[_WATCHED] = partial(drive_watched, saliency=False)
    drives[f"{_WATCHED} and pixels"] = partial(drive_watched, saliency=True)
    drives[_TWO_LOOPS] = partial(measure_round_trips, default_port, texts, count, loops=2)
    few = max(count // 4, 1)  # at this rate, most of the time is spent waiting
    drives["30 a second"] = partial(
        measure_round_trips, default_port, texts, few, rate=FRAMES_PER_SECOND
    )

    # another server, and no server at all
    fewer = max(count // 20, 1)  # model.predict takes that much longer
    drives[_PREDICT] = partial(measure_round_trips, ports[_PREDICT], texts, fewer)
    drives[_DECISION] = partial(_decide, policy, jpegs, count)

    for name in (_DEFAULT, _DECISION):
        drives[f"{name}, {_BUSY}"] = partial(_beside_a_busy_process, drives[name])
    return drives


def _decide(policy: SteeringPolicy, jpegs: Sequence[bytes], count: int) -> list[float]:
    """Decode, prepare and infer in this process; return the milliseconds of each decision.

    It is the lower limit of any server's time.
    """
    milliseconds = []
    for jpeg in itertools.islice(itertools.cycle(jpegs), count):
        since = time.perf_counter()
        policy.answer(decode_jpeg(jpeg))
        milliseconds.append((time.perf_counter() - since) * 1000)
    return milliseconds


def _beside_a_busy_process(drive: Drive) -> list[float]:
    """Drive while another program computes, as the simulator does on a small machine."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        try:
            return drive()
        finally:
            busy.kill()


# ---- the measures


def _percentiles(times: Mapping[str, np.ndarray], percent: int) -> dict[str, float]:
    return {
        name: float(np.percentile(milliseconds, percent)) for name, milliseconds in times.items()
    }


def _time_measures(times: Mapping[str, np.ndarray]) -> list[Measure]:
    """Return the median and the 99th percentile of the times of everything that was measured."""
    p50 = _percentiles(times, 50)
    p99 = _percentiles(times, 99)
    p50_bars_ms = {_DEFAULT: 3.0}
    p99_bars_ms = {_DEFAULT: 8.0, f"{_DEFAULT}, {_BUSY}": 8.0}
    measures = []
    for name in times:
        label = name if name.startswith(_DECISION) else f"request to steer, {name}"
        p50_bar_ms = p50_bars_ms.get(name)
        p99_bar_ms = p99_bars_ms.get(name)
        measures.append(Measure(f"{label}, p50", p50[name], "ms", p50_bar_ms, least=False))
        measures.append(Measure(f"{label}, p99", p99[name], "ms", p99_bar_ms, least=False))
    return measures


def _ratio_measures(times: Mapping[str, np.ndarray]) -> list[Measure]:
    """Compare the default mode with the other ways to answer."""
    p50 = _percentiles(times, 50)
    p99 = _percentiles(times, 99)
    least_to_predict = 10.0  # times as fast as model.predict
    most_to_unwatched = 1.1
    most_to_decision = 1.4
    most_to_busy_decision = 2.0

    decision = p50[_DECISION]
    # two loops wait for each other, so each answer takes the time of two
    two_loops = p50[_TWO_LOOPS] / 2
    busy = p99[f"{_DEFAULT}, {_BUSY}"]
    busy_decision = p99[f"{_DECISION}, {_BUSY}"]
    ratios = {  # name -> a ratio and the bar that it may not exceed
        f"{_WATCHED} to none, p50": (p50[_WATCHED] / p50[_DEFAULT], most_to_unwatched),
        f"{_WATCHED} to none, p99": (p99[_WATCHED] / p99[_DEFAULT], most_to_unwatched),
        f"{_DEFAULT} to a decision, p50": (p50[_DEFAULT] / decision, most_to_decision),
        f"{_TWO_LOOPS} to a decision, p50": (two_loops / decision, most_to_decision),
        f"{_DEFAULT} to a decision, {_BUSY}, p99": (busy / busy_decision, most_to_busy_decision),
    }
    faster = p50[_PREDICT] / p50[_DEFAULT]
    measures = [Measure(f"times faster than {_PREDICT}, p50", faster, "x", least_to_predict)]
    for name, (ratio, bar) in ratios.items():
        measures.append(Measure(name, ratio, "x", bar, least=False))
    return measures
