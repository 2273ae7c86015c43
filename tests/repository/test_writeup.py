"""The write-up: its tables are those of the results, its pictures are there, its commands are accepted."""

import json
import re

import networks
import PIL.Image
import pytest
import result_pictures
from made_from import made_from

from bcclone.model.model_file import load_model_file
from tests.conftest import ROOT
from tests.repository.shown import parse, shown_on

FOLDER = ROOT / "writeup_images"
PAGE = (FOLDER / "README.md").read_text()


def results(name):
    return json.loads((ROOT / "docs" / "results" / f"{name}.json").read_text())


def cells_under(head):
    """Return the cells of the rows of a table of the page, whose first line begins so."""
    _, *lines = PAGE[PAGE.index(f"| {head}") :].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def made_up_model(network, seed, title, off=0, val_loss=0.01):
    replay = {"interventions": 2, "steering_correlation_smoothed": 0.4}
    drive = {"interventions": off, "mean_abs_cross_track_m": 0.2}
    rows = dict.fromkeys(("lake-30", "lake-reverse-30", "latency-200", "no-lines"), drive)
    figures = {"parameters": 1234, "epochs": 7, "seconds": 80.4, "val_loss": val_loss, "interventions": 4 * off}
    named = {"network": network, "title": title, "seed": seed, "replay": replay, "replay-mountain": replay}
    return named | {"rows": rows} | figures


@pytest.fixture
def made_up():
    """Results of three networks."""
    models = {f"single-{seed}": made_up_model("single", seed, "single frames", val_loss=loss)
              for seed, loss in enumerate((0.03, 0.01, 0.02))}  # fmt: skip
    models["gru3-1"] = made_up_model("gru3", 1, "GRU, 3 frames", off=3)
    return models | {"no-conv4-5-0": made_up_model("no-conv4-5", 0, "no conv4, conv5")}


def test_networks_are_compared_by_the_median_of_their_seeds_with_the_range(made_up, tmp_path):
    rows = {label: cells for label, *cells in networks.compare(made_up, ["single", "lstm3", "gru3"])}
    assert rows["seeds"] == ["3", "1"]
    assert rows["validation loss"] == ["0.0200 (0.0100 to 0.0300)", "0.0100"]
    assert rows["interventions in these drives"] == ["0", "12"]
    networks.draw(made_up, tmp_path / "networks.png")
    with PIL.Image.open(tmp_path / "networks.png") as picture:
        assert picture.width > picture.height


@pytest.mark.parametrize("name", result_pictures.PICTURES)
def test_a_picture_of_figures_shows_the_results_of_today(name, tmp_path):
    result, draw = result_pictures.PICTURES[name]
    stored = FOLDER / f"{name}.png"
    assert made_from(stored) == result_pictures.digest(result), "run: python docs/result_pictures.py"
    draw(result_pictures.results(result), tmp_path / "drawn.png")
    with PIL.Image.open(stored) as picture, PIL.Image.open(tmp_path / "drawn.png") as drawn:
        assert picture.size == drawn.size


def test_every_command_of_the_page_is_accepted_and_every_picture_is_on_it():
    commands = [one.text for one in shown_on(FOLDER / "README.md") if one.ours]
    assert len(commands) > 25
    for text in commands:
        parse(text)
    pictures = {path.name for path in FOLDER.iterdir() if path.suffix in (".png", ".gif")}
    assert set(re.findall(r"!\[[^\]]+\]\(([\w.-]+)\)", PAGE)) == pictures


def test_the_layer_table_is_that_of_the_network(untrained_model):
    model = load_model_file(untrained_model).model
    rows = cells_under("layer | output")
    names = [re.findall(r"`(\w+)`", row[0]) for row in rows]
    assert [name for of_row in names for name in of_row] == [layer.name for layer in model.layers]
    for row, of_row in zip(rows, names, strict=True):
        layers = [model.get_layer(name) for name in of_row]
        assert sum(layer.count_params() for layer in layers) == int(row[2].replace(",", "") or 0)
        shape = "x".join(map(str, layers[-1].output.shape[1:]))
        assert row[1].replace(",", "").split()[-1] == shape
    assert f"{model.count_params():,} parameters" in " ".join(PAGE.split())
