"""Monitors of every kind, fitted to a small store."""

import json
import shutil

import numpy as np
import pytest
from keras import Input, Sequential, layers

from bcclone.dataset.conversion import convert
from bcclone.dataset.images import decode_jpeg
from bcclone.dataset.preprocessing import PRESETS
from bcclone.dataset.sample_settings import PreprocessSettings
from bcclone.lab.monitor import KINDS, MonitorSettings
from bcclone.lab.monitor.monitor import fit, load_monitor, read_monitor
from bcclone.lab.monitor.monitor_kinds import score_by_dropout
from bcclone.model.model_file import ModelFile
from bcclone.system.errors import UserError
from tests.conftest import made_once, run_script
from tests.model.random_layers import random_layers

SETTINGS = {"ensemble": {"members": 2, "epochs": 1}, "dropout": {"passes": 8}, "features": {}}
pytestmark = pytest.mark.slow  # networks are trained


@pytest.fixture(scope="session", params=KINDS)
def fitted(request, tmp_path_factory, untrained_model, simulated_store):
    """A monitor file of each kind."""
    settings = MonitorSettings(request.param, **SETTINGS[request.param])
    folder = made_once(
        tmp_path_factory,
        f"monitor-{request.param}",
        lambda folder: fit(untrained_model, simulated_store, folder / "model.monitor", settings),
    )
    return folder / "model.monitor"


@pytest.fixture(scope="session")
def frames(simulated_recording):
    """Frames of the recording, and coarse noise, black and white in each colour, that no camera has seen."""
    known = [decode_jpeg(path.read_bytes()) for path in sorted((simulated_recording / "IMG").glob("center*"))[:20]]
    random = np.random.default_rng(0)
    blocks = [255 * random.integers(0, 2, (20, 40, 3), np.uint8) for _ in range(5)]
    return known, [block.repeat(8, axis=0).repeat(8, axis=1) for block in blocks]


def test_random_passes_through_a_layer_of_any_type_disagree():
    for layer, shape in random_layers(0.5):
        start = [Input((128, 128, 3), dtype="uint8"), layers.Rescaling(1 / 255), layers.AveragePooling2D(16)]
        network = Sequential([*start, layers.Reshape(shape), layer, layers.Flatten(), layers.Dense(1)])
        score = score_by_dropout(ModelFile(network, PRESETS["carnd-128-rgb"]), {"passes": np.array(8)})
        assert (score(np.full((2, 128, 128, 3), 200, np.uint8)) > 0).all(), layer


def test_a_frame_scores_the_same_after_loading_again_and_noise_above_every_known_frame(fitted, untrained_model, frames):
    loaded, (known, noise) = load_monitor(fitted, untrained_model), frames
    if loaded.info.kind != "dropout":  # its passes are random
        assert load_monitor(fitted, untrained_model).score(known[3]) == pytest.approx(loaded.score(known[3]), rel=1e-5)
    if loaded.info.kind == "features":
        assert min(map(loaded.score, noise)) > max(loaded.threshold, *map(loaded.score, known))


@pytest.mark.long
@pytest.mark.parametrize("fitted", ["features"], indirect=True)
def test_a_monitor_watches_the_rows_of_a_suite(fitted, untrained_model, tmp_path):
    rows = ("--suite", "testing", "--rows", "snow,fog-10", "--laps", 0.01)
    run_script("suite", untrained_model, *rows, "--monitor", fitted, "-o", tmp_path / "out")
    figures = json.loads((tmp_path / "out" / "figures.json").read_text())
    for row in figures["rows"]:
        (found,) = row["models"].values()
        with (tmp_path / "out" / "uncertainty" / f"{row['row']}.csv").open() as table:
            assert len(table.readlines()) == found["uncertainty"]["frames"] + 1 > 20
    other = shutil.copy(untrained_model, tmp_path / "other.h5")
    refused = run_script("suite", untrained_model, other, *rows, "--monitor", fitted, code=1)
    assert "belongs to one model" in refused.stderr


@pytest.mark.parametrize("fitted", ["features"], indirect=True)
def test_damaged_files_and_those_of_another_model_are_refused_with_the_remedy(fitted, untrained_model, tmp_path):
    other = shutil.copy(untrained_model, tmp_path / "other.h5")
    with other.open("ab") as file:
        file.write(b"\0")
    with pytest.raises(UserError, match="belongs to another model"):
        load_monitor(fitted, other)
    with pytest.raises(UserError, match="not a monitor.*-o NAME.monitor"):
        read_monitor(untrained_model)
    np.savez(tmp_path / "objects.npz", monitor=np.array([{"kind": "features"}], dtype=object))
    with pytest.raises(UserError, match="not a complete monitor file"):
        read_monitor(tmp_path / "objects.npz")


def test_given_model_files_can_be_the_members(untrained_model, simulated_store, tmp_path, frames):
    other = shutil.copy(untrained_model, tmp_path / "same.h5")
    settings = MonitorSettings("ensemble", member_models=(untrained_model, other))
    with pytest.raises(UserError, match="usable scores"):  # equal members never disagree
        fit(untrained_model, simulated_store, tmp_path / "model.monitor", settings)
    assert not (tmp_path / "model.monitor").exists()


def test_an_existing_file_is_kept_unless_the_settings_replace_it(untrained_model, simulated_store, tmp_path):
    output = tmp_path / "model.monitor"
    output.touch()
    with pytest.raises(UserError, match="--force"):
        fit(untrained_model, simulated_store, output, MonitorSettings("features"))
    assert output.read_bytes() == b""
    for _ in range(2):
        fit(untrained_model, simulated_store, output, MonitorSettings("features", force=True))
    assert read_monitor(output)[0].kind == "features"


def test_a_store_that_was_prepared_otherwise_is_refused(untrained_model, simulated_recording, tmp_path):
    convert(PreprocessSettings((str(simulated_recording),), tmp_path / "other.h5", size=(64, 64)))
    with pytest.raises(UserError, match="give the store that"):
        fit(untrained_model, tmp_path / "other.h5", tmp_path / "model.monitor")


@pytest.mark.parametrize("kind", ["dropout", "features"])
def test_kinds_that_need_single_frames_refuse_windows(kind, untrained_window_model, simulated_store, tmp_path):
    with pytest.raises(UserError, match="single frames"):
        fit(untrained_window_model, simulated_store, tmp_path / "m", MonitorSettings(kind))
