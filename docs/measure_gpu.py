"""Measure feeding, training and driving on a machine with a GPU, unattended -> docs/results/gpu.json.

    python docs/measure_gpu.py FOLDER                    # about 40 minutes; again to go on with what is missing
    python docs/measure_gpu.py FOLDER --recording lake   # train on this recording instead of three simulated laps
    python docs/measure_gpu.py FOLDER --minutes 9        # begin no step after this time
    python docs/measure_gpu.py FOLDER --quick            # each step for seconds, to try the script, also without a GPU

FOLDER keeps the output of each step; a step whose output is there is not run again. A step that fails is reported in
the result with its last line, and the others are run.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs" / "results" / "gpu.json"
BATCH_SIZES = (64, 256, 1024)
VARIANTS = {
    "float32": (),
    "mixed precision": ("--mixed-precision",),
    "deterministic": ("--deterministic",),
    "all GPUs": ("--gpus", "all"),
    "augmented on the CPU": ("--augment-on", "cpu"),
    "not augmented": ("--no-augment",),
}
ROWS = ("lake-30", "lake-reverse-30", "latency-200", "no-lines")


@dataclass(frozen=True)
class Step:
    """A command of bcclone; its name is that of its result."""

    name: str
    command: tuple[Any, ...]
    makes: Path | None = None

    def is_done(self, folder: Path) -> bool:
        """Return whether an earlier run of this script has completed it."""
        return self.makes.exists() if self.makes else self.output(folder).exists()

    def output(self, folder: Path) -> Path:
        """Return the file for what it prints."""
        return folder / f"{self.name.replace(' ', '-')}.json"

    def run(self, folder: Path) -> str:
        """Run it; return "" or, if it failed, the last line of its errors."""
        line = [sys.executable, "-m", "bcclone", *map(str, self.command)]
        done = subprocess.run(line, capture_output=True, text=True, cwd=ROOT, check=False)
        if done.returncode:
            return (done.stderr.strip() or "no message").splitlines()[-1]
        if self.makes is None:
            self.output(folder).write_text(done.stdout, encoding="utf-8")
        return ""


def steps(folder: Path, recording: Path | None, quick: bool) -> Iterator[Step]:
    """Yield the steps in the order of their worth, so that a short loan of a machine measures what matters most."""
    store, laps = folder / "data.h5", [recording] if recording else [folder / "forward", folder / "reverse"]
    bench = (
        "bench",
        "feeds",
        "--json",
        *(("--frames", 600, "--seconds", 1, "--rounds", 1) if quick else ("--seconds", 8)),
    )
    epochs = ("--epochs", 1 if quick else 10)
    if recording is None:
        length = 0.1 if quick else 2
        yield Step("forward", ("simulate", "record", laps[0], "--laps", length), laps[0])
        yield Step("reverse", ("simulate", "record", laps[1], "--laps", length / 2, "--reverse", "--seed", 1), laps[1])
    yield Step("store", ("preprocess", *laps, "-o", store), store)
    yield Step("feed training", (*bench, "--only", "training"))
    model = folder / "float32.h5"
    for name, options in VARIANTS.items():
        output = folder / f"{name.replace(' ', '-')}.h5"
        line = ("model", store, "-o", output, "--runs", folder / "runs", "--no-plots", "--force", "--json")
        yield Step(f"train {name}", (*line, "--batch-size", 256, *epochs, *options))
    drives = ("--rows", *ROWS, *(("--laps", 0.02) if quick else ()))
    yield Step("suite", ("evaluate", model, "--suite", *drives, "--json"))
    for size in BATCH_SIZES[:1] if quick else BATCH_SIZES:
        yield Step(f"feeds of {size}", (*bench, "--only", "gpu", "--batch-size", size))
    feeds = "gather,hdf5-shuffle,workers,tf-data,device,sequence"
    yield Step("feeds alone", (*bench, "--only", feeds))
    yield Step("drive", ("bench", "drive", "--model", model, "--json", *(("--rounds", 100) if quick else ())))
    yield Step("doctor", ("doctor", "--full", "--json"))


def main() -> None:
    """Run what is missing, and collect the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--recording", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    folder, begun = arguments.folder.resolve(), time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    failed: dict[str, str] = {}
    missing = []
    ordered = list(steps(folder, arguments.recording and arguments.recording.resolve(), arguments.quick))
    for step in ordered:
        if step.is_done(folder):
            continue
        if time.monotonic() - begun > arguments.minutes * 60:
            missing.append(step.name)
            continue
        since = time.monotonic()
        if reason := step.run(folder):
            failed[step.name] = reason
        print(f"{step.name}: {reason or 'done'}, {time.monotonic() - since:.0f} s", flush=True)
    found = {
        step.name: json.loads(step.output(folder).read_text(encoding="utf-8"))
        for step in ordered
        if step.output(folder).exists()
    }
    collected = {"quick": arguments.quick, "failed": failed, "missing": missing, "steps": found}
    arguments.output.write_text(json.dumps(collected, indent=1) + "\n", encoding="utf-8")
    print(f"{arguments.output}: {len(found)} results, {len(failed)} failed, {len(missing)} missing")


if __name__ == "__main__":
    main()
