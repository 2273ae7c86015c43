"""Every name in the tables and figures of a report has a definition, or says what it is."""

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from bcclone.evaluation.evaluate import Evaluation
from bcclone.evaluation.recorded_drive import RecordedDrive
from bcclone.evaluation.replay import Replayed, controls_of
from bcclone.evaluation.scenarios import select_scenarios
from bcclone.evaluation.settings import EvaluateSettings, SuiteSettings
from bcclone.evaluation.suite import SuiteResult
from bcclone.pictures.reports import write_evaluation, write_replay, write_suite, write_training
from bcclone.research.margin_map import MarginMap
from bcclone.research.margin_report import write_margins
from bcclone.research.margin_settings import MarginSettings
from bcclone.research.returning import state_grid
from bcclone.simulator.score import LinePoint, Score
from bcclone.simulator.track import load_track
from bcclone.training.result import SampleCounts, TrainResult
from bcclone.training.score import ValidationScore
from tests.evaluation.conftest import FIGURES

# they head columns whose cells, such as names, say what they are
HEADINGS = {"", "figure", "value", "row", "what is driven", "the narrowest places"}
MODEL = "mine.h5"  # a name that the user has given, as are those of roads and recordings


class Names(HTMLParser):
    """The names of rows, columns and figures on the page of a report that have no definition."""

    def __init__(self, path):
        super().__init__()
        self.undefined = set()
        self._open = []
        self._names = []  # texts of the cell that is open
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        if tag in ("th", "dl", "dt", "dfn"):
            self._open.append((tag, dict(attributes).get("class", "")))
        if tag in ("th", "dt"):
            self._names = [""]
        if tag == "dfn":
            self._names = []

    def handle_data(self, text):
        if self._names and self._open and self._open[-1][0] in ("th", "dt"):
            self._names[-1] += text

    def handle_endtag(self, tag):
        if tag not in ("th", "dl", "dt", "dfn"):
            return
        self._open.pop()
        is_name = tag == "th" or (tag == "dt" and self._open[-1][1].startswith("figures"))
        if is_name and self._names:
            self.undefined |= {self._names[-1].strip()}


def undefined(path):
    return Names(path).undefined - HEADINGS


def drive(**changes):
    trace = (LinePoint(0.0, 0.0, 0.0), LinePoint(0.0, 1.0, 0.0))
    view = np.zeros((160, 320, 3), np.uint8)
    return Evaluation(
        Score(**FIGURES | changes), {"p50": 2.6, "p99": 4.2}, trace, (), views=(view,)
    )


def test_of_a_drive(tmp_path):
    assert not undefined(
        write_evaluation(tmp_path, drive(), EvaluateSettings(), Path(MODEL), {})[-1]
    )


@pytest.mark.parametrize("others", [[], ["other.h5"]])
def test_of_a_suite_of_one_model_or_of_several(tmp_path, others):
    models = {name: Path(name) for name in (MODEL, *others)}
    rows = select_scenarios(SuiteSettings(("lake-20",)))
    result = SuiteResult(models, rows, {"lake-20": dict.fromkeys(models, drive())})
    beside = {"lake-20": {"any-road.h5, shipped": drive(), "the built-in expert": drive()}}
    assert undefined(write_suite(tmp_path, result, beside, {})[-1]) == {"lake-20", *models}


@pytest.mark.parametrize("drivers", [["trained"], ["start", "halfway", "trained"]])
def test_of_a_training_or_of_a_fine_tuning(tmp_path, drivers):
    score = ValidationScore(0.01, 0.03, 0.5, 0.9)
    result = TrainResult(
        model=MODEL, epochs=8, epoch=7, best_epoch=7, loss=0.02, val_loss=0.01, val_mae=0.03,
        samples_per_second=1234.0, data_wait_share=0.01, seconds=60.0,
        samples=SampleCounts(4000, 1000), feed="memory", ended="all epochs",
        drivers=dict.fromkeys(["mean_steering", *drivers], score),
    )  # fmt: skip
    assert not undefined(write_training(tmp_path, result, ["data.h5"], {}, {})[-1])


@pytest.mark.parametrize(
    ("unit", "speed"), [("m", 8.0), ("camera heights", 8.0), ("m", 0.0)], ids=str
)
def test_of_a_replay(tmp_path, unit, speed):
    rows = 90
    steering = 0.2 * np.sin(np.arange(rows) / 9)
    reference = RecordedDrive(
        steering=steering,
        speed=np.full(rows, speed),
        seconds=np.full(rows, 0.1),
        ends=np.arange(rows) == rows - 1,
        curvature=steering / 20,
        images=[{}] * rows,
        unit=unit,
    )
    controls = controls_of(reference, 2.0)
    controls["shipped"] = replace(controls["zero"])
    (tmp_path / "drive").mkdir()
    (tmp_path / "drive" / "driving_log.csv").touch()
    replayed = Replayed(reference, 2.0, {MODEL: controls["mean"]}, controls)
    page = write_replay(tmp_path, str(tmp_path / "drive"), replayed, {})[-1]
    assert undefined(page) == {MODEL}


def test_of_margins(tmp_path):
    track = load_track("lake")
    grid = state_grid(track, 20.0, 0.5, 2.0)
    returns = np.abs(grid.offsets_m)[:, None] < 3 + np.sin(grid.places_m / 9)[:, None, None]
    returns = np.broadcast_to(returns, grid.shape)
    margins = {MODEL: MarginMap(track, 100, grid, returns, returns)}
    names = undefined(write_margins(tmp_path, margins, MarginSettings())[-1])
    assert names
    assert all(name.startswith(f"{MODEL}, ") for name in names)  # and the number of a place
