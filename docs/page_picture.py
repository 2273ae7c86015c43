"""Draw pictures of pages: of a drive, and of recordings.

    python docs/page_picture.py                 # all
    python docs/page_picture.py film.png        # some of them

In writeup_images/, dashboard.png is the page of drive.py while models/lake.h5 drives the simulated
lake, recording.png that of a recording with two faults, and film.png that of a film without a log.
Run it again after a change of these pages. Needs selenium (of the dev extras) and Debian's chromium
and chromium-driver.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from bcclone.system.files import replacing

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "writeup_images"
_BCCLONE = (sys.executable, "-m", "bcclone")


def main() -> None:
    """Draw the pictures that the line names, or all."""
    pages: dict[str, Callable[[], bytes]] = {
        "dashboard.png": show_drive,
        "recording.png": show_recording,
        "film.png": show_film,
    }
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures", nargs="*", help=f"some of {', '.join(pages)}; default: all")
    chosen = parser.parse_args().pictures
    unknown = [name for name in chosen if name not in pages]
    if unknown:
        parser.error(f"no picture {', '.join(unknown)}; choose from {', '.join(pages)}")
    for name, show in pages.items():
        if not chosen or name in chosen:
            png = show()
            with replacing(PICTURES / name) as temporary:
                temporary.write_bytes(png)


# ---- the page of a drive


def show_drive() -> bytes:
    """Let the model drive for some seconds; return the picture of the page as a PNG."""
    driven_seconds = 25.0
    with (
        tempfile.TemporaryDirectory(prefix="bcclone-") as folder,
        _driving(Path(folder)) as port,
        _browser(height=800) as browser,
    ):
        address = f"http://127.0.0.1:{port}"
        browser.get(f"{address}/")
        control = Request(f"{address}/control", json.dumps({"saliency": True}).encode())
        control.add_header("Content-Type", "application/json")
        urlopen(control, timeout=10).close()
        time.sleep(driven_seconds)
        return browser.get_screenshot_as_png()


@contextmanager
def _driving(folder: Path) -> Iterator[int]:
    """Start drive.py and a simulated car in the folder; yield the port; end both."""
    model = ROOT / "models" / "lake.h5"
    serve = [*_BCCLONE, "drive", str(model), "run1", "--port", "0"]
    with ExitStack() as stack:
        server = stack.enter_context(
            subprocess.Popen(
                serve,
                cwd=folder,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        )
        stack.callback(server.communicate, timeout=30)
        stack.callback(server.terminate)
        port = _printed(r"listening on \S+:(\d+);", server.stdout or ())[1]
        simulate = [*_BCCLONE, "simulate", "drive", "--real-time", "--quiet", "--port", port]
        car = stack.enter_context(subprocess.Popen(simulate, cwd=folder, stderr=subprocess.DEVNULL))
        stack.callback(car.terminate)
        yield int(port)


# ---- the page of a recording


def show_recording() -> bytes:
    """Record a drive and put faults into it; return the picture of its page as a PNG."""
    with tempfile.TemporaryDirectory(prefix="bcclone-") as name:
        folder = Path(name)
        _record_drive(folder)
        _put_faults(folder / "drive")
        model = ROOT / "models" / "any-road.h5"
        return _show_rows(folder, ["drive", "--model", str(model)])


def show_film() -> bytes:
    """Record a drive and make a film of it; return the picture of its page as a PNG."""
    with tempfile.TemporaryDirectory(prefix="bcclone-") as name:
        folder = Path(name)
        _record_drive(folder)
        line = ["import", "drive/IMG", "-o", "film", "--steering", "from-motion", "--quiet"]
        subprocess.run([*_BCCLONE, *line], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        return _show_rows(folder, ["film"])


def _record_drive(folder: Path) -> None:
    """Record a drive on a winding road into drive/."""
    line = ["simulate", "record", "drive", "--road", "random:12:shape=winding"]
    line += ["--laps", "0.4", "--recoveries", "0", "--quiet"]
    subprocess.run([*_BCCLONE, *line], cwd=folder, check=True)


def _put_faults(recording: Path) -> None:
    """Mirror the steering of a recording, and let 40 rows show one picture."""
    log = recording / "driving_log.csv"
    rows = [line.split(",") for line in log.read_text().splitlines()]
    mirrored = []
    for row in rows:
        steering = repr(-float(row[3]))
        mirrored.append(",".join([*row[:3], steering, *row[4:]]) + "\n")
    log.write_text("".join(mirrored))
    for row in rows[100:140]:
        for name, frozen in zip(row[:3], rows[99][:3], strict=True):
            shutil.copy(recording / frozen.strip(), recording / name.strip())


def _show_rows(folder: Path, words: Sequence[str]) -> bytes:
    """Open the page of a recording, and select some rows; return its picture as a PNG.

    words: the recording in the folder, and options of `bcclone edit`
    """
    is_complete = (
        "return active && active.columns && active.state.check.verdict"
        " && !active.state.check.stale && active.state.model.done === active.state.model.of"
    )
    line = [*_BCCLONE, "edit", *words, "--page", "--no-browser"]
    with (
        _browser() as browser,
        subprocess.Popen(line, cwd=folder, text=True, stdout=subprocess.PIPE) as server,
    ):
        browser.get(_printed(r"http://\S+/", server.stdout or ())[0])
        while not browser.execute_script(is_complete):
            time.sleep(0.2)
        browser.execute_script("goTo(active, 240); select([[255, 290]]);")
        time.sleep(2.0)
        server.terminate()
        return browser.get_screenshot_as_png()


# ---- programs


def _printed(pattern: str, output: Iterable[str]) -> re.Match[str]:
    """Return the first match in the lines that a program prints."""
    for line in output:
        match = re.search(pattern, line)
        if match:
            return match
    raise RuntimeError(f"the program ended before it printed {pattern}")


@contextmanager
def _browser(height: int = 1037) -> Iterator[webdriver.Chrome]:
    """Yield a browser of chromium whose pages are 1280 pixels wide, as the pictures are."""
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(argument)
    options.binary_location = "/usr/bin/chromium"
    browser = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        size = {"width": 1280, "height": height, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        yield browser
    finally:
        browser.quit()


if __name__ == "__main__":
    main()
