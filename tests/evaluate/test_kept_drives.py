"""Finished drives of a suite are kept, and driven again only if something has changed."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bcclone.evaluate.kept_drives import KeptDrives
from bcclone.evaluate.scenarios import ScenarioDrive, select_scenarios
from bcclone.evaluate.suite_worker import InputFile, SuiteTask
from bcclone.lab.monitor.points import DoubtPoint
from bcclone.simulator.score import DriveEvent, Intervention, LinePoint, Score
from tests.conftest import run_script

SCORE = Score(97.5, 1, 120.5, 1140.0, 0.3, 1.0, 19.0, 0.2, 130.0, {"2.2": 1, "3": 0})
DRIVE = ScenarioDrive(
    SCORE,
    0.98,
    "laps driven",
    (LinePoint(0.1, 2.0, -0.3),),
    (Intervention(1.0, 2.0, 3.0),),
    (DriveEvent(1.5, 1.0, 2.0, 3.0, 2.4, "off the road"),),
    (DoubtPoint(0.5, 0.1, 0.2, True),),
)


def task(rows="lake-20", sha256="1" * 64, **values):
    return SuiteTask(InputFile(Path("model.h5"), sha256), None, select_scenarios([rows])[0], **values)


def test_a_drive_is_read_as_it_was_kept(tmp_path):
    kept = KeptDrives(tmp_path / "drives")
    assert kept.find(task()) is None
    kept.keep(task(), DRIVE)
    assert KeptDrives(tmp_path / "drives").find(task()) == DRIVE


@pytest.mark.parametrize(
    "other",
    [
        task(sha256="2" * 64),
        task("lake-30"),
        task(on_doubt="stop"),
        task(monitor=InputFile(Path("m.monitor"), "3" * 64)),
        replace(task(), preprocess="nvidia-66x200-yuv"),
    ],
    ids=["another model", "another row", "on doubt", "a monitor", "a preprocessing"],
)
def test_a_drive_of_anything_else_is_not_taken(tmp_path, other):
    kept = KeptDrives(tmp_path)
    kept.keep(task(), DRIVE)
    assert kept.find(other) is None


def test_a_road_file_that_has_changed_is_driven_again(tmp_path):
    road, kept = tmp_path / "road.json", KeptDrives(tmp_path / "drives")
    on_road = replace(task().work, settings=replace(task().work.settings, track=str(road)))
    for text, found in (("{}", None), ("{ }", None), ("{}", DRIVE)):
        road.write_text(text)
        assert kept.find(replace(task(), work=on_road)) == found
        kept.keep(replace(task(), work=on_road), DRIVE)


def test_a_damaged_file_is_driven_again(tmp_path):
    kept = KeptDrives(tmp_path)
    kept.keep(task(), DRIVE)
    (path,) = tmp_path.iterdir()
    for text in ("", "[]", "{}", '{"score": {}}', path.read_text().replace("autonomy_percent", "speed")):
        path.write_text(text)
        assert kept.find(task()) is None


def test_nothing_is_kept_without_a_folder():
    kept = KeptDrives(None)
    kept.keep(task(), DRIVE)
    assert kept.find(task()) is None


@pytest.mark.long
def test_a_suite_goes_on_where_it_was_interrupted(untrained_model, tmp_path):
    line = ("evaluate", untrained_model, "--suite", "--laps", 0.01, "--jobs", 1, "--json", "--output", tmp_path / "out")
    run_script(*line, "--rows", "lake-20")
    (first,) = (tmp_path / "out" / "drives").iterdir()
    time = first.stat().st_mtime_ns
    done = run_script(*line, "--rows", "lake-20", "lake-30")
    assert "1 of 2 drives are finished already" in done.stderr
    assert first.stat().st_mtime_ns == time
    assert len(list(first.parent.iterdir())) == 2
    again = run_script(*line, "--rows", "lake-20", "lake-30")
    assert "2 of 2 drives are finished already" in again.stderr
    assert json.loads(again.stdout) == json.loads(done.stdout)
