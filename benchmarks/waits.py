"""Measure how long a person waits for a model -> a Report.

The real commands are run from a recording to a model, in turn by two ways: a store and a training
from it, or a training from the JPEG files as they are. A lap of the lake is recorded first. The
demo, which records, trains and drives a lap, is run in turn with them.
"""

import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bcclone import UserError
from bcclone.system.progress import Notify
from bcclone.system.settings import Checked, Count, setting
from benchmarks.measures import Measure, Report
from benchmarks.rounds import measure_in_rounds, median_ratio, rounds_setting

_PREPROCESS = "preprocess, the store"
_FROM_STORE = "model, from the store"
_FROM_FILES = "model --feed files, from the JPEG files"
_DEMO = "demo, from nothing to a driven lap"


@dataclass(frozen=True)
class Settings(Checked):
    """How long a training takes from a store and from JPEG files, in whole commands."""

    rounds: Count = rounds_setting(3)
    recording: Path | None = setting(
        None, "recording to train on", shown="a lap of the lake, recorded for this"
    )
    epochs: Count = setting(10, "epochs of each training", 1)
    demo: bool = setting(False, "measure the demo, too")


def measure(settings: Settings, notify: Notify) -> Report:
    """Return the median seconds of each command, and the ratio of the two ways."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        recording = settings.recording or folder / "lap"
        if settings.recording is None:
            notify("recording a lap")
            _run("simulate", "record", recording, "--laps", 1)
        ways = {
            "by a store": partial(_by_store, recording, folder, settings),
            "by JPEG files": partial(_by_files, recording, folder, settings),
        }
        if settings.demo:
            ways["demo"] = partial(_demo, folder)
        taken = measure_in_rounds(ways, settings.rounds)
    demos = taken.pop("demo", [])
    seconds: dict[str, list[float]] = {}
    for rounds in taken.values():
        for one in rounds:
            for command, value in one.items():
                seconds.setdefault(command, []).append(value)
    measures = [Measure(command, median(each), "s") for command, each in seconds.items()]
    if demos:
        measures.append(Measure(_DEMO, median(one[_DEMO] for one in demos), "s"))
    totals = {way: [sum(one.values()) for one in rounds] for way, rounds in taken.items()}
    measures += [
        Measure(
            "a training, from the store against from JPEG files",
            median_ratio(seconds[_FROM_STORE], seconds[_FROM_FILES]),
            "x",
        ),
        Measure("the same with making the store", median_ratio(*totals.values()), "x"),
    ]
    return Report(measures, values={"epochs": settings.epochs})


def _by_store(recording: Path, folder: Path, settings: Settings) -> dict[str, float]:
    """Return the seconds of each command from a recording over a store to a model."""
    store = folder / "data.h5"
    return {
        _PREPROCESS: _run("preprocess", recording, "-o", store, "--force"),
        _FROM_STORE: _train(store, folder, settings),
    }


def _by_files(recording: Path, folder: Path, settings: Settings) -> dict[str, float]:
    """Return the seconds of the one command from the files of a recording to a model."""
    return {_FROM_FILES: _train(recording, folder, settings, "--feed", "files")}


def _demo(folder: Path) -> dict[str, float]:
    """Return the seconds from nothing to a network that has driven a lap."""
    demo = folder / "demo"
    seconds = _run("demo", "--folder", demo)
    shutil.rmtree(demo)
    return {_DEMO: seconds}


def _train(data: Path, folder: Path, settings: Settings, *options: object) -> float:
    output = ("-o", folder / "model.h5", "--force", "--runs", folder / "runs")
    return _run("model", data, *output, "--epochs", settings.epochs, "--no-plots", *options)


def _run(*words: object) -> float:
    """Run a command of bcclone, and return how many seconds it took."""
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "bcclone", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise UserError(f"bcclone {' '.join(map(str, words))} failed:\n{done.stderr}")
    return time.monotonic() - start
