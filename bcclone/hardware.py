"""Report the memory that is available, the NVIDIA cards of this machine and how busy they are, without TensorFlow.

Without nvidia-smi, as on macOS or without an NVIDIA driver, there are no cards.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def available_memory(cgroup: Path = _CGROUP) -> float | None:
    """Return the available bytes, within the limit of a container; None if they cannot be measured.

    cgroup: folder in which Linux describes the container (cgroup version 2).
    """
    sizes = []
    try:
        import psutil  # not at the top, because `bcclone doctor` must work without packages

        sizes.append(psutil.virtual_memory().available)
    except ImportError:
        pass
    limit, used = _read(cgroup / "memory.max").strip(), _read(cgroup / "memory.current").strip()
    if limit.isdecimal() and used.isdecimal():
        files = re.search(r"^inactive_file (\d+)$", _read(cgroup / "memory.stat"), re.MULTILINE)
        sizes.append(int(limit) - int(used) + (int(files[1]) if files else 0))  # cached files can be evicted
    return min(sizes, default=None)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""


_PROGRAMS = ("nvidia-smi", "/usr/lib/wsl/lib/nvidia-smi")  # in WSL2 it is not in the PATH of every shell
_FORMAT = "--format=csv,noheader,nounits"
_CARD = ("driver_version", "memory.used", "memory.total", "name", "compute_cap")  # old drivers do not know the last
_SAMPLE = ("timestamp", "utilization.gpu", "memory.used")
_ANSWER_SECONDS, _END_SECONDS = 3.0, 5.0  # it takes a second when no service keeps the card awake
_MEGABYTE = 1.048576  # nvidia-smi counts in MiB


@dataclass(frozen=True)
class Card:
    """An NVIDIA card. memory_used_mb, memory_total_mb: in 10^6 bytes, by all programs; None if unknown.

    compute_capability: major and minor version of its architecture.
    """

    name: str
    compute_capability: tuple[int, int] | None = None
    memory_used_mb: float | None = None
    memory_total_mb: float | None = None
    driver: str = ""

    def describe(self) -> str:
        """Describe the card, for example "NVIDIA H200 (compute capability 9.0, 0.6 of 150.8 GB used)"."""
        known = []
        if self.compute_capability:
            known.append("compute capability {}.{}".format(*self.compute_capability))
        if self.memory_used_mb is not None and self.memory_total_mb is not None:
            known.append(f"{self.memory_used_mb / 1000:.1f} of {self.memory_total_mb / 1000:.1f} GB used")
        return f"{self.name} ({', '.join(known)})" if known else self.name


@dataclass(frozen=True)
class Busy:
    """A sample of nvidia-smi. seconds: since watching began; share: fraction of the time since the last sample in which
    the card computed, 0 to 1; memory_mb: used by all programs, in 10^6 bytes. None if unknown.
    """

    seconds: float
    share: float | None
    memory_mb: float | None


def find_cards() -> list[Card]:
    """Return the cards that nvidia-smi lists, in its order."""
    program = find_program()
    if program is None:
        return []
    for names in (_CARD, _CARD[:-1]):
        line = [program, f"--query-gpu={','.join(names)}", _FORMAT]
        try:
            done = subprocess.run(
                line, stdin=subprocess.DEVNULL, capture_output=True, timeout=_ANSWER_SECONDS, check=True
            )
        except (OSError, subprocess.SubprocessError):
            continue
        return parse_cards(done.stdout.decode(errors="replace"), names)
    return []


def find_program() -> str | None:
    """Return the path of nvidia-smi, None if it is not installed."""
    return next(filter(None, map(shutil.which, _PROGRAMS)), None)


def parse_cards(text: str, names: Sequence[str] = _CARD) -> list[Card]:
    """Return the cards in the output of nvidia-smi; other lines are ignored."""
    cards = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) != len(names):
            continue
        given = dict(zip(names, cells, strict=True))
        major, _, minor = given.get("compute_cap", "").partition(".")
        cards.append(
            Card(
                name=given["name"],
                compute_capability=(int(major), int(minor)) if major.isdigit() and minor.isdigit() else None,
                memory_used_mb=_megabytes(given["memory.used"]),
                memory_total_mb=_megabytes(given["memory.total"]),
                driver=given["driver_version"],
            )
        )
    return cards


def visible_cards(cards: Sequence[Card], environment: Mapping[str, str] = os.environ) -> list[Card]:
    """Return the cards that CUDA_VISIBLE_DEVICES allows, in its order; all of them if it names UUIDs."""
    wanted = environment.get("CUDA_VISIBLE_DEVICES")
    if wanted is None:
        return list(cards)
    numbers = [text.strip() for text in wanted.split(",") if text.strip()]
    if not all(number.removeprefix("-").isdigit() for number in numbers):
        return list(cards)
    return [cards[int(number)] for number in numbers if 0 <= int(number) < len(cards)]


@dataclass
class Watch:
    """The samples of a card, oldest first; filled when the block of watched() ends."""

    samples: list[Busy] = field(default_factory=list)

    def since(self, seconds: float) -> "Watch":
        """Return the samples after so many seconds, with their times counted from there."""
        later = [sample for sample in self.samples if sample.seconds >= seconds]
        return Watch([replace(sample, seconds=sample.seconds - seconds) for sample in later])

    @property
    def share(self) -> float | None:
        """Return the mean fraction of the time in which the card computed, None without samples."""
        known = [sample.share for sample in self.samples if sample.share is not None]
        return sum(known) / len(known) if known else None

    @property
    def memory_mb(self) -> float | None:
        """Return the peak of the used memory, None without samples."""
        return max((sample.memory_mb for sample in self.samples if sample.memory_mb is not None), default=None)


@contextmanager
def watched(every_ms: int = 200) -> Iterator[Watch]:
    """Sample the first card of this program while the block runs; without a card there are no samples."""
    watch, begun = Watch(), datetime.now()
    process = _start_sampling(every_ms)
    try:
        yield watch
    finally:
        if process is not None:
            watch.samples = parse_samples(_end(process), begun)


def _start_sampling(every_ms: int) -> "subprocess.Popen[bytes] | None":
    if (program := find_program()) is None:
        return None
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip() or "0"
    line = [program, f"--id={first}", f"--query-gpu={','.join(_SAMPLE)}", _FORMAT, f"--loop-ms={every_ms}"]
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


def parse_samples(text: str, begun: datetime) -> list[Busy]:
    """Return the samples in the output of nvidia-smi; incomplete lines are ignored.

    begun: when watching began, in local time.
    """
    samples = []
    for line in text.rpartition("\n")[0].splitlines():  # the last line may be incomplete
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) != len(_SAMPLE):
            continue
        try:
            at = datetime.strptime(cells[0], "%Y/%m/%d %H:%M:%S.%f")
        except ValueError:
            continue
        percent = _number(cells[1])
        share = None if percent is None else percent / 100
        samples.append(Busy((at - begun).total_seconds(), share, _megabytes(cells[2])))
    return samples


def _megabytes(text: str) -> float | None:
    mebibytes = _number(text)
    return None if mebibytes is None else mebibytes * _MEGABYTE


def _number(text: str) -> float | None:
    """Return a number, None for "[N/A]", "[Not Supported]" and the like."""
    try:
        return float(text)
    except ValueError:
        return None
