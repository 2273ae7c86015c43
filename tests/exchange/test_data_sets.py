"""Data sets of LeRobot become recordings, or are refused with what they have."""

import json
import re

import pytest

from tests.exchange.foreign_sources import (
    PICTURE,
    asked,
    color_shown,
    imported,
    make_lerobot,
    refusal_of,
    rows_of,
    spoil,
)

pyarrow = pytest.importorskip("pyarrow", reason="pip install 'bcclone[lerobot]'")


def test_of_several_cameras_of_a_data_set_the_one_that_looks_forward_is_asked_for(tmp_path):
    folder = make_lerobot(tmp_path / "set", camera=PICTURE)
    spoil(folder / "meta" / "info.json", "observation.images.front", "observation.images.top")
    image = {"observation.images.wrist": {"dtype": "image", "shape": [48, 96, 3], "names": None}}
    info = json.loads((folder / "meta" / "info.json").read_text())
    (folder / "meta" / "info.json").write_text(
        json.dumps(info | {"features": image | info["features"]})
    )
    refusal = refusal_of(folder)
    assert [one["option"] for one in refusal.facts["missing"]][:1] == ["--image-column"]
    assert "observation.images.wrist" in str(refusal)
    # all that is missing is asked for at once
    assert {one["option"] for one in refusal.facts["missing"]} >= {"--straight", "--max-degrees"}


def test_a_lerobot_data_set_of_another_program_becomes_a_recording(tmp_path):
    folder = make_lerobot(tmp_path / "set", camera=PICTURE, step=0.01, episodes=(3, 102))
    result = imported(folder, tmp_path / "out", straight=0.0)
    assert (result.format, result.rows, result.converted) == ("lerobot", 104, 104)
    rows = rows_of(tmp_path / "out")
    assert rows["steering"].tolist()[:4] == pytest.approx([0.0, 0.01, 0.02, 0.0])
    assert rows["episode"].tolist()[:4] == [0, 0, 0, 1]
    assert rows["time_ms"].diff().tolist()[1:3] == [100, 100]
    assert color_shown(tmp_path / "out", 0) == pytest.approx([200, 10, 10], abs=6)
    (line,) = result.seen.left_out
    assert re.search(r"episode_000001\.parquet: row 102: steering is 1\.01, expected -1 to 1", line)


def test_the_throttle_of_a_data_set_in_percent_is_left_out(tmp_path):
    names = ("throttle", "steering")
    folder = make_lerobot(tmp_path / "set", camera=PICTURE, names=names, start=30.0)
    result = imported(folder, tmp_path / "out")
    assert rows_of(tmp_path / "out")["steering"].tolist() == [0.5] * 6
    assert "action.throttle is left out: it has 30, expected -1 to 1" in result.seen.notes


def test_a_data_set_that_is_no_drive_is_refused_with_what_it_has(tmp_path):
    folder = make_lerobot(tmp_path / "set", camera=PICTURE, names=("shoulder", "elbow"))
    assert asked(folder) == {
        "--steering-column": "no steering",
        "--unit": "unit",
        "--straight": "middle",
        "--max-degrees": "full",
    }
    assert "action.shoulder" in str(refusal_of(folder))
    named = {"steering_column": "shoulder", "unit": "ratio", "left_positive": True}
    imported(folder, tmp_path / "out", straight=0.0, **named)
    assert rows_of(tmp_path / "out")["steering"].tolist() == [0.0, -0.25, -0.5] * 2


def test_of_two_features_with_a_steering_the_action_is_taken(tmp_path):
    names = ["steering_norm"]
    folder = make_lerobot(
        tmp_path / "set", camera=PICTURE, names=[*names, "throttle"], **{"observation.state": names}
    )
    imported(folder, tmp_path / "out", straight=0.0)
    assert rows_of(tmp_path / "out")["steering"].tolist() == [0.0, 0.25, 0.5] * 2
    folder = make_lerobot(
        tmp_path / "two",
        camera=PICTURE,
        names=["a", "throttle"],
        **{"observation.state": names, "other": names},
    )
    assert asked(folder) == {"--steering-column": "several steerings"}
    assert "other.steering_norm" in str(refusal_of(folder))
    imported(folder, tmp_path / "out2", steering_column="other.steering_norm")
    assert rows_of(tmp_path / "out2")["steering"].tolist() == pytest.approx([0.1] * 6)
