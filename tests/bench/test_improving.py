"""Teaching against cloning: both are measured to their end, and what is complete is not measured again."""

import json

import PIL.Image
import pytest

from bcclone.plots.teaching import Lesson, Teaching, plot_teaching
from tests.conftest import run_script

TINY = ("--size", 64, "--epochs", 1, "--rounds", 1, "--drive-laps", 0.02, "--rows", "start-turned", "--laps", 0.03)


@pytest.mark.long
def test_both_ways_are_trained_scored_and_kept(tmp_path):
    line = ("bench", "improve", "--folder", tmp_path / "measured", *TINY)
    (seed,) = json.loads(run_script(*line, "--json").stdout)["improve"]
    assert [one["number"] for one in seed["rounds"]] == [0, 1]
    assert seed["rounds"][0]["all_rows"] == 0
    assert seed["cloning"]["rows"] > seed["rounds"][1]["rows"] > 0
    assert [one["row"] for one in seed["cloning"]["scores"]] == ["start-turned"]
    with PIL.Image.open(tmp_path / "measured" / "teaching.png") as picture:
        assert picture.width > 300
    again = run_script(*line)
    assert "training on" not in again.stderr  # nothing is trained again
    assert "taught in  1 rounds" in again.stdout


def test_the_picture_shows_each_seed(tmp_path):
    taught = [Lesson(0, 5), Lesson(100, 2), Lesson(200, 0)]
    plot_teaching([Teaching(seed, taught, Lesson(200, 1)) for seed in range(3)], 5, tmp_path / "teaching.png")
    with PIL.Image.open(tmp_path / "teaching.png") as picture:
        colors = {color for _, color in picture.convert("RGB").getcolors(1 << 20)}
    assert {(0x00, 0x72, 0xB2), (0xE6, 0x9F, 0x00), (0x00, 0x9E, 0x73)} <= colors
