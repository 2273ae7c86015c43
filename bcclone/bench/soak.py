"""Drive one server for a long time, disturb it, and compare its speed and memory over time.

What disturbs it: pages that watch, a car whose connection is cut while an answer is on its way, and a full disk under
the recording.
"""

import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path

import numpy as np
import psutil

from bcclone.bench import Measure, given_or_untrained_model
from bcclone.bench.drive_pages import control, state, watching
from bcclone.bench.round_trips import (
    FRAMES_PER_SECOND,
    RoundTrips,
    frames_to_send,
    measure_round_trips,
    telemetry_texts,
)
from bcclone.bench.settings import SoakSettings
from bcclone.drive.process import server_process
from bcclone.errors import UserError
from bcclone.recording import ImageIndex, read_log
from bcclone.recording.files import LOG_NAME

_PERIODS = 12  # of the drive; the first warms up
_MEMORY_BAR = 1.05
_DRIFT_BAR = 1.25  # of the p99: a busy machine alone causes as much
_LEAK_BAR = 4  # threads and files: those of a connection that has just been cut
_LARGEST_DISK = 4e9
_PAUSE_SECONDS = 1.0  # before the next connection, after one that failed
_BLOCKS = (1 << 20, 1 << 12, 1)  # bytes that are written at a time to fill a disk


def measure_soak(settings: SoakSettings, notify: Callable[[str], None] = lambda text: None) -> list[Measure]:
    """Drive for some minutes; notify is called after each twelfth. Raises UserError for a disk that is too large."""
    if settings.record is not None:
        settings.record.mkdir(parents=True, exist_ok=True)
    if settings.disk_fills and settings.record is not None and shutil.disk_usage(settings.record).total > _LARGEST_DISK:
        raise UserError(
            f"{settings.record}: its disk is larger than 4 GB; name a folder on a small one, on Linux for example: "
            f"mount -t tmpfs -o size=2G none {settings.record}"
        )
    with given_or_untrained_model(settings.model) as model:
        return _soak(model, telemetry_texts(frames_to_send(settings.recording)), settings, notify)


@dataclass
class _Drive:
    """The drive, with what was counted so far; of each period: p99 in ms, memory in MB, threads and open files.

    fills: the periods in which the disk is full; cut: connections that were; survived: full disks after which the
    recording went on.
    """

    port: int
    server: psutil.Process
    texts: Sequence[str]
    settings: SoakSettings
    fills: Sequence[int]
    answered: int = 0
    lost: int = 0
    cut: int = 0
    survived: int = 0
    p99: list[float] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)

    def period(self, number: int) -> str:
        """Drive a twelfth, and return a line about it."""
        note = ""
        if number in self.fills and self.settings.record is not None:
            with _FullDisk(self.settings.record):
                self._drive()
                failure = state(self.port)["recording"]["failure"]
            control(self.port, recording=True)
            self.survived += bool(failure)
            note = f", the disk was full: {failure or 'NOT NOTICED'}"
        else:
            self._drive()
        self.memory_mb.append(self.server.memory_info().rss / 1e6)
        self.threads.append(self.server.num_threads())
        self.files.append(self.server.num_fds() if psutil.POSIX else 0)
        return (
            f"period {number + 1} of {_PERIODS}: p99 {self.p99[-1]:.1f} ms, {self.memory_mb[-1]:.1f} MB, "
            f"{self.threads[-1]} threads, {self.files[-1]} files, {self.lost} answers lost{note}"
        )

    def _drive(self) -> None:
        settings = self.settings
        until = time.monotonic() + settings.minutes * 60 / _PERIODS
        found: list[float] = []
        while (left := until - time.monotonic()) > 0.5 / FRAMES_PER_SECOND:
            count = max(round(min(left, settings.reconnect_seconds or left) * FRAMES_PER_SECOND), 1)
            trips = RoundTrips(count, rate=FRAMES_PER_SECOND, cut=settings.reconnect_seconds > 0)
            try:
                found += measure_round_trips(self.port, self.texts, trips)
                self.cut += trips.cut
            except UserError:
                self.lost += 1
                time.sleep(_PAUSE_SECONDS)
        self.answered += len(found)
        self.p99.append(float(np.percentile(found, 99)) if found else float("inf"))


def _soak(model: Path, texts: Sequence[str], settings: SoakSettings, notify: Callable[[str], None]) -> list[Measure]:
    run = None if settings.record is None else settings.record / "run"
    fills = np.linspace(1, _PERIODS - 2, settings.disk_fills + 2).round().astype(int).tolist()[1:-1]
    arguments = [model, *([run] if run else []), "--async-mode", settings.async_mode]
    with (
        server_process(arguments) as process,
        watching(process.port, settings.pages, saliency=settings.pages > 0),
    ):
        drive = _Drive(process.port, psutil.Process(process.pid), texts, settings, fills)
        for number in range(_PERIODS):
            notify(drive.period(number))
    return [*_compare(drive), *(_check_run(run, drive) if run else [])]


class _FullDisk:
    """A disk without a free byte, while the `with` block runs."""

    def __init__(self, folder: Path) -> None:
        self._ballast = folder / "ballast"

    def __enter__(self) -> None:
        with self._ballast.open("wb", buffering=0) as file:
            for size in _BLOCKS:
                _fill(file, bytes(size))

    def __exit__(self, *_: object) -> None:
        self._ballast.unlink()


def _fill(file: FileIO, block: bytes) -> None:
    """Append a block until the disk has no room for one more."""
    with suppress(OSError):
        while file.write(block) == len(block):
            pass


def _compare(drive: _Drive) -> list[Measure]:
    early, late = np.median(drive.p99[1:5]), np.median(drive.p99[-4:])
    hours = np.arange(_PERIODS) * drive.settings.minutes / 60 / _PERIODS
    growth, _ = np.polyfit(hours[1:], drive.memory_mb[1:], 1)
    memory = drive.memory_mb[-1] / drive.memory_mb[0]
    threads, files = drive.threads[-1] - drive.threads[0], drive.files[-1] - drive.files[0]
    return [
        Measure("frames answered", float(drive.answered), "frames"),
        Measure("answers lost", float(drive.lost), "answers", 0, least=False),
        Measure("connections cut, with an answer under way", float(drive.cut), ""),
        Measure("memory at the end", drive.memory_mb[-1], "MB"),
        Measure("memory at the end to after warming up", memory, "x", _MEMORY_BAR, least=False),
        Measure("growth of the memory after warming up", float(growth), "MB an hour"),
        Measure("threads gained after warming up", float(threads), "", _LEAK_BAR, least=False),
        Measure("open files gained after warming up", float(files), "", _LEAK_BAR, least=False),
        Measure("p99 of the first third", float(early), "ms"),
        Measure("p99 of the last third to the first", float(late / early), "x", _DRIFT_BAR, least=False),
    ]


def _check_run(run: Path, drive: _Drive) -> list[Measure]:
    """Return what became of the recording."""
    log, images = read_log(run / LOG_NAME), ImageIndex(run / LOG_NAME)
    missing = sum(images.find(name) is None for name in log.rows["center"])
    return [
        Measure("rows recorded", float(len(log.rows)), "rows"),
        Measure("rows that cannot be used", float(len(log.bad_rows) + missing), "rows", 0, least=False),
        Measure("full disks after which the recording went on", float(drive.survived), "", len(drive.fills)),
    ]
