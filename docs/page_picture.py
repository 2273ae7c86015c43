"""Draw writeup_images/dashboard.png: the page of drive.py while models/lake.h5 drives the simulated lake.

    python docs/page_picture.py

Needs selenium (of the dev extras) and Debian's chromium and chromium-driver. The PNG contains the words that the page
showed; a test compares them with today's, so that a picture of an older page is noticed.
"""

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from made_from import mark
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from bcclone.system.atomic import replacing

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "writeup_images" / "dashboard.png"
WIDTH, HEIGHT = 1280, 1037  # pixels of the page
_DRIVEN_SECONDS = 25.0
# Texts that depend on how busy the machine is, and those that only screen readers get, are left out.
_VISIBLE_TEXTS = """
const texts = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const parent = walker.currentNode.parentElement;
  const counts = parent.checkVisibility() && !parent.closest("#warnings, #no-warnings, #slow, .unseen");
  if (counts && walker.currentNode.data.trim()) texts.push(walker.currentNode.data.trim());
}
return texts;
"""


def words(texts: list[str]) -> str:
    """Return the texts, a line for each, with # in place of each number."""
    lines = [re.sub(r"[−-]?\d[\d.,]*", "#", " ".join(text.split())) for text in texts]
    return "\n".join(line for line in lines if line not in ("", "–"))


def show_page(driven_seconds: float) -> tuple[bytes, str]:
    """Let the model drive for some seconds; return the picture of the page as a PNG, and its words."""
    with (
        tempfile.TemporaryDirectory(prefix="bcclone-") as folder,
        _driving(Path(folder)) as port,
        _browser() as browser,
    ):
        browser.get(f"http://127.0.0.1:{port}/")
        control = Request(f"http://127.0.0.1:{port}/control", json.dumps({"saliency": True}).encode())
        control.add_header("Content-Type", "application/json")
        urlopen(control, timeout=10).close()
        time.sleep(driven_seconds)
        return browser.get_screenshot_as_png(), words(browser.execute_script(_VISIBLE_TEXTS))


@contextmanager
def _driving(folder: Path) -> Iterator[int]:
    """Start drive.py and a simulated car in the folder; yield the port; end both."""
    bcclone = [sys.executable, "-m", "bcclone"]
    serve = [*bcclone, "drive", ROOT / "models" / "lake.h5", "run1", "--port", "0", "--end-with-stdin"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with ExitStack() as stack:
        server = stack.enter_context(subprocess.Popen(serve, cwd=folder, text=True, **pipes))
        stack.callback(server.communicate, timeout=30)  # closes standard input, which ends the server
        port = next(found[1] for line in server.stdout if (found := re.search(r"listening on \S+:(\d+);", line)))
        simulate = [*bcclone, "simulate", "drive", "--real-time", "--quiet", "--port", port]
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
    png, shown = show_page(_DRIVEN_SECONDS)
    with replacing(PICTURE) as temporary:
        temporary.write_bytes(png)
    mark(PICTURE, shown)
