"""A result whose code has changed since is listed, with the pages that quote it."""

import json
import shutil

import pytest
import result_code

from tests.running import ROOT

MODULE = '"""Doubles numbers."""\n\n\ndef double(x):\n    """Return twice x."""\n    return 2 * x\n'


@pytest.fixture
def clone(tmp_path):
    """Return a folder with a package, a result that measures it, and a page that quotes that."""
    (tmp_path / "bcclone" / "feed").mkdir(parents=True)
    (tmp_path / "bcclone" / "feed" / "double.py").write_text(MODULE)
    (tmp_path / "docs" / "results").mkdir(parents=True)
    result = tmp_path / "docs" / "results" / "feeds.json"
    result.write_text(json.dumps({"measures": [{"value": 1.5}]}))
    (tmp_path / "README.md").write_text("1.5 times ([feeds.json](docs/results/feeds.json))\n")
    return tmp_path


def noted(clone):
    result = clone / "docs" / "results" / "feeds.json"
    result_code.note(result, ["feed"], clone)
    return json.loads(result.read_text())


def test_a_result_without_a_digest_is_listed_with_its_pages(clone):
    (line,) = result_code.changed(clone)
    assert line.startswith("feeds.json ")
    assert line.endswith("README.md")


def test_noting_keeps_the_figures_and_what_was_measured(clone):
    result = noted(clone)
    assert result["measures"] == [{"value": 1.5}]
    assert result["code"]["places"] == ["feed"]
    assert list(result_code.changed(clone)) == []


def test_only_a_change_of_what_the_code_does_counts(clone):
    noted(clone)
    module = clone / "bcclone" / "feed" / "double.py"
    told_otherwise = MODULE.replace("Return twice x.", "Double x.\n\n    Of any number.\n    ")
    module.write_text(f"# a comment\n{told_otherwise}")
    assert list(result_code.changed(clone)) == []
    module.write_text(MODULE.replace("2 * x", "x + x"))
    assert len(list(result_code.changed(clone))) == 1
    module.write_text(MODULE)
    shutil.copy(module, module.with_name("another.py"))
    assert len(list(result_code.changed(clone))) == 1


def test_each_result_of_the_repository_says_which_code_it_measures():
    names = {path.stem for path in (ROOT / "docs" / "results").glob("*.json")}
    assert names == set(result_code.CODE)
    for places in result_code.CODE.values():
        assert len(result_code.digest_of(places)) == 16
