"""A phone of 400 pixels shows a picture 310 pixels wide: all texts can be read, none is cut off."""

import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import PIL.Image
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from bcclone.camera.framing import Framing, Lens
from bcclone.dataset.shards import open_store
from bcclone.feed.feed_settings import AugmentSettings
from bcclone.model.model_file import TrainingInfo, load_model
from bcclone.model.network import build_network
from bcclone.pictures.all_pictures import draw_pictures
from bcclone.pictures.plots.drive_pictures import (
    plot_curves,
    plot_deviation,
    plot_drives,
    plot_frames,
    plot_framing,
)
from bcclone.pictures.plots.style import new_figure, save, words_of
from bcclone.pictures.plots.subject import Subject
from bcclone.pictures.plots.training_pictures import plot_history
from bcclone.pictures.settings import PICTURE_NAMES
from bcclone.research.margin_map import MarginMap
from bcclone.research.margin_report import plot_margins
from bcclone.research.returning import state_grid
from bcclone.simulator.track import load_track
from bcclone.training.training_state import Epoch
from tests.pictures.test_report import drive

SHOWN_PX = 310
SMALLEST_TEXT_PX = 11
SMALLEST_IMAGE_PX = 70

STEPS = 700
SECONDS = np.arange(STEPS) / 15
RANDOM = np.random.default_rng(0)


@pytest.fixture
def figures(monkeypatch):
    """The figures that are saved."""
    saved = []
    save_really = Figure.savefig

    def savefig(figure, *args, **options):
        saved.append(figure)
        save_really(figure, *args, **options)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return saved


def faults(figure):
    """Return what cannot be read where a figure is SHOWN_PX wide."""
    figure.draw_without_rendering()
    width, height = figure.get_size_inches() * figure.dpi
    scale = SHOWN_PX / width
    found = []
    ticks = [
        label
        for axes in figure.axes
        for label in (*axes.get_xticklabels(which="both"), *axes.get_yticklabels(which="both"))
    ]
    for text in figure.findobj(Text):
        if not text.get_visible() or not text.get_text():
            continue
        pixels = text.get_fontsize() / 72 * figure.dpi * scale
        if pixels < SMALLEST_TEXT_PX:
            found.append(f"{text.get_text()!r} has {pixels:.1f} px")
        around = text.get_window_extent()
        fits = min(around.x0, around.y0) > -1 and around.x1 < width + 1 and around.y1 < height + 1
        if not fits and text not in ticks:  # there are labels for ticks beyond the limits
            found.append(f"{text.get_text()!r} is cut off")
    for axes in figure.axes:
        image_px = axes.get_window_extent().width * scale
        if axes.images and image_px < SMALLEST_IMAGE_PX:
            found.append(f"an image is {image_px:.0f} px wide")
    return found


def test_a_figure_that_is_too_wide_or_has_a_text_beyond_its_edge_is_found():
    assert not faults(saved(new_figure(2, "A title")))
    assert faults(saved(new_figure(2, "A title", width=6)))
    wide = new_figure(2)
    wide.subplots().text(0.5, 0.5, "a text that is longer than the axes are wide, and much more")
    assert "is cut off" in faults(saved(wide))[0]


def saved(figure):
    with tempfile.TemporaryDirectory() as folder:
        save(figure, Path(folder, "figure.png"))
    return figure


def history(epochs, first=0.5):
    """Return errors that fall slowly, but for those of the first epoch."""
    later = np.linspace(0.06, 0.03, epochs)
    later[0] = first
    return [
        Epoch(number, error, error / 3, error, error / 2, 1e-3, 7.0, 100.0, 0.1)
        for number, error in enumerate(later.tolist(), 1)
    ]


@pytest.fixture(scope="module")
def subject(untrained_model, simulated_store):
    with open_store(simulated_store) as store:
        file = replace(load_model(untrained_model), training=TrainingInfo(epoch=2))
        yield Subject(file, store, history(5), 0.2, AugmentSettings())


@pytest.mark.slow
@pytest.mark.parametrize("network", ["cnn", "windows"])
def test_all_pictures_of_a_model_can_be_read(network, subject, figures, tmp_path):
    if network == "windows":
        model = build_network(seq_length=3, network="cnn")
        subject = replace(subject, file=replace(subject.file, model=model))
    drawn, _ = draw_pictures(subject, tmp_path)
    assert len(figures) == len(drawn) == len(PICTURE_NAMES)
    check(figures, tmp_path)


def check(figures, folder):
    """Fail if something in a figure cannot be read, or if a file is not sharp or not small."""
    for figure in figures:
        assert not faults(figure)
    for path in folder.rglob("*.png"):
        assert path.stat().st_size < 500_000, path
        with PIL.Image.open(path) as picture:
            assert picture.width >= 2 * SHOWN_PX, path


def test_the_pictures_of_drives_can_be_read(figures, tmp_path):
    for track in ("lake", "mountain"):
        for count in (1, 3):
            titled = {
                f"model {number}: 100.0 %, 12 interventions": drive(1) for number in range(count)
            }
            title = f"{track}: at 20 mph, 0.2 s late, with a light of 0.5, and in reverse"
            plot_drives(title, load_track(track), titled, tmp_path / f"{track}{count}.png")
    noise = RANDOM.integers(0, 256, (12, 40, 80, 3), np.uint8).repeat(4, axis=1).repeat(4, axis=2)
    title = "10. 1,023 m, to the left, in a bend of 35 m to the right"
    plot_frames([(title, frame) for frame in noise], tmp_path / "narrowest.png")
    plot_frames([("", frame) for frame in noise], tmp_path / "views.png")
    check(figures, tmp_path)


def test_the_pictures_of_a_replay_can_be_read(figures, tmp_path):
    path = "a-recording-with-a-name"
    rollout = SimpleNamespace(
        deviations_m=np.sin(SECONDS), interventions=[], intervention_rows=[90]
    )
    plot_deviation(SECONDS, rollout, 2.0, "camera heights", tmp_path / "deviation-1.png")
    drivers = ("runs/a-long-name/model.h5", "the human", "no steering")
    steering = dict.fromkeys(drivers, 0.3 * np.sin(SECONDS))
    plot_curves(f"{path}: steering", SECONDS, steering, tmp_path / "steering.png")
    check(figures, tmp_path)


@pytest.mark.parametrize(
    "framing",
    [Framing(160, 120, lens=Lens(66.0, 40.0, 79.5)), Framing(160, 120, rows=(30, 110))],
)
def test_the_picture_of_a_framing_can_be_read(framing, figures, tmp_path):
    picture = RANDOM.integers(0, 256, (120, 160, 3), np.uint8)
    steering = dict.fromkeys(
        ("recorded, 0.12 s later", "the model, with gain and bias"), np.sin(SECONDS)
    )
    plot_framing(framing, picture, SECONDS, steering, tmp_path / "framing.png")
    check(figures, tmp_path)


def test_the_picture_of_margins_can_be_read(figures, tmp_path):
    track = load_track("lake")
    grid = state_grid(track, 5.0, 0.25, 2.0)
    returns = np.abs(grid.offsets_m)[:, None] < 3 + np.sin(grid.places_m / 9)[:, None, None]
    returns = np.broadcast_to(returns, grid.shape)
    margins = MarginMap(track, 100, grid, returns, returns)
    assert len(margins.narrowest) > 5
    maps = {"models/lake.h5": margins, "runs/a-long-name/model.h5": margins}
    plot_margins(maps, "lake in reverse, 30 mph", tmp_path / "margins.png")
    check(figures, tmp_path)


def test_the_history_shows_what_happened_after_the_first_epoch(subject, figures, tmp_path):
    plot_history(replace(subject, history=history(8, first=0.5)), tmp_path / "history.png")
    loss, _ = figures[0].axes
    assert loss.get_ylim()[1] < 0.07
    assert {"\N{UPWARDS ARROW} 0.5"} == {text.get_text() for text in loss.texts}
    # nothing is cut off if the first epoch presses nothing flat, or is the only one
    for epochs, first in ((8, 0.07), (1, 0.5)):
        plot_history(replace(subject, history=history(epochs, first)), tmp_path / "history.png")
        assert not figures[-1].axes[0].texts
        assert figures[-1].axes[0].get_ylim()[1] > first


def test_what_decided_is_shown_where_the_recording_steers_least_and_most(subject, tmp_path):
    only = [name for name in PICTURE_NAMES if name.startswith("saliency")]
    drawn, _ = draw_pictures(subject, tmp_path, only)
    assert list(drawn) == ["saliency-straight", "saliency-bend", "saliency-shadow"]
    straight, bend, shadow = map(words_of, drawn.values())
    steering = subject.table["steering"][subject.shown_samples()]
    least, most = steering[np.argmin(np.abs(steering))], steering[np.argmax(np.abs(steering))]
    assert straight.startswith(f"On a straight: the driver steers {abs(least) * 25:.1f} degrees")
    side = "left" if most < 0 else "right"
    degrees = f"{abs(most) * 25:.1f} degrees to the {side}, the network "
    assert bend.startswith(f"In the sharpest bend: the driver steers {degrees}")
    assert shadow.startswith("Where it is darkest: the driver steers ")
