"""The web page of drive.py, in headless Chromium, with a real server and car.

test_page.py tests its addresses without a browser.
"""

import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
import requests

from bcclone.camera.images import encode_jpeg
from bcclone.recording.log import read_log
from bcclone.recording.run_tables import read_drivers
from bcclone.simulator.unity_client import UnityClient, connected
from bcclone.simulator.world import CarState
from tests.drive.drive_server import next_event, raw, serving, telemetry_text
from tests.drive.test_start import loading
from tests.pages import (
    BrowserPage,
    FakePage,
    chromium,
    errors_of,
    named_controls,
    needs_browser,
    window_of,
)
from tests.processes import wait_for

webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium, of the dev extras")

from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

pytestmark = [pytest.mark.slow, needs_browser]
COLORS = [(180, 60, 60), (60, 180, 60), (60, 60, 180)]
SPEED_MPH = 20.0  # of the car, whatever the throttle
AS_STARTED = {"set_speed_mph": 25, "autonomous": True, "recording": False, "saliency": False}


def frame(color, left):
    """Return a JPEG of one colour with a white block."""
    image = np.full((160, 320, 3), color, np.uint8)
    image[80:120, left : left + 40] = 255
    return encode_jpeg(image)


class Rolling:
    """A world with changing frames, until `over` is set; collects the controls that it receives."""

    def __init__(self):
        self.over = False
        self.throttles = []
        self.steerings = []
        self.shown = 0
        self.frames = [frame(color, 80 + 60 * index) for index, color in enumerate(COLORS)]

    def observe(self):
        time.sleep(0.03)
        self.shown += 1
        jpeg = self.frames[self.shown // 10 % len(self.frames)]
        return None if self.over else CarState(-3.75, 0.3, SPEED_MPH, jpeg)

    def steer(self, steering, throttle):
        self.steerings.append(steering)
        self.throttles.append(throttle)


@contextmanager
def driving(port):
    """Let the Unity client drive within the block; yield its world and the client."""
    world = Rolling()
    with connected("127.0.0.1", port) as connection:
        client = UnityClient(connection, world)
        thread = threading.Thread(target=client.drive, daemon=True)
        thread.start()
        try:
            yield world, client
        finally:
            world.over = True
            thread.join(60)


@pytest.fixture(scope="module")
def browser():
    with chromium() as driver:
        yield driver


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder that the shared server was started in."""
    return tmp_path_factory.mktemp("drive")


@pytest.fixture(scope="module")
def port(untrained_model, folder):
    """The port of the server that most tests share."""
    with serving(untrained_model, cwd=folder) as server:
        yield server.port
        assert server.end() == 0
        assert "Traceback" not in server.output, server.output


class Page(BrowserPage):
    def press(self, *keys):
        """Press keys while no control has the focus."""
        self.browser.find_element(By.TAG_NAME, "body").send_keys(*keys)

    def pressed(self, name):
        """Return whether a click on a toggle takes back what it does."""
        return self.element(name).get_attribute("data-on") == "true"

    def shows(self, text):
        """Wait until the connection line has this text."""
        return wait_for(lambda: self.text("connection-text") == text)

    def pixel(self, x, y):
        """Return the colour of a pixel of the camera image as drawn, 0 to 255."""
        data = """
            const context = document.getElementById("frame").getContext("2d");
            return [...context.getImageData(...arguments, 1, 1).data];"""
        return tuple(self.script(data, x, y)[:3])

    def hosts(self):
        """Return the hosts that the page has loaded anything from."""
        return set(
            self.script(
                "return performance.getEntriesByType('resource')"
                ".map((entry) => new URL(entry.name).host)"
            )
        )


@pytest.fixture
def page(browser, port):
    """The page of the shared server with its initial controls; no test may leave an error in the
    console.
    """
    requests.post(
        f"http://127.0.0.1:{port}/control", json=AS_STARTED, timeout=60
    ).raise_for_status()
    browser.get_log("browser")
    page = Page(browser, port)
    wait_for(lambda: page.text("connection-text") != "connecting")
    yield page
    assert errors_of(browser) == []
    assert page.hosts() <= {f"127.0.0.1:{port}"}


def test_without_a_simulator_the_page_shows_what_to_do(page):
    page.shows("waiting for the simulator")
    assert "Autonomous mode" in page.text("guide")
    assert "bcclone simulate drive" in page.text("guide")
    assert not page.element("frame").is_displayed()
    assert not page.element("keys").is_displayed()  # nothing can be steered yet
    copy = page.browser.find_element(By.CSS_SELECTOR, "#guide .copy")
    copy.click()
    wait_for(lambda: copy.text == "Copied")
    wait_for(lambda: copy.text == "Copy")


def test_the_page_shows_the_drive(page, port):
    with driving(port):
        page.shows("the model drives")
        assert page.text("dialect") == "Unity simulator"
        assert not page.element("guide").is_displayed()
        seen = set()

        def all_seen():  # inside the region that the network sees; JPEG is not exact
            seen.add(page.pixel(20, 100))
            return all(
                any(np.allclose(color, drawn, atol=12) for drawn in seen) for color in COLORS
            )

        wait_for(all_seen)
        outside = max(sum(page.pixel(20, 5)) for _ in range(3))
        assert outside < 0.75 * sum(COLORS[0])
        frames = int(page.text("frames"))
        wait_for(lambda: int(page.text("frames")) > frames + 10)
        assert 0 <= float(page.text("p50")) <= float(page.text("p99"))
        assert page.text("speed") == f"{SPEED_MPH:.1f}"
        assert page.text("target") == "25"
        both = """
            const text = (name) => document.getElementById(`steering-${name}`).textContent;
            return ["model", "sent"].map(text);"""
        model, sent = page.script(both)
        assert model == sent != "–"
    page.shows("waiting for the simulator")
    of_the_car = ("steering-model", "steering-sent", "steering-degrees", "rate", "p50")
    assert {page.text(name) for name in of_the_car} == {"–"}
    assert not page.element("hud").is_displayed()
    assert page.element("dial").get_attribute("aria-label").endswith("nothing sent")


def test_the_car_holds_the_set_speed(page, port):
    with driving(port) as (world, _):
        wait_for(lambda: world.throttles and world.throttles[-1] > 0)
        page.press(*"-" * 21, "+")
        wait_for(lambda: world.throttles[-1] < 0)
        wait_for(lambda: float(page.text("throttle").replace("−", "-")) < 0)
        wait_for(lambda: float(page.text("target")) == 5.0)
        time.sleep(0.7)  # the slider follows the server again
        assert page.text("set-speed-value") == "5"
        page.element("set-speed").send_keys(Keys.END)
        wait_for(lambda: world.throttles[-1] > 0)


def test_the_car_is_handed_over_and_the_model_drives_again(page, port):
    with driving(port) as (_, client):
        page.shows("the model drives")
        assert page.text("autonomous").startswith("Drive with the simulator's keys")
        page.element("autonomous").click()
        page.shows("handed over: drive with the keys")
        assert page.text("autonomous").startswith("Let the model drive")
        assert page.pressed("autonomous")
        wait_for(lambda: client.report.manuals > 10)
        steers = client.report.steers
        page.press("m")
        page.shows("the model drives")
        wait_for(lambda: client.report.steers > steers + 10)
        assert client.report.lost_loops == 0


def test_the_saliency_overlay_is_shown_and_hidden(page, port):
    strongest = """
        if (!overlayImage) return 0;
        const {width, height} = overlayImage;
        const context = new OffscreenCanvas(width, height).getContext("2d");
        context.drawImage(overlayImage, 0, 0);
        return Math.max(...context.getImageData(0, 0, width, height).data);"""
    with driving(port):
        page.shows("the model drives")
        assert page.script(strongest) == 0
        page.element("saliency").click()
        wait_for(lambda: page.script(strongest) > 100)
        wait_for(lambda: page.pressed("saliency"))
        assert "Green: the pixels that decided" in page.text("sees")
        page.press("v")
        wait_for(lambda: page.script(strongest) == 0)
        wait_for(lambda: not page.pressed("saliency"))


def test_warnings_are_shown_and_counted(page, port):
    with raw(port) as connection:
        places = """
            return [...document.querySelectorAll("section:not(#warned), button:not(.copy)")]
              .map((one) => one.getBoundingClientRect().top);"""
        page.shows("waiting for the simulator")
        before = page.script(places)
        connection.send_text(telemetry_text(b"no picture"))
        next_event(connection)
        wait_for(lambda: page.text("over-frame").startswith("bad camera frame"))
        assert not page.element("warned").is_displayed()  # it is told once
        connection.send_text(telemetry_text(b"no picture"))
        next_event(connection)
        wait_for(lambda: "times)" in page.text("over-frame"))
        assert page.script(places) == before  # nothing has moved
        # ten seconds later it is in the list of those before
        wait_for(lambda: "bad camera frame" in page.text("warnings"))
        assert " times): " in page.text("warnings")
        assert "bad camera frame" not in page.text("over-frame")
        assert page.script(places) == before


def test_a_page_that_watches_takes_the_wheel_before_it_controls_anything(page, port):
    controls = ["recording", "autonomous", "saliency", "set-speed"]
    with FakePage(port) as other:
        other.send(wheel="ask")
        wait_for(lambda: page.element("ask").is_displayed())
        assert not any(page.element(name).is_enabled() for name in controls)
        page.element("ask").click()
        wait_for(lambda: all(page.element(name).is_enabled() for name in controls))


def test_every_control_has_a_name_and_is_reached_by_the_tab_key(page):
    buttons = (
        "Start recording",
        "Drive with the simulator's keys",
        "Show what decided the steering",
    )
    slider = ("slider", "Speed to hold")
    copy = ("button", "Copy: act as a simulator")
    assert named_controls(page.browser) == {*(("button", name) for name in buttons), copy, slider}
    assert page.element("set-speed").get_attribute("aria-valuetext") == "25 mph"
    reached = []
    for _ in range(5):
        webdriver.ActionChains(page.browser).send_keys(Keys.TAB).perform()
        reached.append(page.browser.switch_to.active_element.get_attribute("id"))
    assert reached == ["", "recording", "autonomous", "saliency", "set-speed"]
    for width in (320, 1320):
        with window_of(page.browser, width):
            assert page.script("return document.documentElement.scrollWidth") <= width


def test_the_page_while_loading_has_the_style_tells_what_is_loaded_and_goes_on(
    browser, untrained_model
):
    with loading(untrained_model, "threading") as server:
        browser.get(server.url)
        wait_for(lambda: "s so far" in browser.find_element(By.ID, "waited").text)
        # nothing moves while the seconds count up
        box = """
            const waited = document.getElementById("waited");
            if (arguments[0]) waited.textContent = arguments[0];
            const { x, y, width, height } = waited.getBoundingClientRect();
            return [x, y, width, height, document.body.scrollHeight];"""
        for width in (1280, 400):
            with window_of(browser, width):
                texts = ("\u00a0", "0 s so far.", "7 s so far.", "188 s so far.")
                assert len({tuple(browser.execute_script(box, text)) for text in texts}) == 1
        step = browser.find_element(By.ID, "step").text
        assert untrained_model.name in step
        assert str(untrained_model.parent) not in step
        font = "return getComputedStyle(document.body).fontFamily"
        assert "system-ui" in browser.execute_script(font)
        server.goes_on.set()
        wait_for(lambda: browser.find_elements(By.ID, "connection-text"))
        browser.get("about:blank")


def test_without_scripts_the_page_while_loading_asks_again_by_itself(browser, untrained_model):
    with loading(untrained_model, "threading") as server:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
        try:
            browser.get(server.url)
            assert browser.find_element(By.ID, "step").text
            server.goes_on.set()
            wait_for(lambda: browser.find_elements(By.ID, "connection-text"))
        finally:
            browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
        browser.get("about:blank")


@pytest.mark.long
def test_the_page_asks_for_the_token(browser, untrained_model):
    with serving(untrained_model, "--token", "sesame") as server:
        page = Page(browser, server.port)
        assert requests.get(f"{page.url}state", timeout=60).status_code == 401
        page.element("token").send_keys("simsim", Keys.ENTER)
        wait_for(lambda: "This is not the token." in page.browser.page_source)
        page.element("token").send_keys("sesame", Keys.ENTER)
        wait_for(lambda: browser.find_elements(By.ID, "connection-text"))
        browser.delete_all_cookies()
        page.script("connect()")  # as when the server is restarted with another token
        wait_for(lambda: browser.find_elements(By.ID, "token"))


def test_a_key_at_the_page_takes_over_and_gives_back(page, port, folder):
    keys = webdriver.ActionChains(page.browser)
    with driving(port) as (world, _):
        wait_for(lambda: len(world.steerings) > 5)
        page.press("r")
        wait_for(lambda: page.pressed("recording"))
        keys.key_down(Keys.ARROW_RIGHT).perform()
        wait_for(lambda: page.text("connection-text").startswith("a person steers: take-over "))
        wait_for(lambda: world.steerings[-1] == 1.0)
        wait_for(lambda: page.text("steering-sent") == "1.000")
        keys.key_up(Keys.ARROW_RIGHT).perform()
        page.shows("the model drives")
        wait_for(lambda: page.text("steering-sent") == page.text("steering-model"))
        page.press("r")
        wait_for(lambda: not page.pressed("recording"))
    run = folder / page.text("recording-text").rpartition(" in the folder ")[2]
    log = read_log(run / "driving_log.csv").rows
    drivers = read_drivers(run)
    taken = np.array([drivers[image].take_over is not None for image in log["center"]])
    steering = log["steering"].to_numpy()
    hand_overs = np.flatnonzero(np.diff(taken))
    assert len(hand_overs) == 2
    assert np.abs(np.diff(steering))[hand_overs].max() < 0.0501
    assert steering[taken].max() == 1.0
