"""Draw pictures of pages: of drive.py while models/lake.h5 drives the simulated lake, and of
recordings of ours.

    python docs/page_picture.py

writeup_images/dashboard.png is the page of the drive, recording.png that of a recording with two
faults, and film.png that of a film without a log. Run it again after a change of these pages. Needs
selenium (of the dev extras) and Debian's chromium and chromium-driver.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from bcclone.system.atomic import replacing

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "writeup_images"
PICTURE, RECORDING, FILM = (PICTURES / f"{name}.png" for name in ("dashboard", "recording", "film"))
WIDTH, HEIGHT = 1280, 1037  # pixels of the page
BCCLONE = [sys.executable, "-m", "bcclone"]
_DRIVEN_SECONDS = 25.0


def show_page() -> bytes:
    """Let the model drive for some seconds; return the picture of the page as a PNG."""
    with (
        tempfile.TemporaryDirectory(prefix="bcclone-") as folder,
        _driving(Path(folder)) as port,
        _browser() as browser,
    ):
        browser.get(f"http://127.0.0.1:{port}/")
        control = Request(
            f"http://127.0.0.1:{port}/control", json.dumps({"saliency": True}).encode()
        )
        control.add_header("Content-Type", "application/json")
        urlopen(control, timeout=10).close()
        time.sleep(_DRIVEN_SECONDS)
        return browser.get_screenshot_as_png()


def show_recording(is_film: bool) -> bytes:
    """Record a drive, put faults into it or make a film of it; return the picture of its page."""
    with tempfile.TemporaryDirectory(prefix="bcclone-") as name, _browser() as browser:
        record = [
            "simulate",
            "record",
            "drive",
            "--road",
            "random:12:shape=winding",
            "--laps",
            "0.4",
            "--recoveries",
            "0",
        ]
        folder, shown, model = (
            Path(name),
            "drive",
            ["--model", str(ROOT / "models" / "any-road.h5")],
        )
        subprocess.run([*BCCLONE, *record, "--quiet"], cwd=folder, check=True)
        if is_film:
            shown, model = "film", []
            line = ["import", "drive/IMG", "-o", "film", "--steering", "from-motion", "--quiet"]
            subprocess.run([*BCCLONE, *line], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        else:
            _put_faults(folder / "drive")
        line = [*BCCLONE, "edit", shown, "--page", "--no-browser", *model]
        with subprocess.Popen(line, cwd=folder, text=True, stdout=subprocess.PIPE) as server:
            browser.get(
                next(
                    found[0]
                    for text in server.stdout or ()
                    if (found := re.search(r"http://\S+/", text))
                )
            )
            is_done = "return active && active.columns && active.state.check.verdict && !active.state.check.stale && "
            while not browser.execute_script(
                is_done + "active.state.model.done === active.state.model.of"
            ):
                time.sleep(0.2)
            browser.execute_script("goTo(active, 240); select([[255, 290]]);")
            time.sleep(2.0)
            server.terminate()
            return browser.get_screenshot_as_png()


def _put_faults(recording: Path) -> None:
    """Mirror the steering of a recording, and let 40 rows show one picture."""
    log = recording / "driving_log.csv"
    rows = [line.split(",") for line in log.read_text().splitlines()]
    log.write_text(
        "".join(",".join([*row[:3], repr(-float(row[3])), *row[4:]]) + "\n" for row in rows)
    )
    for row in rows[100:140]:
        for name, frozen in zip(row[:3], rows[99][:3], strict=True):
            shutil.copy(recording / frozen.strip(), recording / name.strip())


@contextmanager
def _driving(folder: Path) -> Iterator[int]:
    """Start drive.py and a simulated car in the folder; yield the port; end both."""
    serve = [
        *BCCLONE,
        "drive",
        ROOT / "models" / "lake.h5",
        "run1",
        "--port",
        "0",
        "--end-with-stdin",
    ]
    pipes: dict[str, Any] = {
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.STDOUT,
    }
    with ExitStack() as stack:
        server = stack.enter_context(subprocess.Popen(serve, cwd=folder, text=True, **pipes))
        stack.callback(
            server.communicate, timeout=30
        )  # closes standard input, which ends the server
        port = next(
            found[1]
            for line in server.stdout
            if (found := re.search(r"listening on \S+:(\d+);", line))
        )
        simulate = [*BCCLONE, "simulate", "drive", "--real-time", "--quiet", "--port", port]
        car = stack.enter_context(subprocess.Popen(simulate, cwd=folder, stderr=subprocess.DEVNULL))
        stack.callback(car.terminate)
        yield int(port)


@contextmanager
def _browser() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(argument)
    options.binary_location = "/usr/bin/chromium"
    browser = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        size = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        yield browser
    finally:
        browser.quit()


if __name__ == "__main__":
    pages = {PICTURE: show_page}
    pages |= {
        RECORDING: lambda: show_recording(is_film=False),
        FILM: lambda: show_recording(is_film=True),
    }
    for path in filter(lambda path: path.name in sys.argv[1:] or len(sys.argv) == 1, pages):
        png = pages[path]()
        with replacing(path) as temporary:
            temporary.write_bytes(png)
