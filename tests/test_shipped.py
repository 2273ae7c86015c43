"""models/lake.h5, the model that comes with a clone: its content, and that it drives."""

from pathlib import Path

import h5py
import pytest

from bcclone.evaluate import EvaluateSettings, evaluate_policy
from bcclone.policy import load_policy
from bcclone.simulator.settings import WorldSettings
from bcclone.simulator.world import LAPS_DRIVEN

MODEL = Path(__file__).parents[1] / "models" / "lake.h5"


def test_the_shipped_model_is_small_and_contains_weights_only():
    assert MODEL.stat().st_size < 2e6
    with h5py.File(MODEL) as file:
        names = []
        file.visit(names.append)
        assert not [name for name in names if "optimizer" in name]
        assert "training_config" not in file.attrs


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        EvaluateSettings("lake", False, 30.0, WorldSettings(laps=0.4)),
        EvaluateSettings("lake", True, 20.0, WorldSettings(laps=0.2, latency_ms=200)),
        pytest.param(EvaluateSettings("lake", False, 30.0), marks=pytest.mark.long),
    ],
    ids=["part of a lap", "the other way round, with 200 ms latency", "a lap"],
)
def test_the_shipped_model_drives_without_an_intervention(settings):
    result = evaluate_policy(load_policy(MODEL), settings)
    assert (result.score.autonomy_percent, result.ended) == (100.0, LAPS_DRIVEN)
    assert result.score.mean_abs_cross_track_m < 0.4
