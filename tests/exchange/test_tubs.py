"""Tubs of donkeycar become recordings; broken records are left out and counted, or the tub is
refused.
"""

import json
import re

import pytest

from bcclone.camera.framing import Framing, Lens, read_framing
from bcclone.camera.images import decode_jpeg
from bcclone.dataset.shards import open_store
from bcclone.exchange.edited_tub import open_edited
from bcclone.model.model_file import load_model
from bcclone.recording.edits import ADVANCE, MIRROR, Edit
from bcclone.recording.run_tables import read_drivers
from bcclone.system.errors import UserError
from tests.exchange.foreign_sources import (
    asked,
    imported,
    make_tub,
    make_tub_of_files,
    refusal_of,
    rows_of,
    spoil,
)
from tests.running import run_script


def test_a_tub_of_donkeycar_becomes_a_recording(tmp_path):
    result = imported(make_tub(tmp_path / "tub"), tmp_path / "out")
    assert (result.rows, result.converted) == (4, 4)
    rows = rows_of(tmp_path / "out")
    assert rows["steering"].tolist() == [0.0, 0.1, 0.2, 0.1 * 3]
    assert rows["throttle"].tolist() == [-0.5] * 4
    assert rows["time_ms"].diff().tolist()[1:] == [50] * 3
    decode_jpeg((tmp_path / "out" / "IMG" / rows["center"][0]).read_bytes())  # 320x160
    assert not (tmp_path / "out" / "drivers.csv").exists()


@pytest.mark.slow
def test_a_tub_brings_its_framing_to_the_recording_the_store_and_the_model(tmp_path):
    given = Framing(160, 120, lens=Lens(120.0, 45.0, 79.5))
    (tmp_path / "car.framing.json").write_text(given.to_json())
    tub = make_tub(tmp_path / "tub", rows=60, **{"user/angle": 0.3})
    for folder, framing in (("plain", None), ("lens", tmp_path / "car.framing.json")):
        imported(tub, tmp_path / folder, framing=framing)
        expected = given if framing else Framing(160, 120)
        assert read_framing(tmp_path / folder / "framing.json") == expected
        run_script(
            "preprocess", tmp_path / folder, "-o", tmp_path / f"{folder}.h5", "--size", "64x64"
        )
        with open_store(tmp_path / f"{folder}.h5") as store:
            assert [recording.framing for recording in store.recordings] == [expected]
    words = ("-o", tmp_path / "model.h5", "--runs", tmp_path / "runs", "--epochs", "1")
    done = run_script("model", tmp_path / "lens.h5", *words)
    assert "to move it, give another --shift-m" in done.stderr + done.stdout
    file = load_model(tmp_path / "model.h5")
    assert (file.framing, file.calibration) == (given, None)
    moves = [file.training.settings[name] for name in ("shift_m", "turn_degrees", "pitch_degrees")]
    assert moves == [0.0, 0.0, 0.0]


def test_deleted_records_are_deleted_rows_that_can_be_restored(tmp_path):
    result = imported(make_tub(tmp_path / "tub", deleted=[0, 2, 3]), tmp_path / "out")
    assert (result.rows, result.deleted) == (4, 3)
    assert rows_of(tmp_path / "out")["line"].tolist() == [2]
    run_script("edit", tmp_path / "out", "--restore", "start", "end")
    assert len(rows_of(tmp_path / "out")) == 4


def test_what_a_pilot_steered_is_taken_and_no_person_becomes_the_model(tmp_path):
    folder = make_tub(tmp_path / "tub", rows=5, **{"pilot/angle": -0.7, "pilot/throttle": 0.2})
    records = list(map(json.loads, (folder / "catalog_0.catalog").read_text().splitlines()))
    for index, mode in ((2, "local_angle"), (3, "local"), (4, "local")):
        records[index]["user/mode"] = mode
    del records[4]["pilot/angle"]
    (folder / "catalog_0.catalog").write_text("\n".join(map(json.dumps, records)))
    result = imported(folder, tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    # what the pilot steered in the last one is missing
    assert rows["steering"].tolist() == [0.0, 0.1, -0.7, -0.7]
    assert rows["throttle"].tolist() == [-0.5, -0.5, -0.5, 0.2]
    drivers = read_drivers(tmp_path / "out")
    assert [drivers[name].driver for name in rows["center"]] == ["human"] * 2 + ["model"] * 2
    assert result.seen.columns_left_out == ()


@pytest.mark.parametrize(
    ("times", "kind"),
    [
        (lambda index: 1_767_225_600_000 + 3 * index, "times of a tub"),
        (lambda index: 1_767_225_600 + index // 10, "times of a tub"),
        (lambda index: 1_767_225_600.5 + 0.05 * index, "times of a tub"),
        (lambda index: 1_767_225_600_000_000 + 50_000 * index, "times of a tub"),
        (0, "times"),
    ],
)
def test_a_tub_without_times_of_its_drive_is_refused_and_can_be_counted(times, kind, tmp_path):
    folder = make_tub(tmp_path / "tub", rows=12, **{"user/angle": 0.1, "_timestamp_ms": times})
    assert asked(folder) == {"--frame-rate": kind}
    imported(folder, tmp_path / "out", frame_rate=10)
    assert rows_of(tmp_path / "out")["time_ms"].tolist() == [100 * index for index in range(12)]


@pytest.mark.parametrize(
    ("angle", "beyond"), [(lambda index: 0.5 * index, 37), (lambda index: index and 45, 39)]
)
def test_a_tub_in_degrees_is_refused(angle, beyond, tmp_path):
    folder = make_tub(tmp_path / "tub", rows=40, **{"user/angle": angle})
    with pytest.raises(UserError, match=f"{beyond} of 40 records.*-1 to 1.*degrees"):
        imported(folder, tmp_path / "out")


def test_a_tub_that_is_refused_names_how_a_table_of_another_middle_and_range_is_read(tmp_path):
    folder = make_tub(tmp_path / "tub", **{"user/angle": lambda index: 360 + index})
    with pytest.raises(UserError, match="pulses of a servo.*--unit deg, --max-degrees.*--straight"):
        imported(folder, tmp_path / "out")


@pytest.mark.parametrize(
    ("angle", "words"),
    [
        (lambda index: index % 11 / 10, "0 to 1, most often 0,"),
        (lambda index: min(max(index % 9 / 8, 0.5), 0.9), "0.5 to 0.9, most often 0.5,"),
        (lambda index: -0.3 - index / 200, "-0.595 to -0.3,"),  # to the left
        (lambda index: (index % 11 - 1) / 10, None),
    ],
)
@pytest.mark.parametrize("left_positive", [False, True])
def test_a_tub_that_steers_to_one_side_may_have_another_middle(
    tmp_path, angle, words, left_positive
):
    folder = make_tub(tmp_path / "tub", rows=60, **{"user/angle": angle})
    result = imported(folder, tmp_path / "out", left_positive=left_positive)
    doubts = [note for note in result.seen.notes if note.startswith("careful: the steering")]
    assert len(doubts) == (words is not None)
    assert all("--check measures" in doubt and "--straight" in doubt for doubt in doubts)
    assert left_positive or all(words in doubt for doubt in doubts)


def test_catalog_lines_that_are_there_twice_are_taken_once(tmp_path):
    catalog = make_tub(tmp_path / "tub") / "catalog_0.catalog"
    catalog.write_text(2 * catalog.read_text())
    result = imported(tmp_path / "tub", tmp_path / "out")
    assert result.rows == 4
    assert "left out: 4 rows wholly equal to another row" in result.seen.notes


@pytest.mark.parametrize(
    ("steering", "rows"), [(None, 0), ("", 0), (lambda index: None if index else 0.2, 1)]
)
def test_a_record_without_a_steering_is_left_out_and_a_tub_without_any_is_refused(
    tmp_path, steering, rows
):
    folder = make_tub(tmp_path / "tub", **{"user/angle": steering})
    if not rows:
        with pytest.raises(UserError, match=r"0 of 4 rows can be used.* record 1: no 'user/angle'"):
            imported(folder, tmp_path / "out")
        return
    assert imported(folder, tmp_path / "out").seen.broken_lines == 3
    assert rows_of(tmp_path / "out")["steering"].tolist() == [0.2]


def test_a_tub_of_a_file_for_each_record_is_read_in_the_order_of_its_numbers(tmp_path):
    folder = make_tub_of_files(tmp_path / "tub", numbers=range(1, 13))
    (folder / "record_3.json").write_text('{"cam/image')
    (folder / "record_4.json").write_text("")
    (folder / "exclude.json").write_text("[1]")
    result = imported(folder, tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    assert (result.format, result.rows, result.deleted, result.seen.broken_lines) == (
        "tub",
        10,
        1,
        2,
    )
    assert rows["steering"].tolist() == [0.01 * number for number in (2, *range(5, 13))]
    assert rows["throttle"].tolist() == [0.3] * 9
    assert rows["time_ms"].tolist() == [
        1_600_000_000_500 + 50 * number for number in (2, *range(5, 13))
    ]
    assert [
        re.search(r"record_\d\.json: not a record", line) is not None
        for line in result.seen.left_out
    ] == [True] * 2
    assert result.seen.images_without_record == 2


def test_times_that_a_tub_lacks_are_counted_by_the_numbers_of_its_records(tmp_path):
    dates = {"milliseconds": None, "timestamp": lambda n: f"2019-01-01 10:00:00.{1000 * n:06d}"}
    cases = (
        ({"milliseconds": None}, {"frame_rate": 10}, 100),
        ({"milliseconds": lambda n: 30 * n}, {"frame_rate": 10}, 100),
        (dates, {}, 1),
    )
    for number, (record, settings, step_ms) in enumerate(cases):
        tub = make_tub_of_files(tmp_path / f"tub{number}", (1, 21, 31), **record)
        imported(tub, tmp_path / f"out{number}", **settings)
        steps = rows_of(tmp_path / f"out{number}")["time_ms"].diff().tolist()[1:]
        assert steps == [20 * step_ms, 10 * step_ms]
    tub = make_tub_of_files(tmp_path / "tub", milliseconds=None)
    assert asked(tub) == {"--frame-rate": "times"}


@pytest.mark.parametrize(
    ("old", "new", "kind", "words"),
    [
        ("_timestamp_ms", "time", "broken_lines", "record 1: no '_timestamp_ms'"),
        ('{"_index": 2', "\0" * 50, "broken_lines", "record 3: not a record"),
        (
            "3_cam",
            "9_cam",
            "records_without_image",
            "record 4: .*9_cam_image_array_.jpg.* No such file",
        ),
        (
            "cam/image_array",
            "cam/depth",
            "records_without_image",
            "record 1: no .cam/image_array.; .*--image-column",
        ),
    ],
)
def test_a_broken_record_is_counted_and_left_out(tmp_path, old, new, kind, words):
    spoil(make_tub(tmp_path / "tub") / "catalog_0.catalog", old, new)
    result = imported(tmp_path / "tub", tmp_path / "out")
    kinds = ("broken_lines", "records_without_image", "empty_images", "unreadable_images")
    assert {each: getattr(result.seen, each) for each in kinds} == dict.fromkeys(kinds, 0) | {
        kind: 1
    }
    assert result.rows == len(rows_of(tmp_path / "out")) == 3
    assert re.search(r"catalog_0\.catalog: " + words, *result.seen.left_out)


def test_a_tub_of_which_next_to_nothing_is_left_is_refused(tmp_path):
    images = make_tub(tmp_path / "tub", rows=30, **{"user/angle": 0.1}) / "images"
    for index in range(28):
        (images / f"{index}_cam_image_array_.jpg").write_bytes(b"")
    with pytest.raises(UserError, match=r"2 of 30 rows.*expected.*28 empty images.*record 1"):
        imported(tmp_path / "tub", tmp_path / "deep" / "er" / "out")
    assert not (tmp_path / "deep").exists()
    assert run_script("import", tmp_path / "tub", "-o", tmp_path / "out", code=1).stdout == ""


def test_rows_without_throttle_are_counted_and_left_out_on_demand(tmp_path):
    folder = make_tub(tmp_path / "tub", rows=6)
    for new in ("0.0", "0.02", "0.3", "0.0", "-0.05", "-0.05"):
        spoil(folder / "catalog_0.catalog", "-0.5", new)
    assert imported(folder, tmp_path / "all").seen.standing == 2
    result = imported(folder, tmp_path / "out", min_throttle=0.1)
    assert (result.rows, result.seen.below_min_throttle) == (1, 5)
    assert rows_of(tmp_path / "out")["throttle"].tolist() == [0.3]
    with pytest.raises(UserError, match=r"0 of 6 rows.*--min-throttle 0.9.*nearer to 0"):
        imported(folder, tmp_path / "none", min_throttle=0.9)
    assert not (tmp_path / "none").exists()


def test_a_car_may_drive_forwards_with_a_negative_throttle(tmp_path):
    throttle = {"user/throttle": lambda index: 0.3 if index == 5 else -0.4 * (index % 2)}
    folder = make_tub(tmp_path / "tub", rows=12, **throttle, **{"user/angle": 0.1})
    result = imported(folder, tmp_path / "out", min_throttle=-0.05)
    assert (result.rows, result.seen.below_min_throttle) == (5, 7)
    assert set(rows_of(tmp_path / "out")["throttle"]) == {-0.4}


def test_the_camera_of_a_tub_that_looks_forward_is_asked_for_and_can_be_chosen(tmp_path):
    folder = make_tub(tmp_path / "tub")
    for path in (folder / "catalog_0.catalog", folder / "manifest.json"):
        path.write_text(path.read_text().replace("cam/image_array", "cam/a"))
    assert asked(folder) == {"--image-column": "camera"}
    assert "cam/a" in str(refusal_of(folder))
    assert imported(folder, tmp_path / "out", image_column="cam/a").rows == 4


@pytest.mark.parametrize(
    "content", ["", "\0" * 100, '["cam/image_array"]\n["ima', None, '[]\n[]\n{}\n{}\n{"paths": []}']
)
def test_a_tub_whose_manifest_a_power_failure_damaged_is_read_by_its_catalogs(tmp_path, content):
    tub = make_tub(tmp_path / "tub", deleted=(1,))
    (tub / "catalog_0.catalog").rename(tub / "catalog_10.catalog")
    lines = (tub / "catalog_10.catalog").read_text().splitlines(keepends=True)
    (tub / "catalog_9.catalog").write_text(lines[0])
    (tub / "catalog_10.catalog").write_text("".join(lines[1:]))
    manifest = tub / "manifest.json"
    manifest.unlink() if content is None else manifest.write_text(content)
    result = imported(tub, tmp_path / "out")
    assert (result.rows, result.deleted) == (4, 0)
    assert any(
        "manifest.json is missing or damaged: all records of the 2 catalogs" in note
        for note in result.seen.notes
    )
    with pytest.raises(UserError, match=r"manifest.json.*bcclone import .*tub -o recordings/NAME"):
        open_edited(str(tub))
    assert not (tub / "exclude.json").exists()


def test_the_framing_of_a_tub_is_refused_for_the_recording_of_it(tmp_path):
    imported(make_tub(tmp_path / "tub"), tmp_path / "rec")
    framing = tmp_path / "car.framing.json"
    framing.write_text(Framing(160, 120).to_json())
    with pytest.raises(UserError, match=r"a frame already, .* is for pictures of 160x120"):
        imported(tmp_path / "rec", tmp_path / "again", framing=framing)
    assert not (tmp_path / "again").exists()


def test_the_steering_of_a_tub_may_be_positive_to_the_left(tmp_path):
    tub = make_tub(tmp_path / "tub")
    result = imported(tub, tmp_path / "out", left_positive=True)
    assert rows_of(tmp_path / "out")["steering"].tolist() == [0.0, -0.1, -0.2, -0.1 * 3]
    assert "steering: positive to the left" in result.seen.notes
    recorded = open_edited(str(tub))
    with pytest.raises(
        UserError, match=r"bcclone import .*/tub -o recordings/NAME --left-positive$"
    ):
        recorded.edit([Edit(MIRROR)])
    with pytest.raises(UserError, match=r"bcclone edit recordings/NAME --advance-steering 0.20$"):
        recorded.edit([Edit(ADVANCE, seconds=0.2)])
    # --left-positive would mirror the other rows, too
    with pytest.raises(UserError, match=r"NAME && .* --mirror-steering --rows 2 3$"):
        recorded.edit([Edit(MIRROR, ((1, 2),))])


def test_a_part_of_a_tub_is_refused_with_the_command_that_imports_all_of_it(tmp_path):
    tub = make_tub(tmp_path / "tub")
    for part in (tub / "images", tub / "manifest.json"):
        with pytest.raises(UserError, match=r"import .*/tub --output .*/out --left-positive$"):
            imported(part, tmp_path / "out", left_positive=True)


def test_the_command_of_one_of_several_tubs_keeps_the_options_that_were_given(tmp_path):
    make_tub(tmp_path / "drives" / "one")
    given = {"left_positive": True, "frame_rate": 20.0}
    with pytest.raises(UserError, match="one --output .*out --left-positive --frame-rate 20$"):
        imported(tmp_path / "drives", tmp_path / "out", **given)
    make_tub(tmp_path / "drives" / "two")
    with pytest.raises(UserError, match="one --output .*out/one --left-positive --frame-rate 20$"):
        imported(tmp_path / "drives", tmp_path / "out", **given)
