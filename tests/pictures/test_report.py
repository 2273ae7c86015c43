"""Reports: one page with everything in it, which loads nothing, runs only its own script and shows
hostile names as text.
"""

import base64
import hashlib
import io
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from PIL.PngImagePlugin import PngInfo

from bcclone.commands.next_steps import drive_commands, training_commands
from bcclone.evaluation.evaluate import Evaluation
from bcclone.evaluation.settings import EvaluateSettings
from bcclone.pictures.encoder import encode
from bcclone.pictures.plots.style import new_figure, save, save_images
from bcclone.pictures.report_page import Section, write_report
from bcclone.pictures.reports import write_evaluation, write_training
from bcclone.pictures.road_map import road_map
from bcclone.simulator.score import Intervention, LinePoint, Score
from bcclone.simulator.track import load_track
from bcclone.training.result import SampleCounts, TrainResult
from bcclone.training.score import ValidationScore
from tests.evaluation.conftest import FIGURES
from tests.pages import chromium, contrast, errors_of, named_controls, needs_browser, window_of
from tests.processes import wait_for

HOSTILE = """<script>alert(1)</script>"'&</title><img src=//evil.example/x onerror=alert(2)>"""
LOADS = {
    "src",
    "href",
    "srcset",
    "poster",
    "data",
    "action",
    "background",
    "cite",
    "formaction",
    "manifest",
    "ping",
}
VOID = {"meta", "img", "link", "input"}


def png(path, width=40, height=30, words=""):
    info = PngInfo()
    info.add_text("Description", words)
    picture = PIL.Image.fromarray(np.full((height, width, 3), (1, 128, 0), np.uint8))
    picture.save(path, pnginfo=info)
    return path


def clip(path):
    """Write a clip of five pictures of 64x40 pixels, half a second long."""
    encode(path, [np.full((40, 64, 3), 40 * number, np.uint8) for number in range(5)], 10)
    return path


REPORT = {
    "title": "A title",
    "sentences": ["One sentence.", "another one"],
    "sections": [
        Section("Do", commands={"Drive": "bcclone drive model.h5"}),
        Section("Nothing"),
        Section("All figures", table=[("figure", "value"), ("autonomy", "100 %")], folded=True),
    ],
    "figures": [("0.11", "m", "from the middle, on average")],
}


class Page(HTMLParser):
    """A page as a browser reads it; every element that is opened must be closed."""

    def __init__(self, path):
        super().__init__()
        self.elements = []
        self.open = []
        self.texts = {}
        self.style = ""
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        assert len(attributes) == len(dict(attributes))
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if text.strip():
            self.texts.setdefault(self.open[-1], []).append(text)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def written(tmp_path, **changes):
    path = tmp_path / "report.html"
    write_report(path, **REPORT | changes)
    return Page(path)


def test_a_report_has_everything_inside(tmp_path):
    film = clip(tmp_path / "clip.mp4")
    first = png(tmp_path / "first.png")
    second = png(tmp_path / "second.png", 50, 20)
    pictures = Section("Seen", ["shown"], {"the first": first, "the second": second})
    driven = [(0.0, 0.0), (3.0, 4.0)]
    page = written(
        tmp_path,
        clip=film,
        sections=[pictures, *REPORT["sections"]],
        road_map=road_map(load_track("lake"), driven, driven[1:]),
    )
    check_closed(page)
    contents = [
        base64.b64decode(image["src"].removeprefix("data:image/png;base64,"))
        for image in page.all("img")
    ]
    assert contents == [first.read_bytes(), second.read_bytes()]
    assert [image["alt"] for image in page.all("img")] == ["the first", "the second"]
    assert [(image["width"], image["height"]) for image in page.all("img")] == [
        ("40", "30"), ("50", "20")
    ]  # fmt: skip
    (video,) = page.all("video")
    assert (
        base64.b64decode(video["src"].removeprefix("data:video/mp4;base64,")) == film.read_bytes()
    )
    assert (video["width"], video["height"]) == ("64", "40")
    assert {"controls", "autoplay", "muted", "loop", "playsinline"} < set(video)
    assert page.texts["p"][:3] == ["One sentence.", "Another one.", "Shown."]
    assert page.texts["h2"] == ["Seen", "Do", "All figures"]
    assert page.texts["th"] + page.texts["td"] == ["figure", "value", "100 %"]
    assert page.texts["dfn"] == ["from the middle, on average", "autonomy"]
    assert page.texts["span"][0].startswith("how far the car was")
    assert page.texts["code"] == ["bcclone drive model.h5"]
    # what to do stands below other sections, so a button leads to it
    assert page.texts["a"] == ["Do"]
    assert [section.get("id") for section in page.all("section")] == [None, "commands"]
    assert page.all("html") == [{"lang": "en"}]
    (line,) = page.all("polyline")
    assert (line["points"], line["data-step"]) == ("0.0,-0.0 3.0,-4.0", "0.1")
    assert [circle["cx"] for circle in page.all("circle")] == ["3.0", "0.0"]


def check_closed(page):
    """Fail for a page that runs another script, or refers to anything outside itself."""
    assert [tag for tag, _ in page.elements].count("script") == 1
    assert {tag for tag, _ in page.elements}.isdisjoint(
        {"iframe", "object", "embed", "base", "link", "form"}
    )
    assert all(link["href"] == "#commands" for link in page.all("a"))
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        loads = LOADS & set(attributes) if tag != "a" else set()
        assert all(attributes[name].startswith("data:") for name in loads)
    (style,) = page.texts["style"]
    assert "url(" not in style
    assert "@import" not in style
    (policy,) = [
        meta["content"]
        for meta in page.all("meta")
        if meta.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules.pop("style-src").startswith("'sha256-")
    (script,) = page.texts["script"]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert rules.pop("script-src") == f"'sha256-{digest}'"
    assert rules == {
        "default-src": "'none'", "img-src": "data:", "media-src": "data:", "base-uri": "'none'",
        "form-action": "'none'"
    }  # fmt: skip


def test_hostile_texts_are_shown_as_texts(tmp_path):
    page = written(
        tmp_path,
        title=HOSTILE,
        sentences=[HOSTILE],
        figures=[(HOSTILE, HOSTILE, HOSTILE)],
        sections=[
            Section(
                HOSTILE,
                [HOSTILE],
                {HOSTILE: png(tmp_path / "picture.png")},
                [(HOSTILE, "x"), ("y", HOSTILE)],
                {HOSTILE: HOSTILE, "Next": "drive \u202e\x1b\n\0\udcff\u200bmodel.h5"},
            )
        ],
    )
    check_closed(page)
    assert [tag for tag, _ in page.elements].count("img") == 1
    assert page.all("img")[0]["alt"] == HOSTILE
    assert all(page.texts[tag][0] == HOSTILE for tag in ("title", "h1", "figcaption", "dt", "code"))
    assert page.texts["code"][1] == "drive " + 6 * "\ufffd" + "model.h5"  # what cannot be seen
    assert page.texts["p"][:2] == [f"{HOSTILE}."] * 2


def drive(interventions=0):
    figures = {
        "mean_abs_cross_track_m": 0.134,
        "max_abs_cross_track_m": 0.61,
        "mean_speed_mph": 24.6,
    }
    score = Score(**FIGURES | figures | {"autonomy_percent": 98.25, "interventions": interventions})
    trace = tuple(LinePoint(float(x), 0.0, x / 10) for x in range(5))
    view = np.zeros((160, 320, 3), np.uint8)
    places = (Intervention(3.0, 0.0, 512.0),) * interventions
    return Evaluation(score, {"p50": 2.61, "p99": 4.2}, trace, places, views=(view,))


def test_a_drive_is_reported_with_its_map_views_figures_and_commands(tmp_path):
    commands = drive_commands(Path(HOSTILE), EvaluateSettings())
    paths = write_evaluation(tmp_path, drive(1), EvaluateSettings(), Path(HOSTILE), commands)
    assert paths[-1] == tmp_path / "report.html"
    page = Page(paths[-1])
    check_closed(page)
    shown = [base64.b64decode(image["src"].split(",")[1]) for image in page.all("img")]
    assert shown == [(tmp_path / name).read_bytes() for name in ("map.png", "views.png")]
    for figure in ("98.2 %", "0.13 m", "0.61 m", "24.6 mph", "half within 2.6 ms"):
        assert any(figure in text for text in page.texts["td"]), figure
    assert page.texts["dd"][:3] == ["1 ", "0.13 ", "25 "]
    assert page.texts["th"] == ["figure", "value"]  # each figure's name has a definition
    assert page.texts["h1"][0].endswith("leaves the road once on lake, first after 512 m")
    assert page.texts["code"]
    assert all(line.startswith("bcclone ") for line in page.texts["code"])


def test_a_training_is_reported_with_the_pictures_that_were_drawn(tmp_path):
    names = ("saliency-straight", "saliency-bend", "history", "network")
    pictures = {name: png(tmp_path / f"{name}.png", words=f"{name} in words") for name in names}
    result = TrainResult(
        model="model.h5", epochs=8, epoch=7, best_epoch=7, loss=0.02, val_loss=0.0123, val_mae=0.04,
        samples_per_second=1234.0, data_wait_share=0.01, seconds=60.0,
        samples=SampleCounts(4000, 1000), feed="memory", ended="all epochs",
        batch_size=48,
    )  # fmt: skip

    def shown(drawn=(), **changes):
        made = replace(result, **changes)
        commands = training_commands(made)
        paths = write_training(tmp_path, made, ["data.h5"], dict(drawn), commands)
        page = Page(paths[-1])
        return page, " ".join(page.texts["p"]), " ".join(page.texts.get("td", ()))

    page, words, _ = shown(pictures)
    straight, bend, losses = page.all("img")  # that of the network says little about the training
    assert straight["alt"] == "saliency-straight in words"
    assert bend["alt"] == "saliency-bend in words"
    assert "losses" in losses["alt"]
    assert all(part in words for part in ("0.0123", "1.0 degrees", "batches of 48"))
    assert page.texts["code"][:2] == [
        "bcclone preprocess RECORDING --check",
        "bcclone evaluate model.h5 -o score",
    ]
    page, words, _ = shown(val_loss=None, val_mae=None, loss=None, handed_over="halfway")
    assert not page.all("img")
    assert "halfway" in words
    assert "too little driving was held back to tell" in page.texts["h1"][0]
    assert "there were no validation samples" in words
    drivers = {
        "start": ValidationScore(0.0123, 0.04, 0.571, None),
        "trained": ValidationScore(0.01, 0.03, -0.13, 0.5),
    }
    begun = {"epoch": 0, "loss": None, "drivers": drivers, "handed_over": "start"}
    _, words, figures = shown(**begun, note="the start")
    assert "0.01230 0.0400 0.571 - " in figures
    assert "-0.130 50.0%" in figures
    assert "The start." in words
    assert "epoch 0" not in words


def test_a_page_with_commands_names_the_folder_in_which_they_work(tmp_path, monkeypatch):
    def said(*sections):
        write_report(tmp_path / "report.html", "Title", ["One."], sections)
        return " ".join(Page(tmp_path / "report.html").texts["p"])

    doing = Section("Do", commands={"Drive": "bcclone drive model.h5"})
    again = Section("Do more", commands={"Drive again": "bcclone drive model.h5"})
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    assert said(doing, again).count(str(tmp_path / "mine")) == 1
    assert str(tmp_path) not in said(Section("Seen", ["Nothing to do"]))
    # somebody to whom a page is sent need not read the name of a home
    monkeypatch.setenv("USERPROFILE" if sys.platform == "win32" else "HOME", str(tmp_path))
    assert str(Path("~", "mine")) in said(doing)
    assert str(tmp_path) not in said(doing)


@needs_browser
@pytest.mark.slow
def test_a_browser_shows_a_report_and_runs_nothing_that_was_put_into_it(tmp_path):
    long = f"{HOSTILE}-a-name-without-a-space" * 20
    wide = [
        ("row", *(f"model {number}" for number in range(12))),
        (long, *(["100.0 %, 0, 0.12 m"] * 12)),
    ]
    pictures = {long: png(tmp_path / "picture.png", 900, 500)}
    driven = [(10.0 * number, 5.0 * number) for number in range(6)]
    write_report(
        tmp_path / "report.html",
        long,
        [long],
        [Section(long, [long], pictures, wide, {long: long})],
        [("0.11", "m", "from the middle, on average")],
        clip(tmp_path / "clip.mp4"),
        road_map(load_track("lake"), driven, []),
    )
    added = (
        "<script>document.title = 'ran'</script><p id=p style='color: red' onclick=alert(1)>x</p>"
    )
    added += "<link rel=stylesheet href=style.css><img id=i src=picture.png>"
    (tmp_path / "style.css").write_text("* { color: red }")
    page = (tmp_path / "report.html").read_text()
    (tmp_path / "changed.html").write_text(page.replace("</main>", f"{added}</main>"))
    with chromium() as browser:
        run = browser.execute_script
        browser.get((tmp_path / "report.html").as_uri())
        for width in (1280, 400):
            with window_of(browser, width):
                assert run("return document.documentElement.scrollWidth") <= width
                assert 0.25 * width < run("return document.images[0].clientWidth") < width
                heights = (
                    "return [...document.querySelectorAll('button, a')].map(e => e.offsetHeight)"
                )
                assert min(run(heights)) >= 44
        assert run("return document.images[0].naturalWidth") == 900
        # a click or a tap on a word shows what it means
        assert not browser.find_element("css selector", "dfn span").is_displayed()
        browser.find_element("css selector", "dfn").click()
        assert "how far" in browser.find_element("css selector", "dfn span").text
        # nothing lies over the clip, and the car on the map follows it
        assert not run("return document.querySelector('video').controls")
        browser.find_element("id", "play").click()
        assert browser.find_element("id", "play").text == "Play"
        at = (
            "const [time, done] = arguments; const video = document.querySelector('video');"
            "video.currentTime = time; video.addEventListener('seeked', () =>"
            "requestAnimationFrame(() => requestAnimationFrame(() => done("
            "Number(document.getElementById('car').getAttribute('cx'))))), {once: true});"
        )
        assert browser.execute_async_script(at, 0.25) == pytest.approx(25.0)
        assert browser.execute_async_script(at, 0.1) == pytest.approx(10.0)
        colours = []
        for scheme in ("light", "dark"):
            feature = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", feature)
            colours.append(run("return getComputedStyle(document.body).backgroundColor"))
        assert colours[0] == "rgb(238, 241, 244)" != colours[1]
        assert not errors_of(browser)
        browser.get((tmp_path / "changed.html").as_uri())
        assert run("return document.querySelector('p').textContent") == f"{long}."
        assert (
            len([error for error in errors_of(browser) if "Content Security" in error["message"]])
            >= 4
        )
        assert browser.title.startswith(HOSTILE)
        assert run("return document.getElementById('i').naturalWidth") == 0
        assert (
            run("return getComputedStyle(document.getElementById('p')).color") != "rgb(255, 0, 0)"
        )


@needs_browser
@pytest.mark.slow
def test_in_dark_colours_a_plot_has_the_colours_of_the_page_and_a_photograph_its_own(tmp_path):
    figure = new_figure(3)
    figure.subplots().plot([0, 1], color="black")
    plot, photograph = tmp_path / "plot.png", tmp_path / "photograph.png"
    save(figure, plot)
    save_images(photograph, [[(np.full((80, 160, 3), 200, np.uint8), "", "")]], 2.0)
    written(tmp_path, sections=[Section("Seen", (), {"plot": plot, "photograph": photograph})])
    shown = {}
    with chromium() as browser, window_of(browser, 1280, 1500):
        browser.get((tmp_path / "report.html").as_uri())
        for scheme in ("light", "dark"):
            feature = {"name": "prefers-color-scheme", "value": scheme}
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
            for place in browser.find_elements("css selector", ".pictures img"):
                content = PIL.Image.open(io.BytesIO(place.screenshot_as_png)).convert("RGB")
                shown[scheme, place.accessible_name] = np.asarray(content)
    corner = (4, 4)
    assert shown["light", "plot"][corner].tolist() == [255, 255, 255]
    assert shown["dark", "plot"][corner].tolist() == [0x18, 0x20, 0x29]  # of its section
    assert shown["dark", "plot"].max() > 200  # the lines and texts that were black
    middle = tuple(size // 2 for size in shown["dark", "photograph"].shape[:2])
    assert shown["dark", "photograph"][middle].tolist() == [200, 200, 200]


@needs_browser
@pytest.mark.slow
def test_a_report_can_be_used_with_a_screen_reader_and_its_map_can_be_seen(tmp_path):
    from selenium.webdriver import ActionChains, Keys

    driven = [(10.0 * number, 5.0 * number) for number in range(6)]
    film = clip(tmp_path / "clip.mp4")
    written(tmp_path, clip=film, road_map=road_map(load_track("lake"), driven, []))
    with chromium() as browser:
        run = browser.execute_script
        browser.get((tmp_path / "report.html").as_uri())
        # a word's meaning is its description; Escape closes it until the word is looked at again
        nodes = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        described = [node.get("description", {}).get("value", "") for node in nodes]
        assert any(text.startswith("how far the car was") for text in described)
        word = browser.find_element("css selector", "dfn")
        meaning = browser.find_element("css selector", "dfn span")
        word.click()
        assert meaning.is_displayed()
        ActionChains(browser).send_keys(Keys.ESCAPE).perform()
        assert not meaning.is_displayed()
        run("arguments[0].blur(); arguments[0].focus()", word)
        assert meaning.is_displayed()
        # controls say what they are of
        assert ("button", "Copy Drive") in named_controls(browser)
        place = browser.find_element("id", "place")
        wait_for(lambda: re.fullmatch(r"\d of 1 s", place.get_attribute("aria-valuetext")))
        # the road stands out from the ground, and the driven line from the road
        style = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
        for scheme in ("light", "dark"):
            feature = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", feature)
            road = run(style, "#map .road", "stroke")
            assert contrast(road, run(style, "body", "backgroundColor")) >= 3
            assert contrast(road, run(style, "#map .driven", "stroke")) >= 3
        assert not errors_of(browser)
