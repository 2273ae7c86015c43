"""Finished drives of a suite are kept, and driven again only if something has changed."""

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from bcclone.evaluate.evaluate_settings import SuiteSettings
from bcclone.evaluate.evaluation import Evaluation
from bcclone.evaluate.scenarios import select_scenarios
from bcclone.evaluate.suite import SuiteTask
from bcclone.evaluate.watched import WatchedFrame
from bcclone.evaluate.worker_model import InputFile
from bcclone.simulator.score import DriveEvent, Intervention, LinePoint, Score
from bcclone.system.finished_steps import FinishedSteps
from tests.conftest import run_script
from tests.hostile import with_wrong_values

SCORE = Score(97.5, 1, 120.5, 1140.0, 0.3, 1.0, 19.0, 0.2, 130.0, {"2.2": 1, "3": 0}, 0.98, "laps driven")
DRIVE = Evaluation(
    SCORE,
    None,
    (LinePoint(0.1, 2.0, -0.3),),
    (Intervention(1.0, 2.0, 3.0),),
    (DriveEvent(1.5, 1.0, 2.0, 3.0, 2.4, "off the road"),),
    (WatchedFrame(0.5, 0.1, 0.2, True),),
)


def task(row="lake-20", sha256="1" * 64, when_uncertain="ignore", **values):
    (scenario,) = select_scenarios(SuiteSettings((row,), when_uncertain=when_uncertain))
    return SuiteTask(InputFile(Path("model.h5"), sha256), None, scenario, **values)


def test_a_drive_is_read_as_it_was_kept(tmp_path):
    kept = FinishedSteps(tmp_path / "drives", Evaluation)
    assert kept.find(task().key) is None
    kept.keep(task().key, DRIVE)
    assert FinishedSteps(tmp_path / "drives", Evaluation).find(task().key) == DRIVE


def test_a_drive_whose_figures_contradict_each_other_is_refused_and_driven_again(tmp_path):
    with pytest.raises(ValueError, match="0 places of interventions for a score with 1, expected as many"):
        replace(DRIVE, interventions=())
    with pytest.raises(ValueError, match=r"a view is uint8 \(66, 200, 3\), expected uint8 \(160, 320, 3\)"):
        replace(DRIVE, views=(np.zeros((66, 200, 3), np.uint8),))
    kept = FinishedSteps(tmp_path, Evaluation)
    kept.keep("drive", DRIVE)
    (path,) = tmp_path.iterdir()
    path.write_text(path.read_text().replace('"interventions": 1', '"interventions": 2'))
    assert kept.find("drive") is None


@pytest.mark.parametrize(
    "other",
    [
        task(sha256="2" * 64),
        task("lake-30"),
        task(when_uncertain="stop"),
        task(inputs=(InputFile(Path("m.monitor"), "3" * 64),)),
        replace(task(), preprocess="nvidia-66x200-yuv"),
    ],
    ids=["another model", "another row", "when uncertain", "a monitor", "a preprocessing"],
)
def test_a_drive_of_anything_else_is_not_taken(other):
    assert task().key == task().key
    assert other.key != task().key


def test_a_road_file_that_has_changed_is_driven_again(tmp_path):
    road = tmp_path / "road.json"
    on_road = replace(task(), row=replace(task().row, settings=replace(task().row.settings, track=str(road))))
    keys = [on_road.key for text in ("{}", "{ }", "{}") if road.write_text(text)]
    assert keys[0] == keys[2] != keys[1]


@pytest.mark.long
def test_a_suite_goes_on_where_it_was_interrupted(untrained_model, tmp_path):
    line = ("suite", untrained_model, "--laps", 0.01, "--jobs", 1, "--json", "--output", tmp_path / "out")
    run_script(*line, "--rows", "lake-20")
    (first,) = (tmp_path / "out" / "drives").iterdir()
    time = first.stat().st_mtime_ns
    done = run_script(*line, "--rows", "lake-20,lake-30")
    assert "1 of 2 drives are finished already" in done.stderr
    assert first.stat().st_mtime_ns == time
    assert len(list(first.parent.iterdir())) == 2
    again = run_script(*line, "--rows", "lake-20,lake-30")
    assert "2 of 2 drives are finished already" in again.stderr
    assert json.loads(again.stdout) == json.loads(done.stdout)


def test_a_kept_drive_with_any_wrong_value_is_read_or_driven_again(tmp_path):
    kept = FinishedSteps(tmp_path, Evaluation)
    kept.keep("a", DRIVE)
    for wrong in islice(with_wrong_values(json.loads((tmp_path / "a.json").read_text())), 0, None, 7):
        (tmp_path / "a.json").write_text(json.dumps(wrong))
        if drive := kept.find("a"):
            assert drive.figures()
            assert drive.rank
