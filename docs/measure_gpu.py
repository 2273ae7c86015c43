"""Measure feeding, training and driving on a machine with a GPU, unattended.

    python docs/measure_gpu.py FOLDER --minutes 8
    python docs/measure_gpu.py FOLDER
    python docs/measure_gpu.py FOLDER --recording lake
    python docs/measure_gpu.py FOLDER --quick

The result is docs/results/gpu.json. FOLDER keeps what each step printed, written last; a step with
that file is not run again, and a training that was interrupted is resumed. So the same line goes on
with what is missing. A step that fails is named in the result with its last line, and the others
are run.

--minutes: no step begins after this time. --recording: train on this recording instead of simulated
laps. --quick: each step takes seconds, to try the script, also without a GPU; everything stays in
FOLDER/quick.

The first epoch of a training holds what TensorFlow compiles and tries; so the result has the speed
of each epoch, and how busy the GPU was in the others. XLA keeps its programs in FOLDER: only the
training "with kept programs", and those after it, can load them.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bcclone.system.files import write_text
from bcclone.system.hardware import find_cards
from bcclone.training.training_state import read_history

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # a script finds its own folder only

from benchmarks.feeds.training import GpuSample, GpuWatch, busy_and_memory  # noqa: E402

RESULTS = ROOT / "docs" / "results" / "gpu.json"


def main() -> None:
    """Run what is missing, and collect the results."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--recording", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--minutes", type=float, default=float("inf"))
    arguments = parser.parse_args()
    cards = [card.describe() for card in find_cards()]
    if not cards and not arguments.quick:
        sys.exit("no NVIDIA GPU found on this machine; try the script with --quick")
    # the steps run in the repository's folder, so relative paths would lead elsewhere
    folder = arguments.folder.resolve()
    output = RESULTS
    if arguments.quick:
        folder = folder / "quick"
        output = folder / RESULTS.name
    recording = arguments.recording
    if recording is not None:
        recording = recording.resolve()

    folder.mkdir(parents=True, exist_ok=True)
    ordered = list(steps(folder, recording, arguments.quick))
    failed = run_missing(ordered, folder, arguments.minutes * 60)
    done = [step for step in ordered if step.output(folder).exists()]
    missing = [step.name for step in ordered if step not in done]
    collected = {
        "gpus": cards,
        "failed": failed,
        "missing": missing,
        "steps": {step.name: step.result(folder) for step in done},
    }
    write_text(output, json.dumps(collected, indent=1) + "\n")
    print(f"{output}: {len(done)} results, {len(failed)} failed, {len(missing)} missing")


def run_missing(ordered: Sequence["Step"], folder: Path, seconds: float) -> dict[str, str]:
    """Run the steps that are not complete, as long as the time lasts.

    Return name -> reason of those that failed.
    """
    failed = {}
    end = time.monotonic() + seconds
    for step in ordered:
        since = time.monotonic()
        if step.output(folder).exists() or since >= end:
            continue
        reason = step.run(folder)
        if reason:
            failed[step.name] = reason
        elapsed = time.monotonic() - since
        print(f"{step.name}: {reason or 'done'}, {elapsed:.0f} s", flush=True)
    return failed


# ---- the steps, in the order of their worth

DEFAULT = "float32"
ON_CPU = "on the CPU"
SHORT = ("--epochs", 4)  # too short for compiling to pay
# name of a training -> its options; an H100 takes 0.2 s for an epoch, and nvidia-smi needs seconds
# to say how busy it is
FIRST_TRAININGS: dict[str, tuple[Any, ...]] = {
    DEFAULT: ("--epochs", 20),
    "with kept programs": ("--epochs", 20),
    "short": SHORT,
    ON_CPU: SHORT,
    "deterministic": ("--epochs", 20, "--deterministic"),
}
OTHER_TRAININGS: dict[str, tuple[Any, ...]] = {
    "step by step": ("--epochs", 20, "--jit-compile", "off"),
    "batches of 256": ("--epochs", 100, "--batch-size", 256),
    "batches of 1024": ("--epochs", 400, "--batch-size", 1024),
    "memory": ("--epochs", 20, "--feed", "memory"),
    "hdf5-shuffle": ("--epochs", 20, "--feed", "hdf5-shuffle"),
    "seed 1": ("--epochs", 20, "--seed", 1),
    "seed 2": ("--epochs", 20, "--seed", 2),
}


def steps(folder: Path, recording: Path | None, quick: bool) -> Iterator["Step"]:
    """Yield the steps, so that a short loan of a machine measures what matters most.

    quick: each step takes seconds
    """
    yield Step("doctor", ("doctor", "--full"))
    store = folder / "data.h5"
    if recording is not None:
        laps = [recording]
    else:
        recordings = _recording_steps(folder, quick)
        laps = [step.makes for step in recordings if step.makes]
        yield from recordings
    yield Step("store", ("preprocess", *laps, "-o", store, "--force"))
    for name, options in FIRST_TRAININGS.items():
        yield _training_step(folder, store, name, options, quick)
    driver = folder / f"{DEFAULT}.h5"
    yield from _benchmark_steps(store, driver, quick)
    for name, options in OTHER_TRAININGS.items():
        yield _training_step(folder, store, name, options, quick)
    yield _suite_step(driver, quick)
    yield _ways_step(quick)


def _recording_steps(folder: Path, quick: bool) -> list["Step"]:
    """Return the steps that record one lap, and a half in the other direction."""
    laps = 0.1 if quick else 1
    forward = folder / "forward"
    reverse = folder / "reverse"
    record_forward = ("simulate", "record", forward, "--laps", laps)
    record_reverse = ("simulate", "record", reverse, "--laps", laps / 2, "--reverse", "--seed", 1)
    return [
        Step("forward", record_forward, makes=forward),
        Step("reverse", record_reverse, makes=reverse),
    ]


def _training_step(
    folder: Path, store: Path, name: str, options: Sequence[Any], quick: bool
) -> "Step":
    """Return the training with some options."""
    stem = name.replace(" ", "-")
    runs = folder / "runs"
    line: list[Any] = ["model", store, "-o", folder / f"{stem}.h5", "--runs", runs, "--name", stem]
    line += ["--resume", "--no-plots", *options]
    if quick:
        line += ["--epochs", 1]
    return Step(f"train {name}", tuple(line), run_folder=runs / stem, hides_gpu=name == ON_CPU)


def _suite_step(driver: Path, quick: bool) -> "Step":
    """Return the drives of a model in four rows of the suite."""
    line: list[Any] = ["suite", driver]
    line += ["--rows", ",".join(("lake-30", "lake-reverse-30", "latency-200", "no-lines"))]
    if quick:
        line += ["--laps", 0.02]
    return Step("suite", tuple(line))


def _benchmark_steps(store: Path, driver: Path, quick: bool) -> Iterator["Step"]:
    """Yield the benchmarks of the feeds and the server."""
    feed_seconds = 1 if quick else 5
    feeds = ("feeds", "--store", store, "--rounds", 1, "--seconds", feed_seconds)
    alone = "gather,hdf5-shuffle,tf-data,device,sequence"
    yield Step("feeds alone", (*feeds, "--only", alone), program="benchmarks")
    drive: list[Any] = ["drive", "--model", driver]
    if quick:
        drive += ["--rounds", 100]
    yield Step("drive", tuple(drive), program="benchmarks")
    yield Step("feed training", (*feeds, "--only", "training"), program="benchmarks")


def _ways_step(quick: bool) -> "Step":
    """Return the benchmark of the ways to train a constant batch.

    With PyTorch and the trainings without a GPU it took five minutes on an H100.
    """
    seconds = 1 if quick else 3
    batch_size = 8 if quick else 256
    ways = ("training", "--rounds", 1, "--seconds", seconds, "--batch-size", batch_size)
    return Step("ways to train", ways, program="benchmarks")


# ---- one step


@dataclass(frozen=True)
class Step:
    """A command of bcclone, or a benchmark, and the name of its result."""

    name: str
    command: tuple[Any, ...]
    makes: Path | None = None  # a folder that is removed if the step was interrupted
    program: str = "bcclone"  # the module to run
    run_folder: Path | None = None  # of a training
    hides_gpu: bool = False  # it computes on the CPU

    def output(self, folder: Path) -> Path:
        """Return the file for what it printed, which exists when it is complete."""
        return folder / f"{self.name.replace(' ', '-')}.json"

    def watched(self, folder: Path) -> Path:
        """Return the file for what nvidia-smi said meanwhile."""
        return self.output(folder).with_suffix(".gpu.json")

    def run(self, folder: Path) -> str:
        """Run it; return "" or why it failed.

        What it printed before a check or a bar failed is kept.
        """
        longest_seconds = 1200
        if self.makes is not None:
            shutil.rmtree(self.makes, ignore_errors=True)
        line = [sys.executable, "-m", self.program, *map(str, self.command), "--json"]
        environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}
        if self.hides_gpu:
            environment["CUDA_VISIBLE_DEVICES"] = "-1"
        since = time.monotonic()
        try:
            with GpuWatch() as watch:
                completed = subprocess.run(
                    line,
                    capture_output=True,
                    text=True,
                    cwd=ROOT,
                    check=False,
                    timeout=longest_seconds,
                    env=environment,
                )
            json.loads(completed.stdout)
        except subprocess.TimeoutExpired:
            return f"it took longer than {longest_seconds} s"
        except ValueError:
            message = completed.stderr.strip() or "it printed nothing"
            return message.splitlines()[-1]
        watched = {"seconds": time.monotonic() - since, "samples": watch.samples}
        write_text(self.watched(folder), json.dumps(watched))
        write_text(self.output(folder), completed.stdout)
        if completed.returncode:
            return f"exit code {completed.returncode}"
        return ""

    def result(self, folder: Path) -> Any:
        """Return what it printed, without paths of this machine; of a training also its epochs."""
        text = self.output(folder).read_text(encoding="utf-8")
        for path, name in ((folder, "FOLDER"), (sys.prefix, "PYTHON"), (ROOT, ".")):
            text = text.replace(str(path), name)
        printed = json.loads(text)
        if self.run_folder is not None:
            printed |= self._epochs(self.run_folder, folder)
        return printed

    def _epochs(self, run_folder: Path, folder: Path) -> dict[str, Any]:
        """Return the figures of each epoch, and how busy the GPU was in all but the first."""
        keys = ("epoch", "seconds", "samples_per_second", "data_wait_share", "loss", "val_loss")
        epochs = read_history(run_folder / "history.csv")
        history = [{key: getattr(epoch, key) for key in keys} for epoch in epochs]

        # the last seconds are those of the last epoch, its validation and the writing of the model
        watched = json.loads(self.watched(folder).read_text(encoding="utf-8"))
        later_seconds = sum(epoch.seconds for epoch in epochs[1:])
        begin = watched["seconds"] - later_seconds
        samples = [GpuSample(*values) for values in watched["samples"]]
        later_samples = [sample for sample in samples if sample.seconds > begin]
        busy, memory_mb = busy_and_memory(later_samples)
        return {"history": history, "gpu_busy": busy, "gpu_memory_mb": memory_mb}


if __name__ == "__main__":
    main()
