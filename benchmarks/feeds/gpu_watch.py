"""Record the utilization of the first NVIDIA card of this program, with nvidia-smi, while a block runs."""

import os
import subprocess
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from bcclone.system.hardware import CSV_FORMAT, find_nvidia_smi, parse_megabytes, parse_number

_FIELDS = ("timestamp", "utilization.gpu", "memory.used")
_END_SECONDS = 5.0


@dataclass(frozen=True)
class GpuSample:
    """A sample of nvidia-smi. seconds: since watching began; busy: fraction of the time since the last sample in which
    the card computed, 0 to 1; memory_mb: used by all programs, in 10^6 bytes. None if unknown.
    """

    seconds: float
    busy: float | None
    memory_mb: float | None


@dataclass(frozen=True)
class GpuSamples:
    """The samples of a card, oldest first."""

    samples: tuple[GpuSample, ...] = ()

    def since(self, seconds: float) -> "GpuSamples":
        """Return the samples after so many seconds, with their times counted from there."""
        later = [sample for sample in self.samples if sample.seconds >= seconds]
        return GpuSamples(tuple(replace(sample, seconds=sample.seconds - seconds) for sample in later))

    @property
    def busy(self) -> float | None:
        """Return the mean fraction of the time in which the card computed, None without samples."""
        shares = [sample.busy for sample in self.samples if sample.busy is not None]
        return sum(shares) / len(shares) if shares else None

    @property
    def memory_mb(self) -> float | None:
        """Return the peak of the used memory, None without samples."""
        return max((sample.memory_mb for sample in self.samples if sample.memory_mb is not None), default=None)


class GpuWatch:
    """Samples the card while its block runs. samples: of the block, after it; empty without a card."""

    def __init__(self, every_ms: int = 200) -> None:
        self._every_ms = every_ms
        self.samples = GpuSamples()

    def __enter__(self) -> Self:
        self._since = datetime.now()
        self._process = _start_sampling(self._every_ms)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.samples = parse_samples(_end(self._process), self._since)


def parse_samples(text: str, since: datetime) -> GpuSamples:
    """Return the samples in the output of nvidia-smi; incomplete lines are ignored.

    since: when watching began, in local time.
    """
    samples = []
    for line in text.rpartition("\n")[0].splitlines():  # the last line may be incomplete
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) != len(_FIELDS):
            continue
        try:
            at = datetime.strptime(cells[0], "%Y/%m/%d %H:%M:%S.%f")
        except ValueError:
            continue
        percent = parse_number(cells[1])
        busy = None if percent is None else percent / 100
        samples.append(GpuSample((at - since).total_seconds(), busy, parse_megabytes(cells[2])))
    return GpuSamples(tuple(samples))


def _start_sampling(every_ms: int) -> "subprocess.Popen[bytes] | None":
    if (program := find_nvidia_smi()) is None:
        return None
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip() or "0"
    line = [program, f"--id={first}", f"--query-gpu={','.join(_FIELDS)}", CSV_FORMAT, f"--loop-ms={every_ms}"]
    try:
        return subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError:  # it cannot be started
        return None


def _end(process: "subprocess.Popen[bytes]") -> str:
    """End nvidia-smi and return its output."""
    process.terminate()
    try:
        output, _ = process.communicate(timeout=_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
    return output.decode(errors="replace")
