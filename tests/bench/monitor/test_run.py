"""The benchmark of monitors, run to its end on very little, and not measured again."""

import json

import PIL.Image
import pytest

from bcclone.plots.detections import DetectionChart, plot_detections
from tests.conftest import run_script

TINY = ("--epochs", 1, "--monitor-epochs", 1, "--members", 2, "--rows", "snow-100", "--laps", 0.05)


@pytest.mark.long
def test_every_kind_scores_the_same_drives_which_are_kept(tmp_path):
    line = ("bench", "monitor", "--folder", tmp_path / "measured", *TINY, "--nominal-laps", 0.05)
    line += ("--on-doubt-kind", "features")
    (seed,) = json.loads(run_script(*line, "--json").stdout)["monitor"]
    assert [one["kind"] for one in seed["kinds"]] == ["ensemble", "dropout", "autoencoder", "attention", "features"]
    negatives = {one["detections"][0]["negatives"] for one in seed["kinds"]}
    assert len(negatives) == 1
    assert negatives.pop() > 5
    assert all(0 < one["p50_ms"] <= one["p99_ms"] for one in seed["kinds"])
    assert set(seed["on_doubt"]) == {"slow", "stop"}
    drives = sorted((tmp_path / "measured").rglob("*.npz"))
    written = [path.stat().st_mtime_ns for path in drives]
    again = run_script(*line)
    assert "fitting" not in again.stderr
    assert [path.stat().st_mtime_ns for path in drives] == written
    assert "--on-doubt stop" in again.stdout
    with PIL.Image.open(tmp_path / "measured" / "monitor.png") as picture:
        assert picture.width > 300


def test_the_picture_has_a_bar_for_each_reaction_time(tmp_path):
    charts = [DetectionChart("ensemble", [0.9, 0.8, 0.7], 4.2), DetectionChart("dropout", [0.5, 0.4, 0.3], 2.1)]
    plot_detections(charts, (1, 2, 3), tmp_path / "monitor.png")
    with PIL.Image.open(tmp_path / "monitor.png") as picture:
        colors = {color for _, color in picture.convert("RGB").getcolors(1 << 20)}
    assert {(0x00, 0x72, 0xB2), (0xE6, 0x9F, 0x00), (0x00, 0x9E, 0x73)} <= colors
