"""What a model needs to be recorded: the expert's takes from a named place, and the shares of the
seconds.
"""

import json

import pytest

from bcclone.recording.files import UNFINISHED
from bcclone.recording.log import read_log
from bcclone.system.pool import open_pool
from benchmarks.record_next import Camera, Settings, Trial, make_report

ROAD = {"points": [[0, 0, 8], [0, 30, 8], [4, 60, 8]]}


@pytest.fixture
def road(tmp_path):
    (tmp_path / "road.json").write_text(json.dumps(ROAD))
    return str(tmp_path / "road.json")


@pytest.mark.slow
def test_a_take_begins_at_the_side_and_steers_back_to_the_middle(road, tmp_path):
    camera = Camera(road, 0, tmp_path)
    for offset_m in (2.0, -2.0):
        camera.drive_from(10.0, offset_m, 0.2)
    assert (camera.rows, camera.seconds) == (6, 0.4)
    right, left = (
        read_log(folder / "driving_log.csv").rows["steering"] for folder in camera.folders
    )
    assert right.max() < 0 < left.min()
    assert not any((folder / UNFINISHED).exists() for folder in camera.folders)


def trial(seconds, clean=True):
    return {"road": "lake", "seed": 0, "rounds": [{"seconds": seconds, "clean": clean}]}


def test_the_share_is_counted_where_the_named_way_ends_with_clean_laps():
    report = make_report(
        [trial(40.0), trial(20.0), trial(30.0), trial(24.0), trial(90.0, clean=False), trial(60.0)]
    )
    unfinished, largest, median = report.measures
    assert (unfinished.value, unfinished.reached) == (0, True)
    assert (largest.value, largest.reached) == (0.8, False)
    assert median.value == pytest.approx(2 / 3)
    assert "over 90" in report.tables[3]
    report = make_report([trial(40.0), trial(20.0), trial(30.0), trial(90.0, clean=False)])
    assert [each.value for each in report.measures] == [1, 0.5, 0.5]
    assert report.measures[0].reached is False


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("way", ["uniform", "named"])
def test_rounds_go_on_until_the_laps_are_clean_or_the_recording_is_long(road, way):
    with open_pool(1) as pool:
        settings = Settings((road,), seeds=1, steps=10, laps=0.2)
        first = Trial(road, 0, way, settings, pool).result(print)
    assert first["rounds"][-1]["clean"] or first["rounds"][-1]["seconds"] >= 0.2 * 60 / 8.94 - 1
    assert len(first["rounds"]) > 1 or first["rounds"][0]["clean"]
