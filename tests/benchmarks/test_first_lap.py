"""The comparison of recipes: how a model is made and driven, and which trainings are compared."""

import pytest

from bcclone.system.settings import SettingError
from benchmarks.__main__ import main
from benchmarks.first_lap import RECIPES, Recipe, Settings, make_report, measure

STORES = {
    "old": {"record_seconds": 90.0, "store_seconds": 10.0, "rows": 3900},
    "new": {"record_seconds": 40.0, "store_seconds": 10.0, "rows": 1300},
}
CLEAN = {"interventions": 0, "mean_abs_cross_track_m": 0.1, "max_abs_cross_track_m": 0.8}


def training(recipe, seed, seconds, clean=True, passes=4):
    return {
        "recipe": recipe,
        "seed": seed,
        "passes": passes,
        "seconds": seconds,
        "training_seconds": seconds - 5.0,
        "val_loss": 0.005,
        "drives": {"forward": CLEAN, "reverse": CLEAN | {"interventions": int(not clean)}},
        "clean": clean,
    }


def test_ratios_are_of_the_seeds_with_which_both_recipes_drive_clean_laps():
    report = make_report(
        STORES,
        [
            training("old", 0, 100.0),
            training("new", 0, 50.0),
            training("old", 1, 100.0),
            training("new", 1, 10.0, clean=False),
        ],
    )
    old, new, of_training, of_all = report.measures
    assert (old.value, old.reached) == (0, True)
    assert (new.value, new.reached) == (1, False)
    assert (of_training.value, of_all.value) == (0.5, 0.5)
    first_lap_seconds = [row.split()[-1] for row in report.tables[1:]]
    assert first_lap_seconds == ["200", "100", "200", "-"]


def test_of_trainings_with_more_and_more_passes_the_last_one_counts():
    report = make_report(
        STORES,
        [
            training("old", 0, 20.0, clean=False, passes=1),
            training("old", 0, 40.0, passes=2),
            training("new", 0, 10.0, passes=1),
        ],
    )
    old, new, of_training, _ = report.measures
    assert (old.value, new.value, of_training.value) == (0, 0, 0.25)


def test_one_recipe_is_compared_with_none():
    report = make_report({"new": STORES["new"]}, [training("new", 0, 10.0)])
    assert [measure.name for measure in report.measures] == ["new: seeds without clean laps"]


def test_an_unknown_recipe_is_refused_with_the_names():
    with pytest.raises(SettingError, match="nonsense.*november"):
        Settings(("nonsense",))


@pytest.mark.parametrize("passes", ["0", "x", "2,"])
def test_wrong_passes_are_refused(passes, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["first-lap", "--passes", passes])
    assert ended.value.code == 2
    assert "--passes" in capsys.readouterr().err


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_recipe_is_recorded_trained_and_driven_and_is_kept(tmp_path, monkeypatch):
    small = Recipe(("--seed 1", "--seed 2 --reverse"), 2, "--dropout 0.15", 0.05)
    monkeypatch.setitem(RECIPES, "small", small)
    settings = Settings(("small",), seeds=1, passes=(1, 2), laps=0.02, folder=tmp_path)
    report = measure(settings, print)
    assert not report.failed
    first = report.as_json()["trainings"]
    assert [figures["passes"] for figures in first] in ([1], [1, 2])
    assert set(first[0]["drives"]) == {"forward", "reverse"}
    assert measure(settings, print).as_json()["trainings"] == first
