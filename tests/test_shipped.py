"""The models that come with a clone: their content, and that they drive."""

from pathlib import Path

import h5py
import pytest

from bcclone.evaluation.evaluate import evaluate_policy
from bcclone.evaluation.settings import EvaluateSettings
from bcclone.model.policy import load_policy
from bcclone.research.improve import read_start

MODELS = Path(__file__).parents[1] / "models"


def drive_of(track, reverse, speed_mph, **world):
    return EvaluateSettings(track, reverse, speed_mph=speed_mph, **world)


@pytest.mark.parametrize("name", ["lake.h5", "any-road.h5", "any-camera.h5"])
def test_a_shipped_model_is_small_and_contains_weights_only(name):
    assert (MODELS / name).stat().st_size < 2e6
    with h5py.File(MODELS / name) as file:
        names = []
        file.visit(names.append)
        assert not [name for name in names if "optimizer" in name]
        assert "training_config" not in file.attrs
        assert '"Lambda"' not in file.attrs["model_config"]  # Keras's safe mode refuses one


@pytest.mark.parametrize(
    "settings",
    [
        drive_of("lake", False, 30.0, laps=0.15),
        pytest.param(
            drive_of("lake", True, 20.0, laps=0.2, latency_ms=200), marks=pytest.mark.long
        ),
        pytest.param(drive_of("lake", False, 30.0), marks=pytest.mark.long),
    ],
    ids=["part of a lap", "the other way round, with 200 ms latency", "a lap"],
)
def test_the_model_of_the_lake_drives_without_an_intervention(settings):
    result = evaluate_policy(load_policy(MODELS / "lake.h5"), settings)
    assert (result.score.autonomy_percent, result.score.complete) == (100.0, True)
    assert result.score.mean_abs_cross_track_m < 0.4


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(drive_of("lake", True, 20.0, laps=0.2), marks=pytest.mark.slow),
        pytest.param(drive_of("random:3", False, 25.0, laps=0.4), marks=pytest.mark.slow),
        drive_of("mountain", False, 15.0, laps=0.1),
    ],
    ids=["the lake", "a random road", "the mountain"],
)
@pytest.mark.parametrize(
    "name", ["any-road.h5", pytest.param("any-camera.h5", marks=pytest.mark.slow)]
)
def test_the_models_of_any_road_drive_where_they_have_never_been(settings, name):
    result = evaluate_policy(load_policy(MODELS / name), settings)
    assert (result.score.autonomy_percent, result.score.complete) == (100.0, True)


def test_the_older_names_of_its_settings_are_read():
    """lake.h5 was written when `appearance` was called `look`; a training that goes on from it must
    augment as much.
    """
    _, _, training = read_start(MODELS / "lake.h5")
    assert training.appearance == 2.0
