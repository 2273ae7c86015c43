"""What this machine has: usable cores, available memory, NVIDIA cards, a browser.

Cores and memory, in bytes, come from the operating system, the cards from NVIDIA's program
nvidia-smi; TensorFlow is not loaded. Where nvidia-smi is missing, as on macOS or without an NVIDIA
driver, no cards are found.
"""

import os
import re
import shutil
import subprocess
import sys
import threading
import webbrowser
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")  # where Linux describes the container of this process
# names and paths of nvidia-smi to try; in WSL2 it is not in the PATH of every shell
_PROGRAMS = (
    "nvidia-smi",
    "/usr/lib/wsl/lib/nvidia-smi",
)
CSV_FORMAT = "--format=csv,noheader,nounits"
# what nvidia-smi is asked for
_FIELDS = ("driver_version", "memory.used", "memory.total", "name", "compute_cap")
_ANSWER_SECONDS = 3.0  # longest wait for nvidia-smi, which takes a second to wake a card
_MB_PER_MIB = 1.048576  # nvidia-smi counts in MiB, and Card in MB


def usable_cores() -> int:
    """Return the number of cores that this process may use; the machine may have more."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_memory(cgroup: Path = _CGROUP) -> float:
    """Return the bytes of memory that this process can still get, within a container's limit.

    cgroup: folder in which Linux describes the container (cgroup version 2)
    """
    import psutil  # not at the top, because `bcclone doctor` must work without packages

    of_machine = psutil.virtual_memory().available
    limit = read_text(cgroup / "memory.max").strip()
    used = read_text(cgroup / "memory.current").strip()
    if not (limit.isdecimal() and used.isdecimal()):
        return of_machine
    in_container = int(limit) - int(used)
    # files that Linux caches count as used, but make room when memory is needed
    cached = re.search(r"^inactive_file (\d+)$", read_text(cgroup / "memory.stat"), re.MULTILINE)
    if cached:
        in_container += int(cached[1])
    return min(of_machine, in_container)


def read_text(path: Path) -> str:
    """Return the text of a file, "" if it cannot be read; a system may have no /proc, for one."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def output_of(line: Sequence[str], seconds: float) -> str:
    """Return what a program prints; "" if it cannot be started, fails or takes too long."""
    try:
        done = subprocess.run(
            line, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode(errors="replace")


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
        if not notes:
            return self.name
        return f"{self.name} ({', '.join(notes)})"


def find_cards() -> list[Card]:
    """Return the cards that nvidia-smi lists, in its order."""
    program = find_nvidia_smi()
    if not program:
        return []
    query = f"--query-gpu={','.join(_FIELDS)}"
    return parse_cards(output_of([program, query, CSV_FORMAT], _ANSWER_SECONDS))


def visible_cards(cards: Sequence[Card], environment: Mapping[str, str] = os.environ) -> list[Card]:
    """Return the cards that CUDA_VISIBLE_DEVICES lists by number, in the order of that variable.

    Returns all cards if the variable is not set, or lists cards by UUID.
    """
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return list(cards)
    numbers = [text.strip() for text in visible.split(",") if text.strip()]
    # "-1" is a number that no card has: it hides all cards
    if not all(number.removeprefix("-").isdigit() for number in numbers):
        return list(cards)
    return [cards[int(number)] for number in numbers if 0 <= int(number) < len(cards)]


def free_gpu_memory() -> float:
    """Return the free bytes of memory on the first card that TensorFlow could use, 0.0 if unknown.

    Only on Linux does TensorFlow use a card.
    """
    cards = visible_cards(find_cards()) if sys.platform == "linux" else []
    if not cards:
        return 0.0
    card = cards[0]
    if card.memory_used_mb is None or card.memory_total_mb is None:
        return 0.0
    return (card.memory_total_mb - card.memory_used_mb) * 1e6


def driver_version() -> str | None:
    """Return the version of the NVIDIA driver, None if there is none."""
    version = re.search(r"\d+\.\d+(\.\d+)?", read_text(Path("/proc/driver/nvidia/version")))
    if version:
        return version[0]
    return next((card.driver for card in find_cards()), None)


def find_nvidia_smi() -> str | None:
    """Return the path of nvidia-smi, None if it is not installed."""
    return next(filter(None, map(shutil.which, _PROGRAMS)), None)


def parse_cards(text: str) -> list[Card]:
    """Return the cards in the output of nvidia-smi; lines that describe no card are ignored."""
    cards = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) != len(_FIELDS):
            continue
        driver, used, total, name, capability = cells
        version = tuple(map(int, re.findall(r"\d+", capability))) or None  # of "9.0", or "[N/A]"
        cards.append(Card(name, version, parse_megabytes(used), parse_megabytes(total), driver))
    return cards


def parse_megabytes(text: str) -> float | None:
    """Return a size that nvidia-smi gives in MiB, in 10^6 bytes; None for "[N/A]" and the like."""
    mebibytes = parse_number(text)
    if mebibytes is None:
        return None
    return mebibytes * _MB_PER_MIB


def parse_number(text: str) -> float | None:
    """Return a number that nvidia-smi gives, None for "[N/A]", "[Not Supported]" and the like."""
    try:
        return float(text)
    except ValueError:
        return None


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
