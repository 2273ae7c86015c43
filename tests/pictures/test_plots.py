"""The numbers behind the pictures, and which pictures can be drawn of a model and its samples."""

import shutil
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest

from bcclone.camera.framing import Framing
from bcclone.camera.images import read_frame
from bcclone.dataset.conversion import open_in_place
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.dataset.shards import open_store
from bcclone.feed.feed import open_feed_in_order
from bcclone.feed.selection import select
from bcclone.model.layer_kinds import frame_layers
from bcclone.model.model_file import TrainingInfo, load_model, save_model
from bcclone.model.network import build_network
from bcclone.model.policy import load_policy
from bcclone.pictures.all_pictures import draw_pictures, plot
from bcclone.pictures.plots.model_pictures import activations, draw_crop, layer_rows, mosaic
from bcclone.pictures.plots.style import DPI, WIDTH, new_figure
from bcclone.pictures.plots.subject import Subject
from bcclone.pictures.plots.training_pictures import (
    describe_errors,
    plot_history,
    plot_predictions,
    predictions,
)
from bcclone.pictures.settings import PICTURE_NAMES, PlotSettings
from bcclone.training.training_state import Epoch, history_csv
from tests.conftest import calibrated
from tests.recordings import images_of, rewrite
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
def test_the_error_in_the_picture_is_the_one_of_the_training(
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
    with open_feed_in_order(select(data, "validation", 1), 1000) as feed, feed.epoch(1) as batches:
        (batch,) = batches
    steering = model_file.model(batch.images, training=False).numpy()[:, 0]
    val_mae = float(np.abs(steering - np.asarray(batch.labels)[:, 0]).mean())
    subject = Subject(model_file, data, BY_EPOCH)
    answers = predictions(subject)
    _, recorded, label, network = answers
    assert np.abs(network - label).mean() == pytest.approx(val_mae, abs=1e-5)
    words = describe_errors("validation", *answers[1:])
    assert f"{val_mae:.4f}" in words
    assert ("from the recorded steering" in words) == bool(smooth_seconds)
    if smooth_seconds:
        from_recorded = np.abs(network - recorded).mean()
        assert abs(from_recorded - val_mae) > 0.1
        assert f"{from_recorded:.4f} from the recorded steering" in words
    plot_predictions(subject, tmp_path / "predictions.png")


def test_the_longest_title_of_the_predictions_fits_into_its_picture():
    label = np.zeros(3000)
    words = describe_errors("validation", label + 0.5, label, label - 0.5)
    figure = new_figure(3.8, words)
    figure.draw_without_rendering()
    (title,) = figure.texts
    around = title.get_window_extent()
    assert around.x0 > 0
    assert around.x1 < WIDTH * figure.dpi


def test_the_history_marks_the_epoch_of_the_model_beside_the_best_one(model_file, tmp_path):
    described = TrainingInfo(epoch=2)
    last = Subject(replace(model_file, training=described), None, BY_EPOCH)
    best = Subject(replace(model_file, training=TrainingInfo(epoch=3)), None, BY_EPOCH)
    pictures = []
    for number, subject in enumerate((last, best)):
        path = tmp_path / f"{number}.png"
        plot_history(subject, path)
        with PIL.Image.open(path) as picture:
            pictures.append(np.asarray(picture.convert("RGB")))
    assert (pictures[0] != pictures[1]).any()


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
    layers = model_file.model.layers
    first, *rows = layer_rows(model_file.model)
    assert first == ("input", (128, 128, 3), "128x128x3, uint8")
    assert [name.split()[0] for name, _, _ in rows] == [layer.name for layer in layers]
    assert rows[2][2] == "35x62x24, kernel 5x5, stride 2, elu, 1,824 weights"
    assert rows[-1][2] == "1, 11 weights"
    recurrent = build_network(seq_length=3, network="gru")
    inside = {name.split()[0]: shape for name, shape, _ in layer_rows(recurrent)}
    assert (inside["conv5"], inside["gru"]) == ((3, 2, 9, 64), (50,))


@pytest.mark.slow
def test_all_pictures_are_drawn_in_small_files_of_a_readable_width(subject, tmp_path):
    drawn, skipped = draw_pictures(subject, tmp_path)
    assert (list(drawn), skipped) == (list(PICTURE_NAMES), {})
    assert set(tmp_path.iterdir()) == set(drawn.values())
    for path in tmp_path.iterdir():
        assert path.stat().st_size < 500_000
        with PIL.Image.open(path) as picture:
            assert picture.width == round(WIDTH * DPI)
    drawn, skipped = draw_pictures(replace(subject, data=None, history=()), tmp_path)
    assert list(drawn) == ["network"]
    assert all(skipped.values())


@pytest.mark.slow
def test_a_network_of_windows_gets_those_of_its_feed(subject, store, tmp_path):
    windows = replace(
        subject, file=replace(subject.file, model=build_network(seq_length=3, network="cnn"))
    )
    _, _, _, network = predictions(windows)
    with open_feed_in_order(select(store, "validation", 3), 1000) as feed, feed.epoch(1) as batches:
        (batch,) = batches
    fed = windows.file.model(batch.images, training=False).numpy()[:, 0]
    assert 0 < len(network) < len(fed)
    assert all(np.abs(fed - steering).min() < 1e-5 for steering in network)
    assert not draw_pictures(windows, tmp_path)[1]


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
        told = []
        plot(settings, told.append)
        assert len(told) == notes


def words_in(path):
    with PIL.Image.open(path) as picture:
        return picture.info["Description"]


def test_what_a_model_sees_in_one_picture_is_drawn_beside_what_it_answers(
    untrained_model, simulated_recording, tmp_path
):
    image = images_of(simulated_recording)[60]
    line = ("plots", untrained_model, image, "--output", tmp_path / "o")
    drawn = result_of(*line)
    assert drawn["skipped"] == {}
    assert list(drawn["drawn"]) == ["crop", "activations", "saliency"]
    assert {path.name for path in (tmp_path / "o").iterdir()} == {
        f"{image.stem}-{name}.png" for name in drawn["drawn"]
    }
    steering = load_policy(untrained_model).answer(read_frame(str(image))).steering
    side = "left" if steering < 0 else "right"
    assert f"{abs(steering) * 25:.1f} degrees to the {side}" in words_in(drawn["drawn"]["saliency"])
    assert list(result_of(*line, "--only", "crop")["drawn"]) == ["crop"]
    refused = run_script(*line, "--only", "history", code=1).stderr
    assert f"{image}" in refused
    assert "expected some of crop, activations, saliency" in refused
    assert (
        "expected some of history"
        in run_script("plots", untrained_model, "--only", "saliency", code=1).stderr
    )


def test_a_picture_of_a_calibrated_camera_is_framed_and_another_is_stretched_with_a_note(
    untrained_model, tmp_path
):
    pixels = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    PIL.Image.fromarray(pixels).save(tmp_path / "car.png")
    car = calibrated(untrained_model, tmp_path / "car.h5", framing=Framing(160, 120, (40, 120)))
    outputs = {"framed": car, "stretched": untrained_model}
    for name, model in outputs.items():
        line = ("plots", model, tmp_path / "car.png", "--output", tmp_path / name, "--only", "crop")
        assert ("160x120" in run_script(*line).stderr) == (name == "stretched")
    framed, stretched = ((tmp_path / name / "car-crop.png").read_bytes() for name in outputs)
    assert framed != stretched
    (tmp_path / "broken.jpg").write_bytes(b"not a picture")
    refused = run_script("plots", untrained_model, tmp_path / "broken.jpg", code=1).stderr
    assert "broken.jpg" in refused
    assert "JPEG or PNG" in refused


def test_a_network_of_windows_sees_one_picture_as_the_begin_of_a_drive(
    untrained_window_model, simulated_recording, tmp_path
):
    image = images_of(simulated_recording)[60]
    drawn = result_of("plots", untrained_window_model, image, "--output", tmp_path)["drawn"]
    steering = load_policy(untrained_window_model).answer(read_frame(str(image))).steering
    assert f"{abs(steering) * 25:.1f} degrees" in words_in(drawn["saliency"])
