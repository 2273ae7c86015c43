"""Drive one server for a long time, and disturb it: Settings -> its speed and memory at its start and its end.

What disturbs it: pages that watch, and a car whose connection is cut while an answer is on its way.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from bcclone.drive.drive_settings import ASYNC_MODES
from bcclone.drive.process import server_process
from bcclone.recording.files import LOG_NAME, ImageIndex
from bcclone.recording.log import read_log
from bcclone.system.errors import UserError
from bcclone.system.progress import Notify
from bcclone.system.settings import Minutes, Seconds, check_settings, setting
from benchmarks.driving import (
    FRAMES_PER_SECOND,
    RoundTrips,
    frames_to_send,
    model_or_untrained,
    model_setting,
    recording_setting,
    round_trips,
    telemetry_texts,
    watching,
)
from benchmarks.measures import Measure, Report

_PERIODS = 12  # of the drive; the first warms up
_MEMORY_BAR = 1.05
_DRIFT_BAR = 1.25  # of the p99: a busy machine alone causes as much
_LEAK_BAR = 4  # threads and files of a connection that has just been cut
_PAUSE_SECONDS = 1.0  # before the next connection, after one that failed


@dataclass(frozen=True)
class Settings:
    """Whether the drive server stays as fast and as small for a long time, whatever disturbs it."""

    minutes: Minutes = setting(60.0, "duration of the drive, in minutes", above=0, below=100_000)
    async_mode: str = setting(ASYNC_MODES[0], "--async-mode of the server", choices=ASYNC_MODES)
    pages: int = setting(0, "pages that watch all the time, with the saliency overlay", 0, 8)
    reconnect_seconds: Seconds = setting(
        0.0,
        "cut the car's connection after this time, while an answer is on its way, and connect again",
        1,
        1e6,
        zero="never",
        option="reconnect",
    )
    record: Path | None = setting(None, "folder to record the drive in", unit="DIR", shown="nothing is recorded")
    model: Path | None = model_setting()
    recording: Path | None = recording_setting()

    def __post_init__(self) -> None:
        check_settings(self)


def measure(settings: Settings, notify: Notify = lambda line: None) -> Report:
    """Drive for some minutes; notify is called after each twelfth.

    Raises UserError when the server ends or answers nothing for a whole twelfth.
    """
    if settings.record is not None:
        settings.record.mkdir(parents=True, exist_ok=True)
    with model_or_untrained(settings.model) as model:
        return Report(_soak(model, telemetry_texts(frames_to_send(settings.recording)), settings, notify))


@dataclass(frozen=True)
class _Period:
    """A twelfth of the drive. answered, lost: telemetries; cut: connections.

    p99: of the latency, in milliseconds; memory_mb, threads, files: of the server at the end, files None where they
    cannot be counted.
    """

    answered: int
    lost: int
    cut: int
    p99: float
    memory_mb: float
    threads: int
    files: int | None

    def __str__(self) -> str:
        files = "" if self.files is None else f"{self.files} open files, "
        size = f"{self.memory_mb:.1f} MB, {self.threads} threads, {files}"
        return f"p99 {self.p99:.1f} ms, {size}{self.lost} answers lost"


@dataclass(frozen=True)
class _Driver:
    """A car that drives by a server."""

    port: int
    server: psutil.Process
    texts: Sequence[str]
    settings: Settings

    def drive(self) -> _Period:
        """Drive a twelfth; raises UserError."""
        milliseconds, lost, cut = self._exchange()
        return _Period(
            answered=len(milliseconds),
            lost=lost,
            cut=cut,
            p99=float(np.percentile(milliseconds, 99)),
            memory_mb=self.server.memory_info().rss / 1e6,
            threads=self.server.num_threads(),
            files=_open_files(self.server),
        )

    def _exchange(self) -> tuple[list[float], int, int]:
        """Return the latencies in milliseconds, the lost answers and the cut connections; raises UserError."""
        seconds, reconnect = self.settings.minutes * 60 / _PERIODS, self.settings.reconnect_seconds
        until, lost, cut = time.monotonic() + seconds, 0, 0
        milliseconds: list[float] = []
        while (left := until - time.monotonic()) > 0.5 / FRAMES_PER_SECOND:
            count = max(round(min(left, reconnect or left) * FRAMES_PER_SECOND), 1)
            try:
                for one in round_trips(
                    self.port, self.texts, RoundTrips(count, rate=FRAMES_PER_SECOND, cut=reconnect > 0)
                ):
                    milliseconds.append(one)
                cut += reconnect > 0
            except UserError:
                if not self.server.is_running() or self.server.status() == psutil.STATUS_ZOMBIE:
                    raise UserError("the drive server has ended; its output says why") from None
                lost += 1
                time.sleep(_PAUSE_SECONDS)
        if not milliseconds:
            raise UserError(f"the drive server answered nothing for {seconds:.0f} s; its output may say why")
        return milliseconds, lost, cut


def _open_files(process: psutil.Process) -> int | None:
    """Return how many files and sockets the process has open, or None on Windows, which counts other things."""
    if sys.platform == "win32":
        return None
    return process.num_fds()


def _soak(model: Path, texts: Sequence[str], settings: Settings, notify: Notify) -> list[Measure]:
    run = None if settings.record is None else settings.record / "run"
    arguments = [model, *([run] if run else []), "--async-mode", settings.async_mode]
    periods: list[_Period] = []
    with (
        server_process(arguments) as process,
        watching(process.port, settings.pages, saliency=settings.pages > 0),
    ):
        driver = _Driver(process.port, psutil.Process(process.pid), texts, settings)
        for number in range(_PERIODS):
            periods.append(driver.drive())
            notify(f"period {number + 1} of {_PERIODS}: {periods[-1]}")
    return [*_compare(periods, settings.minutes), *(_check_run(run) if run else [])]


def _compare(periods: Sequence[_Period], minutes: float) -> list[Measure]:
    first, last = periods[0], periods[-1]
    p99, memory_mb = ([getattr(one, name) for one in periods] for name in ("p99", "memory_mb"))
    early, late = np.median(p99[1:5]), np.median(p99[-4:])
    hours = np.arange(_PERIODS) * minutes / 60 / _PERIODS
    growth, _ = np.polyfit(hours[1:], memory_mb[1:], 1)
    answered, lost, cut = (sum(getattr(one, name) for one in periods) for name in ("answered", "lost", "cut"))
    measures = [
        Measure("frames answered", float(answered), "frames"),
        Measure("answers lost", float(lost), "answers", 0, least=False),
        Measure("connections cut after a telemetry", float(cut), ""),
        Measure("memory at the end", last.memory_mb, "MB"),
        Measure(
            "memory at the end to after warming up", last.memory_mb / first.memory_mb, "x", _MEMORY_BAR, least=False
        ),
        Measure("growth of the memory after warming up", float(growth), "MB an hour"),
        Measure("threads gained after warming up", float(last.threads - first.threads), "", _LEAK_BAR, least=False),
    ]
    if first.files is not None and last.files is not None:
        gained = float(last.files - first.files)
        measures.append(Measure("open files gained after warming up", gained, "", _LEAK_BAR, least=False))
    return [
        *measures,
        Measure("p99 of the first third", float(early), "ms"),
        Measure("p99 of the last third to the first", float(late / early), "x", _DRIFT_BAR, least=False),
    ]


def _check_run(run: Path) -> list[Measure]:
    """Return how many rows were recorded, and how many of them a training could not use."""
    log, images = read_log(run / LOG_NAME), ImageIndex(run / LOG_NAME)
    missing = sum(images.find(name) is None for name in log.rows["center"])
    return [
        Measure("rows recorded", float(len(log.rows)), "rows"),
        Measure("rows that cannot be used", float(len(log.bad_rows) + missing), "rows", 0, least=False),
    ]
