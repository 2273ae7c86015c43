"""What this machine has: usable cores, available memory, NVIDIA cards, a browser.

TensorFlow is not loaded: NVIDIA's program nvidia-smi describes the cards. Where it is missing, as
on macOS or without an NVIDIA driver, no cards are found.
"""

import itertools
import math
import os
import re
import shutil
import subprocess
import sys
import threading
import webbrowser
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")  # where Linux describes containers
# names and paths of nvidia-smi to try; in WSL2 it is not in the PATH of every shell
_PROGRAMS = ("nvidia-smi", "/usr/lib/wsl/lib/nvidia-smi")
CSV_FORMAT = "--format=csv,noheader,nounits"
# what nvidia-smi is asked for
_FIELDS = ("driver_version", "memory.used", "memory.total", "name", "compute_cap")
_ANSWER_SECONDS = 3.0  # longest wait for nvidia-smi, which takes a second to wake a card
_MB_PER_MIB = 1.048576  # nvidia-smi counts in MiB, and Card in MB


def usable_cores(cgroup: Path = _CGROUP) -> int:
    """Return the number of cores that this process may use; the machine may have more.

    A container's share of processor time counts as that many cores, rounded up.

    cgroup: folder in which Linux describes containers
    """
    cores = os.cpu_count() or 1
    if sys.platform == "linux":
        cores = len(os.sched_getaffinity(0))
    for folder in _limiting_folders("cpu", cgroup):
        # of version 2: quota and period in one file, both in microseconds; "max" without a limit
        quota, period = (*_words(folder / "cpu.max"), "", "")[:2]
        if not quota:
            quota = "".join(_words(folder / "cpu.cfs_quota_us"))  # of version 1; -1: no limit
            period = "".join(_words(folder / "cpu.cfs_period_us"))
        if quota.isdecimal() and period.isdecimal():
            cores = min(cores, max(math.ceil(int(quota) / int(period)), 1))
    return cores


def available_memory(cgroup: Path = _CGROUP) -> float:
    """Return the bytes of memory that this process can still get, within a container's limit.

    cgroup: folder in which Linux describes containers
    """
    import psutil  # not at the top, because `bcclone doctor` must work without packages

    available = psutil.virtual_memory().available
    for folder in _limiting_folders("memory", cgroup):
        # names of version 2 and 1; files that Linux caches count as used, but make room
        for limit, used, cached in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            words = _words(folder / limit), _words(folder / used)
            if all(len(each) == 1 and each[0].isdecimal() for each in words):
                statistics = _words(folder / "memory.stat")  # names and numbers in turn
                freed = dict(zip(statistics[::2], statistics[1::2], strict=False)).get(cached, "0")
                left = int(words[0][0]) - int(words[1][0]) + int(freed)
                available = min(available, max(left, 0))
    return available


def _limiting_folders(controller: str, cgroup: Path) -> Iterator[Path]:
    """Yield the folders with limits of this process, by version 2 and 1 of Linux's cgroups.

    controller: what is limited, "cpu" or "memory"
    """
    bases = {"": (cgroup, cgroup / "unified"), controller: (cgroup / controller,)}
    yield from itertools.chain(*bases.values())  # a container sees its own limits there
    lines = []
    with suppress(OSError):
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    for line in lines:
        _, controllers, path = line.split(":", 2)
        for name in controllers.split(","):
            for base in bases.get(name, ()):
                # limits of the groups above hold, too
                inner = base / path.lstrip("/")
                yield from (each for each in (inner, *inner.parents) if base in each.parents)


def _words(path: Path) -> list[str]:
    """Return the words of a small file of Linux, none if there is no such file."""
    try:
        return path.read_text().split()
    except OSError:
        return []


def output_of(line: Sequence[str], seconds: float) -> str:
    """Return what a program prints; "" if it cannot be started, fails or takes too long."""
    try:
        done = subprocess.run(
            line, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode(errors="replace")


# ---- NVIDIA's cards


@dataclass(frozen=True)
class Card:
    """An NVIDIA card; None stands for what is unknown."""

    name: str
    compute_capability: tuple[int, ...] | None = None  # version of its architecture: major, minor
    memory_used_mb: float | None = None  # used by all programs, in 10^6 bytes
    memory_total_mb: float | None = None
    driver: str = ""  # version of its driver

    def describe(self) -> str:
        """Describe the card: "NVIDIA H200 (compute capability 9.0, 0.6 of 150.8 GB used)"."""
        notes = []
        if self.compute_capability:
            notes.append("compute capability {}.{}".format(*self.compute_capability))
        if self.memory_used_mb is not None and self.memory_total_mb is not None:
            used_gb = self.memory_used_mb / 1000
            total_gb = self.memory_total_mb / 1000
            notes.append(f"{used_gb:.1f} of {total_gb:.1f} GB used")
        return f"{self.name} ({', '.join(notes)})" if notes else self.name


def find_cards() -> list[Card]:
    """Return the cards that nvidia-smi lists.

    CUDA_VISIBLE_DEVICES chooses among them and orders them, if it lists them by number; "-1" is a
    number that no card has, and hides all.
    """
    program = find_nvidia_smi()
    if not program:
        return []
    query = f"--query-gpu={','.join(_FIELDS)}"
    cards = parse_cards(output_of([program, query, CSV_FORMAT], _ANSWER_SECONDS))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "all").replace(" ", "")
    if not re.fullmatch(r"(-?\d+,?)*", visible):
        return cards
    numbers = [int(number) for number in visible.split(",") if number]
    return [cards[number] for number in numbers if 0 <= number < len(cards)]


def find_nvidia_smi() -> str | None:
    """Return the path of nvidia-smi, None if it is not installed."""
    return next(filter(None, map(shutil.which, _PROGRAMS)), None)


def parse_cards(text: str) -> list[Card]:
    """Return the cards in the output of nvidia-smi; lines that describe no card are ignored."""
    cards = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) == len(_FIELDS):
            driver, used, total, name, capability = cells
            version = tuple(map(int, re.findall(r"\d+", capability))) or None  # of "9.0" or "[N/A]"
            cards.append(Card(name, version, parse_megabytes(used), parse_megabytes(total), driver))
    return cards


def parse_megabytes(text: str) -> float | None:
    """Return a size that nvidia-smi gives in MiB, in 10^6 bytes; None for "[N/A]" and the like."""
    try:
        return float(text) * _MB_PER_MIB
    except ValueError:
        return None


def free_gpu_memory() -> float:
    """Return the free bytes of memory on the first card that TensorFlow could use, 0.0 if unknown.

    Only on Linux does TensorFlow use a card.
    """
    cards = find_cards() if sys.platform == "linux" else []
    if not cards or cards[0].memory_used_mb is None or cards[0].memory_total_mb is None:
        return 0.0
    return (cards[0].memory_total_mb - cards[0].memory_used_mb) * 1e6


# ---- a browser


def has_browser() -> bool:
    """Return whether this machine has a display, on which a browser can open."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def open_in_browser(url: str) -> None:
    """Open a page in the browser, without waiting for it, if this machine has a display.

    On a machine without a display, a browser for terminals would take over the terminal.
    """
    if has_browser():
        # the call of some browsers returns only when they are closed
        threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
