"""Draw pictures of pages: of the demo, a play, a drive, and recordings.

    python docs/page_picture.py                 # all
    python docs/page_picture.py film.png        # some of them

In writeup_images/, demo.png and play.png are the pages of the demo and of a play of models/lake.h5,
each on a laptop and, beside it, on a phone; dashboard.png is the page of drive.py while the model
drives the simulated lake, recording.png that of a recording with four faults, and film.png that of
a film without a log. A laptop's page is 1280 pixels wide. The pictures have 256 colours. Run it
again after a change of these pages. Needs selenium (of the dev extras) and Debian's chromium and
chromium-driver.
"""

import argparse
import io
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

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from bcclone.camera.images import encode_jpeg, read_picture
from bcclone.system.files import replacing

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "writeup_images"
_BCCLONE = (sys.executable, "-m", "bcclone")


def main() -> None:
    """Draw the pictures that the line names, or all."""
    pages: dict[str, Callable[[], bytes]] = {
        "demo.png": show_demo,
        "play.png": show_play,
        "dashboard.png": show_drive,
        "recording.png": show_recording,
        "film.png": show_film,
    }
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("pictures", nargs="*", help=f"some of {', '.join(pages)}; default: all")
    chosen = parser.parse_args().pictures
    unknown = [name for name in chosen if name not in pages]
    if unknown:
        parser.error(f"no picture {', '.join(unknown)}; choose from {', '.join(pages)}")
    for name, show in pages.items():
        if not chosen or name in chosen:
            picture = Image.open(io.BytesIO(show())).convert("RGB")
            # this method keeps the colours of small things, such as a lamp
            colors = picture.quantize(256, Image.Quantize.MAXCOVERAGE)
            picture = picture.quantize(palette=colors)
            with replacing(PICTURES / name) as temporary:
                picture.save(temporary, "PNG", optimize=True)


# ---- pages on a laptop and on a phone


def show_demo() -> bytes:
    """Run the demo; return the picture of its page as a PNG."""
    with tempfile.TemporaryDirectory(prefix="bcclone-") as folder, _browser(height=800) as browser:
        subprocess.run([*_BCCLONE, "demo", "--quiet"], cwd=folder, check=True)
        browser.get((Path(folder) / "demo" / "index.html").as_uri())
        time.sleep(3.0)  # of its clip
        return _on_laptop_and_phone(browser)


def show_play() -> bytes:
    """Let the model drive in a play; return the picture of its page as a PNG."""
    line = [*_BCCLONE, "play", str(ROOT / "models" / "lake.h5"), "--no-browser", "--port", "0"]
    driven_seconds = 10.0
    with (
        tempfile.TemporaryDirectory(prefix="bcclone-") as folder,
        _browser(height=800) as browser,
        subprocess.Popen(
            line, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as server,
    ):
        output = server.stdout or ()
        address = _printed(r"drive here: (\S+)", output)[1]
        browser.get(address)
        _printed(r"lake\.h5 drives", output)
        time.sleep(driven_seconds)
        picture = _on_laptop_and_phone(browser)
        server.terminate()
        return picture


def _on_laptop_and_phone(browser: webdriver.Chrome) -> bytes:
    """Return a PNG of a page as a laptop shows it in light, and a phone in dark colours."""
    pictures = []
    for width, scheme in ((1280, "light"), (400, "dark")):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        _resize(browser, width, 800)
        time.sleep(1.0)
        pictures.append(Image.open(io.BytesIO(browser.get_screenshot_as_png())))
    gap = 20
    both = Image.new("RGB", (sum(picture.width for picture in pictures) + gap, 800), "white")
    both.paste(pictures[0], (0, 0))
    both.paste(pictures[1], (pictures[0].width + gap, 0))
    content = io.BytesIO()
    both.save(content, "PNG")
    return content.getvalue()


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
        _record_drive(folder, laps=0.7)
        _put_faults(folder / "drive")
        model = ROOT / "models" / "any-road.h5"
        return _show_rows(folder, ["drive", "--model", str(model)], shown=330, height=960)


def show_film() -> bytes:
    """Record a drive and make a film of it; return the picture of its page as a PNG."""
    with tempfile.TemporaryDirectory(prefix="bcclone-") as name:
        folder = Path(name)
        _record_drive(folder, laps=0.4)
        (folder / "centre").mkdir()
        for image in (folder / "drive" / "IMG").glob("center_*"):
            shutil.copy(image, folder / "centre")
        line = ["import", "centre", "-o", "film", "--steering", "from-motion", "--quiet"]
        subprocess.run([*_BCCLONE, *line], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        return _show_rows(folder, ["film"], shown=240, height=960)


def _record_drive(folder: Path, laps: float) -> None:
    """Record a drive on a winding road into drive/."""
    line = ["simulate", "record", "drive", "--road", "random:12:shape=winding"]
    line += ["--laps", str(laps), "--recoveries", "0", "--quiet"]
    subprocess.run([*_BCCLONE, *line], cwd=folder, check=True)


def _put_faults(recording: Path) -> None:
    """Put four faults into some seconds of a recording each.

    The camera freezes, its pictures are nearly black, the steering goes to the other side, and it
    is stuck.
    """
    log = recording / "driving_log.csv"
    rows = [line.split(",") for line in log.read_text().splitlines()]
    for row in rows[60:100]:
        for image, frozen in zip(row[:3], rows[59][:3], strict=True):
            shutil.copy(frozen, image)
    for row in rows[170:210]:
        for image in row[:3]:
            Path(image).write_bytes(encode_jpeg(read_picture(image) // 32))
    for row in rows[290:380]:
        row[3] = repr(-float(row[3]))
    for row in rows[480:560]:
        row[3] = rows[480][3]
    log.write_text("".join(",".join(row) + "\n" for row in rows))


def _show_rows(folder: Path, words: Sequence[str], shown: int, height: int) -> bytes:
    """Open the page of a recording; return its picture as a PNG.

    words: the recording in the folder, and options of `bcclone edit`
    shown: the row at which the playhead is, from 0
    height: of the picture, in pixels
    """
    is_complete = (
        "return active && active.columns && active.state.check.verdict"
        " && !active.state.check.stale && active.state.model.done === active.state.model.of"
    )
    line = [*_BCCLONE, "edit", *words, "--page", "--no-browser"]
    with (
        _browser(height) as browser,
        subprocess.Popen(line, cwd=folder, text=True, stdout=subprocess.PIPE) as server,
    ):
        browser.get(_printed(r"http://\S+/", server.stdout or ())[0])
        while not browser.execute_script(is_complete):
            time.sleep(0.2)
        browser.execute_script(f"goTo(active, {shown})")
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
def _browser(height: int) -> Iterator[webdriver.Chrome]:
    """Yield a browser of chromium whose pages are 1280 pixels wide, as the pictures are."""
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(argument)
    options.binary_location = "/usr/bin/chromium"
    browser = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        _resize(browser, 1280, height)
        yield browser
    finally:
        browser.quit()


def _resize(browser: webdriver.Chrome, width: int, height: int) -> None:
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


if __name__ == "__main__":
    main()
