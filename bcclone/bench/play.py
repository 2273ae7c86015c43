"""Measure bcclone play in headless Chromium: pictures a second, time from a key to its picture, real time kept."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.bench import Measure
from bcclone.bench.settings import PlayBenchSettings
from bcclone.drive.process import server_process
from bcclone.errors import UserError

_FRAMES_BAR, _KEY_BAR_MS, _REAL_TIME_BAR = 25.0, 80.0, 0.9
_BETWEEN_TAPS_SECONDS, _TAP_SECONDS = 0.23, 0.07
_ROLLING_SECONDS = 1.0  # of throttle: the car then rolls at 10 mph, and stays on the road
_PLAYING = ("-m", "bcclone", "play")
_SINCE = """
const [drawn, seconds, wall] = arguments[0] || [0, 0, 0];
const now = [drawnFrames, state.seconds, performance.now() / 1000];
const latencies = keyToPicture;
keyToPicture = [];
return {now, latencies, frames: now[0] - drawn, simulated: now[1] - seconds, wall: now[2] - wall,
        recorded: state.recording.recorded, dropped: state.recording.dropped};
"""


@dataclass(frozen=True)
class _Drive:
    """What the page saw in a time: pictures and simulated seconds a second, and the times of keys in milliseconds."""

    frames: float
    real_time: float
    key_ms: tuple[float, ...]
    rows: float
    dropped: float


def measure_play(settings: PlayBenchSettings) -> list[Measure]:
    """Return the measures of a drive with keys, and of another one that is recorded."""
    model = [] if settings.model is None else ["--model", settings.model]
    with (
        tempfile.TemporaryDirectory() as folder,
        server_process(["--no-browser", "-o", Path(folder) / "run", *model], _PLAYING) as server,
        _browser() as browser,
    ):
        browser.get(f"http://127.0.0.1:{server.port}/")
        plain = _drive(browser, settings.seconds)
        _tap(browser, "r", _TAP_SECONDS)
        recorded = _drive(browser, settings.seconds)
        _tap(browser, "r", _TAP_SECONDS)
    return [*_measures("", plain), *_measures(", recording", recorded), *_rows(recorded)]


def _measures(what: str, drive: _Drive) -> list[Measure]:
    p50, p95 = np.percentile(drive.key_ms, [50, 95])
    return [
        Measure(f"pictures drawn{what}", drive.frames, "frames/s", _FRAMES_BAR),
        Measure(f"key to picture{what}, p50", float(p50), "ms", _KEY_BAR_MS, least=False),
        Measure(f"key to picture{what}, p95", float(p95), "ms"),
        Measure(f"simulated to real time{what}", drive.real_time, "x", _REAL_TIME_BAR),
    ]


def _rows(drive: _Drive) -> list[Measure]:
    return [
        Measure("rows recorded", drive.rows, "rows/s", 14.0),
        Measure("rows dropped", drive.dropped, "rows", 0, least=False),
    ]


@contextmanager
def _browser() -> Iterator[Any]:
    """Yield headless Chromium; raises UserError where it or selenium is missing."""
    try:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service
    except ImportError:
        raise UserError("bench play needs selenium; install it: pip install selenium") from None
    chromium, chromedriver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if not (chromium and chromedriver):
        raise UserError("bench play needs Chromium; install it: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1320,1000"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options=options, service=Service(chromedriver))
    try:
        yield browser
    finally:
        browser.quit()


def _drive(browser: Any, seconds: float) -> _Drive:
    """Roll along, and tap the steering keys for so many seconds."""
    while not browser.execute_script("return state !== null && state.wheel.drives"):
        time.sleep(_TAP_SECONDS)
    _tap(browser, "b", _TAP_SECONDS)
    _tap(browser, "w", _ROLLING_SECONDS)
    begun = browser.execute_script(_SINCE, None)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for key in "ad":
            _tap(browser, key, _TAP_SECONDS)
            time.sleep(_BETWEEN_TAPS_SECONDS)
    seen = browser.execute_script(_SINCE, begun["now"])
    if not seen["latencies"]:
        raise UserError("the page has shown no key; close other programs and try again")
    wall = seen["wall"]
    return _Drive(
        frames=seen["frames"] / wall,
        real_time=seen["simulated"] / wall,
        key_ms=tuple(seen["latencies"]),
        rows=(seen["recorded"] - begun["recorded"]) / wall,
        dropped=seen["dropped"],
    )


def _tap(browser: Any, key: str, seconds: float) -> None:
    """Press a key, and release it after so many seconds."""
    from selenium.webdriver import ActionChains

    ActionChains(browser, duration=0).key_down(key).pause(seconds).key_up(key).perform()
