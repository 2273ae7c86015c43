"""The write-up: its tables are those of the results, its pictures are there, its commands are accepted."""

import json
import re
import shlex

import networks
import PIL.Image
import pytest

from bcclone.cli import make_parser
from bcclone.commands import load_command
from tests.conftest import ROOT
from tests.repository.shown import shown_on

FOLDER = ROOT / "writeup_images"
PAGE = (FOLDER / "README.md").read_text()


def results(name):
    return json.loads((ROOT / "docs" / "results" / f"{name}.json").read_text())


def cells_under(head):
    """Return the cells of the rows of a table of the page, whose first line begins so."""
    _, *lines = PAGE[PAGE.index(f"| {head}") :].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def write_results(folder, name, off=0, val_loss=0.01, parameters="1,234", ended="--epochs 7"):
    replay = {"interventions": 2, "rms_cross_track_m": 0.5, "steering_correlation": 0.3}
    replay |= {"steering_correlation_smoothed": 0.4, "by_limit": {}}
    drive = {"autonomy_percent": 90.0, "interventions": off, "mean_abs_cross_track_m": 0.2, "ended": "laps driven"}
    suite = {"rows": [{"row": row, "models": {name: drive}} for row in networks.ROWS]}
    train = {"epochs": 7, "seconds": 80.4, "val_loss": val_loss, "samples": {"train": 10, "validation": 2}, "feed": "x"}
    train |= {"ended": ended}
    for part, content in (("train", train), ("replay", replay), ("replay-mountain", replay), ("suite", suite)):
        (folder / f"{name}.{part}.json").write_text(json.dumps(content))
    (folder / f"{name}.train.log").write_text(f"conv1  Conv2D  1 x 2  {parameters}\ntotal  {parameters}\nepoch 1\n")


@pytest.fixture
def made_up(tmp_path):
    """Results of three networks; a fourth is still being trained."""
    for seed, val_loss in enumerate((0.03, 0.01, 0.02)):
        write_results(tmp_path, f"single-{seed}", val_loss=val_loss)
    write_results(tmp_path, "gru3-1", off=3, parameters="269,969")
    write_results(tmp_path, "no-conv4-5-0", ended="--time 60s")
    write_results(tmp_path, "lstm3-0")
    (tmp_path / "lstm3-0.suite.json").write_text("")
    return networks.collect(tmp_path)["models"]


def test_models_are_collected_with_their_figures_and_commands_and_unfinished_ones_left_out(made_up):
    assert [*made_up] == ["single-0", "single-1", "single-2", "gru3-1", "no-conv4-5-0"]
    gru = made_up["gru3-1"]
    assert (gru["network"], gru["seed"], gru["parameters"], gru["interventions"]) == ("gru3", 1, 269_969, 12)
    assert gru["rows"]["no-lines"]["mean_abs_cross_track_m"] == 0.2
    assert gru["replay-mountain"]["steering_correlation_smoothed"] == 0.4
    assert "--seed 1 --epochs 7 --network gru --seq-length 3" in gru["commands"][1]
    assert made_up["no-conv4-5-0"]["network"] == "no-conv4-5"
    assert "--seed 0 --epochs 0 --time 60s --network" in made_up["no-conv4-5-0"]["commands"][1]


def test_networks_are_compared_by_the_median_of_their_seeds_with_the_range(made_up):
    rows = {label: cells for label, *cells in networks.compare(made_up, ["single", "lstm3", "gru3"])}
    assert rows["seeds"] == ["3", "1"]
    assert rows["validation loss"] == ["0.0200 (0.0100 to 0.0300)", "0.0100"]
    assert rows["interventions in these drives"] == ["0", "12"]


def test_the_comparison_is_drawn(made_up, tmp_path):
    networks.draw(made_up, tmp_path / "networks.png")
    with PIL.Image.open(tmp_path / "networks.png") as picture:
        assert picture.width > picture.height


def test_every_command_that_is_kept_is_accepted_by_its_parser(made_up):
    for text in {command for model in made_up.values() for command in model["commands"]}:
        parse(text)


def parse(text):
    words = [word for word in shlex.split(text) if word not in ("python", "bcclone")]
    name = words[0].removesuffix(".py")
    if len(words) > 1:  # otherwise the command is only mentioned
        make_parser(load_command(name), name).parse_args(words[1:])


def test_every_command_of_the_page_is_accepted_by_its_parser():
    commands = [one.text for one in shown_on(FOLDER / "README.md") if one.ours]
    assert len(commands) > 25
    for text in commands:
        parse(text)


def test_every_picture_is_on_the_page_and_every_picture_of_the_page_is_there():
    assert set(re.findall(r"!\[[^\]]+\]\(([\w.-]+)\)", PAGE)) == {
        path.name for path in FOLDER.iterdir() if path.suffix in (".png", ".gif")
    }


def test_the_layer_table_is_that_of_the_network(untrained_model):
    from bcclone.model.model_file import load_model_file

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


def test_the_losses_of_the_chart_are_those_of_the_page_on_training():
    training = (ROOT / "docs" / "explanation" / "training.md").read_text()
    (chart,) = re.findall(r"```mermaid\n.*?```", PAGE, re.DOTALL)
    assert chart in training
