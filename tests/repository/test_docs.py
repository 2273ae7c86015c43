"""The pages: no merge is half done, and docs/ builds without a warning, every link within it
leading somewhere.
"""

import re
import sys

import pytest

from tests.processes import said
from tests.running import ROOT


@pytest.mark.slow
def test_the_pages_build_without_a_warning(tmp_path):
    line = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-W",
        "--keep-going",
        "-b",
        "html",
        ROOT / "docs",
        tmp_path / "pages",
    ]
    done = said(*line, "-d", tmp_path / "trees")
    assert done.returncode == 0, done.stderr
    for page in (ROOT / "docs").rglob("*.md"):
        assert (tmp_path / "pages" / page.relative_to(ROOT / "docs").with_suffix(".html")).exists()


def test_no_page_has_marks_of_an_unfinished_merge():
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    assert not [
        page
        for page in pages
        if re.search(r"^(<<<<<<<|>>>>>>>) ", page.read_text("utf-8"), re.MULTILINE)
    ]


def test_files_that_the_pages_name_exist():
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    named = [
        (page.name, path)
        for page in pages
        if page.name != "CHANGELOG.md"
        for path in re.findall(
            r"\b(?:bcclone|tests|benchmarks|examples)/[\w/.-]+\.\w+\b", page.read_text("utf-8")
        )
        if not re.search("ROOM|NAME|bcclone/bcclone", path)
    ]
    assert [(page, path) for page, path in named if not (ROOT / path).exists()] == []
