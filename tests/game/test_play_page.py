"""The page of bcclone play in headless Chromium, with keys, mouse, gamepad and thumbs."""

import signal
import time

import pytest

from bcclone.recording.log import read_log
from bcclone.recording.run_tables import read_drivers
from tests.drive.drive_server import playing, playing_once_read, serving
from tests.pages import (
    BrowserPage,
    FakePage,
    chromium,
    errors_of,
    needs_browser,
    phone_of,
    window_of,
)
from tests.processes import wait_for
from tests.web.reverse_proxy import ReverseProxy

webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium, of the dev extras")

from selenium.webdriver.common.keys import Keys  # noqa: E402

pytestmark = [pytest.mark.slow, needs_browser]
GAMEPAD = """
window.stick = {
  connected: true, axes: [0, 0], buttons: Array.from({length: 8}, () => ({value: 0})),
};
navigator.getGamepads = () => [null, window.stick];
"""
PLACES = """
return [...document.querySelectorAll("h2, canvas, button, p, dl, input")]
  .filter((element) => !element.closest(".overs, .guide, .over, #announcement"))
  .map((element) => {
    const { left, top, width, height } = element.getBoundingClientRect();
    return [element.id || element.tagName, left, top, width, height].join(" ");
  });
"""
ENABLED = """
return [...document.querySelectorAll("main button:not(.copy), main input")]
  .filter((control) => !control.disabled && control.checkVisibility())
  .map((control) => control.id);
"""


@pytest.fixture(scope="module")
def browser():
    with chromium() as driver:
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": GAMEPAD})
        yield driver


class PlayPage(BrowserPage):
    def until(self, condition):
        """Wait until a JavaScript condition on the newest state is true; return the state."""
        # the first page, which is shown while the server loads, has no state
        known = "typeof state !== 'undefined' && state"
        return wait_for(lambda: self.script(f"return {known} && ({condition}) && state"))

    def press(self, *keys):
        webdriver.ActionChains(self.browser).send_keys(*keys).perform()

    def hold(self, key):
        webdriver.ActionChains(self.browser).key_down(key).perform()

    def let_go(self, key):
        webdriver.ActionChains(self.browser).key_up(key).perform()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("play") / "run"


@pytest.fixture(scope="module")
def server(untrained_model, folder):
    with playing(model=untrained_model, folder=folder) as server:
        yield server


@pytest.fixture
def page(browser, server):
    page = PlayPage(browser, server.port)
    page.until("state.steers")
    page.script("send({set: {kept: false, paused: false, recording: false, put_back: true}})")
    page.until("state.mode === 'driving' && state.driver === 'model'")
    yield page
    assert errors_of(browser) == []


def test_held_keys_give_a_recording_that_says_who_drove(page, folder):
    page.press("m", "r")
    page.hold("w")
    # nothing is recorded just after the car was put back
    page.until("state.recording.recorded > 3")
    for key in "adad":
        page.hold(key)
        page.until("Math.abs(state.steering_sent) > .2")
        page.let_go(key)
        page.until("state.steering_sent === 0")
    page.let_go("w")
    assert folder.name in page.text("recording-text")
    page.press("m")
    page.until("state.driver === 'model'")
    # rows are written a while after they were driven
    wait_for(lambda: {row.driver for row in read_drivers(folder).values()} == {"human", "model"})
    page.press("r")
    page.until("!state.recording.on")
    wait_for(lambda: len(read_drivers(folder)) == page.script("return state.recording.recorded"))
    rows = read_log(folder / "driving_log.csv").rows
    assert rows.steering.abs().max() >= 0.2
    assert rows.throttle.max() == 1


def test_the_mouse_steers_while_its_button_is_held_on_the_picture(page):
    picture = page.element("frame")
    actions = webdriver.ActionChains(page.browser)
    actions.move_to_element(picture).click_and_hold().move_by_offset(110, 0).perform()
    state = page.until("state.steering_sent > .45")
    assert state["driver"] == "human"
    webdriver.ActionChains(page.browser).release().perform()
    page.until("state.driver === 'model'")


def test_of_stick_and_keys_the_one_that_changed_last_steers(page):
    page.script("stick.axes[0] = -.55")
    page.until("state.steering_sent < -.4")
    page.hold(Keys.ARROW_RIGHT)
    page.until("state.steering_sent > .4")
    page.script("stick.axes[0] = -.9")
    page.until("state.steering_sent < -.8")
    page.script("stick.axes[0] = .03")  # in the dead zone: the key that is still held counts again
    page.until("state.steering_sent > .4")
    page.let_go(Keys.ARROW_RIGHT)
    page.until("state.driver === 'model'")
    page.script("stick.buttons[6].value = 1")
    page.until("state.throttle === -1")
    page.script("stick.buttons[6].value = 0")


def test_thumbs_on_the_pads_steer_and_drive(page):
    touch = """
        const pad = document.getElementById(arguments[0]), box = pad.getBoundingClientRect();
        pad.setPointerCapture = () => {};
        pad.dispatchEvent(new PointerEvent(arguments[1], {
          pointerId: arguments[2], pointerType: "touch",
          clientX: box.left + box.width * arguments[3],
          clientY: box.top + box.height * arguments[4],
        }));"""
    page.script("document.getElementById('pads').style.display = 'flex'")
    page.script(touch, "steering-pad", "pointerdown", 7, 0.2, 0.5)
    page.script(touch, "throttle-pad", "pointerdown", 8, 0.5, 0.0)
    page.until("state.steering_sent < -.5 && state.throttle === 1")
    page.script(touch, "steering-pad", "pointermove", 7, 0.9, 0.5)
    page.until("state.steering_sent > .5")
    page.script(touch, "steering-pad", "pointerup", 7, 0.9, 0.5)
    page.script(touch, "throttle-pad", "pointercancel", 8, 0.5, 0.0)
    page.until("state.driver === 'model'")


def test_escape_pauses_and_the_arrows_move_a_focused_slider_instead_of_the_car(page):
    page.press(Keys.ESCAPE)
    page.until("state.mode === 'paused'")
    assert wait_for(lambda: page.text("connection-text") == "paused")
    assert page.text("over-frame") == 'Esc or "Go on" drives on'
    filled = "return [...document.querySelectorAll('.row .primary')].map((one) => one.id)"
    assert page.script(filled) == ["paused"]
    page.press(Keys.ESCAPE)
    page.until("state.mode === 'driving'")
    wait_for(lambda: page.script(filled) == ["kept"])
    slider = page.element("set-speed")
    before = page.script("return state.set_speed_mph")
    slider.send_keys(Keys.ARROW_LEFT)
    state = page.until(f"state.set_speed_mph === {before - 1}")
    assert state["driver"] == "model"


def test_a_page_that_takes_the_wheel_steers_and_this_one_watches(page, server):
    with FakePage(server.port) as other:
        other.until(lambda state: not state["steers"])
        assert not page.element("ask").is_displayed()
        controls = page.script(ENABLED)
        assert {"recording", "paused", "put-back", "kept", "set-speed"} <= {*controls}
        before = page.script(PLACES)
        other.send(wheel="ask")
        assert other.until(lambda state: state["steers"])
        assert wait_for(lambda: page.element("ask").is_displayed())
        # what this page cannot do now is disabled, and nothing moves
        assert page.script(ENABLED) == ["ask"]
        assert not page.element("keys").is_displayed()
        assert page.script(PLACES) == before
        page.element("ask").click()
        page.until("state.steers")
        wait_for(lambda: page.script(ENABLED) == controls)
        assert page.script(PLACES) == before
        assert not other.until(lambda state: not state["steers"])["steers"]


def test_the_page_says_that_the_server_has_gone_and_finds_it_again(browser, tmp_path):
    with playing(folder=tmp_path / "run") as server:
        page = PlayPage(browser, server.port)
        page.until("state.steers")
        page.press("r")
        page.until("state.recording.on")
        assert wait_for(lambda: page.element("recording-lamp").is_displayed())
    wait_for(lambda: page.text("restart-text") == "bcclone play was stopped.")
    # what can do nothing any more is not there
    assert not page.element("recording").is_displayed()
    assert not page.element("map").is_displayed()
    assert page.element("restart").is_displayed()
    assert page.text("connection-text") == "ended"
    assert page.script(ENABLED) == []
    rows = len(read_log(tmp_path / "run" / "driving_log.csv").rows)
    number = f"{rows} {'row was' if rows == 1 else 'rows were'}"
    said = f"{number} recorded into the folder {tmp_path / 'run'}."
    assert page.text("last-recording") == (said if rows else "Nothing was recorded.")
    assert page.text("recording-text") == ""  # it is told once
    assert not page.element("recording-lamp").is_displayed()
    with playing(port=server.port):
        page.until("state.mode === 'driving'")
        page.hold("w")
        page.until("state.speed_mph > 1")
        page.let_go("w")
    browser.get("about:blank")
    browser.get_log("browser")


def test_a_server_that_stands_still_is_told_within_three_seconds_and_the_page_goes_on(
    browser, tmp_path
):
    line = ("--no-browser", "-o", "my run", "--speed", "15")
    with serving(*line, script="play", cwd=tmp_path) as server:
        page = PlayPage(browser, server.port)
        page.until("state.steers")
        page.press("r")
        page.until("state.recording.recorded > 3")
        server.process.send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        wait_for(lambda: page.text("connection-text") == "no answer")
        # 3 s, and what Chromium and chromedriver take on a busy machine
        assert time.monotonic() - stopped < 4
        assert page.text("over-frame").startswith("no answer for ")
        assert page.text("recording-text").startswith("When it last answered, ")
        assert page.element("recording").text.startswith("Stop recording")  # as it was
        assert not page.element("recording-lamp").is_displayed()
        assert not page.element("hud").is_displayed()
        assert page.script(ENABLED) == []
        page.press("r")  # is not done later
        server.process.send_signal(signal.SIGCONT)
        page.until("state.recording.on && state.mode === 'driving'")
        wait_for(lambda: page.text("connection-text") == "you drive")
        assert "recording" in page.script(ENABLED)
        # asleep and paused it goes on sending
        page.press(Keys.ESCAPE)
        page.until("state.mode === 'paused'")
        time.sleep(4)
        assert page.text("connection-text") == "paused"
        assert server.end() == 0
        wait_for(lambda: page.text("restart-text") == "bcclone play was stopped.")
        rows = len(read_log(tmp_path / "my run" / "driving_log.csv").rows)
        assert page.text("last-recording") == f"{rows} rows were recorded into the folder my run."
        assert page.text("next").endswith("bcclone preprocess 'my run' --check")
        again = "bcclone play --no-browser -o 'my run' --speed 15 --port 0"
        assert page.text("command").endswith(again)
    browser.get("about:blank")
    browser.get_log("browser")


def test_a_page_whose_network_was_cut_says_so_and_connects_anew(browser, server):
    with ReverseProxy(server.port) as proxy:
        page = PlayPage(browser, proxy.port)
        page.until("state.steers")
        proxy.cut()
        wait_for(lambda: page.text("connection-text") == "no answer", 10)
        page.until("state.mode === 'driving'")
    browser.get("about:blank")
    browser.get_log("browser")


@pytest.mark.parametrize("width", [1280, 400])
def test_the_world_is_there_while_its_model_is_read_and_nothing_moves_then(
    browser, untrained_model, width
):
    with playing_once_read(untrained_model) as server, window_of(browser, width, 800):
        page = PlayPage(browser, server.port)
        page.until("state.mode === 'awaiting' && shown.status === 'awaiting'")
        assert page.text("over-frame").startswith("the model is being read")
        assert not page.element("set-speed").is_enabled()
        before = page.script(PLACES)
        server.goes_on.set()
        page.until("state.driver === 'model' && state.mode === 'driving' && !state.awaits_model")
        wait_for(page.element("set-speed").is_enabled)
        wait_for(lambda: page.text("connection-text") == "the model drives")
        after = page.script(PLACES)
        texts = {"connection-text", "sees", "model-hint"}
        assert [place for place in before if place.split()[0] not in texts] == [
            place for place in after if place.split()[0] not in texts
        ]
        assert errors_of(browser) == []


@pytest.mark.parametrize("width", [1280, 400])
def test_figures_with_more_digits_and_other_hints_move_nothing(page, width):
    written = """
        for (const [id, text] of Object.entries(arguments[0])) {
          document.getElementById(id).textContent = text;
        }"""
    hints = ("The model drives once it is read.", "You drive until you let the model drive.")
    texts = [
        {"speed": "0.0", "target": "5", "steering-model": "–", "model-hint": hints[0]},
        {"speed": "30.0", "target": "30", "steering-model": "−0.502", "model-hint": hints[1]},
    ]
    with window_of(page.browser, width, 800):
        one, other = (page.script(written + PLACES, each) for each in texts)
        assert one == other


def test_at_1280_by_800_nothing_needs_scrolling_and_the_picture_is_the_largest(page):
    box = """
        const box = document.getElementById(arguments[0]).getBoundingClientRect();
        return [box.width, box.height, box.bottom];"""
    with window_of(page.browser, 1280, 800):
        size = (
            "const { scrollWidth, scrollHeight, offsetWidth } = document.documentElement;"
            "return [scrollWidth, scrollHeight, offsetWidth]"
        )
        width, height, inside = page.script(size)
        assert (width, height) == (inside, 800)
        width, height, _ = page.script(box, "frame")
        assert width >= 900
        assert height == pytest.approx(width / 2, abs=1)
        assert min(page.script(box, "map")[:2]) >= 200
        buttons = page.browser.find_elements("css selector", ".row button")
        assert {round(button.size["height"]) for button in buttons} == {44}
        assert len({button.location["y"] for button in buttons}) == 1
    with window_of(page.browser, 400, 800):
        assert page.script(size)[0] <= 400
        order = [page.script(box, name)[2] for name in ("frame", "connection", "recording", "map")]
        assert order == sorted(order)
        assert page.script(box, "saliency")[2] <= 800


@pytest.mark.parametrize("model", [True, False])
@pytest.mark.parametrize(("width", "height"), [(844, 390), (667, 375), (667, 331), (932, 430)])
def test_a_phone_held_sideways_shows_picture_pads_and_buttons_without_scrolling_and_steers(
    browser, server, width, height, model
):
    shown = """
        return [...document.querySelectorAll(arguments[0])]
          .map((element) => {
            const { left, top, right, bottom } = element.getBoundingClientRect();
            return [left, top, right, bottom];
          });"""

    def touch(kind, *points):
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        event = {"type": kind, "touchPoints": points}
        page.browser.execute_cdp_cmd("Input.dispatchTouchEvent", event)

    with phone_of(browser, width, height):
        page = PlayPage(browser, server.port)
        page.until("true")
        if not model:  # as the page of a play without one
            page.script(
                "document.querySelectorAll('#kept, #saliency, .speed').forEach((e) => e.remove())"
            )
        wait_for(lambda: page.script("return window.innerWidth") == width)
        boxes = page.script(shown, "#frame, .pad, #connection, .row button, .row .speed")
        for left, top, right, bottom in boxes:
            assert -1 <= left < right <= width + 1
            assert -1 <= top < bottom <= height + 1
        for index, (left, top, right, bottom) in enumerate(boxes):
            for other in boxes[index + 1 :]:  # none lies over another
                is_beside = right <= other[0] + 1 or other[2] <= left + 1
                assert is_beside or bottom <= other[1] + 1 or other[3] <= top + 1
        frame = boxes[0]
        assert frame[2] - frame[0] == pytest.approx(2 * (frame[3] - frame[1]), abs=2)
        assert frame[2] - frame[0] >= width * 0.45
        pads = page.script(shown, ".pad")
        middles = [((box[0] + box[2]) / 2, (box[1] + box[3]) / 2) for box in pads]
        (steer_x, steer_y), (push_x, push_y) = middles
        touch("touchStart", (steer_x, steer_y), (push_x, push_y))
        touch("touchMove", (steer_x + 30, steer_y), (push_x, push_y - 60))
        page.until("state.driver === 'human' && state.steering_sent > 0.2 && state.throttle > 0.2")
        touch("touchMove", (steer_x - 30, steer_y), (push_x, push_y + 60))
        page.until("state.steering_sent < -0.2 && state.throttle < -0.2")
        touch("touchEnd")
        page.until("Math.abs(state.steering_sent) < 0.01 || state.driver === 'model'")
        assert page.script("return scrollY") == 0
        assert errors_of(browser) == []
