"""Measure steps of model.py: a store -> samples a second by one worker and by two, for the same global batch."""

import csv
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bcclone.system.errors import UserError
from benchmarks.measures import Measure
from benchmarks.rounds import median_ratio

_EPOCHS = 3  # the first, in which TensorFlow compiles the step, is not counted
_BATCH_SIZE = 64
_LOOPBACK = "127.0.0.1"
_LONGEST_SECONDS = 900.0


@dataclass(frozen=True)
class StepRates:
    """Samples per second in each round, by one worker and by two on this machine."""

    alone: Sequence[float]
    together: Sequence[float]

    @property
    def step_milliseconds(self) -> float:
        """Return how much longer a step of two workers takes than one of one worker, the median over the rounds."""
        pairs = zip(self.together, self.alone, strict=True)
        return median(1000 * _BATCH_SIZE * (1 / together - 1 / alone) for together, alone in pairs)

    def measures(self) -> list[Measure]:
        """Return the measures; none has a bar."""
        return [
            Measure("training, one worker", median(self.alone), "samples/s"),
            Measure("training, two workers on its cores", median(self.together), "samples/s"),
            Measure("two workers to one", median_ratio(self.together, self.alone), "x"),
            Measure("a step of two workers, beyond one", self.step_milliseconds, "ms"),
        ]


def measure_steps(store: Path, folder: Path, rounds: int) -> StepRates:
    """Train on a store with one worker and with two, of the same global batch, in turns; raises UserError."""
    alone, together = [], []
    for number in range(rounds):
        alone.append(_train(store, folder / f"alone {number}", 1))
        together.append(_train(store, folder / f"together {number}", 2))
    return StepRates(alone, together)


def _train(store: Path, runs: Path, workers: int) -> float:
    """Return the samples per second of the fastest epoch but the first."""
    line = [sys.executable, "-m", "bcclone", "model", store, "-o", runs / "model.h5", "--runs", runs, "--name", "run"]
    line += ["--epochs", _EPOCHS, "--batch-size", _BATCH_SIZE, "--no-augment", "--no-plots", "--quiet"]
    runs.mkdir()
    lines = [line]
    if workers > 1:
        addresses = ",".join(f"{_LOOPBACK}:{port}" for port in _free_ports(workers))
        lines = [[*line, "--workers", addresses, "--worker-index", index] for index in range(workers)]
    _run_all([[str(word) for word in words] for words in lines])
    with (runs / "run" / "history.csv").open(encoding="utf-8", newline="") as file:
        return max([float(row["samples_per_second"]) for row in csv.DictReader(file)][1:])


def _run_all(lines: Sequence[Sequence[str]]) -> None:
    """Run commands side by side; raises UserError with the last line of one that fails."""
    with ExitStack() as stack:
        processes = []
        for line in lines:
            process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            stack.enter_context(process)
            stack.callback(process.kill)
            processes.append(process)
        for process in processes:
            try:
                _, error = process.communicate(timeout=_LONGEST_SECONDS)
            except subprocess.TimeoutExpired:
                raise UserError(f"a training did not end within {_LONGEST_SECONDS:.0f} s; use fewer --frames") from None
            if process.returncode:
                raise UserError(f"a training failed: {(error.strip().splitlines() or ['no message'])[-1]}")


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server((_LOOPBACK, 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]
