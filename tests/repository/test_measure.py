"""A result is made by commands and names them; one whose code has changed since is listed."""

import json
import shutil

import measure
import pytest

from tests.running import ROOT

MODULE = (
    '"""Doubles numbers."""\n\nUNIT = "m"\n\n\ndef double(x):\n    """Return twice x."""\n'
    '    assert x > 0, "too small a number"\n    return 2 * x\n'
)

MEASURED = {"feeds": measure.Result(lambda run: {}, ["feed"])}


@pytest.fixture
def clone(tmp_path):
    """Return a folder with a package, a result that measures it, and a page that quotes that."""
    (tmp_path / "bcclone" / "feed").mkdir(parents=True)
    (tmp_path / "bcclone" / "feed" / "double.py").write_text(MODULE)
    (tmp_path / "docs" / "results").mkdir(parents=True)
    digest = measure.digest_of(["feed"], tmp_path)
    result = {"measures": [{"value": 1.5}], "code": {"places": ["feed"], "digest": digest}}
    (tmp_path / "docs" / "results" / "feeds.json").write_text(json.dumps(result))
    (tmp_path / "README.md").write_text("1.5 times ([feeds.json](docs/results/feeds.json))\n")
    (tmp_path / "docs" / "speed.md").write_text("<!-- table: speeds -->\n")
    return tmp_path


def test_a_result_without_a_digest_is_listed(clone):
    (clone / "docs" / "results" / "feeds.json").write_text("{}")
    assert list(measure.changed(clone, MEASURED)) == ["feeds"]


def test_a_result_that_measures_other_code_today_is_listed(clone):
    assert list(measure.changed(clone)) == ["feeds"]


def test_pages_that_link_to_a_result_or_have_its_table_quote_it(clone):
    assert measure.quoting("feeds", clone) == ["README.md", "docs/speed.md"]
    assert measure.quoting("replay", clone) == []


def test_only_a_change_of_what_the_code_does_counts(clone):
    assert list(measure.changed(clone, MEASURED)) == []
    module = clone / "bcclone" / "feed" / "double.py"
    told_otherwise = MODULE.replace("Return twice x.", "Double x.\n\n    Of any number.\n    ")
    told_otherwise = told_otherwise.replace("too small a number", "expected more than 0")
    module.write_text(f"# a comment\n{told_otherwise}")
    assert list(measure.changed(clone, MEASURED)) == []
    moved = module.rename(module.with_name("twice.py"))
    moved.write_text(MODULE.replace("def", "import math\n\n\ndef"))
    assert list(measure.changed(clone, MEASURED)) == []
    moved.rename(module)
    module.write_text(MODULE.replace('"m"', '"km"'))
    assert list(measure.changed(clone, MEASURED)) == ["feeds"]
    module.write_text(MODULE.replace("2 * x", "x + x"))
    assert list(measure.changed(clone, MEASURED)) == ["feeds"]
    module.write_text(MODULE)
    shutil.copy(module, module.with_name("another.py"))
    assert list(measure.changed(clone, MEASURED)) == ["feeds"]


@pytest.mark.parametrize(
    ("part", "is_one"),
    [
        ({"rows": [{"row": "fog", "m": 0.25}]}, True),
        ({"rows": [{"row": "fog", "m": 0.25}, {"row": "rain"}]}, True),
        ({"rows": [{"row": "fog", "m": 0.2500001}]}, False),
        ({"rows": [{"row": "snow", "m": 0.25}]}, False),
        ({"rows": {}}, False),
        ({"drives": []}, False),
    ],
)
def test_a_part_has_the_same_figures_to_the_last_digit(part, is_one):
    rows = [{"row": "rain", "m": 0.5}, {"row": "fog", "m": 0.25, "laps": 1}]
    assert measure.is_part(part, {"best": "lake", "rows": rows}) is is_one


def test_a_result_is_confirmed_by_a_part_with_the_same_figures(clone, monkeypatch):
    feeds = clone / "docs" / "results" / "feeds.json"
    monkeypatch.setattr(measure, "RESULTS", feeds.parent)
    before = feeds.read_text()
    part = {"measures": [{"value": 1.25}]}
    result = measure.Result(lambda run: {}, ["feed"], lambda run: part)
    monkeypatch.setattr(measure, "RESULT_OF", {"feeds": result})
    with pytest.raises(SystemExit, match="feeds: the code of today gives other figures"):
        measure.confirm("feeds", clone)
    assert feeds.read_text() == before
    part["measures"][0]["value"] = 1.5
    measure.confirm("feeds", clone)
    kept = json.loads(feeds.read_text())
    assert kept["measures"] == [{"value": 1.5}]
    assert kept["confirmed_by"] == []
    assert kept["code"]["digest"] == measure.digest_of(["feed"])


def test_commands_are_kept_as_a_person_would_write_them(tmp_path):
    run = measure.Commands(tmp_path)
    model = measure.ROOT / "models" / "lake.h5"
    found = run.printed("suite", model, "--rows", "lake-30", "--laps", 0.02)
    assert [row["row"] for row in found["rows"]] == ["lake-30"]
    assert run.lines == ["bcclone suite models/lake.h5 --rows lake-30 --laps 0.02 --json"]


def test_each_result_of_the_repository_can_be_made_anew():
    names = {path.stem for path in (ROOT / "docs" / "results").glob("*.json")}
    assert names - {"gpu"} == set(measure.RESULT_OF)  # gpu.json is of measure_gpu.py
    for result in measure.RESULT_OF.values():
        for place in result.code:
            root = ROOT if place.startswith("/") else ROOT / "bcclone"
            assert (root / place.removeprefix("/")).exists()
