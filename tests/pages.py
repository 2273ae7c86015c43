"""The pages of drives and plays: one without a browser, and headless Chromium."""

import json
import re
import shutil
from contextlib import contextmanager

import pytest
import websocket

_NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, _NAMES)), None)
CHROMEDRIVER = shutil.which("chromedriver")
needs_browser = pytest.mark.skipif(
    not (CHROMIUM and CHROMEDRIVER),
    reason="needs a browser: apt-get install chromium chromium-driver",
)


@contextmanager
def chromium(*more):
    """Yield headless Chromium within the block; its console is logged. more: arguments"""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    usual = ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1320,1000")
    for argument in (*usual, *more):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(CHROMEDRIVER))
    try:
        yield driver
    finally:
        driver.quit()


def errors_of(browser):
    """Return the errors in the browser's console since the last call."""
    return [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


class BrowserPage:
    """A page of a server on this machine, in the browser."""

    def __init__(self, browser, port):
        self.browser = browser
        self.url = f"http://127.0.0.1:{port}/"
        browser.get("about:blank")
        errors_of(browser)  # those of an earlier page, whose server has ended
        browser.get(self.url)

    def element(self, name):
        return self.browser.find_element("id", name)

    def text(self, name):
        return self.element(name).text

    def script(self, text, *arguments):
        return self.browser.execute_script(text, *arguments)


@contextmanager
def window_of(browser, width, height=900, mobile=False):
    """Let the window have this size within the block."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        yield
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@contextmanager
def phone_of(browser, width, height):
    """Let the browser be that of a phone with a screen of this size within the block."""
    touch = "Emulation.setTouchEmulationEnabled"
    with window_of(browser, width, height, mobile=True):
        browser.execute_cdp_cmd(touch, {"enabled": True, "maxTouchPoints": 2})
        try:
            yield
        finally:
            browser.execute_cdp_cmd(touch, {"enabled": False})


def named_controls(browser):
    """Return the role and the name of each control.

    All images, regions and headings must have a name.
    """
    nodes = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    named = {
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"]
    }
    assert all(name for role, name in named if role in ("image", "region", "heading"))
    return {(role, name) for role, name in named if role in ("slider", "button", "link", "textbox")}


def contrast(color, other):
    """Return the contrast of two colours as WCAG defines it, 1 to 21; they are as rgb(1, 2, 3)."""

    def luminance(text):
        channels = [int(number) / 255 for number in re.findall(r"\d+", text)[:3]]
        linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted(map(luminance, (color, other)))
    return (light + 0.05) / (dark + 0.05)


class FakePage:
    """A page without a browser: reads frames, acknowledges them, and sends what a test wants."""

    def __init__(self, port, acknowledges=True, **options):
        self.socket = websocket.create_connection(
            f"ws://127.0.0.1:{port}/socket", timeout=60, **options
        )
        self.acknowledges = acknowledges

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, **message):
        self.socket.send(json.dumps(message))

    def hands(self, **hands):
        self.send(hands=hands)

    def receive(self):
        """Return the next message and its pictures."""
        data = self.socket.recv()
        assert isinstance(data, bytes), data
        length = int.from_bytes(data[:4], "big")
        begin = 4 + length
        message = json.loads(data[4:begin])
        pictures = []
        for size in message["pictures"]:
            pictures.append(data[begin : begin + size])
            begin += size
        if self.acknowledges and message["kind"] == "frame":
            self.send(drawn=message["number"])
        return message, pictures

    def until(self, condition, frames=300, **hands):
        """Send these hands with every frame until a state meets the condition; return the state."""
        for _ in range(frames):
            state, _ = self.receive()
            if state["kind"] == "frame" and condition(state):
                return state
            if hands:
                self.hands(**hands)
        raise AssertionError(state)

    def until_refused(self, frames=100):
        """Return the reason of the next refusal."""
        for _ in range(frames):
            message, _ = self.receive()
            if message["kind"] == "refusal":
                return message["error"]
        raise AssertionError(message)
