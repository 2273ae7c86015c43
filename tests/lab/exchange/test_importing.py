"""Tubs and data sets of other programs are imported, and what is none is refused with file, row and remedy."""

import json
import shutil

import cv2
import numpy as np
import pytest

from bcclone.dataset.framing import Framing, Lens, read_framing
from bcclone.dataset.images import decode_jpeg
from bcclone.dataset.store import Store
from bcclone.lab.exchange.exchange_settings import ExportSettings, ImportSettings
from bcclone.lab.exchange.recording_export import export
from bcclone.lab.exchange.recording_import import import_recording
from bcclone.lab.exchange.rows import encode_png
from bcclone.recording.drivers import read_drivers
from bcclone.recording.log import read_log
from bcclone.system.errors import UserError
from bcclone.system.tensorflow_quietly import load_tensorflow
from tests.conftest import run_script
from tests.lab.exchange.driven_recordings import make_driven


def small_jpeg():
    return cv2.imencode(".jpg", np.full((120, 160, 3), 90, np.uint8))[1].tobytes()


def make_tub(folder, deleted=(), mode="user", rows=4, **record):
    """Write a tub as donkeycar does: its own inputs only, 160x120 pixels."""
    (folder / "images").mkdir(parents=True)
    records = []
    for index in range(rows):
        name = f"{index}_cam_image_array_.jpg"
        (folder / "images" / name).write_bytes(small_jpeg())
        records.append(
            {"_index": index, "_session_id": "26-01-01_0", "_timestamp_ms": 1_767_225_600_000 + 50 * index,
             "cam/image_array": name, "user/angle": 0.1 * index, "user/throttle": -0.5, "user/mode": mode} | record
        )  # fmt: skip
    (folder / "catalog_0.catalog").write_text("".join(json.dumps(one) + "\n" for one in records))
    paths = {"paths": ["catalog_0.catalog"], "current_index": rows, "max_len": 1000, "deleted_indexes": list(deleted)}
    lines = (["cam/image_array"], ["image_array"], {}, {"created_at": 1.0}, paths)
    (folder / "manifest.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def imported(source, target, **settings):
    return import_recording(ImportSettings(source, target, **settings))


def rows_of(folder):
    return read_log(folder / "driving_log.csv").rows


def test_a_tub_of_donkeycar_becomes_a_recording(tmp_path):
    result = imported(make_tub(tmp_path / "tub"), tmp_path / "out")
    assert (result.rows, result.converted) == (4, 4)
    rows = rows_of(tmp_path / "out")
    assert rows["steering"].tolist() == [0.0, 0.1, 0.2, 0.1 * 3]
    assert rows["throttle"].tolist() == [-0.5] * 4
    assert rows["time_ms"].diff().tolist()[1:] == [50] * 3
    decode_jpeg((tmp_path / "out" / "IMG" / rows["center"][0]).read_bytes())  # 320x160
    assert not (tmp_path / "out" / "drivers.csv").exists()


def test_a_tub_brings_its_framing_to_the_recording_the_store_and_the_model(tmp_path):
    given = Framing(160, 120, lens=Lens(120.0, 45.0, 79.5))
    (tmp_path / "car.framing.json").write_text(given.to_json())
    tub = make_tub(tmp_path / "tub", rows=60, **{"user/angle": 0.3})
    for folder, framing in (("plain", None), ("lens", tmp_path / "car.framing.json")):
        imported(tub, tmp_path / folder, framing=framing)
        expected = given if framing else Framing(160, 120)
        assert read_framing(tmp_path / folder / "framing.json") == expected
        run_script("preprocess", tmp_path / folder, "-o", tmp_path / f"{folder}.h5", "--size", "64x64")
        with Store(tmp_path / f"{folder}.h5") as store:
            assert [recording.framing for recording in store.recordings] == [expected]
    words = ("-o", tmp_path / "model.h5", "--runs", tmp_path / "runs", "--epochs", "1")
    done = run_script("model", tmp_path / "lens.h5", *words, "--turn-degrees", "2")
    assert "--shift-m, --pitch-degrees 0" in done.stderr + done.stdout
    load_tensorflow()
    from bcclone.model.model_file import load_model_file

    file = load_model_file(tmp_path / "model.h5")
    assert (file.framing, file.calibration) == (given, None)
    moves = [file.training.settings[name] for name in ("shift_m", "turn_degrees", "pitch_degrees")]
    assert moves == [0.0, 2.0, 0.0]


def test_deleted_records_are_deleted_rows_that_can_be_restored(tmp_path):
    result = imported(make_tub(tmp_path / "tub", deleted=[0, 2, 3]), tmp_path / "out")
    assert (result.rows, result.deleted) == (4, 3)
    assert rows_of(tmp_path / "out")["line"].tolist() == [2]
    run_script("edit", tmp_path / "out", "--restore", "start", "end")
    assert len(rows_of(tmp_path / "out")) == 4


def test_rows_that_a_pilot_drove_are_the_models(tmp_path):
    imported(make_tub(tmp_path / "tub", mode="local"), tmp_path / "out")
    assert {row.driver for row in read_drivers(tmp_path / "out").values()} == {"model"}


def make_lerobot(folder, names=("steering", "throttle"), version="v2.1", dtype="image", steps=0.25):
    """Write a data set of another program: only an action, a small picture, and no times."""
    pyarrow = pytest.importorskip("pyarrow", reason="pip install 'bcclone[export]'")
    from pyarrow import parquet

    picture = encode_png(np.full((48, 96, 3), (200, 10, 10), np.uint8))
    frames = [
        {"observation.images.front": {"bytes": picture, "path": None}, "action": [steps * frame, 0.5],
         "frame_index": frame, "episode_index": episode}
        for episode in range(2) for frame in range(3)
    ]  # fmt: skip
    (folder / "meta").mkdir(parents=True)
    for episode in range(2):
        path = folder / f"data/chunk-000/episode_{episode:06d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        of_episode = [frame for frame in frames if frame["episode_index"] == episode]
        parquet.write_table(pyarrow.Table.from_pylist(of_episode), path)
    features = {
        "observation.images.front": {"dtype": dtype, "shape": [48, 96, 3], "names": None},
        "action": {"dtype": "float32", "shape": [2], "names": {"motors": list(names)}},
    }
    (folder / "meta" / "info.json").write_text(
        json.dumps({"codebase_version": version, "fps": 10, "features": features})
    )
    return folder


def test_a_lerobot_data_set_of_another_program_becomes_a_recording(tmp_path):
    result = imported(make_lerobot(tmp_path / "set"), tmp_path / "out")
    assert (result.format, result.rows, result.converted) == ("lerobot", 6, 6)
    rows = rows_of(tmp_path / "out")
    assert rows["steering"].tolist() == [0.0, 0.25, 0.5] * 2
    assert rows["episode"].tolist() == [0, 0, 0, 1, 1, 1]
    assert rows["time_ms"].diff().tolist()[1:3] == [100, 100]
    frame = decode_jpeg((tmp_path / "out" / "IMG" / rows["center"][0]).read_bytes())
    assert frame[80, 160].tolist() == pytest.approx([200, 10, 10], abs=6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"names": ("shoulder", "elbow")}, "no feature named 'steering' in action .it has: shoulder, elbow"),
        ({"dtype": "video"}, "its cameras are videos .observation.images.front., expected features of dtype image"),
    ],
)
def test_a_data_set_that_is_no_drive_is_refused(tmp_path, change, words):
    with pytest.raises(UserError, match=words):
        imported(make_lerobot(tmp_path / "set", **change), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("meta/info.json", "{}", "not the description of a LeRobot data set, expected `features` and `fps`"),
        ("data/chunk-000/episode_000001.parquet", "none", r"episode_000001\.parquet: cannot be read: .*download"),
    ],
)
def test_a_broken_data_set_is_refused_by_file(tmp_path, file, content, words):
    (make_lerobot(tmp_path / "set") / file).write_text(content)
    with pytest.raises(UserError, match=words):
        imported(tmp_path / "set", tmp_path / "out")


def test_numbers_that_no_recording_has_are_refused_by_file_and_row(tmp_path):
    folder = make_lerobot(tmp_path / "set", steps=0.6)
    with pytest.raises(UserError, match=r"episode_000000\.parquet: row 3: steering is 1\.2, expected -1 to 1; correct"):
        imported(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_data_set_without_its_data_is_refused(tmp_path):
    shutil.rmtree(make_lerobot(tmp_path / "set") / "data")
    with pytest.raises(UserError, match="there are no Parquet files; download the whole data set"):
        imported(tmp_path / "set", tmp_path / "out")


def spoil(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("manifest.json", "{", "<", r"manifest\.json: not the manifest of a tub"),
        ("manifest.json", "catalog_0", "catalog_7", r"catalog_7\.catalog: cannot be read: .*manifest\.json names it"),
        ("catalog_0.catalog", "_timestamp_ms", "time", r"catalog_0\.catalog: record 1: no '_timestamp_ms'"),
        (
            "catalog_0.catalog",
            '"user/angle": 0.1',
            '"user/angle": "left"',
            "record 2: user/angle is 'left', expected a number; correct the record",
        ),
        (
            "catalog_0.catalog",
            '"user/angle": 0.2',
            '"user/angle": 7',
            "record 3: steering is 7, expected -1 to 1",
        ),
        ("catalog_0.catalog", "3_cam", "9_cam", "record 4: .*9_cam_image_array_.jpg.* No such file"),
        ("catalog_0.catalog", "cam/image_array", "cam/depth", "record 1: it has no image of the center camera"),
        ("catalog_0.catalog", ": 1767225600000", ": 1e20", "record 1: time_ms is 1000000000000.*expected"),
        (
            "catalog_0.catalog",
            ": 1767225600000",
            ": -1",
            "record 1: its time is -1 ms, expected millisec",
        ),
    ],
)
def test_a_broken_tub_is_refused_by_file_and_record(tmp_path, file, old, new, words):
    spoil(make_tub(tmp_path / "tub") / file, old, new)
    with pytest.raises(UserError, match=words):
        imported(tmp_path / "tub", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["tub"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("time_ms,", "when,", "no column 'time_ms', expected a table with center, time_ms, steering"),
        ("1.0000001", "left", r"table\.csv: line 6: steering is 'left', expected a number"),
        ("1.0000001", "nan", "steering is 'nan', expected a number"),
        ("1.0000001", "", "'steering' is empty"),
        ("1.0000001", "1.1", r"table\.csv: line 6: steering is 1\.1, expected -1 to 1; correct it"),
        ("\n0,0,", "\n0,-1,", "line 2: recording 0, episode -1, expected 0 or more of each"),
        (",human,1,", ",robot,1,", "line 4: driver 'robot', expected model or human"),
        (
            "0000002_center",
            "0000009_center",
            "line 4: image .images/0/0000009_center.jpg. cannot be read: No such",
        ),
    ],
)
def test_a_wrong_table_is_refused_by_file_and_line(tmp_path, old, new, words):
    export(ExportSettings(str(make_driven(tmp_path / "lake")), tmp_path / "csv"))
    spoil(tmp_path / "csv" / "table.csv", old, new)
    with pytest.raises(UserError, match=words):
        imported(tmp_path / "csv", tmp_path / "out")


def test_a_picture_that_is_none_is_refused_by_its_row(tmp_path):
    (make_tub(tmp_path / "tub") / "images" / "1_cam_image_array_.jpg").write_bytes(b"none")
    with pytest.raises(UserError, match=r"catalog_0\.catalog: record 2: its image cannot be read"):
        imported(tmp_path / "tub", tmp_path / "out")


def test_what_is_of_no_known_format_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"none of the formats csv, tub, lerobot; expected a folder with table\.csv"):
        imported(tmp_path / "empty", tmp_path / "out")
    with pytest.raises(UserError, match="no such file or folder"):
        imported(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(UserError, match="a driving_log.csv needs no import"):
        imported(make_driven(tmp_path / "lake") / "driving_log.csv", tmp_path / "out")
    with pytest.raises(UserError, match="lake exists already, and is not an empty folder"):
        imported(make_tub(tmp_path / "tub"), tmp_path / "lake")
    with pytest.raises(UserError, match="does not exist; make it first"):
        imported(tmp_path / "tub", tmp_path / "nowhere" / "out")
    with pytest.raises(UserError, match="cannot be read: No such file .*name the folder of a LeRobot data set"):
        imported(tmp_path / "tub", tmp_path / "out", format="lerobot")


def test_the_command_says_what_comes_next(tmp_path):
    make_tub(tmp_path / "tub", deleted=[1])
    done = run_script("import", tmp_path / "tub", "-o", tmp_path / "out")
    assert "4 rows" in done.stdout
    assert "next: bcclone preprocess" in done.stdout
    assert "4 images converted" in done.stderr
    assert "1 row marked as deleted" in done.stderr
    result = json.loads(run_script("import", tmp_path / "tub", "-o", tmp_path / "two", "--json").stdout)
    assert (result["rows"], result["deleted"], result["format"]) == (4, 1, "tub")
