"""Folders of frames with any table become recordings: columns, units, times and images are found,
or asked for.
"""

import math
import re
import shutil
from pathlib import Path

import pytest

from bcclone.camera.images import decode_jpeg
from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.recording_import import import_recording
from bcclone.system.errors import UserError
from tests.exchange import foreign_sources
from tests.exchange.foreign_sources import (
    FIRST_NS,
    color_of,
    color_shown,
    make_car,
    make_frames,
    write_image,
)


def imported(source, **settings):
    return foreign_sources.imported(source, source.parent / "new" / "out", **settings)


def rows_of(result):
    return foreign_sources.rows_of(result.output)


def test_a_folder_named_by_nanoseconds_with_angles_of_the_wheel(tmp_path):
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


NAMES = ["frame_0001.png", "frame_0002.png", "frame_0003.png"]


@pytest.mark.parametrize(
    ("header", "rows", "times"),
    [
        (
            ("steering", "t", "image"),
            [(0.1, 500, "x/1"), (0.2, 550, "x/2"), (0.3, 600, "x/3")],
            "ms",
        ),
        (("id", "user/angle", "time"), [(1, 0.1, 500e3), (2, 0.2, 550e3), (3, 0.3, 600e3)], "us"),
        (
            ("center", "steering_ratio"),
            [(f"a\\b\\{name}", 0.1 * (n + 1)) for n, name in enumerate(NAMES)],
            "none found",
        ),
    ],
)
def test_columns_are_found_by_names_and_values(tmp_path, header, rows, times):
    result = imported(make_frames(tmp_path / "set", NAMES, [header, *rows]))
    table = rows_of(result)
    assert table["steering"].tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert table["time_ms"].diff().tolist()[1:] == [50, 50]
    assert color_shown(result.output, 2) == pytest.approx(color_of(2), abs=6)
    assert (result.converted, result.seen.columns_left_out) == (3, ())
    assert any(note.startswith("times:") and times in note for note in result.seen.notes)


def test_a_table_without_header_and_with_blanks_is_read_by_numbers(tmp_path):
    folder = make_frames(tmp_path / "set", ["0.jpg", "1.jpg", "2.jpg"])
    (folder / "data.txt").write_text("0.jpg 0.0\n1.jpg 10.0\n2.jpg -20.0\n")
    with pytest.raises(
        UserError, match=r"no column is called steering.*-column; there are: 2 \(0.0, 10.0, -20.0\)"
    ):
        imported(folder)
    result = imported(folder, steering_column="2", unit="deg", max_degrees=40)
    assert rows_of(result)["steering"].tolist() == [0.0, 0.25, -0.5]


SULLY = [f"{n}.jpg {15 * n}.000000,2018-07-01 17:09:44:{60 * n}" for n in range(3)]


@pytest.mark.parametrize(
    ("lines", "settings"),
    [
        (
            [line.partition(",")[0] for line in SULLY],
            {"steering_column": "2", "unit": "deg", "frame_rate": 1000 / 60},
        ),
        (SULLY, {"steering_column": "2", "unit": "deg"}),
        (["image angle,time", *SULLY], {"unit": "deg"}),
        (["name,date", *SULLY], {"steering_column": "name 2", "unit": "deg"}),
        ([f"{n}.jpg;{n}.jpg,{15 * n},17:09:44.{60 * n:03}" for n in range(3)], {
            "steering_column": "3", "unit": "deg", "image_column": "1"}),
        ([f"{15 * n},{n},{0.06 * n}" for n in range(3)], {
            "steering_column": "1", "unit": "deg", "image_column": "2", "time_column": "3"}),
        # row names of R
        (["file,steering_deg,t", *(f"{n},{n}.jpg,{15 * n},{60 * n}" for n in range(3))], {}),
        (["file,steering_deg,t_ms", *(f"{n}.jpg,{15 * n},{60 * n}," for n in range(3))], {}),
        # pandas, without names
        ([",0,1,2", *(f"{n},{n}.jpg,{15 * n},{60 * n}" for n in range(3))], {
            "steering_column": "1", "unit": "deg", "time_column": "2"}),
    ],
)  # fmt: skip
def test_a_table_is_divided_by_what_its_cells_hold_and_the_first_row_may_be_data(
    tmp_path, lines, settings
):
    folder = make_frames(tmp_path / "set", ["0.jpg", "1.jpg", "2.jpg"])
    (folder / "data.txt").write_text("\n".join(lines))
    result = imported(folder, steering_ratio=15, **settings)
    assert rows_of(result)["steering"].tolist() == pytest.approx([0, 0.04, 0.08])
    assert rows_of(result)["time_ms"].diff().tolist()[1:] == [60, 60]
    assert [color_shown(result.output, n) for n in range(3)] == [
        pytest.approx(color_of(n), abs=6) for n in range(3)
    ]


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


@pytest.mark.parametrize(
    ("column", "mph"),
    [
        ("speed (km/h)", 6.21), ("speedKmh", 6.21), ("Speed KPH", 6.21), ("velocity_m_s", 22.37),
        ("vehicle_speed_mps", 22.37), ("drive.speed_mph", 10), ("speed [knots]", 11.51),
        ("speed_mph", 10),
        ("speed_limit_kmh", 0),
    ],
)  # fmt: skip
def test_the_name_of_a_speed_says_its_unit_in_any_spelling(tmp_path, column, mph):
    table = [("image", "steering", column), *((name, 0.1, 10) for name in NAMES)]
    assert rows_of(imported(make_frames(tmp_path / "set", NAMES, table)))[
        "speed_mph"
    ].tolist() == pytest.approx([mph] * 3, abs=0.01)


def test_a_speed_that_most_rows_lack_is_left_out_and_a_row_without_throttle_too(tmp_path):
    rows = [
        (name, 0.1, throttle, speed)
        for name, throttle, speed in zip(NAMES, (0.3, 0.3, ""), (1, "", ""), strict=True)
    ]
    result = imported(
        make_frames(
            tmp_path / "set", NAMES, [("image", "steering", "throttle", "speed_mph"), *rows]
        )
    )
    assert rows_of(result)["throttle"].tolist() == [0.3, 0.3]
    assert any("speed_mph has no number in most rows" in note for note in result.seen.notes)


@pytest.mark.parametrize("separator", [";", ", "])
@pytest.mark.parametrize("header", ["", "image;steering;time\n"])
def test_decimals_may_have_a_comma(tmp_path, header, separator):
    folder = make_frames(tmp_path / "set", NAMES)
    rows = "".join(f"{name};0,{n};0,{5 + 5 * n:02}\n" for n, name in enumerate(NAMES))
    (folder / "data.csv").write_text((header + rows).replace(";", separator))
    names = {} if header else {"steering_column": "2", "time_column": "3", "unit": "ratio"}
    rows = rows_of(imported(folder, **names))
    assert rows["steering"].tolist() == [0.0, 0.1, 0.2]
    assert rows["time_ms"].tolist() == [50, 100, 150]


def test_throttle_brake_and_speed_are_taken_and_the_rest_is_named(tmp_path):
    header = ("image", "steering_deg", "throttle", "brake", "speed_kmh", "gear", "steering_torque")
    table = [header, *((name, 5, 0.5 * n, 0.1, 36, 2, 3.0) for n, name in enumerate(NAMES))]
    result = imported(make_frames(tmp_path / "set", NAMES, table))
    rows = rows_of(result)
    assert rows["throttle"].tolist() == [0.0, 0.5, 1.0]
    assert rows["brake"].tolist() == [0.1] * 3
    assert rows["speed_mph"].tolist() == pytest.approx([22.37] * 3, abs=0.01)
    assert result.seen.columns_left_out == ("gear", "steering_torque")


def test_a_speed_without_unit_and_a_throttle_in_percent_are_left_out_with_a_note(tmp_path):
    table = [("image", "steering", "throttle", "speed"), *((name, 0.1, 40, 10) for name in NAMES)]
    folder = make_frames(tmp_path / "set", NAMES, table)
    result = imported(folder)
    assert set(result.seen.columns_left_out) == {"throttle", "speed"}
    notes = "\n".join(result.seen.notes)
    assert "--speed-unit" in notes
    assert "throttle: throttle has 40, expected -1 to 1" in notes


def test_three_cameras_are_three_cameras_and_a_side_camera_may_be_missing(tmp_path):
    names = [f"{camera}/{n}.jpg" for n in range(3) for camera in ("center", "left", "right")]
    rows = [(f"center/{n}.jpg", f"left/{n}.jpg", f"right/{n}.jpg", 0.1) for n in range(3)]
    rows[1] = ("center/1.jpg", "", "right/1.jpg", 0.1)
    rows[2] = ("", "left/2.jpg", "right/2.jpg", 0.1)
    result = imported(
        make_frames(tmp_path / "set", names, [("center", "left", "right", "steering"), *rows])
    )
    assert (result.rows, result.seen.records_without_image) == (2, 1)
    assert rows_of(result)["left"].map(bool).tolist() == [True, False]
    assert len(list((result.output / "IMG").iterdir())) == 5


CELLS = "{time},{camera},{image},{steering}"


def make_cameras(
    folder,
    cameras,
    place,
    header="timestamp,frame_id,file,steering",
    cells="{time},{camera},{image},{steering}",
):
    """Write the images of several cameras, 12 a camera, 70 ms apart, and a table with a row for
    each of them.
    """
    images = []
    lines = []
    for number in range(12):
        for index, camera in enumerate(cameras):
            values = {
                "camera": camera,
                "number": number,
                "time": FIRST_NS + number * 70_000_000 + index * 2_000_000,
            }
            images.append(place.format(index=index, **values))
            values |= {
                "image": images[-1],
                "name": Path(images[-1]).name,
                "steering": 0.01 * number,
            }
            lines.append(cells.format(**values))
    make_frames(folder, images)
    (folder / "labels.csv").write_text("\n".join([header, *lines]))
    return folder


@pytest.mark.parametrize(
    ("cameras", "form"),
    [
        ("left_camera center_camera right_camera", ("{camera}/{time}.jpg",)),
        (
            "/left_camera/image_color /center_camera/image_color /right_camera/image_color",
            ("{index}_{time}.jpg",),
        ),
        (
            "CAM_FRONT_LEFT CAM_FRONT CAM_FRONT_RIGHT CAM_BACK",
            ("{camera}/{number:03}.jpg", "channel,file,steering", "{camera},{image},{steering}"),
        ),
        (
            "rgb_left rgb_front rgb_right",
            ("{camera}_{number}.png", "file,steering", "{image},{steering}"),
        ),
        (
            "leftcam frontcam rightcam",
            ("{camera}/{number:04}.jpg", "cam,file,steering", "{camera},{name},{steering}"),
        ),
        (
            "left center right",
            ("{camera}_x{index}.{number}.jpg", "n,file,steering", "{number},{image},{steering}"),
        ),
        ("L C R", ("{number:04}{camera}.jpg", "file,steering", "{image},{steering}")),
        ("l c r", ("{camera}_{number}.jpg", "file,steering", "{image},{steering}")),
        (
            "left center right",
            ("{number:03}_{index}.jpg", "file,camera_id,steering", "{image},{camera},{steering}"),
        ),
    ],
)
def test_rows_of_three_cameras_become_one_row_of_an_instant(tmp_path, cameras, form):
    result = imported(make_cameras(tmp_path / "set", cameras.split(), *form))
    rows = rows_of(result)
    count = len(cameras.split())
    assert rows["steering"].tolist() == pytest.approx([0.01 * number for number in range(12)])
    step_ms = 70 if "{time}" in form[0] else 50
    assert rows["time_ms"].diff().tolist()[1:] == [step_ms] * 11
    for camera, index in (("left", 0), ("center", 1), ("right", 2)):
        pixels = decode_jpeg((result.output / "IMG" / rows[camera][7]).read_bytes())[
            80, 160
        ].tolist()
        assert pixels == pytest.approx(color_of(7 * count + index), abs=6)


def test_a_picture_of_one_camera_is_not_that_of_the_others(tmp_path):
    form = "{camera}/{number:04}.jpg", "cam,file,steering", "{camera},{name},{steering}"
    folder = make_cameras(tmp_path / "set", ["left", "front", "right"], *form)
    for camera in ("left", "right"):
        shutil.rmtree(folder / camera)
    rows = rows_of(imported(folder))
    assert (len(rows), set(rows["left"]), set(rows["right"])) == (12, {""}, {""})


def test_columns_without_names_in_another_order_are_refused_with_their_numbers(tmp_path):
    folder = make_cameras(
        tmp_path / "set",
        ["center", "left", "right"],
        "{camera}_2019_01_01_10_00_00_{number:03}.jpg",
    )
    names = [
        [f"{camera}_2019_01_01_10_00_00_{number:03}.jpg" for camera in ("center", "left", "right")]
        for number in range(12)
    ]
    for table in folder.glob("*.csv"):
        table.unlink()
    lines = [
        ",".join([*row, "0.5", "0", "12.5", f"{number / 20}"]) for number, row in enumerate(names)
    ]
    (folder / "labels.csv").write_text("\n".join(lines))
    with pytest.raises(
        UserError,
        match=r"brake has 12.5, expected 0 to 1; it has no header.*: 4 \(0.5\), .*7 \(0.0, 0.05",
    ):
        foreign_sources.imported(folder, tmp_path / "out", unit="ratio")
    named = {
        "steering_column": "5",
        "throttle_column": "4",
        "speed_column": "6",
        "speed_unit": "mph",
    }
    rows = rows_of(imported(folder, unit="ratio", frame_rate=20, **named))
    assert (set(rows["steering"]), set(rows["throttle"]), set(rows["speed_mph"])) == (
        {0.0},
        {0.5},
        {12.5},
    )


@pytest.mark.parametrize("numbers", ["0.1,0.2,12.5", "0.1,12.5"])
def test_a_log_without_its_last_columns_is_read_as_far_as_they_fit(tmp_path, numbers):
    names = [f"center_2019_01_01_10_00_00_{number:03}.jpg" for number in range(0, 900, 100)]
    folder = make_frames(tmp_path / "set", names, [(name, "", "", numbers) for name in names])
    rows = rows_of(imported(folder, steering_column="4", unit="ratio"))
    throttle = 0.2 if "0.2" in numbers else 0.0
    assert set(rows["steering"]) == {0.1}
    assert set(rows["throttle"]) == {throttle}


@pytest.mark.parametrize("cameras", ["left right", "0 1 2", "front_wide front_far"])
def test_of_cameras_without_a_centre_one_is_asked_for_and_can_be_chosen(tmp_path, cameras):
    first, second, *_ = cameras = cameras.split()
    folder = make_cameras(tmp_path / "set", cameras, "{camera}/{time}.jpg")
    words = (
        f"'frame_id', as those of several cameras: {', '.join(cameras)}; "
        f"choose .*--image-column frame_id={first}"
    )
    with pytest.raises(UserError, match=words):
        imported(folder)
    result = imported(folder, image_column=f"frame_id={second}")
    assert (result.rows, result.seen.images_without_record) == (12, 12 * len(cameras) - 12)
    assert color_shown(result.output, 1) == pytest.approx(color_of(len(cameras) + 1), abs=6)
    with pytest.raises(
        UserError, match=f"'up' has no row; name it with --image-column frame_id=VALUE; .*: {first}"
    ):
        foreign_sources.imported(folder, tmp_path / "up", image_column="frame_id=up")


@pytest.mark.parametrize("cameras", ["cam0 cam1 cam2", "rgb depth seg", "FC FL FR"])
@pytest.mark.parametrize("form", ["{camera}/{number:04}.jpg", "{number:04}_{camera}.jpg"])
def test_of_cameras_that_only_the_images_name_one_is_asked_for_and_can_be_chosen(
    tmp_path, cameras, form
):
    cameras = cameras.split()
    folder = make_cameras(tmp_path / "set", cameras, form, "file,steering", "{image},{steering}")
    chosen = re.sub(r"{number:04}", "#", form).format(camera=cameras[0])
    with pytest.raises(
        UserError, match=f"column 'file', as those of several cameras: .*'file={chosen}'"
    ):
        imported(folder)
    result = imported(folder, image_column=f"file={chosen}")
    assert (result.rows, color_shown(result.output, 1)) == (
        12,
        pytest.approx(color_of(len(cameras)), abs=6),
    )


def test_rows_at_the_rate_of_several_cameras_are_asked_for(tmp_path):
    header = "timestamp,sensor,file,steering"
    folder = make_cameras(tmp_path / "set", ["a", "b", "c"], "{camera}_{time}.jpg", header)
    with pytest.raises(
        UserError, match="'sensor', as those of several cameras: a, b, c; .*--image-column sensor=a"
    ):
        imported(folder)


def test_a_column_of_commands_is_no_camera(tmp_path):
    names = [f"{number:02}.jpg" for number in range(30)]
    rows = [
        (name, 0.1, ("left", "forward", "right")[index // 10]) for index, name in enumerate(names)
    ]
    result = imported(
        make_frames(tmp_path / "set", names, [("image", "steering", "command"), *rows])
    )
    assert (result.rows, result.seen.columns_left_out) == (30, ("command",))


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


@pytest.mark.parametrize(
    ("header", "row", "settings", "words"),
    [
        (
            "image,steer_a,steer_b",
            "0.1,0.2",
            {},
            r"several columns may be it; .*: steer_a \(0.1\), steer_b",
        ),
        (
            "other,steering,copy",
            "0.1,frame_0001.png",
            {},
            r"several columns name images; .*: other .*, copy",
        ),
        (
            "image,steering_angle",
            "0.1",
            {},
            "'steering_angle': nothing says .*--unit rad, deg or ratio",
        ),
        (
            "image,steering",
            "0.1",
            {"steering_ratio": 14.8},
            "is read as -1 to 1, which .*leave them out, or",
        ),
        (
            "image,steering",
            "0.4",
            {"unit": "rad", "max_degrees": 20},
            "beyond full .*--max-degrees 23 or more",
        ),
        (
            "image,steering",
            "40",
            {"unit": "ratio"},
            "--unit rad or deg, or --unit deg --max-degrees 100 for -100 to 100",
        ),
        (
            "image,steering",
            "12%",
            {},
            "the cells of column 'steering' are no numbers, such as '12%'",
        ),
        (
            "image,steering",
            "0.1",
            {"speed_unit": "m/s"},
            "the speed: no column is called speed, .*--speed-column",
        ),
        (
            "image,steering,gas",
            "0.1,40",
            {"throttle_column": "gas"},
            "throttle: gas has 40, expected -1 to 1",
        ),
        (
            "image,steering",
            "0.1",
            {"time_column": "steering"},
            "'steering' holds no times that can be read",
        ),
        (
            "image,steering",
            "0.1",
            {"image_column": "name"},
            "no column 'name'; name it with --image-column",
        ),
        (
            "image,steering",
            "0.1",
            {"steering_column": "0000000011"},
            "no column '0000000011'; name it with --steering-column",
        ),
    ],
)
def test_what_is_ambiguous_or_wrong_is_refused_with_the_remedy(
    tmp_path, header, row, settings, words
):
    table = [header.split(","), *((name, *row.split(",")) for name in NAMES)]
    with pytest.raises(UserError, match=words):
        imported(make_frames(tmp_path / "set", NAMES, table), **settings)
    assert not (tmp_path / "new").exists()


def test_a_steering_about_the_middle_of_a_servo_is_refused(tmp_path):
    rows = [(name, 90 + 10 * n) for n, name in enumerate(NAMES)]
    with pytest.raises(UserError, match="none is near 0, as with the middle of a servo: subtract"):
        imported(make_frames(tmp_path / "set", NAMES, [("image", "angle"), *rows]), unit="deg")


@pytest.mark.parametrize("form", ["[{}]", "tensor({})", "np.float32({})", "array([{}])", "{}°"])
def test_numbers_may_be_written_as_python_prints_them(tmp_path, form):
    rows = [(name, form.format(0.1 * n - 0.1)) for n, name in enumerate(NAMES)]
    result = imported(make_frames(tmp_path / "set", NAMES, [("image", "steering"), *rows]))
    assert rows_of(result)["steering"].tolist() == pytest.approx([-0.1, 0, 0.1])


def test_a_degree_sign_may_follow_a_number_with_a_decimal_comma(tmp_path):
    folder = make_frames(tmp_path / "set", NAMES)
    rows = "".join(f"{name};{5 * n - 5},5°\n" for n, name in enumerate(NAMES))
    (folder / "data.csv").write_text("image;steering\n" + rows)
    result = imported(folder, unit="deg")
    assert rows_of(result)["steering"].tolist() == pytest.approx([-5.5 / 25, 0.5 / 25, 5.5 / 25])


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
