"""The columns of a table and their units are found by names and values, or asked for."""

import math

import pytest

from bcclone.system.errors import UserError
from tests.exchange.foreign_sources import color_of, color_shown, make_frames
from tests.exchange.imported_frames import NAMES, imported, rows_of


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


@pytest.mark.parametrize("above", ["sep=;\n", "# a car\n# 3 rows\n", "A drive\n\nversion;2\n"])
def test_lines_above_the_header_are_no_rows(tmp_path, above):
    names = [f"{n}.jpg" for n in range(20)]
    folder = make_frames(tmp_path / "set", names)
    rows = [f"{name};{n / 20};0.5" for n, name in enumerate(names)]
    (folder / "data.csv").write_text(above + "\n".join(["image;steering;throttle", *rows]))
    result = rows_of(imported(folder))
    assert result["steering"].tolist() == [n / 20 for n in range(20)]
    assert result["time_ms"].tolist() == [50 * n for n in range(20)]


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


@pytest.mark.parametrize("numbers", ["0.1,0.2,12.5", "0.1,12.5"])
def test_a_log_without_its_last_columns_is_read_as_far_as_they_fit(tmp_path, numbers):
    names = [f"center_2019_01_01_10_00_00_{number:03}.jpg" for number in range(0, 900, 100)]
    folder = make_frames(tmp_path / "set", names, [(name, "", "", numbers) for name in names])
    rows = rows_of(imported(folder, steering_column="4", unit="ratio"))
    throttle = 0.2 if "0.2" in numbers else 0.0
    assert set(rows["steering"]) == {0.1}
    assert set(rows["throttle"]) == {throttle}


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


@pytest.mark.parametrize(
    ("angles", "given", "options"),
    [
        ((30, 90, 150), {"unit": "deg"}, "--straight 90 --max-degrees 60"),
        # as a message once proposed
        ((30, 90, 150), {"unit": "deg", "max_degrees": 150.0}, "--straight 90 --max-degrees 60"),
        ((0, 90, 180), {"unit": "deg"}, "--straight 90 --max-degrees 90"),
        ((1000, 1500, 2000), {"unit": "ratio"}, "--unit deg --straight 1500 --max-degrees 500"),
        ((-20, -70, -120), {"unit": "deg"}, "--straight -70 --max-degrees 50"),
    ],
)
def test_a_steering_about_the_middle_of_a_servo_is_refused_with_options_that_import_it(
    tmp_path, angles, given, options
):
    rows = list(zip(NAMES, angles, strict=True))
    folder = make_frames(tmp_path / "set", NAMES, [("image", "angle"), *rows])
    with pytest.raises(UserError, match=f"as of a servo, .*such as {options}"):
        imported(folder, **given)
    words = options.split()
    typed = dict(zip(words[::2], words[1::2], strict=True))
    result = imported(
        folder,
        unit=typed.get("--unit", given["unit"]),
        straight=float(typed["--straight"]),
        max_degrees=float(typed["--max-degrees"]),
    )
    first = math.copysign(1, angles[0] - angles[1])
    assert rows_of(result)["steering"].tolist() == pytest.approx([first, 0, -first])


def test_a_drive_that_bends_to_one_side_alone_is_no_servo(tmp_path):
    rows = list(zip(NAMES, (0, 5, 20), strict=True))
    folder = make_frames(tmp_path / "set", NAMES, [("image", "angle"), *rows])
    assert rows_of(imported(folder, unit="deg"))["steering"].tolist() == [0, 0.2, 0.8]


def test_who_says_that_0_is_straight_ahead_is_believed(tmp_path):
    rows = list(zip(NAMES, (60, 90, 150), strict=True))
    folder = make_frames(tmp_path / "set", NAMES, [("image", "angle"), *rows])
    result = imported(folder, unit="deg", straight=0.0, max_degrees=150.0)
    assert rows_of(result)["steering"].tolist() == pytest.approx([0.4, 0.6, 1])


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
