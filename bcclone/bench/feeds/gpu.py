"""nvidia-smi, where there is one -> how busy the GPU was meanwhile."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_QUERY = ("--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "--loop-ms=250")


@dataclass
class Watched:
    """share: mean share of the time in which the GPU computed, of the first GPU; None where there is none."""

    share: float | None = None


@contextmanager
def gpu_watched() -> Iterator[Watched]:
    """Ask nvidia-smi four times a second while the block runs; the share is known behind the block."""
    watched = Watched()
    program = shutil.which("nvidia-smi")
    if program is None:
        yield watched
        return
    process = subprocess.Popen(
        [program, "--id=0", *_QUERY], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield watched
    finally:
        process.terminate()
        said, _ = process.communicate()
        busy = [float(line) for line in said.split() if line.isdigit()]
        watched.share = sum(busy) / len(busy) / 100 if busy else None
