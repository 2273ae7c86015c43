"""Folders of frames with a table: images are found by their names, and those that are broken or
missing are left out.
"""

import math
import re
import sys
from pathlib import Path

import pytest

from bcclone.exchange.image_folder import is_image_folder
from bcclone.exchange.source_files import folders_in, path_in_source
from bcclone.system.errors import UserError
from bcclone.system.progress import note
from tests.exchange.driven_recordings import make_driven
from tests.exchange.foreign_sources import (
    FIRST_NS,
    NAMES,
    asked,
    color_of,
    color_shown,
    imported_frames,
    make_car,
    make_frames,
    make_tub,
    rows_of,
    write_image,
)
from tests.messages.small_recording import without_privileges


def test_names_of_nanoseconds_and_angles_of_the_wheel_become_times_and_steering(tmp_path):
    car = make_car(tmp_path / "car")
    result = imported_frames(car, unit="rad", left_positive=True, max_degrees=370, frame_rate=None)
    rows = rows_of(result.output)
    expected = [-math.degrees(0.1 * (index - 3)) / 14.8 / 25 for index in range(8)]
    assert rows["steering"].tolist() == pytest.approx(expected)
    # times are rounded
    first_ms = FIRST_NS // 1_000_000 + 1
    assert rows["time_ms"].tolist() == [first_ms + 50 * index for index in range(8)]
    shown = [color_shown(result.output, index) for index in (0, 7)]
    assert shown == [pytest.approx(color_of(index), abs=6) for index in (0, 7)]
    seen = result.seen
    assert (seen.size, seen.aspect, seen.frame_rate, seen.standing) == ((96, 64), 1.5, 20.0, None)
    assert (seen.left, seen.straight, seen.right) == (0.5, 0.125, 0.375)
    notes = " ".join(seen.notes)
    assert all(word in notes for word in ("rad", "1 is 370 degrees", "left positive"))
    assert (seen.driven_seconds, seen.stretches) == (0.35, 1)
    farthest = [Path(picture).stem for picture in (seen.farthest_left, seen.farthest_right)]
    # the wheel turns from the right to the left
    assert farthest == [str(FIRST_NS + index * 50_000_000) for index in (7, 0)]
    assert (seen.least, seen.greatest) == (round(expected[7], 4), round(expected[0], 4))


def test_a_pause_divides_what_was_driven(tmp_path):
    table = [
        ("image", "steering", "time"),
        *((f"{n}.png", 0.1 * n - 0.2, 50 * n) for n in range(6)),
    ]
    table[4:] = [(name, steering, time + 60_000) for name, steering, time in table[4:]]
    folder = make_frames(tmp_path / "set", [f"{n}.png" for n in range(6)], table)
    seen = imported_frames(folder, time_form="ms", frame_rate=None).seen
    assert (seen.driven_seconds, seen.stretches) == (0.2, 2)
    assert "driven: 0.2 s in 2 parts" in seen.lines()


def test_images_of_every_common_format_are_read_and_broken_ones_left_out(tmp_path):
    endings = ("bmp", "webp", "ppm", "tif", "tiff", "JPG", "bmp", "ppm")
    names = [f"{n}.{ending}" for n, ending in enumerate(endings)]
    table = [("image", "steering"), *((name, 0.1) for name in names)]
    folder = make_frames(tmp_path / "set", names, table)
    (folder / names[6]).write_bytes((folder / names[6]).read_bytes()[:-200])
    (folder / names[7]).write_bytes(b"P6\n6000 6000\n255\n" + bytes(6000 * 6000 * 3))
    result = imported_frames(folder)
    assert (result.rows, result.seen.unreadable_images) == (6, 2)
    shown = [color_shown(result.output, n) for n in range(6)]
    assert shown == [pytest.approx(color_of(n), abs=6) for n in range(6)]


def test_the_end_of_a_path_tells_images_of_the_same_name_apart(tmp_path):
    names = [f"run{n // 3}/{n % 3}.png" for n in range(6)]
    rows = [("image", "steering"), *((f"/data/{name}", 0.1) for name in names)]
    result = imported_frames(make_frames(tmp_path / "set", names, rows))
    shown = [color_shown(result.output, n) for n in range(6)]
    assert shown == [pytest.approx(color_of(n), abs=6) for n in range(6)]


def test_a_table_that_names_no_image_of_the_folder_is_refused(tmp_path):
    table = [("image", "steering"), ("a.png", 0.1), ("b.png", 0.1)]
    folder = make_frames(tmp_path / "set", NAMES, table)
    with pytest.raises(UserError, match=r"line 2: image .* not in the folder; .*--image-column"):
        imported_frames(folder)
    table = [("image", "steering"), (0, 0.1), (1, 0.1)]
    folder = make_frames(tmp_path / "numbered", NAMES, table)
    assert asked(folder, frame_rate=20) == {None: "no images"}  # and no column can name them


def test_what_is_broken_missing_or_nobodys_is_counted(tmp_path):
    names = [*(f"{n}.jpg" for n in range(1, 9)), "other_77.jpg"]
    rows = [(name, 0.1) for name in names[:-1]]
    rows[1] = (names[1], "left")
    rows[2] = ("077.jpg", 0.1)
    folder = make_frames(tmp_path / "set", names, [("image", "steering"), *rows, ("8.jpg",)])
    (folder / names[4]).write_bytes(b"")
    write_image(folder / "deeper" / "90.jpg", 0)
    result = imported_frames(folder)
    seen = result.seen
    counts = (seen.broken_lines, seen.records_without_image, seen.empty_images)
    assert (result.rows, counts) == (5, (2, 1, 1))
    assert seen.images_without_record == 3  # 3.jpg, other_77.jpg and deeper/90.jpg
    assert any(
        re.search(r"labels\.csv: line 3: steering is 'left', expected", line)
        for line in seen.left_out
    )


def test_a_folder_of_sources_names_them(tmp_path):
    make_tub(tmp_path / "mycar" / "tub_1")
    make_tub(tmp_path / "mycar" / "data" / "tub_2")
    for extra in ("", "notes.txt"):
        if extra:
            (tmp_path / "mycar" / extra).write_text("two laps, and then the battery was empty")
        with pytest.raises(UserError, match=r"data/tub_2, tub_1.*bcclone import "):
            imported_frames(tmp_path / "mycar", frame_rate=None)


def test_among_sources_a_recording_needs_no_import(tmp_path):
    make_driven(tmp_path / "car" / "a")
    with pytest.raises(UserError, match="no import.*bcclone preprocess .*car/a$"):
        imported_frames(tmp_path / "car", frame_rate=None)
    make_tub(tmp_path / "car" / "tub")
    with pytest.raises(UserError, match="the first with: bcclone import .*car/tub --output"):
        imported_frames(tmp_path / "car", frame_rate=None)


def test_a_folder_that_changes_is_looked_at_again(tmp_path):
    for name in ("A.jpg", "B.jpg", "C.jpg"):
        (tmp_path / name).write_bytes(b"")
        found = path_in_source(tmp_path, name.lower())
        assert found.name == name
        found.unlink()
    assert not path_in_source(tmp_path, "c.jpg").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_a_folder_that_may_not_be_listed_is_left_out_and_said(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)  # another user may not walk to it
    locked = [Path("lost+found"), Path("inner/locked")]
    for path in locked:
        path.mkdir(parents=True)
        path.chmod(0)
    for path in (Path(), Path("inner")):
        path.chmod(0o755)
    write_image(Path("inner/0.png"), 0)
    note.cache_clear()  # each note is logged once in a process
    with without_privileges():
        assert folders_in(Path()) == [Path("inner")]
        assert is_image_folder(Path("inner"))
    for path in locked:
        assert [str(path) in line for line in caplog.messages].count(True) == 1
        path.chmod(0o700)
