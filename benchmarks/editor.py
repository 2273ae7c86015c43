"""Measure the page of a long recording: how soon it shows a picture, and how smoothly it plays.

In: Settings. Out: a Report. The long recording repeats the pictures of a short one, as links. Needs
selenium, chromium and chromium-driver.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from bcclone.recording.row import CAMERAS, image_stamp
from bcclone.simulator.expert import record
from bcclone.simulator.world_settings import RecordSettings
from bcclone.system.progress import Notify
from bcclone.system.settings import Checked, Count, Seconds, setting
from benchmarks.browser import headless_browser, holds, wait_until
from benchmarks.measures import Measure, Report

_ROWS_A_SECOND = 15  # as the simulator records


@dataclass(frozen=True)
class Settings(Checked):
    """How the page of a long recording behaves."""

    rows: Count = setting(100_000, "rows of the recording", 1000)
    seconds: Seconds = setting(5.0, "time for which the playhead moves", 1)


@dataclass(frozen=True)
class PageFigures:
    """What a person at the page sees."""

    picture_seconds: float  # until the first picture
    moves_a_second: float  # of the playhead, while it is drawn over all rows
    idle_draws_a_second: float  # pictures that the browser draws when nothing moves


def measure(settings: Settings, notify: Notify) -> Report:
    """Return the seconds to the first picture, the moves a second and the memory of the server."""
    with TemporaryDirectory(prefix="bcclone-") as name:
        folder = long_recording(Path(name), settings.rows)
        begin = time.monotonic()
        with _page_server(folder) as (server, url):
            started = time.monotonic() - begin
            page = _in_browser(url, settings.seconds)
            peak_mb = _peak_megabytes(server.pid)
    return Report(
        [
            Measure("from the command to the page's address", started, "s"),
            Measure("from there to the first picture", page.picture_seconds, "s", 2.0, least=False),
            Measure("moves of the playhead over all rows", page.moves_a_second, "a second", 55.0),
            Measure(
                "pictures that a browser draws without any", page.idle_draws_a_second, "a second"
            ),
            Measure(
                "memory of the server while it checks, at most", peak_mb, "MB", 300.0, least=False
            ),
        ]
    )


# ---- the recording


def long_recording(folder: Path, rows: int) -> Path:
    """Record a short drive, and write a long recording of its pictures; return its folder."""
    short = folder / "short"
    long = folder / "long"
    record(short, RecordSettings(laps=0.1))
    log = (short / "driving_log.csv").read_text()
    short_rows = [line.split(",") for line in log.splitlines()]
    (long / "IMG").mkdir(parents=True)
    start = datetime(2026, 1, 1)
    lines = []
    for row in range(rows):
        cells = short_rows[row % len(short_rows)]
        stamp = image_stamp(start + timedelta(seconds=row / _ROWS_A_SECOND))
        names = [f"IMG/{camera}_{stamp}.jpg" for camera in CAMERAS]
        images = cells[: len(CAMERAS)]
        for image, name in zip(images, names, strict=True):
            os.link(short / image.strip(), long / name)
        controls = cells[len(CAMERAS) :]
        lines.append(",".join([*names, *controls]) + "\n")
    (long / "driving_log.csv").write_text("".join(lines))
    return long


# ---- the server


@contextmanager
def _page_server(folder: Path) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Start the page of a recording; yield its process and the page's address; end it."""
    line = [sys.executable, "-m", "bcclone", "edit", str(folder), "--page", "--no-browser"]
    with subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        try:
            yield server, _printed_address(server.stdout)
        finally:
            server.terminate()


def _printed_address(output: IO[str]) -> str:
    for line in output:
        address = re.search(r"http://\S+/", line)
        if address:
            return address[0]
    raise RuntimeError("bcclone edit ended before it printed the address of its page")


def _peak_megabytes(process: int) -> float:
    """Return the most memory that a process of Linux had, in units of 2^20 bytes."""
    status = Path(f"/proc/{process}/status").read_text()
    peak = re.search(r"VmHWM:\s+(\d+)", status)
    assert peak is not None
    return int(peak[1]) / 1024


# ---- the browser

# moves the playhead over all rows in some seconds; gives how often a second it was drawn elsewhere
_SCRUB = """
const [seconds, done] = arguments, begin = performance.now(), total = lastSecond();
let moves = 0, last = -1;
const move = (now) => {
  if (active.drawn !== last) moves += 1;
  last = active.drawn;
  const share = (now - begin) / 1000 / seconds;
  if (share >= 1) return done(moves / seconds);
  moveTo(total * Math.max(share, 0));
  requestAnimationFrame(move);
};
requestAnimationFrame(move);
"""
# gives how often a second the browser draws when nothing moves: no page can be faster
_IDLE = """
const [seconds, done] = arguments, begin = performance.now();
let pictures = 0;
const draw = (now) => {
  pictures += 1;
  if (now - begin > 1000 * seconds) done(pictures / seconds);
  else requestAnimationFrame(draw);
};
requestAnimationFrame(draw);
"""


def _in_browser(url: str, seconds: float) -> PageFigures:
    """Open the page, and move its playhead for some seconds."""
    with headless_browser() as browser:
        browser.set_script_timeout(60 + 2 * seconds)
        begin = time.monotonic()
        browser.get(url)
        wait_until(partial(holds, browser, "document.querySelector('[data-row]') !== null"))
        picture_seconds = time.monotonic() - begin
        wait_until(partial(holds, browser, "active && active.columns"))
        return PageFigures(
            picture_seconds=picture_seconds,
            moves_a_second=browser.execute_async_script(_SCRUB, seconds),
            idle_draws_a_second=browser.execute_async_script(_IDLE, seconds),
        )
