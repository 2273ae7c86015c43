"""Measure how long a page takes from its command until it can be used -> a Report.

The real commands are started and looked at in headless Chromium, which runs already. Each round
also starts Python alone and imports TensorFlow, which no page of a model can do without, and, if
one is given, another version of bcclone. Needs selenium, chromium and chromium-driver.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from bcclone import UserError
from bcclone.system.progress import Notify
from bcclone.system.settings import Checked, Count, setting
from benchmarks.browser import headless_browser, holds, wait_until
from benchmarks.editor import long_recording
from benchmarks.measures import Measure, Report, aligned, rounded
from benchmarks.rounds import (
    await_answer,
    free_ports,
    measure_in_rounds,
    median_ratio,
    rounds_setting,
)

_ROOT = Path(__file__).parent.parent
_OTHER = "other "  # how the names of the other version's starts begin
_IMPORT = "python -c 'import tensorflow'"


@dataclass(frozen=True)
class Settings(Checked):
    """How soon the pages of play, drive and edit can be used."""

    rounds: Count = rounds_setting(5)
    model: Path = setting(_ROOT / "models" / "lake.h5", "model to start with", shown="lake.h5")
    rows: Count = setting(1000, "rows of the recording that is edited", 100)
    other: Path | None = setting(
        None, "python of another environment, whose bcclone is started in turn", unit="PYTHON"
    )


Seconds = Mapping[str, float]  # what is waited for -> seconds since the command


@dataclass(frozen=True)
class Start:
    """A command with a page."""

    words: Sequence[str]
    # what is waited for, in this order -> an expression of JavaScript that is true then
    awaited: Mapping[str, str]


_IS_THERE = "typeof state !== 'undefined' && state"
# a driving key is held until it steers; then no key is held
_KEY = "new KeyboardEvent('{}', {{ key: 'ArrowRight', code: 'ArrowRight', bubbles: true }})"
_STEERS = (
    f"{_IS_THERE} && cameraImage && (document.body.dispatchEvent({_KEY.format('keydown')}), "
    f"state.steering_sent > 0) && (document.body.dispatchEvent({_KEY.format('keyup')}), true)"
)
_MODEL_DRIVES = f"{_IS_THERE} && state.driver === 'model' && state.speed_mph > 0"
_IS_EDITED = (
    "typeof active !== 'undefined' && active && active.columns && active.state "
    "&& document.querySelector('[data-row]') !== null"
)


def measure(settings: Settings, notify: Notify) -> Report:
    """Return the median seconds of each start, and how they compare with the other version."""
    with TemporaryDirectory(prefix="bcclone-") as name, headless_browser() as browser:
        recording = long_recording(Path(name), settings.rows)
        starts = _starts(settings.model, recording)
        pythons = {"": sys.executable}
        if settings.other:
            pythons[_OTHER] = os.path.abspath(settings.other)  # noqa: PTH100 # keeps a venv's link
        functions: dict[str, Callable[[], Seconds]] = {}
        for start_name, start in starts.items():
            for version, python in pythons.items():
                functions[version + start_name] = partial(
                    _measure_start, start, python, browser, name
                )
        functions["python -c 'pass'"] = partial(_measure_python, "pass")
        functions[_IMPORT] = partial(_measure_python, "import tensorflow")
        notify(f"load of the machine: {psutil.getloadavg()[0]:.1f}")
        results = measure_in_rounds(functions, settings.rounds)
    return _report(results, _OTHER if settings.other else "")


def _starts(model: Path, recording: Path) -> dict[str, Start]:
    """Return what is started, by name."""
    steers = {"a key steers": _STEERS}
    drives = {"the model drives": _MODEL_DRIVES}
    return {
        "play": Start(["play", "--no-browser"], steers),
        "play MODEL": Start(["play", str(model), "--no-browser"], steers | drives),
        "drive MODEL": Start(["drive", str(model)], {"usable": _IS_THERE}),
        "edit": Start(
            ["edit", str(recording), "--page", "--no-browser"], {"picture and curves": _IS_EDITED}
        ),
    }


def _measure_python(code: str) -> Seconds:
    since = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.DEVNULL)
    return {"done": time.perf_counter() - since}


def _measure_start(start: Start, python: str, browser: Any, folder: str) -> Seconds:
    """Start a command and end it; return the seconds until each thing that is waited for."""
    (port,) = free_ports(1)
    seconds: dict[str, float] = {}
    browser.get("about:blank")
    command = [python, "-P", "-m", "bcclone", *start.words, "--port", str(port)]
    since = time.perf_counter()
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            url = f"http://127.0.0.1:{port}/"
            _await_page(url, process)
            seconds["answers"] = time.perf_counter() - since
            browser.get(url)
            for name, expression in start.awaited.items():
                wait_until(partial(holds, browser, expression))
                seconds[name] = time.perf_counter() - since
        finally:
            process.terminate()
    return seconds


def _await_page(url: str, process: subprocess.Popen[bytes]) -> None:
    if not await_answer(url, process):
        line = " ".join(map(str, process.args))  # type: ignore[arg-type]
        raise UserError(f"a command ended before its page answered: {line}")


# ---- the report

# the most seconds that a start may take; what needs TensorFlow has no bar, since its import alone
# may take longer
_MOST_SECONDS = {
    "play: answers": 1.0,
    "play: a key steers": 3.0,
    "play MODEL: answers": 1.0,
    "play MODEL: a key steers": 3.0,
    "drive MODEL: answers": 1.0,
    "edit: picture and curves": 3.0,
}
_NEEDS_TENSORFLOW = ("the model drives", "usable")


def _report(results: Mapping[str, Sequence[Seconds]], other: str = "") -> Report:
    """Return the medians, and the ratios of starts of the same round.

    other: how the names of the other version's starts begin, "" without another version
    """
    measures = []
    ratios = []
    table = [["seconds", "least", "median", "most", "other version", "ratio"]]
    imports = [seconds["done"] for seconds in results[_IMPORT]]
    for name, rounds in results.items():
        if other and name.startswith(other):
            continue
        for awaited in rounds[0]:
            mine = [seconds[awaited] for seconds in rounds]
            figures = [min(mine), median(mine), max(mine)]
            if other + name in results and other:
                theirs = [seconds[awaited] for seconds in results[other + name]]
                ratio = median_ratio(mine, theirs)
                figures += [median(theirs), ratio]
                ratios.append(Measure(f"{name}: {awaited} / other version's", ratio, ""))
            cells = [f"{name}: {awaited}", *(f"{figure:.2f}" for figure in figures)]
            table.append(cells + [""] * (len(table[0]) - len(cells)))
            most = _MOST_SECONDS.get(f"{name}: {awaited}")
            measures.append(Measure(f"{name}: {awaited}", median(mine), "s", most, least=False))
            if awaited in _NEEDS_TENSORFLOW:
                ratio = median_ratio(mine, imports)
                ratios.append(Measure(f"{name}: {awaited} / import of TensorFlow", ratio, ""))
    return Report([*measures, *ratios], aligned(table), rounded({"rounds": results}))
