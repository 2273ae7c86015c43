"""Measure feeding, training and driving on a machine with a GPU, unattended ->
docs/results/gpu.json.

    python docs/measure_gpu.py FOLDER --minutes 8        # begin no step after this time
    python docs/measure_gpu.py FOLDER                    # all steps; again to go on with what is missing
    python docs/measure_gpu.py FOLDER --recording lake   # train on this recording instead of two simulated laps
    python docs/measure_gpu.py FOLDER --quick            # each step for seconds, to try the script, also without a GPU;
                                                         # everything stays in FOLDER/quick

FOLDER keeps what each step printed, written last; a step with that file is not run again, and a
training that was interrupted is resumed. A step that fails is named in the result with its last
line, and the others are run. The first epoch of a training holds what TensorFlow compiles and
tries; so the result has the speed of each epoch, and how busy the GPU was in the others.
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

from bcclone.system.atomic import write_text
from bcclone.system.hardware import find_cards
from bcclone.training.training_state import read_history

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # a script finds its own folder only

from benchmarks.feeds.training import GpuSample, GpuWatch, busy_and_memory  # noqa: E402

RESULTS = ROOT / "docs" / "results" / "gpu.json"
LONGEST_SECONDS = 1200  # of a step
DEFAULT, ON_CPU = "float32", "on the CPU"
VARIANTS = {  # name of a training -> its options, in the order of their worth
    DEFAULT: (),
    "batches of 256": ("--batch-size", 256),
    "batches of 1024": ("--batch-size", 1024),
    "mixed precision": ("--mixed-precision",),
    "step by step": ("--set", "jit-compile=off"),
    "memory": ("--feed", "memory"),
    "hdf5-shuffle": ("--feed", "hdf5-shuffle"),
    ON_CPU: (),
    "deterministic": ("--deterministic",),
    "seed 1": ("--seed", 1),
    "seed 2": ("--seed", 2),
}
EPOCHS = 20  # an H100 takes 0.2 s for an epoch; nvidia-smi needs seconds to say how busy it is
EPOCHS_ON_CPU = 4
ROWS = ("lake-30", "lake-reverse-30", "latency-200", "no-lines")


@dataclass(frozen=True)
class Step:
    """A command of bcclone, or a benchmark, and the name of its result.

    program: the module to run; makes: a folder that is removed if the step was interrupted;
    run_folder: of a training; hides_gpu: it computes on the CPU.
    """

    name: str
    command: tuple[Any, ...]
    makes: Path | None = None
    program: str = "bcclone"
    run_folder: Path | None = None
    hides_gpu: bool = False

    def output(self, folder: Path) -> Path:
        """Return the file for what it printed, which exists when it is complete."""
        return folder / f"{self.name.replace(' ', '-')}.json"

    def result(self, folder: Path) -> Any:
        """Return what it printed, without paths of this machine, and the speed of each epoch of a
        training.
        """
        text = self.output(folder).read_text(encoding="utf-8")
        for path, name in ((folder, "FOLDER"), (sys.prefix, "PYTHON"), (ROOT, ".")):
            text = text.replace(str(path), name)
        printed = json.loads(text)
        if self.run_folder is not None:
            names = (
                "epoch",
                "seconds",
                "samples_per_second",
                "data_wait_share",
                "loss",
                "val_loss",
            )
            history = read_history(self.run_folder / "history.csv")
            printed["history"] = [
                {name: getattr(epoch, name) for name in names} for epoch in history
            ]
            # the last seconds are those of the last epoch, its validation and the writing of the
            # model
            later = sum(epoch.seconds for epoch in history[1:])
            watched = json.loads(self.watched(folder).read_text(encoding="utf-8"))
            printed["gpu_busy"], printed["gpu_memory_mb"] = busy_and_memory(
                [
                    GpuSample(*each)
                    for each in watched["samples"]
                    if each[0] > watched["seconds"] - later
                ]
            )
        return printed

    def watched(self, folder: Path) -> Path:
        """Return the file for what nvidia-smi said meanwhile."""
        return self.output(folder).with_suffix(".gpu.json")

    def run(self, folder: Path) -> str:
        """Run it; return "" or why it failed. What it printed before a check or a bar failed is
        kept.
        """
        if self.makes is not None:
            shutil.rmtree(self.makes, ignore_errors=True)
        line = [sys.executable, "-m", self.program, *map(str, self.command), "--json"]
        environment = os.environ | ({"CUDA_VISIBLE_DEVICES": "-1"} if self.hides_gpu else {})
        since = time.monotonic()
        try:
            with GpuWatch() as watch:
                completed = subprocess.run(
                    line,
                    capture_output=True,
                    text=True,
                    cwd=ROOT,
                    check=False,
                    timeout=LONGEST_SECONDS,
                    env=environment,
                )
            json.loads(completed.stdout)
        except subprocess.TimeoutExpired:
            return f"it took longer than {LONGEST_SECONDS} s"
        except ValueError:
            return (completed.stderr.strip() or "it printed nothing").splitlines()[-1]
        watched = {"seconds": time.monotonic() - since, "samples": watch.samples}
        write_text(self.watched(folder), json.dumps(watched))
        write_text(self.output(folder), completed.stdout)
        return "" if not completed.returncode else f"exit code {completed.returncode}"


def steps(folder: Path, recording: Path | None, quick: bool) -> Iterator[Step]:
    """Yield the steps in the order of their worth, so that a short loan of a machine measures what
    matters most.
    """
    yield Step("doctor", ("doctor", "--full"))
    store, laps = (
        folder / "data.h5",
        [recording] if recording else [folder / "forward", folder / "reverse"],
    )
    if recording is None:
        length = 0.1 if quick else 1
        yield Step("forward", ("simulate", "record", laps[0], "--laps", length), laps[0])
        yield Step(
            "reverse",
            ("simulate", "record", laps[1], "--laps", length / 2, "--reverse", "--seed", 1),
            laps[1],
        )
    yield Step("store", ("preprocess", *laps, "-o", store, "--force"))
    for name, options in VARIANTS.items():
        runs, stem = folder / "runs", name.replace(" ", "-")
        line = (
            "model",
            store,
            "-o",
            folder / f"{stem}.h5",
            "--runs",
            runs,
            "--name",
            stem,
            "--resume",
        )
        on_cpu = name == ON_CPU
        epochs = EPOCHS_ON_CPU if on_cpu else EPOCHS
        length = ("--epochs", 1 if quick else epochs, "--no-plots")
        yield Step(
            f"train {name}",
            (*line, *length, *options),
            run_folder=runs / stem,
            hides_gpu=on_cpu,
        )
    driver = folder / f"{DEFAULT}.h5"
    drives = ("--rows", ",".join(ROWS), *(("--laps", 0.02) if quick else ()))
    yield Step("suite", ("suite", driver, *drives))
    feeds = ("feeds", "--store", store, "--rounds", 1, "--seconds", 1 if quick else 5)
    yield Step("feed training", (*feeds, "--only", "training"), program="benchmarks")
    alone = "gather,hdf5-shuffle,workers,tf-data,device,sequence"
    yield Step("feeds alone", (*feeds, "--only", alone), program="benchmarks")
    drive = ("drive", "--model", driver, *(("--rounds", 100) if quick else ()))
    yield Step("drive", drive, program="benchmarks")
    # last: with PyTorch and the trainings without a GPU it took five minutes on an H100
    ways = ("training", "--rounds", 1, "--seconds", 1 if quick else 3)
    batch_size = ("--batch-size", 8 if quick else 256)
    yield Step("ways to train", (*ways, *batch_size), program="benchmarks")


def main() -> None:
    """Run what is missing, and collect the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--recording", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--minutes", type=float, default=float("inf"))
    arguments = parser.parse_args()
    cards = [card.describe() for card in find_cards()]
    if not cards and not arguments.quick:
        sys.exit("no NVIDIA GPU found on this machine; try the script with --quick")
    folder = (arguments.folder / "quick" if arguments.quick else arguments.folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    ordered = list(
        steps(folder, arguments.recording and arguments.recording.resolve(), arguments.quick)
    )
    failed = _run(ordered, folder, arguments.minutes * 60)
    done = [step for step in ordered if step.output(folder).exists()]
    missing = [step.name for step in ordered if step not in done]
    found = {step.name: step.result(folder) for step in done}
    collected = {"gpus": cards, "failed": failed, "missing": missing, "steps": found}
    output = folder / RESULTS.name if arguments.quick else RESULTS
    write_text(output, json.dumps(collected, indent=1) + "\n")
    print(f"{output}: {len(done)} results, {len(failed)} failed, {len(missing)} missing")


def _run(ordered: Sequence[Step], folder: Path, seconds: float) -> dict[str, str]:
    """Run the steps that are not complete, as long as the time lasts; return name -> reason of the
    failed ones.
    """
    failed, until = {}, time.monotonic() + seconds
    for step in ordered:
        since = time.monotonic()
        if step.output(folder).exists() or since >= until:
            continue
        if reason := step.run(folder):
            failed[step.name] = reason
        print(f"{step.name}: {reason or 'done'}, {time.monotonic() - since:.0f} s", flush=True)
    return failed


if __name__ == "__main__":
    main()
