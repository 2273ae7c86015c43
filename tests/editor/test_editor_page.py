"""The page of a recording in headless Chromium, as a person uses it."""

import shutil
from pathlib import Path

import pytest

from bcclone.recording.edits import read_edits
from bcclone.recording.log import read_log
from bcclone.recording.run_tables import LEFT_OUT, MOTION
from tests.editor.recording_page import edited_by_commands, looking_at, rows_left
from tests.pages import BrowserPage, chromium, errors_of, named_controls, needs_browser, window_of
from tests.processes import wait_for
from tests.recordings import images_of
from tests.running import result_of, run_script

webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium, of the dev extras")

from selenium.webdriver.common.keys import Keys  # noqa: E402

pytestmark = [pytest.mark.slow, needs_browser]


@pytest.fixture(scope="module")
def browser():
    with chromium() as driver:
        yield driver


class ShownPage(BrowserPage):
    """The page, whose recording is shown."""

    def __init__(self, browser, page):
        super().__init__(browser, page.url.rsplit(":", 1)[1].strip("/"))
        wait_for(
            lambda: self.script("return active && active.columns && active.state.check.verdict")
        )

    def press(self, *keys):
        webdriver.ActionChains(self.browser).send_keys(*keys).perform()

    def part(self, name):
        return self.browser.find_element("css selector", f"[data-part={name}]")

    def click(self, words):
        """Click on the only button of the findings that begins with some words."""
        buttons = [
            button
            for part in ("worst", "findings")
            for button in self.part(part).find_elements("tag name", "button")
        ]
        (button,) = [button for button in buttons if button.text.startswith(words)]
        button.click()

    def checked(self):
        """Wait until the edits that are shown have been judged."""
        wait_for(lambda: self.script("return !active.isChecking()"))

    def said(self, words):
        wait_for(lambda: words in self.text("message"))

    def at(self, row):
        """Wait until a row's picture is shown; rows from 0."""
        wait_for(lambda: self.part("center").get_attribute("data-row") == str(row))

    def drag(self, first, last):
        """Select rows by dragging on the curves."""
        column_of = "return active.curves.xOf(active.columns.seconds[arguments[0]] + .01)"
        begin = self.script(column_of, first)
        end = self.script(column_of, last)
        half = round(end - begin) // 2
        slider = self.part("slider")
        middle = slider.rect["width"] / 2
        action = webdriver.ActionChains(self.browser)
        action.move_to_element_with_offset(slider, round(begin - middle), -60)
        action.click_and_hold()
        action.move_by_offset(half, 0)
        action.move_by_offset(half, 0)
        action.release()
        action.perform()
        return self.script("return active.selection[0]")


def test_a_faulty_recording_is_looked_at_cut_and_mended(faulty, browser):
    with looking_at(faulty) as server:
        page = ShownPage(browser, server)
        assert "26 s after the repairs below" in page.part("verdict").text
        page.press("n")
        page.said("the pictures of")
        findings = page.script("return active.state.check.findings")
        (frozen,) = [item["rows"][0] for item in findings if item["fault"] == "frozen"]
        page.at(frozen[0])
        assert "The pictures of" in page.part("findings").text
        for words in ("Delete 2.7 s", "Mirror the steering"):
            page.click(words)
            page.said(f"done: {words}")
            page.checked()
        assert page.part("verdict").text.startswith("No fault was found")
        first, last = page.drag(20, 60)
        assert (first, last) == (pytest.approx(20, abs=6), pytest.approx(60, abs=6))
        page.press("x")
        page.said("deleted: ")
        page.press(Keys.HOME, "i", Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, "o", "x")
        page.said("3 rows in 1 part")
        page.press("z")
        page.said("undone")
        assert len(read_edits(faulty / "driving_log.csv").edits) == 3
        page.press(Keys.ESCAPE)
        assert page.text("selected") == "nothing is selected"
        page.press(" ")
        wait_for(lambda: page.script("return active.row > 4"))
        page.press(" ")
        assert errors_of(browser) == []
    edits = (
        ["--delete", frozen[0] + 1, frozen[1] + 1],
        ["--mirror-steering"],
        ["--delete", first + 1, last + 1],
    )
    by_page = rows_left(faulty)
    assert by_page.equals(edited_by_commands(faulty, *edits))


@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_of_a_good_recording_says_what_comes_next_and_what_to_record_also(
    winding_recording, browser, width
):
    checked = run_script("preprocess", winding_recording, "--check").stdout
    with looking_at(winding_recording) as server, window_of(browser, width, 800):
        page = ShownPage(browser, server)
        page.checked()
        verdict = page.part("verdict").text
        assert verdict.startswith("No fault was found")
        assert verdict in checked
        said, command, copy = page.part("first").text.splitlines()
        assert said == "What comes next:"
        assert f"next: {command}\n" in checked
        assert copy == "Copy"
        bar = browser.find_element("css selector", ".look > .bar").rect
        shown = page.part("first").rect
        assert shown["y"] + shown["height"] <= bar["y"]
        (first_line, *_) = result_of("preprocess", winding_recording, "--check")["record_next"]
        heading = page.part("nextBox").find_element("css selector", "h3").text
        assert f"{heading}:\n  {first_line}" in checked
        shown = page.part("next").find_element("css selector", "li").text.split("\n")[0]
        assert shown.rstrip(":") == first_line.partition(": bcclone")[0]


def test_a_change_by_a_command_is_seen_and_a_server_that_ends_is_said(recording, browser):
    with looking_at(recording) as server:
        page = ShownPage(browser, server)
        run_script("edit", recording, "--delete", 5, 9)
        page.said("changed elsewhere")
        assert "115 of 120 rows kept" in page.part("kept").text
        page.script("goTo(active, 5)")
        wait_for(lambda: page.part("over").is_displayed())
        wait_for(lambda: page.part("slider").get_attribute("aria-valuenow") == "6")
        assert "deleted" in page.part("slider").get_attribute("aria-valuetext")
    wait_for(lambda: page.element("lost").is_displayed())


def test_what_a_remedy_takes_is_shown_before_it_is_taken(faulty, browser):
    with looking_at(faulty) as server:
        page = ShownPage(browser, server)
        findings = page.script("return active.state.check.findings")
        (takes,) = [item["takes"] for item in findings if item["fault"] == "frozen"]
        button = browser.find_element("css selector", "[data-key='remedy frozen']")
        assert button.text.startswith("Delete 2")
        webdriver.ActionChains(browser).move_to_element(button).perform()
        wait_for(lambda: page.script("return active.preview") == takes)
        assert read_edits(faulty / "driving_log.csv").edits == ()
        webdriver.ActionChains(browser).move_to_element(page.part("verdict")).perform()
        wait_for(lambda: page.script("return active.preview") == [])


@pytest.mark.parametrize("width", [360, 400, 820, 1280])
def test_first_comes_the_verdict_and_what_mends_the_worst_fault(faulty, browser, width):
    with looking_at(faulty) as server, window_of(browser, width, 800):
        page = ShownPage(browser, server)
        page.checked()
        assert page.script("return document.documentElement.scrollWidth <= innerWidth")
        said, worst = page.part("verdict"), page.part("worst")
        assert said.text.startswith("0 of 29 s can be used now; 26 s after")
        assert said.get_attribute("data-mark") == "careful"
        _, words, *_ = worst.text.splitlines()
        assert words == "Worst: the car turns to the other side than it is steered"
        # the first of the list, which has the figures, and no second button
        first, second = page.part("findings").find_elements("tag name", "li")
        assert first.text.startswith("A\nThe car turns")
        assert "correlation −" in first.text
        assert "Mirror" not in first.text
        assert "Delete 2.7 s" in second.text
        tops = [part.rect["y"] for part in (said, worst, page.part("center"), page.part("curves"))]
        assert tops == sorted(tops)
        headings = browser.find_elements("css selector", "header h1, .panel :is(h2, h3)")
        shown = [heading for heading in headings if heading.is_displayed()]
        assert [heading.tag_name for heading in shown] == ["h1", "h2", "h3"]
        moved = page.script("""
            const observer = new PerformanceObserver(() => {});
            observer.observe({ type: "layout-shift", buffered: true });
            const records = observer.takeRecords().flatMap(({ sources }) => sources);
            return records.map(({ node }) => (node?.outerHTML ?? "").slice(0, 60));""")
        assert moved == []

        page.press(Keys.TAB, Keys.TAB)
        assert browser.switch_to.active_element.text == "Mirror the steering"
        page.press(Keys.ENTER)
        page.said("done: Mirror the steering")
        page.checked()
        assert page.part("worst").text.splitlines()[1].startswith("The pictures of 40 rows")
        assert errors_of(browser) == []
    assert len(read_edits(faulty / "driving_log.csv").edits) == 1


def test_two_recordings_fit_a_narrow_window_and_every_control_has_a_name(
    recording, browser, tmp_path
):
    second = shutil.copytree(recording, tmp_path / "second")
    with looking_at(recording, second) as server, window_of(browser, 400):
        page = ShownPage(browser, server)
        assert page.script("return document.documentElement.scrollWidth <= innerWidth")
        names = named_controls(browser)
        assert all(name for _, name in names)
        assert sum("playhead of" in name for _, name in names) == 2
        page.press("2")
        page.press("x")
        page.said("nothing is selected")
        page.script("select([[3, 4]])")
        buttons = browser.find_elements("css selector", ".bar :is(button, select)")
        shown = [button for button in buttons if button.is_displayed()]
        assert len({button.rect["y"] for button in shown}) == 1  # one row until one cuts
        assert min(button.rect["height"] for button in shown) >= 44
        page.element("cut").click()
        browser.find_element("css selector", "#cutting [data-do=x]").click()
        page.said("deleted")
        browser.find_element("css selector", ".narrow[popovertarget=more]").click()
        assert page.element("speed").is_displayed()
        assert read_edits(recording / "driving_log.csv").edits == ()
        assert len(read_edits(second / "driving_log.csv").edits) == 1


def test_the_page_of_a_film_says_what_is_not_judged_as_the_terminal_does(
    winding_recording, browser, tmp_path
):
    (tmp_path / "drive").mkdir()
    for image in images_of(winding_recording):
        shutil.copy(image, tmp_path / "drive")
    film = tmp_path / "film"
    run_script("import", tmp_path / "drive", "-o", film, "--steering", "from-motion")
    checked = result_of("preprocess", film, "--check")
    diagnosis = checked["recordings"][0]["diagnosis"]
    with looking_at(film) as server, window_of(browser, 400):
        page = ShownPage(browser, server)
        page.checked()
        verdict, first = page.part("verdict").text, page.part("first").text
        assert "the steering is estimated: look at the orange path" in verdict
        assert page.part("verdict").get_attribute("data-mark") == "careful"
        assert page.part("pathWords").text.startswith("Orange path")
        assert "throttle" not in page.part("figures").text  # a film has none
        assert f"{verdict} {first}" == diagnosis["verdict"]
        for part, lines in (("unknown", diagnosis["unknown"]), ("next", checked["record_next"])):
            assert lines
            shown = page.part(part).text.splitlines()
            assert [line.casefold() for line in shown] == [line.casefold() for line in lines]
        assert "Whether the steering is right" in page.part("unknown").text
        tops = [page.part(part).rect["y"] for part in ("first", "center", "curves", "unknown")]
        assert tops == sorted(tops)


@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_of_a_film_redraws_the_path_for_another_angle_of_view(recording, browser, width):
    rows = read_log(recording / "driving_log.csv").rows
    paths = [f"{Path(name).name},0.02,0.001,5.0\n" for name in rows["center"]]
    (recording / MOTION.name).write_text(MOTION.header + "".join(paths))
    before = "center_2017_01_01_00_00_00_000.jpg"
    (recording / LEFT_OUT.name).write_text(f"{LEFT_OUT.header}{before},the car stands\n")
    with looking_at(recording) as server, window_of(browser, width, 800):
        page = ShownPage(browser, server)
        page.at(0)
        assert page.part("fovWords").text == "98 degrees: as imported"
        # the slider stands beside or below the sentence that asks for it, in the first window
        sentence, slider = page.part("pathWords").rect, page.part("fov").rect
        bar = browser.find_element("css selector", ".look > .bar").rect
        assert abs(sentence["y"] - slider["y"]) < 80
        assert slider["y"] + slider["height"] <= bar["y"]
        assert slider["height"] >= 44
        curves = page.part("curves").rect
        pixels = "return active.parts.center.toDataURL()"
        as_imported = page.script(pixels)
        page.script("""
            const { fov } = active.parts;
            fov.value = 150;
            fov.dispatchEvent(new Event("input"));""")
        wait_for(lambda: page.script(pixels) != as_imported)
        words = page.part("fovWords").text
        assert "150 degrees: steering 10.4" in words
        assert "careful: full in" in words
        assert "import with --fov 150" in words
        assert page.part("curves").rect == curves  # nothing moves
        assert "1 stretch of the film left out, 1 picture" in page.part("leftoutTitle").text
        page.script("active.parts.leftoutBox.open = true")
        assert "where the car stands" in page.part("leftout").text
        assert errors_of(browser) == []
