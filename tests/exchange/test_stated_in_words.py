"""What the names of columns and the texts of a table say of units and sides: read, or asked for and
then read as the user says; never left out without a word.
"""

import math
import re

import pandas as pd
import pytest

from bcclone.system.errors import UserError
from tests.exchange.foreign_sources import asked, imported, make_frames, refusal_of
from tests.exchange.test_inquiry import NAMES, ROWS, TIMES, labelled, steered, steering_of, steps_of
from tests.exchange.test_steering_values import ANGLES, answered, remedies_in, written_anew

SMALL = [round(angle / 10, 2) for angle in ANGLES]  # degrees of the front wheels
OF_SMALL = pytest.approx([angle / 25 for angle in SMALL], abs=1e-3)
LEFT = pytest.approx([-angle / 25 for angle in SMALL], abs=1e-3)


# ---- a multiple of a unit


@pytest.mark.parametrize(
    ("name", "per"),
    [
        ("steering (1/10 deg)", 10), ("steering [10^-1 deg]", 10), ("steering [1e-2 \xb0]", 100),
        ("steering [1e-3 rad]", 17.4533), ("steering_1/10_deg", 10), ("steering [10 mdeg]", 100),
    ],
)  # fmt: skip
def test_a_number_before_a_unit_is_read(tmp_path, name, per):
    folder = steered(tmp_path / "set", name, [round(angle * per, 5) for angle in SMALL])
    assert steering_of(folder, tmp_path / "out").tolist() == OF_SMALL


@pytest.mark.parametrize(
    "name",
    [
        "steering_x10_deg", "steering_tenths_deg", "steering (x 10 deg)", "steering_10th_deg",
        "steering [deg/10]", "steering_deg*10", "steering_deg10", "tenths_of_degrees",
        "steering_deci_degrees", '"steering [1,000 deg]"',
    ],
)  # fmt: skip
def test_a_multiple_that_is_not_clear_is_asked_for(tmp_path, name):
    folder = steered(tmp_path / "set", name, [10 * angle for angle in SMALL])
    column = {"steering_column": "tenths_of_degrees"} if name.startswith("tenths") else {}
    refusal = refusal_of(folder, **column)
    assert {one["kind"] for one in refusal.facts["missing"] if not one["optional"]} == {
        "unit of a multiple", "full of a multiple"
    }  # fmt: skip
    rows = answered(refusal, tmp_path, UNIT="deg", FULL=250)
    assert rows["steering"].tolist() == OF_SMALL


def test_a_unit_that_is_stated_for_a_multiple_needs_full_steering_in_it(tmp_path):
    folder = steered(tmp_path / "set", "steering [0.1 deg]", [10 * angle for angle in SMALL])
    assert asked(folder, unit="deg") == {"--max-degrees": "full of a multiple"}
    read = steering_of(folder, tmp_path / "out", unit="deg", max_degrees=250.0)
    assert read.tolist() == OF_SMALL


@pytest.mark.parametrize(
    ("name", "per_second"), [("t [1/30 s]", 30), ("t [100 us]", 1e4), ("t [1e-7 s]", 1e7)]
)
def test_times_in_a_multiple_of_a_unit_are_read(tmp_path, name, per_second):
    cells = [str(round(number * per_second / 10)) for number in range(ROWS)]
    columns = {"image": NAMES, "steering": ["0.1"] * ROWS, name: cells}
    folder = labelled(tmp_path / "set", columns)
    assert steps_of(folder, tmp_path / "out", time_column=name) == [100] * 3


@pytest.mark.parametrize(
    ("name", "form", "step_ms"),
    [
        ("time (x10 ms)", "10ms", 50), ("time_ms*10", "10ms", 50), ("time_tenths_s", "ds", 500),
        ("time_s10", "ds", 500),
    ],
)  # fmt: skip
def test_times_in_a_multiple_that_is_not_clear_are_asked_for(tmp_path, name, form, step_ms):
    cells = [str(5 * number) for number in range(ROWS)]
    columns = {"image": NAMES, "steering": ["0.1"] * ROWS, name: cells}
    folder = labelled(tmp_path / "set", columns)
    assert asked(folder, time_column=name) == {"--time-form": "multiple of times"}
    answers = {"time_column": name, "time_form": form}
    assert steps_of(folder, tmp_path / "out", **answers) == [step_ms] * 3


# ---- a side


@pytest.mark.parametrize(
    "name",
    [
        "steering (deg; + = left)", "steering_left_positive_deg", "angle_ccw_deg",
        "steering_right_negative_deg", "steering [deg L+]", "steeringLeftPositive_deg",
        "steering_inverted_deg",
    ],
)  # fmt: skip
def test_a_side_in_the_name_of_the_steering_is_asked_for(tmp_path, name):
    folder = steered(tmp_path / "set", name, SMALL)
    column = {"steering_column": name} if "inverted" in name else {}
    refusal = refusal_of(folder, **column)
    assert asked(folder, **column) == {"--left-positive": "side in the table"}
    assert name in str(refusal)
    assert answered(refusal, tmp_path, SIDE="--left-positive")["steering"].tolist() == LEFT
    (tmp_path / "again").mkdir()
    rows = answered(refusal, tmp_path / "again", SIDE="--no-left-positive")
    assert rows["steering"].tolist() == OF_SMALL


@pytest.mark.parametrize(
    ("before", "line"),
    [("# steering in degrees, left positive\n", ""), ("", "steering wheel in degrees left is +")],
)
def test_a_text_that_speaks_of_unit_and_side_is_shown_and_asked_about(tmp_path, before, line):
    steering = [line, *map(str, SMALL)] if line else list(map(str, SMALL))
    names, times = (["text", *cells] if line else cells for cells in (NAMES, TIMES))
    columns = {"image": names, "steering": steering, "time_s": times}
    folder = labelled(tmp_path / "set", columns, NAMES, before=before)
    refusal = refusal_of(folder)
    assert asked(folder) == {
        "--unit": "unit in the table",
        "--max-degrees": "full",
        "--left-positive": "side in the table",
    }
    assert "degrees" in str(refusal)
    rows = answered(refusal, tmp_path, UNIT="deg", FULL=25, SIDE="--left-positive")
    assert (rows["steering"].tolist(), len(rows)) == (LEFT, ROWS)


@pytest.mark.parametrize(
    ("line", "place"),
    [("# left positive", 1), ("# positive means to the left", 20), ("// ccw is +", ROWS + 1)],
)
def test_a_comment_among_the_rows_is_no_row_and_may_speak_of_the_side(tmp_path, line, place):
    folder = steered(tmp_path / "set", "steering_deg", SMALL)
    lines = (folder / "labels.csv").read_text().splitlines()
    (folder / "labels.csv").write_text("\n".join([*lines[:place], line, *lines[place:]]))
    assert asked(folder) == {"--left-positive": "side in the table"}
    result = imported(folder, tmp_path / "out", left_positive=True)
    assert (result.rows, result.seen.broken_lines) == (ROWS, 0)


def test_lines_of_units_and_of_descriptions_belong_to_the_names(tmp_path):
    folder = steered(tmp_path / "set", "angle", SMALL)
    lines = (folder / "labels.csv").read_text().splitlines()
    below = [",deg,s", "file,left is negative,time"]
    (folder / "labels.csv").write_text("\n".join([lines[0], *below, *lines[1:]]))
    assert asked(folder) == {"--left-positive": "side in the table"}
    read = steering_of(folder, tmp_path / "out", left_positive=False)
    assert read.tolist() == OF_SMALL


@pytest.mark.parametrize("unit", ["0.1 deg", "[1/10 \xb0]", "(10^-1 deg)"])
def test_a_part_of_a_unit_below_the_names_is_read(tmp_path, unit):
    folder = steered(tmp_path / "set", "angle", [10 * angle for angle in SMALL])
    lines = (folder / "labels.csv").read_text().splitlines()
    (folder / "labels.csv").write_text("\n".join([lines[0], f",{unit},s", *lines[1:]]))
    assert steering_of(folder, tmp_path / "out").tolist() == OF_SMALL


@pytest.mark.parametrize(
    ("words", "full"),
    [
        ("steering_deg in tenths of degrees", "full in the table"), ("all angles in rad", "full"),
    ],
)  # fmt: skip
def test_a_text_that_names_another_unit_than_the_column_is_asked_about(tmp_path, words, full):
    columns = {"image": NAMES, "steering_deg": list(map(str, SMALL)), "time_s": TIMES}
    folder = labelled(tmp_path / "set", columns, before=f"# {words}\n")
    assert asked(folder) == {"--unit": "unit in the table", "--max-degrees": full}


def test_a_text_that_names_the_unit_of_the_column_is_shown_alone(tmp_path):
    columns = {"image": NAMES, "steering_deg": list(map(str, SMALL)), "time_s": TIMES}
    folder = labelled(tmp_path / "set", columns, before="# steering in deg, throttle in percent\n")
    assert steering_of(folder, tmp_path / "out").tolist() == OF_SMALL


def test_a_column_that_says_the_convention_of_all_rows_is_a_text(tmp_path):
    words = {"sign_convention": ["left positive"] * ROWS}
    folder = steered(tmp_path / "set", "steering_deg", SMALL, **words)
    assert asked(folder) == {"--left-positive": "side in the table"}


def test_a_text_of_something_else_is_shown_and_nothing_is_asked(tmp_path):
    cells = [str(angle / 25) for angle in SMALL]
    columns = {"image": NAMES, "steering": cells, "time_s": TIMES}
    folder = labelled(tmp_path / "set", columns, before="# turned left on Monday\n")
    assert "'turned left on Monday'" in " ".join(imported(folder, tmp_path / "out").seen.notes)


def test_a_column_with_one_unit_for_all_rows_is_a_text_that_names_it(tmp_path):
    cells = [angle / 25 for angle in SMALL]
    folder = steered(tmp_path / "set", "steering", cells, unit=["rad"] * ROWS)
    assert asked(folder) == {"--unit": "unit in the table", "--max-degrees": "full"}


# ---- columns that are called alike


def test_of_two_columns_of_one_name_one_is_asked_for(tmp_path):
    columns = {"image": NAMES, "angle_deg": ["9"] * ROWS, "b": list(map(str, SMALL)), "t": TIMES}
    folder = labelled(tmp_path / "set", columns)
    text = (folder / "labels.csv").read_text()
    (folder / "labels.csv").write_text(text.replace("angle_deg,b", "angle_deg,angle_deg", 1))
    refusal = refusal_of(folder)
    assert asked(folder) == {"--steering-column": "several steerings"}
    rows = answered(refusal, tmp_path, COLUMN="angle_deg#3")
    assert rows["steering"].tolist() == OF_SMALL


def test_of_two_columns_of_times_of_one_name_one_is_asked_for(tmp_path):
    other = [f"{2 * float(time):.2f}" for time in TIMES]
    columns = {"image": NAMES, "steering": ["0.1"] * ROWS, "time_s": TIMES, "b": other}
    folder = labelled(tmp_path / "set", columns)
    text = (folder / "labels.csv").read_text()
    (folder / "labels.csv").write_text(text.replace("time_s,b", "time_s,time_s", 1))
    refusal = refusal_of(folder)
    assert asked(folder) == {"--time-column": "times of columns"}
    rows = answered(refusal, tmp_path, TIMES="time_s#4")
    assert rows["time_ms"].diff().tolist()[1:4] == [160] * 3


# ---- what is stated stays stated


def test_a_middle_that_is_stated_stays_in_the_command_while_cells_are_no_numbers(tmp_path):
    cells = [str(1500 + 10 * angle) for angle in SMALL]
    cells[3] = cells[9] = "bad"
    folder = steered(tmp_path / "set", "steering_pwm", cells)
    refusal = refusal_of(folder, straight=1500.0, unit="deg", max_degrees=250.0)
    assert "--straight 1500" in refusal.facts["command"]


@pytest.mark.parametrize("other", ["5 V", "0x1F", "- 5"])
def test_points_are_decimal_where_the_table_has_no_comma(tmp_path, other):
    cells = [f"{1.5 if number % 2 else -1.25:.3f}" for number in range(ROWS)]
    columns = {"image": NAMES, "steering_deg": cells, "b": [other] * ROWS, "time_s": TIMES}
    folder = labelled(tmp_path / "set", columns, separator="\t")
    assert steering_of(folder, tmp_path / "out").tolist()[:2] == [-0.05, 0.06]


# ---- flags


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("steering_valid", 1, 0), ("angle_ok", "True", "False"), ("steering_quality", 1, 0),
        ("steering_error", 0, 1), ("is_valid", "yes", "no"), ("steering_sign", 1, 0),
    ],
)  # fmt: skip
def test_a_flag_of_the_steering_is_named_until_its_rows_have_none(tmp_path, name, good, bad):
    cells = [str(bad if 20 <= number < 30 else good) for number in range(ROWS)]
    folder = steered(tmp_path / "set", "steering_deg", SMALL, **{name: cells})
    refusal = refusal_of(folder)
    assert asked(folder) == {None: "flag"}
    (line,) = remedies_in(refusal)
    written_anew(folder, line)
    assert len(answered(refusal, tmp_path)) == ROWS - 10


def test_a_flag_that_is_the_sign_of_the_numbers_always_the_same_or_a_mode_is_none(tmp_path):
    signs = [str(int(angle > 0)) for angle in SMALL]
    modes = ["manual" if number < 30 else "auto" for number in range(ROWS)]
    columns = {"steering_sign": signs, "steering_valid": ["1"] * ROWS, "steering_status": modes}
    folder = steered(tmp_path / "set", "steering_deg", SMALL, **columns)
    assert steering_of(folder, tmp_path / "out").tolist() == OF_SMALL


# ---- tables of another build


def test_a_table_with_a_row_for_each_signal_is_written_anew_as_the_refusal_says(tmp_path):
    signals = {"steering_deg": SMALL, "throttle": [0.5] * ROWS}
    cells = [
        (name, time, signal, str(values[row]), "deg" if signal.startswith("s") else "%")
        for signal, values in signals.items()
        for row, (name, time) in enumerate(zip(NAMES, TIMES, strict=True))
    ]
    columns = dict(
        zip(["image", "time_s", "signal", "value", "unit"], zip(*cells, strict=True), strict=True)
    )
    folder = labelled(tmp_path / "set", columns)
    refusal = refusal_of(folder)
    assert asked(folder) == {None: "long table"}
    line = re.search(r"table = table\.pivot\(.*\)", str(refusal))[0]
    names = {"table": pd.read_csv(folder / "labels.csv")}
    exec(line, names)
    names["table"].to_csv(folder / "labels.csv", index=False)
    rows = answered(refusal, tmp_path)
    assert (rows["steering"].tolist(), rows["throttle"].tolist()) == (OF_SMALL, [0.5] * ROWS)


def test_a_table_with_sections_is_called_that(tmp_path):
    columns = {"image": NAMES, "steering": ["0.1"] * ROWS, "time_s": TIMES}
    folder = labelled(tmp_path / "set", columns, before="[header]\nversion=1\n[data]\n")
    with pytest.raises(UserError, match=r"line 1: '\[header\]' begins a section"):
        imported(folder, tmp_path / "out")


def test_names_that_a_joined_table_repeats_are_no_row(tmp_path):
    columns = {"steering_deg": list(map(str, SMALL)), "time_s": TIMES}
    folder = labelled(tmp_path / "set", columns)
    lines = (folder / "labels.csv").read_text().splitlines()
    lines.insert(20, lines[0])
    (folder / "labels.csv").write_text("\n".join(lines))
    assert steering_of(folder, tmp_path / "out").tolist() == OF_SMALL


def test_a_table_that_is_not_utf_8_is_said_to_be_none(tmp_path):
    folder = steered(tmp_path / "set", "steering_deg", SMALL)
    text = (folder / "labels.csv").read_text().replace("steering_deg", "方向盘角度")
    (folder / "labels.csv").write_text(text, encoding="gbk")
    (table,) = (one for one in refusal_of(folder).facts["read"] if one["what"] == "table")
    assert "not UTF-8" in table["encoding"]


@pytest.mark.parametrize(
    ("others", "kind"),
    [("masks/{}.png", "pictures in folders"), ("{}.jpg", "names without endings")],
)
def test_pictures_that_are_there_twice_in_the_source_are_named(tmp_path, others, kind):
    stems = [name.removesuffix(".png") for name in NAMES]
    columns = {"image": stems, "steering": ["0.1"] * ROWS, "time_s": TIMES}
    folder = labelled(tmp_path / "set", columns)
    make_frames(folder, [others.format(stem) for stem in stems])
    assert asked(folder) == {None: kind}


def test_large_numbers_are_shown_with_all_their_digits(tmp_path):
    counts = [1_500_000_000 + round(angle) for angle in ANGLES]
    refusal = str(refusal_of(steered(tmp_path / "set", "angle", counts)))
    assert f"least {min(counts)}, greatest {max(counts)}" in refusal


@pytest.mark.parametrize("name", ["labels.csv.gz", "drive.srt"])
def test_a_packed_table_and_subtitles_beside_pictures_are_named(tmp_path, name):
    folder = make_frames(tmp_path / "set", NAMES)
    (folder / name).write_bytes(b"1")
    assert name in str(refusal_of(folder))


def test_a_column_of_another_name_whose_cells_are_not_read_is_named_with_what_to_write(tmp_path):
    cells = [f'"{1500 + round(angle):,}"' for angle in ANGLES]
    folder = steered(tmp_path / "set", "pwm", cells)
    given = {"unit": "deg", "straight": 1500.0, "max_degrees": 250.0}
    refusal = refusal_of(folder, **given)
    kinds = {"--steering-column": "no steering", None: "cells: thousands"}
    assert asked(folder, **given) == kinds
    text = (folder / "labels.csv").read_text()
    (folder / "labels.csv").write_text(re.sub(r'"(\d),(\d+)"', r"\1\2", text))
    rows = answered(refusal, tmp_path, COLUMN="pwm")
    expected = [round(angle) / 250 for angle in ANGLES]
    assert rows["steering"].tolist() == pytest.approx(expected, abs=1e-4)


# ---- other words for sides, the middle, a scale and a wheel


def commented(folder, words, numbers=SMALL, name="steering_deg"):
    columns = {"image": NAMES, name: list(map(str, numbers)), "time_s": TIMES}
    return labelled(folder, columns, before=f"# {words}\n")


@pytest.mark.parametrize(
    "words",
    [
        "steering: port is positive", "starboard +", "LH positive", "RH = +", "positiv nach links",
        "Gegenuhrzeigersinn", "im Uhrzeigersinn", "positivo: giro a la izquierda",
        "giro a la derecha", "sens trigonom\xe9trique", "right-hand rule", "ISO 8855, y left",
        "mathematically positive",
    ],
)  # fmt: skip
def test_a_side_in_other_words_is_asked_for(tmp_path, words):
    refusal = refusal_of(commented(tmp_path / "set", words))
    assert refusal.facts["missing"][0]["kind"] == "side in the table"
    assert answered(refusal, tmp_path, SIDE="--left-positive")["steering"].tolist() == LEFT


@pytest.mark.parametrize(
    "words",
    ["steering zero at 3.5 degrees of 25", "offset 3.5", "3.5 is straight ahead", "neutral = 3.5"],
)
def test_a_middle_in_a_text_is_asked_for(tmp_path, words):
    folder = commented(tmp_path / "set", words, [angle + 3.5 for angle in SMALL])
    refusal = refusal_of(folder)
    kinds = {one["option"]: one["kind"] for one in refusal.facts["missing"]}
    assert kinds["--straight"] == "middle in the table"
    assert answered(refusal, tmp_path, X=3.5, FULL=25)["steering"].tolist() == OF_SMALL


@pytest.mark.parametrize("words", ["multiplied by 10", "x10", "values are scaled", "0.1 * raw"])
@pytest.mark.parametrize(("name", "per"), [("steering_deg", 1), ("steering", 0.01)])
def test_a_scale_in_a_text_is_asked_for(tmp_path, words, name, per):
    numbers = [round(10 * per * angle, 4) for angle in SMALL]
    folder = commented(tmp_path / "set", words, numbers, name)
    refusal = refusal_of(folder)
    kinds = {one["option"]: one["kind"] for one in refusal.facts["missing"]}
    assert kinds["--max-degrees"] == "full in the table"
    rows = answered(refusal, tmp_path, X=0, FULL=250 * per, UNIT="ratio")
    assert rows["steering"].tolist() == OF_SMALL


@pytest.mark.parametrize(
    "words",
    [
        "center camera of 2026", "images of 320x160", "straight road, 3 km", "time offset 3 s",
        "0 is straight ahead", "from serial port: steering", "turned left 3 times",
    ],
)  # fmt: skip
def test_such_words_of_something_else_ask_nothing(tmp_path, words):
    folder = commented(tmp_path / "set", words)
    assert steering_of(folder, tmp_path / "out").tolist() == OF_SMALL


@pytest.mark.parametrize(
    "name", ["steering_wheel_angle_deg", "SteeringWheel [deg]", "handwheel_deg", "swa_rad"]
)
def test_an_angle_of_a_steering_wheel_needs_full_steering(tmp_path, name):
    unit = math.degrees(1) if name.endswith("rad") else 1
    folder = steered(tmp_path / "set", name, [round(angle / unit, 5) for angle in SMALL])
    refusal = refusal_of(folder, steering_column=name)
    kinds = {one["option"]: one["kind"] for one in refusal.facts["missing"] if not one["optional"]}
    assert kinds == {"--max-degrees": "full of a steering wheel"}
    rows = answered(refusal, tmp_path, FULL=375)
    assert rows["steering"].tolist() == pytest.approx([a / 375 for a in SMALL], abs=1e-3)


def test_an_angle_of_wheels_needs_none(tmp_path):
    folder = steered(tmp_path / "set", "wheel_angle_deg", SMALL)
    assert steering_of(folder, tmp_path / "out").tolist() == OF_SMALL


@pytest.mark.parametrize("name", ["positive_direction", "side_plus"])
def test_a_column_of_one_text_is_a_text_however_it_is_called(tmp_path, name):
    folder = steered(tmp_path / "set", "steering_deg", SMALL, **{name: ["left"] * ROWS})
    assert asked(folder) == {"--left-positive": "side in the table"}


@pytest.mark.parametrize("name", ["steering_rate_deg_s", "steering_torque_nm", "yaw_rate"])
def test_a_rate_is_not_offered_as_the_steering(tmp_path, name):
    rates = list(map(str, SMALL))
    folder = steered(tmp_path / "set", name, SMALL)
    assert asked(folder) == {None: "rates"}
    assert asked(folder, steering_column=name, unit="deg") == {None: "rates"}
    folder = steered(tmp_path / "both", "position", SMALL, **{name: rates})
    question = refusal_of(folder).facts["missing"][0]
    assert list(question["facts"]["columns"]) == ["position"]
