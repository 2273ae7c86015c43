"""The usable cores, the available memory, the NVIDIA cards and the browser of this machine; loads
no TensorFlow.

Without nvidia-smi, as on macOS or without an NVIDIA driver, there are no cards.
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

_CGROUP = Path("/sys/fs/cgroup")
_PROGRAMS = (
    "nvidia-smi",
    "/usr/lib/wsl/lib/nvidia-smi",
)  # in WSL2 it is not in the PATH of every shell
CSV_FORMAT = "--format=csv,noheader,nounits"
_CARD = (
    "driver_version",
    "memory.used",
    "memory.total",
    "name",
    "compute_cap",
)  # old drivers do not know the last
_ANSWER_SECONDS = 3.0  # it takes a second when no service keeps the card awake
_MEGABYTE = 1.048576  # nvidia-smi counts in MiB


def usable_cores() -> int:
    """Return the number of cores that this process may use; the machine may have more."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_memory(cgroup: Path = _CGROUP) -> float:
    """Return the available bytes, within the limit of a container.

    cgroup: folder in which Linux describes the container (cgroup version 2).
    """
    import psutil  # not at the top, because `bcclone doctor` must work without packages

    sizes = [psutil.virtual_memory().available]
    limit, used = (
        read_text(cgroup / "memory.max").strip(),
        read_text(cgroup / "memory.current").strip(),
    )
    if limit.isdecimal() and used.isdecimal():
        files = re.search(r"^inactive_file (\d+)$", read_text(cgroup / "memory.stat"), re.MULTILINE)
        sizes.append(
            int(limit) - int(used) + (int(files[1]) if files else 0)
        )  # cached files can be evicted
    return min(sizes)


def read_text(path: Path) -> str:
    """Return the text of a file, "" if it cannot be read: only Linux has /proc."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def output_of(line: Sequence[str], seconds: float) -> str:
    """Return what a program prints, "" if it cannot be started, fails or takes longer than some
    seconds.
    """
    try:
        done = subprocess.run(
            line, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode(errors="replace")


@dataclass(frozen=True)
class Card:
    """An NVIDIA card. memory_used_mb, memory_total_mb: in 10^6 bytes, by all programs; None if
    unknown.

    compute_capability: major and minor version of its architecture.
    """

    name: str
    compute_capability: tuple[int, ...] | None = None
    memory_used_mb: float | None = None
    memory_total_mb: float | None = None
    driver: str = ""

    def describe(self) -> str:
        """Describe the card, for example "NVIDIA H200 (compute capability 9.0, 0.6 of 150.8 GB
        used)".
        """
        notes = []
        if self.compute_capability:
            notes.append("compute capability {}.{}".format(*self.compute_capability))
        if self.memory_used_mb is not None and self.memory_total_mb is not None:
            notes.append(
                f"{self.memory_used_mb / 1000:.1f} of {self.memory_total_mb / 1000:.1f} GB used"
            )
        return f"{self.name} ({', '.join(notes)})" if notes else self.name


def find_cards() -> list[Card]:
    """Return the cards that nvidia-smi lists, in its order."""
    if program := find_nvidia_smi():
        for names in (_CARD, _CARD[:-1]):
            if text := output_of(
                [program, f"--query-gpu={','.join(names)}", CSV_FORMAT], _ANSWER_SECONDS
            ):
                return parse_cards(text)
    return []


def visible_cards(cards: Sequence[Card], environment: Mapping[str, str] = os.environ) -> list[Card]:
    """Return the cards that CUDA_VISIBLE_DEVICES allows, in its order; all of them if it names
    UUIDs.
    """
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return list(cards)
    numbers = [text.strip() for text in visible.split(",") if text.strip()]
    if not all(number.removeprefix("-").isdigit() for number in numbers):
        return list(cards)
    return [cards[int(number)] for number in numbers if 0 <= int(number) < len(cards)]


def free_gpu_memory() -> float:
    """Return the free bytes of the first card that TensorFlow might use, 0.0 if there is none or
    they are unknown.
    """
    cards = visible_cards(find_cards()) if sys.platform == "linux" else []
    if not cards or cards[0].memory_used_mb is None or cards[0].memory_total_mb is None:
        return 0.0
    return (cards[0].memory_total_mb - cards[0].memory_used_mb) * 1e6


def driver_version() -> str | None:
    """Return the version of the NVIDIA driver, None if there is none."""
    version = re.search(r"\d+\.\d+(\.\d+)?", read_text(Path("/proc/driver/nvidia/version")))
    return version[0] if version else next((card.driver for card in find_cards()), None)


def find_nvidia_smi() -> str | None:
    """Return the path of nvidia-smi, None if it is not installed."""
    return next(filter(None, map(shutil.which, _PROGRAMS)), None)


def parse_cards(text: str) -> list[Card]:
    """Return the cards in the output of nvidia-smi; other lines are ignored."""
    cards = []
    for line in text.splitlines():
        if len(cells := [cell.strip() for cell in line.split(",")]) >= len(_CARD) - 1:
            driver, used, total, name, *capability = cells
            version = (
                tuple(map(int, re.findall(r"\d+", "".join(capability)))) or None
            )  # "[N/A]" of some cards
            cards.append(Card(name, version, parse_megabytes(used), parse_megabytes(total), driver))
    return cards


def parse_megabytes(text: str) -> float | None:
    """Return the 10^6 bytes in a size of nvidia-smi, None for "[N/A]" and the like."""
    mebibytes = parse_number(text)
    return None if mebibytes is None else mebibytes * _MEGABYTE


def parse_number(text: str) -> float | None:
    """Return a number of nvidia-smi, None for "[N/A]", "[Not Supported]" and the like."""
    try:
        return float(text)
    except ValueError:
        return None


def has_browser() -> bool:
    """Return whether this machine has a display for a browser."""
    return sys.platform in ("win32", "darwin") or any(
        map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY"))
    )


def open_in_browser(page: Path | str, seconds: float = 5.0) -> None:
    """Open a page, a file or a URL; not on a machine without a display, where a browser would take
    over the terminal.

    seconds: how long to wait for the browser to start, which may not return before it is closed.
    """
    if has_browser():
        url = page.resolve().as_uri() if isinstance(page, Path) else page
        thread = threading.Thread(target=webbrowser.open, args=(url,), daemon=True)
        thread.start()
        thread.join(seconds)
