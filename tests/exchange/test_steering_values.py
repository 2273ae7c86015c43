"""What the cells of a steering are, and to which side: read where they say it; else one refusal
names what to write, and that makes a right recording.
"""

import math
import re
import shlex

import numpy as np
import pandas as pd
import pytest

from tests.exchange.foreign_sources import asked, imported, refusal_of, rows_of
from tests.exchange.test_inquiry import (
    NAMES,
    ROWS,
    TIMES,
    labelled,
    steered,
    steering_of,
    steps_of,
)
from tests.messages.refusals import run_command

# degrees of a wheel: bends to both sides, whose numbers change smoothly
ANGLES = [round(170 * math.sin(row / 3) + 9 * math.sin(row / 7), 1) for row in range(ROWS)]
EXPECTED = pytest.approx([angle / 375 for angle in ANGLES], abs=1e-4)


def in_quotes(cells):
    """Return cells as a table has them whose cells are divided by commas."""
    return [f'"{cell}"' if "," in cell else cell for cell in cells]


def with_thousands(number, mark, point):
    return f"{number:,.1f}".replace(",", "#").replace(".", point).replace("#", mark)


def remedies_in(refusal):
    """Return the lines of Python in a refusal."""
    return re.findall(r"table(?:\.loc)?\[.*?(?= *(?:, and |; |\. If|\n))", str(refusal))


def answered(refusal, folder, **blanks):
    """Run the command of a refusal with these answers; return the rows of the recording."""
    line = refusal.facts["command"]
    for blank, answer in blanks.items():
        line = line.replace(f" {blank}", f" {answer}")
    words = shlex.split(line)
    words = words[words.index("import") :]
    words[words.index("--output") + 1] = str(folder / "out")
    run_command(*words)
    return rows_of(folder / "out")


def written_anew(folder, line, dtype=None):
    """Do what a line of Python in a refusal does to a table, as a user would."""
    table = pd.read_csv(folder / "labels.csv", dtype=dtype)
    exec(line, {"table": table, "numpy": np})
    table.to_csv(folder / "labels.csv", index=False)


# ---- what the cells say


@pytest.mark.parametrize(
    ("written", "per"),
    [
        (lambda a: f"{a}".replace("-", "\N{EN DASH}"), 1),
        (lambda a: f"{a}".replace("-", "\N{HYPHEN}"), 1),
        (lambda a: f"{a}".replace("-", "\N{FULLWIDTH HYPHEN-MINUS}"), 1),
        (lambda a: f"{a}".replace("-", "- "), 1),
        (lambda a: f"{abs(a)}-" if a < 0 else f"{a}", 1),
        (lambda a: f"({abs(a)})" if a < 0 else f"{a}", 1),
        (lambda a: f"'{a}'", 1),
        (lambda a: f"{a}\N{DEGREE SIGN}", 1),
        (lambda a: f"{a} deg", 1),
        (lambda a: f"{a:.6E}".replace("E", "D"), 1),
        (lambda a: f"{a}".replace(".", ","), 1),
        (lambda a: with_thousands(10 * a, ",", "."), 10),
        (lambda a: with_thousands(10 * a, ".", ","), 10),
        (lambda a: with_thousands(10 * a, "\N{NARROW NO-BREAK SPACE}", ","), 10),
        (lambda a: f"{'-' if a < 0 else ''}0x{abs(round(10 * a)):04X}", 10),
    ],
)
def test_a_column_of_numbers_is_read_however_they_are_written(tmp_path, written, per):
    folder = steered(tmp_path / "set", "steering_deg", in_quotes(map(written, ANGLES)))
    assert steering_of(folder, tmp_path / "out", max_degrees=375.0 * per).tolist() == EXPECTED


def test_a_unit_behind_each_number_is_that_of_the_column(tmp_path):
    cells = [f"{angle / 4}%" for angle in ANGLES]
    columns = {"image": NAMES, "steering": cells, "time": [f"{time} s" for time in TIMES]}
    rows = rows_of(imported(labelled(tmp_path / "set", columns), tmp_path / "out").output)
    expected = [angle / 400 for angle in ANGLES]
    assert rows["steering"].tolist() == pytest.approx(expected, abs=1e-4)
    assert rows["time_ms"].diff().tolist()[1:4] == [80] * 3


@pytest.mark.parametrize(
    ("name", "per"),
    [
        ("steering_angle_cdeg", 100), ("steering [gon]", 1 / 0.9), ("steer_mrad", 17.4533),
        ("steering_rev", 1 / 360), ("steering [0.1deg]", 10), ("steering_0.5_deg", 2),
        ("steering (0.1 \N{DEGREE SIGN})", 10),
    ],
)  # fmt: skip
def test_a_unit_or_a_part_of_one_in_the_name_is_read(tmp_path, name, per):
    folder = steered(tmp_path / "set", name, [round(angle * per, 5) for angle in ANGLES])
    assert asked(folder) == {"--max-degrees": "full beyond"}
    assert steering_of(folder, tmp_path / "out", max_degrees=375.0).tolist() == EXPECTED


@pytest.mark.parametrize(
    ("name", "mph"),
    [("speed [0.1 km/h]", 0.621), ("speed (1/10 m/s)", 2.237), ("speed_x10_kmh", 0)],
)
def test_a_speed_in_a_part_of_a_unit_is_read_and_in_an_unclear_one_left_out(tmp_path, name, mph):
    columns = {"image": NAMES, "steering": ["0.1"] * ROWS, name: ["10"] * ROWS}
    folder = labelled(tmp_path / "set", columns)
    rows = rows_of(imported(folder, tmp_path / "out", frame_rate=20).output)
    assert rows["speed_mph"].tolist() == pytest.approx([mph] * ROWS, abs=1e-3)


# ---- cells that are no numbers


def test_cells_without_a_number_are_counted_and_shown_as_they_are_written(tmp_path):
    cells = list(map(str, ANGLES))
    cells[3:9] = ["NaN", "inf", "", "-", "#N/A", "1e999"]
    folder = steered(tmp_path / "set", "steering_deg", cells)
    (steering,) = (one for one in refusal_of(folder).facts["read"] if one["what"] == "steering")
    assert steering["rows_without_a_number"] == 6
    result = imported(folder, tmp_path / "out", max_degrees=375.0)
    assert (result.rows, result.seen.broken_lines) == (ROWS - 6, 6)
    assert re.search(r"labels.csv: line 5: steering is 'NaN'", " ".join(result.seen.left_out))


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        (lambda a: f"{'L' if a < 0 else 'R'}{abs(a)}", "cells"),
        (lambda a: f"{a}" if a > 0 else f"minus {-a}", "cells"),
        (lambda a: f"{abs(a)}{'L' if a < 0 else 'R'}", "cells: sides"),
        (lambda a: f"{round(10 * a) & 0xFFFF:04x}", "cells: hexadecimal"),
        (lambda a: f'"{round(a) + 2000:,}"', "cells: thousands"),
        (lambda a: f"-{abs(a)}" if a < -50 else f"{-a}-" if a < 0 else f"{a}", "cells"),
    ],
)
def test_cells_that_hold_numbers_in_a_way_that_is_not_read_are_refused(tmp_path, written, kind):
    folder = steered(tmp_path / "set", "steering_deg", map(written, ANGLES))
    for settings in ({}, {"straight": 0.0, "max_degrees": 375.0}):
        refusal = refusal_of(folder, **settings)
        assert next(one["kind"] for one in refusal.facts["missing"] if not one["option"]) == kind
        assert str(folder / "labels.csv: line") in str(refusal)
        assert "--steering-column" not in refusal.facts["command"]


@pytest.mark.parametrize("sign", [1, -1])
def test_points_between_some_thousands_are_asked_about_and_both_remedies_are_right(tmp_path, sign):
    numbers = [round(abs(100 * a) if sign > 0 else 100 * a) // 10 for a in ANGLES]
    written = [f"{number:,}".replace(",", ".") for number in numbers]
    given = {"max_degrees": 375.0, "straight": 0.0}
    for remedy, per in enumerate((10, 10_000)):
        folder = steered(tmp_path / f"{remedy}", "steering_cdeg", written)
        refusal = refusal_of(folder, **given)
        kinds = [one["kind"] for one in refusal.facts["missing"] if not one["optional"]]
        assert kinds == ["cells: thousands"]
        assert re.search(r"that of '-?1\.\d{3}' at", str(refusal))
        written_anew(folder, remedies_in(refusal)[remedy], dtype=str)
        read = steering_of(folder, tmp_path / f"out{remedy}", max_degrees=375.0, straight=0.0)
        whole = [n if per == 10 else n / 1000 if abs(n) >= 1000 else n for n in numbers]
        assert read.tolist() == pytest.approx([n / 37_500 for n in whole], abs=1e-4)


@pytest.mark.parametrize("value", ["999", "9999", "-999", "1e9", "32767", "-9999.0"])
@pytest.mark.parametrize("is_one_sided", [False, True])
def test_a_value_that_stands_for_none_is_called_so(tmp_path, value, is_one_sided):
    numbers = [abs(angle) if is_one_sided else angle for angle in ANGLES]
    cells = [value if row % 7 == 3 else number for row, number in enumerate(numbers)]
    folder = steered(tmp_path / "set", "steering_deg", cells)
    given = {"max_degrees": 375.0, "straight": 0.0}
    refusal = refusal_of(folder, **given)
    needed = [one["kind"] for one in refusal.facts["missing"] if not one["optional"]]
    assert needed == ["missing values"]
    written_anew(folder, remedies_in(refusal)[0])
    expected = [n / 375 for row, n in enumerate(numbers) if row % 7 != 3]
    assert steering_of(folder, tmp_path / "out", **given).tolist() == pytest.approx(
        expected, abs=1e-4
    )


def test_a_small_angle_to_the_other_side_stands_for_none_only_if_it_does(tmp_path):
    cells = [359 if row % 7 == 3 else 1 + row % 10 for row in range(ROWS)]
    assert asked(steered(tmp_path / "set", "steering_deg", cells), straight=0.0)[None] == "wrapped"


def test_times_with_points_between_some_thousands_are_asked_about(tmp_path):
    cells = [f"{80 * row:,}".replace(",", ".") for row in range(ROWS)]
    columns = {"image": NAMES, "steering": ["0.1"] * ROWS, "time_ms": cells}
    folder = labelled(tmp_path / "set", columns)
    refusal = refusal_of(folder)
    assert [one["kind"] for one in refusal.facts["missing"]] == ["cells: thousands"]
    written_anew(folder, remedies_in(refusal)[0], dtype=str)
    assert steps_of(folder, tmp_path / "out") == [80] * 3


def test_points_that_may_stand_between_thousands_are_refused(tmp_path):
    columns = {
        "image": NAMES,
        "steering_mrad": [f"{a + 2000:,.0f}".replace(",", ".") for a in ANGLES],
        "gas": ["0,25"] * ROWS,
    }
    folder = labelled(tmp_path / "set", columns, separator=";")
    assert asked(folder, frame_rate=20, max_degrees=375.0)[None] == "cells: thousands"


@pytest.mark.parametrize(
    ("written", "per"),
    [
        (lambda a: f"{abs(a)}{'L' if a < 0 else 'R'}", 1),
        (lambda a: f"{abs(a)} {'left' if a < 0 else 'right'}", 1),
        (lambda a: f"{round(10 * a) & 0xFFFF:04x}", 10),
        (lambda a: f"0x{round(10 * a) & 0xFFFF:04X}", 10),
    ],
)
def test_the_lines_for_cells_of_another_kind_make_numbers_at_once(tmp_path, written, per):
    folder = steered(tmp_path / "set", "steering_deg", map(written, ANGLES))
    refusal = refusal_of(folder)
    for line in remedies_in(refusal):
        written_anew(folder, line, dtype={"steering_deg": str} if "int(" in line else None)
    assert answered(refusal, tmp_path, FULL=375 * per)["steering"].tolist() == EXPECTED


# ---- to which side


@pytest.mark.parametrize(
    ("name", "left", "right"),
    [
        ("direction", "L", "R"), ("turn", " left ", "Right"), ("sens", "gauche", "droite"),
        ("direction", "1", "2"), ("sign_bit", "1", "0"), ("sgn", "-", "+"),
        ("direction", "CCW", "CW"), ("lr", "l", "r"), ("arrow", "\N{LEFTWARDS ARROW}", ">"),
        ("x", "True", "False"), ("x", "true", "false"), ("sign", "-1.0", "1.0"),
        ("other", "anticlockwise", "clockwise"), ("turn", "L", ""), ("left_on", "1", "0"),
    ],
)  # fmt: skip
def test_a_column_that_is_the_side_of_a_steering_is_found_by_measuring(tmp_path, name, left, right):
    sides = [left if angle < 0 else right for angle in ANGLES]
    folder = steered(tmp_path / "set", "steering_deg", map(abs, ANGLES), **{name: sides})
    for straight in (None, 0.0):
        refusal = refusal_of(folder, straight=straight, max_degrees=375.0)
        assert [one["kind"] for one in refusal.facts["missing"] if not one["optional"]] == ["sign"]
    for line in remedies_in(refusal):
        written_anew(folder, line)
    found = steering_of(folder, tmp_path / "out", max_degrees=375.0)
    assert found.tolist() in (EXPECTED, pytest.approx([-a / 375 for a in ANGLES], abs=1e-4))


@pytest.mark.parametrize(
    "values", [("left", "right", "straight"), ("-1", "1", "0"), ("-1.0", "1.0", "")]
)
def test_rows_that_are_steered_and_whose_side_is_unknown_are_left_out(tmp_path, values):
    left, right, neither = values
    sides = [neither if abs(a) < 40 else left if a < 0 else right for a in ANGLES]
    folder = steered(tmp_path / "set", "steering_deg", map(abs, ANGLES), direction=sides)
    refusal = refusal_of(folder, max_degrees=375.0)
    assert [one["kind"] for one in refusal.facts["missing"] if not one["option"]] == [
        "sign of most rows"
    ]
    for line in remedies_in(refusal):
        written_anew(folder, line)
    found = steering_of(folder, tmp_path / "out", max_degrees=375.0)
    known = [angle / 375 for angle in ANGLES if abs(angle) >= 40]
    assert found.tolist() == pytest.approx(known, abs=1e-4)


@pytest.mark.parametrize("name", ["brake_on", "mode", "gear"])
def test_a_column_of_two_values_that_has_nothing_to_do_with_the_side_is_none(tmp_path, name):
    cells = [str(row // 7 % 2) for row in range(ROWS)]
    folder = steered(tmp_path / "set", "steering_deg", map(abs, ANGLES), **{name: cells})
    assert asked(folder, max_degrees=375.0) == {"--straight": "middle"}
    assert imported(folder, tmp_path / "out", max_degrees=375.0, straight=0.0).rows == ROWS


@pytest.mark.parametrize(
    ("left", "right"), [("steer_left_deg", "steer_right_deg"), ("angle_l", "angle_r")]
)
def test_a_column_for_each_side_is_no_steering_alone(tmp_path, left, right):
    columns = {
        left: [str(max(0, -angle)) for angle in ANGLES],
        right: [str(max(0, angle)) for angle in ANGLES],
    }
    folder = labelled(tmp_path / "set", {"image": NAMES, **columns, "time_s": TIMES})
    for settings in ({}, {"steering_column": right, "straight": 0.0}):
        refusal = refusal_of(folder, **settings)
        assert [one["kind"] for one in refusal.facts["missing"] if not one["option"]] == [
            "a steering for each side"
        ]
    for line in remedies_in(refusal):
        written_anew(folder, line)
    assert answered(refusal, tmp_path, FULL=375, UNIT="deg")["steering"].tolist() == EXPECTED


@pytest.mark.parametrize("turn", [4096, 8192, 360, 65536, 1000])
@pytest.mark.parametrize("share", [0.3, 0.8])
def test_an_angle_that_begins_anew_is_followed_as_the_refusal_says(tmp_path, turn, share):
    whole = [round(share * turn * math.sin(row / 9), 1) for row in range(ROWS)]
    folder = steered(tmp_path / "set", "steering_deg", [round(a % turn, 1) for a in whole])
    given = {"max_degrees": 2.0 * turn}
    refusal = refusal_of(folder, **given)
    assert [one["kind"] for one in refusal.facts["missing"] if not one["optional"]] == [
        "wrapped" if share < 0.5 else "wrapped often"
    ]
    for line in remedies_in(refusal):
        written_anew(folder, line)
    found = steering_of(folder, tmp_path / "out", **given)
    assert found.tolist() == pytest.approx([a / turn / 2 for a in whole], abs=1e-4)


# ---- which column


def test_of_a_command_and_what_became_of_it_the_user_chooses(tmp_path):
    columns = {"steering_cmd": ["0.1"] * ROWS, "steering_actual": ["0.2"] * ROWS}
    folder = labelled(tmp_path / "set", {"image": NAMES, **columns, "time_s": TIMES})
    assert asked(folder)["--steering-column"] == "several steerings"
    given = {"unit": "ratio", "steering_column": "steering_actual"}
    assert steering_of(folder, tmp_path / "out", **given).tolist() == [0.2] * ROWS


def test_a_question_that_one_of_two_columns_needs_is_asked_at_once(tmp_path):
    columns = {
        "steering_rad": [str(angle / 900) for angle in ANGLES],  # may be left as it is
        "steering_deg": list(map(str, ANGLES)),
    }
    folder = labelled(tmp_path / "set", {"image": NAMES, **columns, "time_s": TIMES})
    assert asked(folder) == {
        "--steering-column": "several steerings", "--max-degrees": "full beyond"
    }  # fmt: skip


def test_a_share_of_full_steering_to_both_sides_needs_no_middle(tmp_path):
    folder = steered(tmp_path / "set", "axis", [angle / 300 for angle in ANGLES])
    given = {"steering_column": "axis", "unit": "ratio", "max_degrees": 1.25}
    assert steering_of(folder, tmp_path / "out", **given).tolist() == EXPECTED
    given["max_degrees"] = 370.0
    assert asked(folder, **given) == {"--straight": "middle of a ratio"}


def test_a_camera_that_is_called_front_looks_forward(tmp_path):
    names = [f"{camera}_{row}.png" for row in range(20) for camera in ("front", "left", "right")]
    columns = {
        f"cam_{camera}": names[number::3]
        for number, camera in enumerate(("front", "left", "right"))
    }
    columns |= {"steering": [str(0.01 * (row - 9)) for row in range(20)], "time_s": TIMES[:20]}
    result = imported(labelled(tmp_path / "set", columns, names), tmp_path / "out")
    assert "images: by cam_front, cam_left, cam_right" in result.seen.notes


def test_an_image_and_a_blank_before_the_steering_are_two_cells(tmp_path):
    names = [f"{row}.jpg" for row in range(20)]
    folder = labelled(tmp_path / "set", {"image": names}, names)
    lines = [f"{row}.jpg {row - 9:.6f},2018-07-01 17:09:44:{50 * row:03}" for row in range(20)]
    (folder / "labels.csv").unlink()
    (folder / "data.txt").write_text("\n".join(lines))
    given = {"steering_column": "2", "time_column": "3", "unit": "deg"}
    rows = rows_of(imported(folder, tmp_path / "out", **given).output)
    assert rows["steering"].tolist() == pytest.approx([(row - 9) / 25 for row in range(20)])
    assert rows["time_ms"].diff().tolist()[1:4] == [50] * 3


def test_a_counter_that_jumps_farther_than_any_turn_is_one_of_the_columns_to_choose_from(tmp_path):
    encoder = [str((4294900000 + 20000 * row) % 2**32) for row in range(ROWS)]
    folder = steered(tmp_path / "set", "wheel", ANGLES, encoder=encoder)
    assert "--steering-column" in str(refusal_of(folder))
