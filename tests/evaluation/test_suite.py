"""The suite: its scenarios, the same results for any number of processes, its tables and
pictures.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import PIL.Image
import pytest

from bcclone.evaluation.evaluate import Evaluation
from bcclone.evaluation.scenarios import select_scenarios
from bcclone.evaluation.settings import SuiteSettings
from bcclone.evaluation.suite import (
    BlindDriver,
    ModelDriver,
    SuiteResult,
    SuiteTask,
    Unreadable,
    best_of,
    run_task,
)
from bcclone.pictures.reports import write_suite
from bcclone.simulator.score import Intervention, LinePoint, Score
from bcclone.simulator.world_settings import Conditions
from bcclone.system.errors import UserError
from bcclone.system.pool import open_pool, run_tasks
from bcclone.system.values import part_of
from models.making.samples import FIRST_ROAD
from tests.conftest import made_once
from tests.dask_cluster import dask_cluster
from tests.evaluation.conftest import FIGURES
from tests.model.foreign.old_models import keras1_config, write
from tests.running import run_script

# each process loads TensorFlow, on cores that other tests use, too
pytestmark = pytest.mark.timeout(600)


def scenario(name):
    (found,) = select_scenarios(SuiteSettings((name,)))
    return found


def test_the_suites_have_their_rows():
    # those of the standard suite stand in docs/reference/cli.md, which tests/repository compares
    testing = select_scenarios(SuiteSettings(suite="testing"))
    assert len({row.name for row in testing}) == len(testing) == 37
    # the single ones are those of 50 %
    assert len({part_of(row.settings, Conditions) for row in testing}) == 34
    roads = select_scenarios(SuiteSettings(suite="roads"))
    assert len({row.name for row in roads}) == len(roads) == 68
    # none is a road from which samples are made
    assert max(int(row.settings.track.removeprefix("random:")) for row in roads[:60]) < FIRST_ROAD
    rows = select_scenarios(SuiteSettings(track="random:7", laps=0.5, texture_seed=3))
    changed = {(row.settings.track, row.settings.laps, row.settings.texture_seed) for row in rows}
    assert (len(rows), changed) == (18, {("random:7", 0.5, 3)})
    assert rows[0].description == "random:7, 15 mph"
    with pytest.raises(UserError, match="roads of its own"):
        select_scenarios(SuiteSettings(suite="roads", track="random:7"))


@pytest.fixture(scope="module")
def of_two_models(untrained_model, tmp_path_factory):
    """What is printed for a new model and an older one, by two processes and by a cluster of one
    worker, and the folder of the pictures.
    """

    def make(folder):
        older = write(folder / "older.h5", keras1_config())
        line = ("suite", untrained_model, older, "--preprocess", "nvidia-66x200-yuv")
        rows = ("--rows", "perturbations,lake-30", "--laps", 0.01, "--json")
        own = run_script(*line, *rows, "--jobs", 2, "--output", folder / "out").stdout
        with dask_cluster(folder, workers=1) as cluster:
            others = run_script(*line, *rows, "--scheduler", cluster.address).stdout
        (folder / "printed.json").write_text(json.dumps([own, others]))

    folder = made_once(tmp_path_factory, "suite", make)
    return json.loads((folder / "printed.json").read_text()), folder / "out"


@pytest.mark.long
def test_figures_are_the_same_to_the_byte_wherever_the_models_drive(of_two_models):
    (of_processes, of_cluster), _ = of_two_models
    assert of_cluster == of_processes
    rows = json.loads(of_processes)["rows"]
    assert [one["row"] for one in rows] == ["lake-30", "perturbations"]
    for one in rows:
        assert all(set(figures) == set(FIGURES) for figures in one["models"].values())
        # a given preprocessing is for models without their own: untrained.h5 is not refused
        assert one["models"]["untrained"] != one["models"]["older"]


@pytest.mark.slow
def test_the_suite_writes_pictures_table_and_figures(of_two_models):
    (printed, _), folder = of_two_models
    figures = json.loads((folder / "figures.json").read_text())
    beside = figures.pop("clean_rows_beside")
    assert figures == json.loads(printed)
    # the pushes and the first metres of a lap are no difficulty for who sees the road
    assert beside["any-road.h5, shipped"] == beside["the built-in expert"] == 2
    page = (folder / "report.html").read_text()
    assert all(f"{name}<" in page for name in beside)
    names = {path.name for path in folder.iterdir()}
    assert names == {"table.txt", "figures.json", "report.html", "maps", "drives"}
    maps = sorted((folder / "maps").iterdir())
    assert [path.name for path in maps] == ["lake-30.png", "perturbations.png"]
    for path in maps:
        with PIL.Image.open(path) as picture:
            assert min(picture.size) > 150
    assert "lake, 30 mph" in (folder / "table.txt").read_text()


def test_the_expert_stays_on_the_road_and_a_car_that_is_not_steered_does_not():
    (row,) = select_scenarios(SuiteSettings(("lake-30",), laps=0.1))
    expert, unsteered = (
        run_task(SuiteTask(BlindDriver(steers), row)).score for steers in (True, False)
    )
    assert (expert.interventions, expert.complete) == (0, True)
    assert expert.mean_abs_cross_track_m < 0.1
    assert unsteered.interventions > 1


@pytest.mark.slow
def test_a_model_that_a_worker_does_not_find_is_named(tmp_path):
    model = tmp_path / "model.h5"
    with open_pool(1) as pool:
        task = SuiteTask(ModelDriver(model, "0" * 64, None), scenario("fog"))
        for words in ("a worker cannot read it", "has other content on a worker"):
            with pytest.raises(UserError, match=f"{model}: {words}"):
                list(run_tasks(pool, run_task, [task]))
            model.write_bytes(b"another model")


def drive(**changes):
    score = Score(**FIGURES | changes)
    trace = (LinePoint(0, 0, 0), LinePoint(0, 1, 0))
    return Evaluation(score, None, trace, (Intervention(0, 1, 1.0),) * score.interventions)


def result(**drives):
    models = {name: Path(f"{name}.h5") for name in drives}
    return SuiteResult(models, select_scenarios(SuiteSettings(("lake-20",))), {"lake-20": drives})


@pytest.mark.parametrize(
    ("one", "other", "best"),
    [
        ({}, {"autonomy_percent": 95.0, "interventions": 1}, {"one"}),
        ({"mean_abs_cross_track_m": 0.4}, {}, {"other"}),
        ({}, {}, {"one", "other"}),
        ({"ended": "it stood still"}, {"autonomy_percent": 70.0}, {"other"}),
    ],
)
def test_the_best_of_a_row_is_marked(one, other, best):
    compared = result(one=drive(**one), other=drive(**other))
    assert best_of(compared.drives["lake-20"]) == best
    (line,) = [line for line in str(compared.table()).splitlines() if line.startswith("lake-20")]
    assert line.count("*") == len(best)
    text = str(result(single=drive(interventions=2, autonomy_percent=91.3)).table())
    assert "*" not in text  # of a single model
    assert all(words in text for words in ("  91.3 %    2  0.30   1.00", "0 of 1 rows, 2"))


def test_a_drive_is_kept_for_the_same_task_and_road_only(tmp_path):
    def task(row="lake-20", sha256="1" * 64, preprocess=None, **settings):
        (scenario,) = select_scenarios(SuiteSettings((row,), **settings))
        return SuiteTask(ModelDriver(Path("model.h5"), sha256, preprocess), scenario)

    others = [
        task(sha256="2" * 64),
        task("lake-30"),
        task(laps=0.5),
        task(preprocess="nvidia-66x200-yuv"),
    ]
    assert len({task().key, *(other.key for other in others)}) == 5
    assert task().key == task().key
    road = tmp_path / "road.json"
    keys = [task(track=str(road)).key for text in ("{}", "{ }", "{}") if road.write_text(text)]
    assert keys[0] == keys[2] != keys[1]


@pytest.mark.long
def test_a_suite_goes_on_where_it_was_interrupted(untrained_model, tmp_path):
    line = ("suite", untrained_model, "--laps", 0.01, "--jobs", 1, "--json", "-o", tmp_path / "out")
    run_script(*line, "--rows", "lake-20")
    first, *_ = (tmp_path / "out" / "drives").iterdir()
    time = first.stat().st_mtime_ns
    line = (*line, "--force")
    done = run_script(*line, "--rows", "lake-20,lake-30")
    assert "1 of 2 drives are finished already" in done.stderr
    assert "3 of 6 drives to compare with are finished already" in done.stderr
    assert first.stat().st_mtime_ns == time
    # of the model, and of the three to compare it with
    assert len(list(first.parent.iterdir())) == 2 * 4
    again = run_script(*line, "--rows", "lake-20,lake-30")
    assert "2 of 2 drives are finished already" in again.stderr
    assert json.loads(again.stdout) == json.loads(done.stdout)


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ({"interventions": 2}, {"interventions": 1}, "best: second, with 0 of 1 rows"),
        ({"mean_abs_cross_track_m": 0.4}, {}, "best: second, with 1 of 1 rows"),
        ({}, {}, "equally good: first, second, with 1 of 1 rows"),
    ],
)
def test_the_best_of_several_is_named_and_not_the_first(tmp_path, first, second, words):
    compared = result(first=drive(**first), second=drive(**second))
    assert compared.sentences()[-1].startswith(words)
    best = "first" if "equally" in words else "second"
    assert compared.figures()["best"] == best
    assert compared.ranking().rows[0][0] == best
    beside = {"lake-20": {"the built-in expert": drive()}}
    page = write_suite(tmp_path, compared, beside, {})[-1].read_text()
    assert f"{best}.h5" in page.partition("<h1")[2].partition("</h1>")[0]


def test_a_model_that_did_not_drive_is_a_row_with_its_reason():
    one = result(good=drive())
    with_damaged = replace(one, unreadable={"bad": Unreadable(Path("bad.h5"), "bad.h5: broken")})
    lines = with_damaged.sentences()[-2].splitlines()
    assert lines[-1].split(maxsplit=4) == ["bad", "-", "-", "-", "bad.h5: broken"]
    assert with_damaged.figures()["models"]["bad"] == {"path": "bad.h5", "error": "bad.h5: broken"}


@pytest.mark.slow
def test_models_that_cannot_drive_are_found_before_anything_drives(untrained_model, tmp_path):
    damaged = tmp_path / "damaged.h5"
    damaged.write_bytes(untrained_model.read_bytes()[:9000])
    spoilt = shutil.copy(untrained_model, tmp_path / "spoilt.h5")
    with h5py.File(spoilt, "r+") as file:
        weights = file["model_weights"]
        names = []
        weights.visit(names.append)
        for name in names:
            if isinstance(weights[name], h5py.Dataset) and weights[name].dtype.kind == "f":
                weights[name][...] = np.nan
    rows = ("--rows", "lake-20", "--laps", 0.01, "--jobs", 1)
    failed = run_script("suite", damaged, spoilt, *rows, code=1)
    assert str(damaged) in failed.stderr
    assert "not all finite" in failed.stderr
    assert "driving" not in failed.stderr
    done = run_script("suite", damaged, untrained_model, spoilt, *rows, "--json", code=1)
    models = json.loads(done.stdout)["models"]
    assert {name: "error" in one for name, one in models.items()} == {
        "damaged": True,
        "untrained": False,
        "spoilt": True,
    }
    before, found, _ = done.stderr.partition("not driven: ")
    assert found
    assert "driving" not in before
