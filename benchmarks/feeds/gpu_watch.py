"""Record the utilization of the first NVIDIA card of this program, with nvidia-smi, while a block runs."""

import os
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple, Self

from bcclone.system.hardware import CSV_FORMAT, find_nvidia_smi, parse_megabytes, parse_number

_FIELDS = ("timestamp", "utilization.gpu", "memory.used")
_END_SECONDS = 5.0


class GpuSample(NamedTuple):
    """A sample of nvidia-smi. seconds: since watching began; busy: fraction of the time since the last sample in which
    the card computed, 0 to 1; memory_mb: used by all programs, in 10^6 bytes. None if unknown.
    """

    seconds: float
    busy: float | None
    memory_mb: float | None


def busy_and_memory(samples: Sequence[GpuSample]) -> tuple[float | None, float | None]:
    """Return the mean fraction of the time in which the card computed, and the peak of its memory; None if unknown."""
    shares = [sample.busy for sample in samples if sample.busy is not None]
    memory = max((sample.memory_mb for sample in samples if sample.memory_mb is not None), default=None)
    return sum(shares) / len(shares) if shares else None, memory


class GpuWatch:
    """Samples the card while its block runs. samples: of the block, after it; empty without a card."""

    def __init__(self, every_ms: int = 200) -> None:
        self._every_ms = every_ms
        self.samples: list[GpuSample] = []
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._since = datetime.now()
        first = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip() or "0"
        if program := find_nvidia_smi():
            query = [f"--id={first}", f"--query-gpu={','.join(_FIELDS)}", CSV_FORMAT, f"--loop-ms={self._every_ms}"]
            with suppress(OSError):  # it cannot be started
                self._process = subprocess.Popen(
                    [program, *query], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
                )
        return self

    def __exit__(self, *error: object) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            output, _ = self._process.communicate(timeout=_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            output, _ = self._process.communicate()
        self.samples = parse_samples(output.decode(errors="replace"), self._since)


def parse_samples(text: str, since: datetime) -> list[GpuSample]:
    """Return the samples in the output of nvidia-smi; incomplete lines are ignored.

    since: when watching began, in local time.
    """
    samples = []
    for line in text.rpartition("\n")[0].splitlines():  # the last line may be incomplete
        with suppress(ValueError):
            time, busy, memory = (cell.strip() for cell in line.split(","))
            at, percent = datetime.strptime(time, "%Y/%m/%d %H:%M:%S.%f"), parse_number(busy)
            share = None if percent is None else percent / 100
            samples.append(GpuSample((at - since).total_seconds(), share, parse_megabytes(memory)))
    return samples
