"""The numbers behind the pictures, and which pictures can be drawn of a model and its samples."""

import shutil
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest
from keras import Input, Sequential
from keras.layers import GaussianNoise

from bcclone.dataset.conversion import open_in_place
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.dataset.shards import open_store
from bcclone.feed.feed import open_validation_feed
from bcclone.feed.selection import select
from bcclone.model.layer_kinds import DROPOUT, frame_layers
from bcclone.model.model_file import load_model, save_model
from bcclone.model.network import build_network
from bcclone.pictures.plot_settings import PICTURE_NAMES, PlotSettings
from bcclone.pictures.plots.all_pictures import PlotResult, draw_pictures, plot
from bcclone.pictures.plots.model_pictures import (
    activations,
    describe_errors,
    draw_crop,
    mosaic,
    plot_predictions,
    predictions,
)
from bcclone.pictures.plots.network_diagram import stages_of
from bcclone.pictures.plots.style import DPI
from bcclone.pictures.plots.subject import Subject
from bcclone.pictures.plots.training_pictures import (
    find_recoveries,
    located_samples,
)
from bcclone.simulator.expert import record
from bcclone.simulator.world_settings import RecordSettings
from bcclone.training.training_state import Epoch, history_csv
from tests.recordings import rewrite
from tests.running import result_of, run_script

ERRORS = [(1, 0.5, 0.4, 0.3, 0.2), (2, 0.2, 0.2, 0.1, 0.1), (3, 0.1, 0.1, 0.1, 0.2)]
BY_EPOCH = [Epoch(*errors, 1e-3, 7.0, 100.0, 0.1) for errors in ERRORS]


@pytest.fixture(scope="module")
def store(simulated_store):
    with open_store(simulated_store) as opened:
        yield opened


@pytest.fixture(scope="module")
def model_file(untrained_model):
    return load_model(untrained_model)


@pytest.fixture(scope="module")
def subject(model_file, store):
    return Subject(model_file, store, BY_EPOCH)


@pytest.fixture(scope="module")
def recoveries(tmp_path_factory):
    """Ten seconds of simulated driving, two recoveries in them, as samples without a store."""
    folder = tmp_path_factory.mktemp("recoveries") / "lake"
    record(folder, RecordSettings(laps=0.12, recoveries=30))
    return folder, open_in_place((str(folder),), Preprocessing(), SampleSettings(block_seconds=2.0))


@pytest.mark.slow
def test_the_three_frames_of_a_recovery_approach_the_centre_line(recoveries, model_file, tmp_path):
    folder, samples = recoveries
    subject = Subject(model_file, samples)
    located, offset_m = located_samples(subject)
    trace = [line.split(",") for line in (folder / "trace.csv").read_text().splitlines()[1:]]
    assert np.allclose(offset_m, [float(cells[-1]) for cells in trace], atol=1e-3)
    found = find_recoveries(subject.seconds(located), offset_m)
    assert len(found) >= 1
    for recovery in found:
        distance_m = np.abs(offset_m[recovery])
        assert distance_m[0] >= 1.0
        assert distance_m[-1] <= 0.1
        assert (np.diff(distance_m) < 0).all()
        steering = samples.rows["steering"][samples.samples["row"][located[recovery[0]]]]
        assert np.sign(steering) == -np.sign(offset_m[recovery[0]])
    with PIL.Image.open(
        draw_pictures(subject, tmp_path, ("recovery-frames",))["recovery-frames"]
    ) as drawn:
        assert drawn.width > 1.5 * drawn.height
    (folder / "trace.csv").unlink()
    reason = draw_pictures(subject, tmp_path, ("recovery-frames",))["recovery-frames"]
    assert all(words in reason for words in ("bcclone simulate record", "trace.csv"))


def test_the_shown_crop_is_the_output_of_the_networks_cropping_layer(model_file, tmp_path):
    frame = np.random.default_rng(0).integers(0, 256, (160, 320, 3), np.uint8)
    axes = draw_crop(Subject(model_file), frame, tmp_path / "crop.png").axes
    prepared, kept = (np.asarray(each.images[0].get_array()) for each in axes[1:])
    assert np.array_equal(prepared, model_file.preprocessing.apply(frame))
    assert np.array_equal(
        kept, np.asarray(model_file.model.get_layer("crop")(prepared[np.newaxis]))[0]
    )
    assert "rows 43 to 115" in axes[2].get_title()


@pytest.mark.parametrize("smooth_seconds", [0.2, 0.0])
def test_the_error_in_the_picture_is_the_one_of_the_training_and_both_are_named(
    smooth_seconds, model_file, recording, tmp_path
):
    """Steer as with a joystick that is either left or right: smoothed labels are far from what was
    recorded.
    """
    rewrite(
        recording,
        lambda rows: [[*row[:3], str(1 - n // 2 % 2 * 2), *row[4:]] for n, row in enumerate(rows)],
    )
    settings = SampleSettings(
        cameras=("center",), flip=False, block_seconds=2.0, smooth_seconds=smooth_seconds
    )
    data = open_in_place((str(recording),), Preprocessing(), settings)
    with (
        open_validation_feed(select(data, "validation", 1), 1000) as feed,
        feed.epoch(1) as batches,
    ):
        (batch,) = batches
    steering = model_file.model(batch.images, training=False).numpy()[:, 0]
    val_mae = float(np.abs(steering - np.asarray(batch.labels)[:, 0]).mean())
    subject = Subject(model_file, data, [replace(BY_EPOCH[-1], val_mae=val_mae)])
    figures = predictions(subject)
    assert figures.mae == pytest.approx(val_mae, abs=1e-5)
    first, second = describe_errors(subject, figures)
    assert f"{val_mae:.4f}" in first
    assert f"val_mae {val_mae:.4f}" in second
    assert figures.labels_differ == bool(smooth_seconds)
    if smooth_seconds:
        from_recorded = np.abs(figures.network - figures.recorded).mean()
        assert abs(from_recorded - figures.mae) > 0.1
        assert f"{from_recorded:.4f} from the recorded steering" in first
        assert "smoothed by 0.2 s" in second
    plot_predictions(subject, tmp_path / "predictions.png")


@pytest.mark.parametrize("network", ["", "gru"])
def test_activations_are_the_outputs_of_every_convolution(model_file, network):
    model = build_network(seq_length=3, network=network) if network else model_file.model
    image = np.random.default_rng(0).integers(
        0, 256, (*[3] * bool(network), 128, 128, 3), dtype=np.uint8
    )
    given = activations(model, image)
    assert list(given) == ["conv1", "conv2", "conv3", "conv4", "conv5"]
    values = image[-1:] if network == "gru" else image[np.newaxis]  # the newest frame alone
    layers = frame_layers(model) or model.layers
    for layer in layers[: [layer.name for layer in layers].index("conv1") + 1]:
        values = layer(values)
    assert np.allclose(given["conv1"], values[0], atol=1e-5)
    sheet = mosaic(np.dstack([given["conv1"][..., 0], np.full((35, 62), 7.0, np.float32)]))
    assert (sheet[:35, :62].min(), sheet[:35, :62].max(), sheet[:35, 69:131].max()) == (
        0.0,
        1.0,
        0.0,
    )
    assert np.isnan(sheet[0, 62])


def test_the_diagram_names_every_layer_with_its_weights(model_file):
    stages = stages_of(model_file.model)
    assert sum(stage.parameters for stage in stages) == model_file.model.count_params()
    assert [stage.name for stage in stages][:3] == ["input", "crop", "conv1"]
    assert (stages[1].notes, stages[2].detail, stages[2].shape) == (
        ("normalize",),
        "5x5, stride 2\nelu",
        (35, 62, 24),
    )
    for kind in (*DROPOUT, GaussianNoise):
        layer = kind(0.25)
        (stage,) = stages_of(Sequential([Input((8, 8, 3)), layer]))
        assert stage.notes == ("dropout 0.25" if isinstance(layer, DROPOUT) else "noise 0.25",)
    recurrent = build_network(seq_length=3, network="gru")
    inside = {stage.name: stage for stage in stages_of(recurrent)}
    assert (inside["conv5"].shape, inside["gru"].shape) == ((3, 2, 9, 64), (50,))
    assert sum(stage.parameters for stage in inside.values()) == recurrent.count_params()


@pytest.mark.slow
def test_all_pictures_are_drawn_in_small_files_of_a_readable_width(subject, tmp_path):
    pictures = draw_pictures(subject, tmp_path)
    assert list(pictures) == list(PICTURE_NAMES)
    assert "--recoveries" in pictures.pop("recovery-frames")
    assert set(tmp_path.iterdir()) == set(pictures.values())
    for path in tmp_path.iterdir():
        assert path.stat().st_size < 500_000
        with PIL.Image.open(path) as picture:
            assert picture.width >= 7 * DPI
    without = PlotResult(
        tmp_path, draw_pictures(replace(subject, data=None, history=()), tmp_path)
    ).as_json()
    assert list(without["drawn"]) == ["network"]
    assert all(without["skipped"].values())


@pytest.mark.slow
def test_a_network_of_windows_gets_those_of_its_feed(subject, store, tmp_path):
    windows = replace(subject, file=replace(subject.file, model=build_network(seq_length=3)))
    figures = predictions(windows)
    with (
        open_validation_feed(select(store, "validation", 3), 1000) as feed,
        feed.epoch(1) as batches,
    ):
        (batch,) = batches
    fed = windows.file.model(batch.images, training=False).numpy()[:, 0]
    assert 0 < len(figures.network) < len(fed)
    assert all(np.abs(fed - steering).min() < 1e-5 for steering in figures.network)
    pictures = draw_pictures(windows, tmp_path)
    assert [name for name, path in pictures.items() if isinstance(path, str)] == ["recovery-frames"]


def test_pictures_of_a_model_in_its_run_folder_go_there_with_its_history(untrained_model, tmp_path):
    model = shutil.copy(untrained_model, tmp_path / "best.h5")
    (tmp_path / "history.csv").write_text(history_csv(BY_EPOCH[:1]))
    result = result_of("plots", model, "--only", "history")
    assert result["drawn"] == {"history": str(tmp_path / "plots" / "history.png")}
    assert not result["skipped"]


def test_pictures_of_a_model_without_a_run_folder_go_next_to_it(
    untrained_model, simulated_store, tmp_path
):
    model = shutil.copy(untrained_model, tmp_path / "mine.h5")
    only = ("--only", "history,steering", "--zero-fraction", "0")
    assert (
        "left out: there is no history" in run_script("plots", model, simulated_store, *only).stdout
    )
    assert [path.name for path in (tmp_path / "mine-plots").iterdir()] == ["steering.png"]


def test_a_store_that_the_model_was_not_trained_on_is_noted(model_file, store, tmp_path):
    model = tmp_path / "model.h5"
    settings = PlotSettings(model, (str(store.path),), tmp_path / "plots", only=("network",))
    for trained_on, notes in ((store.content_hash, 0), ("another", 1)):
        save_model(
            model, model_file.model, model_file.preprocessing, {"store_content_hash": trained_on}
        )
        assert len(plot(settings).notes) == notes
