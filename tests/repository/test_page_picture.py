"""The picture of the drive page shows the page of today: its words are those that the page has now."""

import re
from types import SimpleNamespace

import jinja2
import pytest
from made_from import made_from

from tests.conftest import ROOT
from tests.pages import needs_browser

page_picture = pytest.importorskip("page_picture", reason="needs selenium, of the dev extras")
REMEDY = "run: python docs/page_picture.py"


def labels():
    """Return the headings and labels of the page of a drive with a model, without hidden parts."""
    templates = jinja2.FileSystemLoader(ROOT / "bcclone" / "drive" / "page" / "templates")
    page = SimpleNamespace(program="drive.py", command="python drive.py", track=None, has_model=True)
    html = (
        jinja2.Environment(loader=templates, autoescape=True)
        .get_template("page.html")
        .render(page=page, option="", highest_speed="60", url_for=lambda *_, filename: filename)
    )
    shown = re.sub(r"<(div|p)\b[^>]* hidden>.*?</\1>", "", html, flags=re.DOTALL)
    return re.findall(r"<(?:h1|h2|label|dt|button|figcaption)\b[^>]*>([^<]+)", shown)


def test_the_picture_has_the_headings_and_labels_of_the_page():
    found = page_picture.words(labels()).splitlines()
    assert len(found) > 15
    assert set(found) - set(made_from(page_picture.PICTURE).splitlines()) == set(), REMEDY


@pytest.mark.parametrize("picture", [page_picture.RECORDING, page_picture.FILM], ids=lambda picture: picture.name)
def test_the_pictures_of_recordings_have_the_buttons_of_their_page(picture):
    html = (ROOT / "bcclone" / "drive" / "page" / "templates" / "look.html").read_text(encoding="utf-8")
    found = page_picture.words(re.findall(r"<(?:h1|h2|label|button)\b[^>{]*>([^<{]+)", html)).splitlines()
    assert len(found) > 15
    assert set(found) - set(made_from(picture).splitlines()) == set(), REMEDY


@pytest.mark.slow
@needs_browser
@pytest.mark.timeout(600)
def test_the_picture_has_every_word_of_the_page():
    png, shown = page_picture.show_page(driven_seconds=6.0)
    assert png.startswith(b"\x89PNG")
    assert shown == made_from(page_picture.PICTURE), REMEDY
