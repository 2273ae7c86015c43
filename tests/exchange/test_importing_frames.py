"""Folders of frames with any table become recordings: the table and the images are found, or asked
for.
"""

import math
import os
import re

import cv2
import numpy as np
import PIL.Image
import pytest

from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.recording_import import import_recording
from bcclone.system.errors import UserError
from tests.exchange.driven_recordings import make_driven
from tests.exchange.foreign_sources import (
    FIRST_NS,
    color_of,
    color_shown,
    make_car,
    make_frames,
    make_tub,
    write_image,
)
from tests.exchange.imported_frames import NAMES, imported, rows_of


def test_names_of_nanoseconds_and_angles_of_the_wheel_become_times_and_steering(tmp_path):
    result = imported(
        make_car(tmp_path / "car"), unit="rad", left_positive=True, steering_ratio=14.8
    )
    rows = rows_of(result)
    expected = [-math.degrees(0.1 * (index - 3)) / 14.8 / 25 for index in range(8)]
    assert rows["steering"].tolist() == pytest.approx(expected)
    # times are rounded
    assert rows["time_ms"].tolist() == [
        FIRST_NS // 1_000_000 + 50 * index + 1 for index in range(8)
    ]
    assert [color_shown(result.output, index) for index in (0, 7)] == [
        pytest.approx(color_of(0), abs=6),
        pytest.approx(color_of(7), abs=6),
    ]
    seen = result.seen
    assert (seen.size, seen.aspect, seen.frame_rate, seen.standing) == ((96, 64), 1.5, 20.0, None)
    assert (seen.left, seen.straight, seen.right) == (0.5, 0.125, 0.375)
    assert any(
        "rad" in note and "14.8 to 1" in note and "left positive" in note for note in seen.notes
    )


def test_a_table_of_utf_16_is_read(tmp_path):
    folder = make_frames(tmp_path / "set", NAMES)
    (folder / "labels.csv").write_text(
        "image,steering\n" + "".join(f"{name},0.1\n" for name in NAMES), "utf-16"
    )
    assert imported(folder).rows == 3


def test_images_of_every_common_format_are_read_and_broken_ones_left_out(tmp_path):
    names = [
        f"{n}.{ending}"
        for n, ending in enumerate(("bmp", "webp", "ppm", "tif", "tiff", "JPG", "bmp", "ppm"))
    ]
    folder = make_frames(
        tmp_path / "set", names, [("image", "steering"), *((name, 0.1) for name in names)]
    )
    (folder / names[6]).write_bytes((folder / names[6]).read_bytes()[:-200])
    (folder / names[7]).write_bytes(b"P6\n6000 6000\n255\n" + bytes(6000 * 6000 * 3))
    result = imported(folder)
    assert (result.rows, result.seen.unreadable_images) == (6, 2)
    assert [color_shown(result.output, n) for n in range(6)] == [
        pytest.approx(color_of(n), abs=6) for n in range(6)
    ]


def test_the_end_of_a_path_tells_images_of_the_same_name_apart(tmp_path):
    names = [f"run{n // 3}/{n % 3}.png" for n in range(6)]
    rows = [("image", "steering"), *((f"/data/{name}", 0.1) for name in names)]
    result = imported(make_frames(tmp_path / "set", names, rows))
    assert [color_shown(result.output, n) for n in range(6)] == [
        pytest.approx(color_of(n), abs=6) for n in range(6)
    ]


def test_one_cut_line_leaves_the_others_readable(tmp_path):
    names = [f"{n}.jpg" for n in range(12)]
    folder = make_frames(tmp_path / "set", names)
    lines = ["image,steering", *(f"{name},0.1" for name in names)]
    (folder / "data.csv").write_text("\n".join([*lines[:4], "3.jp", *lines[5:]]))
    assert imported(folder).rows == 11


@pytest.mark.parametrize("column", ["center", "center\xe4"])
def test_a_table_that_is_named_is_read_as_in_its_folder(tmp_path, column):
    rows = [(column, "image", "steering"), *((100 * n, name, 0.1) for n, name in enumerate(NAMES))]
    folder = make_frames(tmp_path / "set", NAMES)
    text = "".join(",".join(map(str, row)) + "\n" for row in rows)
    (folder / "labels.csv").write_text(text, "latin-1")
    seen = [
        import_recording(ImportSettings(each, tmp_path / f"of-{each.name}"))
        for each in (folder, folder / "labels.csv")
    ]
    assert [(result.format, result.rows) for result in seen] == [("frames", 3)] * 2


def test_a_table_that_names_no_image_of_the_folder_is_refused(tmp_path):
    folder = make_frames(
        tmp_path / "set", NAMES, [("image", "steering"), ("a.png", 0.1), ("b.png", 0.2)]
    )
    with pytest.raises(
        UserError, match="no column names images of the folder, which has 3; .*'image'"
    ):
        imported(folder)


def test_of_several_tables_the_one_with_a_steering_is_read_and_a_table_may_lie_elsewhere(tmp_path):
    folder = make_frames(
        tmp_path / "set", NAMES, [("image", "steering"), *((name, 0.1) for name in NAMES)]
    )
    (folder / "gps.csv").write_text("lat,lon\n1,2\n")
    assert imported(folder).rows == 3
    (folder / "second.csv").write_text((folder / "labels.csv").read_text())
    with pytest.raises(
        UserError,
        match="which table has the steering. .*--table; there are: labels.csv, second.csv",
    ):
        import_recording(ImportSettings(folder, tmp_path / "b"))
    other = make_frames(tmp_path / "other", NAMES)
    with pytest.raises(
        UserError, match="no table .* lies beside the pictures; name one with --table"
    ):
        import_recording(ImportSettings(other, tmp_path / "b"))
    assert (
        import_recording(ImportSettings(other, tmp_path / "b", table=folder / "second.csv")).rows
        == 3
    )


def test_what_is_broken_missing_or_nobodys_is_counted(tmp_path):
    names = [*(f"{n}.jpg" for n in range(1, 9)), "other_77.jpg"]
    rows = [(name, 0.1) for name in names[:-1]]
    rows[1] = (names[1], "left")
    rows[2] = ("077.jpg", 0.1)
    folder = make_frames(tmp_path / "set", names, [("image", "steering"), *rows, ("8.jpg",)])
    (folder / names[4]).write_bytes(b"")
    write_image(folder / "deeper" / "90.jpg", 0)
    result = imported(folder)
    seen = result.seen
    assert (result.rows, seen.broken_lines, seen.records_without_image, seen.empty_images) == (
        5,
        2,
        1,
        1,
    )
    assert seen.images_without_record == 3  # 3.jpg, other_77.jpg and deeper/90.jpg
    assert any(
        re.search(r"labels\.csv: line 3: steering is 'left', expected a number", line)
        for line in seen.left_out
    )


COUNT = 24
STEERING = [0.0 if n % 4 else round(0.02 * (n - 12), 2) for n in range(COUNT)]


def numbered(tmp_path, header, columns):
    """Write images that are called by a number, and a table of columns of numbers."""
    rows = [[f"{value:g}" for value in row] for row in zip(*columns, strict=True)]
    names = [f"{n:06d}.jpg" for n in range(COUNT)]
    return make_frames(tmp_path / "set", names, [*([header] if header else []), *rows])


@pytest.mark.parametrize(
    ("header", "columns", "settings"),
    [
        (("frame", "steer"), (range(COUNT), STEERING), {}),
        # brake, gear and a switch come back to a value that they had
        (
            ("frame", "steering", "brake", "g", "auto"),
            (
                range(COUNT),
                STEERING,
                [n % 2 for n in range(COUNT)],
                [1 + n % 5 for n in range(COUNT)],
                [int(3 < n < 9) for n in range(COUNT)],
            ),
            {},
        ),
        # they rise as numbers of pictures do
        (
            ("speed_kmh", "steering", "n", "wheel_angle_left"),
            (range(1, COUNT + 1), STEERING, range(COUNT), range(COUNT)),
            {},
        ),
        (("steering", "id", "frame"), (STEERING, range(1, COUNT + 1), range(COUNT)), {}),
        # it counts from 1, the images from 0
        (("id", "steering"), (range(1, COUNT + 1), STEERING), {}),
        # they name the same images
        (("", "number", "steering"), (range(COUNT), range(COUNT), STEERING), {}),
        (
            (),
            (STEERING, [n % 2 for n in range(COUNT)], range(COUNT)),
            {"steering_column": "1"},
        ),
    ],
    ids=["steering", "brake", "speed", "id", "id from 1", "index", "no names"],
)
def test_whole_numbers_of_a_control_name_no_pictures(tmp_path, header, columns, settings):
    result = imported(numbered(tmp_path, header, columns), unit="ratio", **settings)
    assert result.rows == COUNT
    assert rows_of(result)["steering"].tolist() == STEERING
    shown = [color_shown(result.output, n) for n in (0, 7, COUNT - 1)]
    assert shown == [pytest.approx(color_of(n), abs=6) for n in (0, 7, COUNT - 1)]


@pytest.mark.parametrize(
    ("header", "columns", "words"),
    [
        (
            ("lap", "steering", "brake"),
            ([n // 12 for n in range(COUNT)], STEERING, [0] * COUNT),
            "no column names images",
        ),
        # parts of the road, whose numbers are those of a few images
        (("sector", "steering"), ([n // 4 for n in range(COUNT)], STEERING), "no column names"),
        (
            ("a", "b", "steering"),
            (range(COUNT), reversed(range(COUNT)), STEERING),
            "several columns name images; name it with --image-column; there are: a .*, b ",
        ),
    ],
    ids=["lap", "sector", "several"],
)
def test_numbers_that_may_not_be_those_of_pictures_are_asked_for(tmp_path, header, columns, words):
    with pytest.raises(UserError, match=words):
        imported(numbered(tmp_path, header, columns))


def test_a_number_of_an_image_may_have_a_decimal_point(tmp_path):
    rows = [[f"{n}.0", value] for n, value in enumerate(STEERING)]
    names = [f"{n:06d}.jpg" for n in range(COUNT)]
    rows[3][0] = ""  # so that pandas writes the others as 0.0, 1.0 and so on
    result = imported(make_frames(tmp_path / "set", names, [("frame", "steering"), *rows]))
    table = rows_of(result)
    assert table["steering"].tolist() == STEERING[:3] + STEERING[4:]
    assert set(table["time_ms"].diff()[1:]) == {50, 100}  # they are no times in seconds


def test_a_frame_that_its_exif_data_turn_is_upright_in_the_recording(tmp_path):
    folder = make_frames(tmp_path / "set", ["a.jpg"], [("image", "steering"), ("a.jpg", 0.1)])
    frame = np.zeros((160, 320, 3), np.uint8)
    frame[80:] = 255  # white below
    exif = PIL.Image.Exif()
    exif[0x0112] = 3  # the picture is stored upside down
    turned = PIL.Image.fromarray(np.ascontiguousarray(frame[::-1]))
    turned.save(folder / "a.jpg", exif=exif)
    result = imported(folder)
    assert (result.rows, result.converted) == (1, 1)
    written = (result.output / "IMG" / rows_of(result)["center"][0]).read_bytes()
    # as programs show it that do not read EXIF data
    shown = cv2.imdecode(np.frombuffer(written, np.uint8), cv2.IMREAD_IGNORE_ORIENTATION)
    assert shown[40].mean() < 10
    assert shown[120].mean() > 245


def test_what_macos_keeps_beside_files_is_no_input(tmp_path):
    table = [("image", "steering"), *((name, 0.1) for name in NAMES)]
    folder = make_frames(tmp_path / "set", NAMES, table)
    for name in (*NAMES, "labels.csv"):
        (folder / f"._{name}").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X        ")
    result = imported(folder)
    assert (result.rows, result.seen.images_without_record) == (3, 0)


@pytest.mark.skipif(os.name == "nt", reason="names of files are bytes on Linux alone")
def test_images_are_found_whatever_the_bytes_of_their_names(tmp_path):
    table = [("image", "steering"), *((f"é/{name}", 0.1) for name in NAMES)]
    folder = make_frames(tmp_path / "set", NAMES, table)
    inner = folder / os.fsdecode(b"\xe9")
    inner.mkdir()
    for name in NAMES:
        (folder / name).rename(inner / name)
    assert imported(folder).rows == 3


def test_a_folder_of_sources_names_them(tmp_path):
    make_tub(tmp_path / "mycar" / "tub_1")
    make_tub(tmp_path / "mycar" / "data" / "tub_2")
    for extra in ("", "notes.txt"):
        if extra:
            (tmp_path / "mycar" / extra).write_text("two laps, and then the battery was empty")
        with pytest.raises(UserError, match=r"2 of them: data/tub_2, tub_1; .*bcclone import "):
            imported(tmp_path / "mycar")


def test_among_sources_a_recording_needs_no_import(tmp_path):
    make_driven(tmp_path / "car" / "a")
    with pytest.raises(UserError, match="recordings already, .*bcclone preprocess .*car/a$"):
        imported(tmp_path / "car")
    make_tub(tmp_path / "car" / "tub")
    with pytest.raises(UserError, match="the first with: bcclone import .*car/tub -o"):
        imported(tmp_path / "car")


def test_the_name_of_an_image_may_have_two_lines(tmp_path):
    names = [f"a\n{n}.jpg" for n in range(4)]
    folder = make_frames(tmp_path / "set", names)
    rows = [f'"{name}",{n / 10}' for n, name in enumerate(names)]
    (folder / "labels.csv").write_text("\n".join(["image,steering", *rows]))
    assert rows_of(imported(folder))["steering"].tolist() == [0.0, 0.1, 0.2, 0.3]
