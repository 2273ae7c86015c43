"""Measure the page of a long recording: how soon it shows a picture, and how smoothly its playhead
moves -> a Report.

The recording has the pictures of a short one again and again, as links. Needs selenium, chromium
and chromium-driver.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bcclone.recording.row import CAMERAS, image_stamp
from bcclone.simulator.record import record
from bcclone.simulator.world_settings import RecordSettings
from bcclone.system.progress import Notify
from bcclone.system.settings import Checked, Count, Seconds, setting
from benchmarks.measures import Measure, Report

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


@dataclass(frozen=True)
class Settings(Checked):
    """How the page of a long recording behaves."""

    rows: Count = setting(100_000, "rows of the recording", 1000)
    seconds: Seconds = setting(5.0, "time for which the playhead moves", 1)


def measure(settings: Settings, notify: Notify) -> Report:
    """Return the seconds to the first picture, the moves a second and the memory of the server."""
    with TemporaryDirectory(prefix="bcclone-") as name:
        folder = _long_recording(Path(name), settings.rows)
        line = [sys.executable, "-m", "bcclone", "edit", str(folder), "--page", "--no-browser"]
        begin = time.monotonic()
        with subprocess.Popen(
            line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as server:
            assert server.stdout is not None
            url = next(
                found[0] for text in server.stdout if (found := re.search(r"http://\S+/", text))
            )
            started = time.monotonic() - begin
            try:
                values = _in_browser(url, settings.seconds)
            finally:
                status = Path(f"/proc/{server.pid}/status").read_text()
                server.terminate()
    peak_mb = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]
    return Report([
        Measure("from the command to the page's address", started, "s"),
        Measure("from there to the first picture", values["picture"], "s", 2.0, least=False),
        Measure("moves of the playhead over all rows", values["moves"], "a second", 55.0),
        Measure("pictures that a browser draws without any", values["idle"], "a second"),
        Measure("memory of the server while it checks, at most", peak_mb, "MB", 300.0, least=False),
    ])  # fmt: skip


def _long_recording(folder: Path, rows: int) -> Path:
    short, long = folder / "short", folder / "long"
    record(short, RecordSettings(laps=0.1))
    lines = [line.split(",") for line in (short / "driving_log.csv").read_text().splitlines()]
    (long / "IMG").mkdir(parents=True)
    start, text = datetime(2026, 1, 1), []
    for row in range(rows):
        cells = lines[row % len(lines)]
        names = [
            f"IMG/{camera}_{image_stamp(start + timedelta(seconds=row / 15))}.jpg"
            for camera in CAMERAS
        ]
        for source, name in zip(cells, names, strict=False):
            os.link(short / source.strip(), long / name)
        text.append(",".join([*names, *cells[len(CAMERAS) :]]) + "\n")
    (long / "driving_log.csv").write_text("".join(text))
    return long


def _in_browser(url: str, seconds: float) -> dict[str, float]:
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--window-size=1280,1000"):
        options.add_argument(argument)
    browser: Any = webdriver.Chrome(options=options)
    try:
        browser.set_script_timeout(60 + 2 * seconds)
        begin = time.monotonic()
        browser.get(url)
        _wait(
            lambda: browser.execute_script("return document.querySelector('[data-row]') !== null")
        )
        picture = time.monotonic() - begin
        _wait(lambda: browser.execute_script("return Boolean(active && active.columns)"))
        return {
            "picture": picture,
            "moves": browser.execute_async_script(_SCRUB, seconds),
            "idle": browser.execute_async_script(_IDLE, seconds),
        }
    finally:
        browser.quit()


def _wait(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"the page shows nothing after {seconds:g} s")
        time.sleep(0.02)
