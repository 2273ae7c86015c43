"""An import asks once for all that a source does not state; what says what it is is read; and each
remedy that a question names makes a right recording.
"""

import json
import math
import os
import shlex

import numpy as np
import pytest

from bcclone.system.errors import UserError
from tests.exchange.foreign_sources import (
    asked,
    imported,
    make_frames,
    make_tub,
    refusal_of,
    rows_of,
)
from tests.messages.refusals import run_command
from tests.running import run_script

ROWS = 60
NAMES = [f"f{number:04}.png" for number in range(ROWS)]
TIMES = [f"{0.08 * number:.2f}" for number in range(ROWS)]
# degrees of a wheel that turns a little to both sides, with a long bend to the left
ANGLES = [
    round(9 * math.sin(number / 4) - 2 * max(0, 15 - abs(number - 30)), 1) for number in range(ROWS)
]


def labelled(folder, columns, names=NAMES, separator=",", before=""):
    """Write images, and a table of these columns, name -> cells, with lines before the names."""
    make_frames(folder, names)
    lines = [separator.join(columns), *map(separator.join, zip(*columns.values(), strict=True))]
    (folder / "labels.csv").write_text(before + "\n".join(lines) + "\n", encoding="utf-8")
    return folder


def steered(folder, name, numbers, **columns):
    """Write images, and a table with a steering and the seconds."""
    cells = list(map(str, numbers))
    return labelled(folder, {"image": NAMES, name: cells, **columns, "time_s": TIMES})


def steering_of(source, target, **settings):
    return rows_of(imported(source, target, **settings).output)["steering"].to_numpy()


def steps_of(source, target, **settings):
    """Import a source; return the milliseconds between its first rows."""
    return rows_of(imported(source, target, **settings).output)["time_ms"].diff().tolist()[1:4]


# ---- one question for all


def test_the_command_of_the_question_is_the_last_one_whatever_the_answers(tmp_path):
    folder = labelled(
        tmp_path / "set", {"file": NAMES, "axis": list(map(str, ANGLES)), "gear": ["1"] * ROWS}
    )
    refusal = refusal_of(folder)
    assert asked(folder) == {
        "--steering-column": "no steering",
        "--unit": "unit",
        "--max-degrees": "full",
        "--frame-rate": "times",
    }
    for column, unit, full, factor in (
        ("axis", "deg", "375", 1 / 375),
        ("axis", "rad", "3000", math.degrees(1) / 3000),
        ("axis", "ratio", "50", 1 / 50),
    ):
        line = refusal.facts["command"]
        answers = {"COLUMN": column, "UNIT": unit, "FULL": full, "HZ": "20"}
        for blank, answer in answers.items():
            line = line.replace(f" {blank}", f" {answer}")
        words = shlex.split(line)
        words = words[words.index("import") :]
        output = tmp_path / unit
        words[words.index("--output") + 1] = str(output)
        run_command(*words)
        expected = np.array(ANGLES) * factor
        assert rows_of(output)["steering"].tolist() == pytest.approx(expected.tolist(), abs=1e-6)


def test_json_has_what_was_read_what_is_missing_and_the_command(tmp_path):
    folder = steered(tmp_path / "set", "steering_angle", ANGLES)
    done = run_script("import", folder, "-o", tmp_path / "out", "--json", code=2)
    facts = json.loads(done.stdout)
    assert [one["what"] for one in facts["read"]] == ["table", "steering", "pictures", "times"]
    assert (facts["read"][0]["rows"], facts["read"][2]["pictures"]) == (ROWS, ROWS)
    required = [one["option"] for one in facts["missing"] if not one["optional"]]
    assert required == ["--unit", "--max-degrees"]
    assert all(f"{option} " in facts["command"] for option in required)
    for text in (*required, facts["command"], "steering_angle"):
        assert text in done.stderr
    assert not (tmp_path / "out").exists()


def test_each_of_several_tables_has_its_own_command(tmp_path):
    folder = steered(tmp_path / "set", "steering", np.array(ANGLES) / 50)
    (folder / "joy.csv").write_text("image,axis\n" + "".join(f"{name},0.1\n" for name in NAMES))
    (question,) = refusal_of(folder).facts["missing"]
    assert question["option"] == "--table"
    joy, labels = question["facts"]["tables"]
    assert {one["option"] for one in joy["missing"]} >= {"--steering-column", "--frame-rate"}
    words = shlex.split(labels["command"].replace(str(tmp_path / "refused"), str(tmp_path / "new")))
    run_command(*words[words.index("import") :])
    assert len(rows_of(tmp_path / "new" / "out")) == ROWS


def test_tables_of_which_none_can_be_it_are_said_to_be_none(tmp_path):
    make_frames(tmp_path / "set", [f"images/{name}" for name in NAMES[:3]])
    (tmp_path / "set" / "sensors").mkdir()
    for name, text in (("ctrl.txt", "left,right\n1,2\n2,1\n3,1\n"), ("gps.txt", "a,b\nx,y\n")):
        (tmp_path / "set" / "sensors" / name).write_text(text)
    assert asked(tmp_path / "set") == {None: "no such table", "--table": "new table"}


# ---- what says what it is


NEW_YEAR_S = 1_672_531_200


@pytest.mark.parametrize("name", ["timestamp", "time", "Timestamp", "header_stamp"])
@pytest.mark.parametrize(
    "cell", ["{0}.{1:03}", "{0}{1:03}", "{0}{1:03}000", "{0}{1:03}000000", "{0}{1:03}.250"]
)
def test_times_since_1970_have_their_unit_by_their_digits(tmp_path, name, cell):
    cells = [cell.format(NEW_YEAR_S + row // 20, row % 20 * 50) for row in range(ROWS)]
    columns = {"image": NAMES, "steering": ["0.1"] * ROWS, name: cells}
    assert steps_of(labelled(tmp_path / "set", columns), tmp_path / "out") == [50, 50, 50]


def test_a_name_that_contradicts_the_digits_is_asked_about(tmp_path):
    cells = [f"{NEW_YEAR_S + row}000000000" for row in range(ROWS)]
    columns = {"image": NAMES, "steering": ["0.1"] * ROWS, "timestamp_ms": cells}
    folder = labelled(tmp_path / "set", columns)
    assert asked(folder) == {"--time-form": "unit of times"}
    assert steps_of(folder, tmp_path / "out", time_form="ns") == [1000] * 3


def test_two_columns_of_ros_are_one_time(tmp_path):
    columns = {
        "image": NAMES,
        "steering": ["0.1"] * ROWS,
        "header.stamp.secs": [str(NEW_YEAR_S + row // 20) for row in range(ROWS)],
        "header.stamp.nsecs": [str(row % 20 * 50_000_000) for row in range(ROWS)],
    }
    assert steps_of(labelled(tmp_path / "set", columns), tmp_path / "out") == [50, 50, 50]


@pytest.mark.parametrize(
    ("cell", "step_ms"),
    [
        ("2026_05_20_10_00_{0:02}_{1:02.0f}", 100),  # hundredths
        ("20260520_1000{0:02}_{2:01.0f}", 100),  # tenths
        ("2026-05-20 10:00:{0:02}:{3:04.0f}", 100),  # ten thousandths
        ("2026_05_20_10_00_{0:02}_{4}", 100),  # C#: ms without zeros before them
        ("05/20/2026 10:00:{0:02}.{4:03} AM", 100),
        ("5/20/2026 10:00:{0:02}.{4:03} PM", 100),
        ("20.05.2026 10:00:{0:02},{4:03}", 100),
        ("1.5.2026 10:00:{0:02}.{4:03}", 100),
        ("20/05/2026 10:00:{0:02}.{4:03}", 100),
        ("10:00:{0:02}.{1:02.0f}", 100),
        ("00:{0:02}.{2:01.0f}", 100),  # minutes and seconds, as a spreadsheet shows them
        ("20-May-2026 10:00:{0:02}.{4:03}", 100),
        ("20. Mai 2026 10:00:{0:02}.{4:03}", 100),
        ("May 20, 2026 10:00:{0:02}.{4:03} AM", 100),
        ("1405-02-31 10:00:{0:02}.{4:03}", 100),  # days of other calendars
        ("2569/02/30 10:00:{0:02}.{4:03}", 100),
    ],
)
def test_dates_and_parts_of_a_second_are_read_as_a_column(tmp_path, cell, step_ms):
    at = [
        (row // 10, row % 10 * 10, row % 10, row % 10 * 1000, row % 10 * 100) for row in range(ROWS)
    ]
    cells = [cell.format(*numbers) for numbers in at]
    if "," in cell:
        cells = [f'"{each}"' for each in cells]
    columns = {"image": NAMES, "steering": ["0.1"] * ROWS, "time": cells}
    folder = labelled(tmp_path / "set", columns)
    assert steps_of(folder, tmp_path / "out") == [step_ms] * 3


@pytest.mark.parametrize(
    ("cell", "option", "kind"),
    [
        ("05/06/2026 10:00:{0:02}.{1}", "--time-form", "order of dates"),
        (
            "2026-05-20 10:00:{0:02}:0{1}",
            "--frame-rate",
            "part of a second",
        ),  # pictures of a second
        ("2026-05-20 10:00:{0:02}_00{1}", "--frame-rate", "part of a second"),
    ],
)
def test_dates_that_may_be_read_in_two_ways_are_asked_about(tmp_path, cell, option, kind):
    cells = [cell.format(row // 10, row % 10) for row in range(ROWS)]
    columns = {"image": NAMES, "steering": ["0.1"] * ROWS, "time": cells}
    folder = labelled(tmp_path / "set", columns)
    assert asked(folder) == {option: kind}
    answers = ({"frame_rate": 10},) if kind == "part of a second" else (
        {"time_form": "day-first"}, {"time_form": "month-first"})  # fmt: skip
    for number, answer in enumerate(answers):
        assert steps_of(folder, tmp_path / f"out{number}", **answer) == [100] * 3


def test_a_clock_counts_on_past_midnight(tmp_path):
    cells = [f"23:59:59.{row}00" if row < 10 else f"00:00:00.{row - 10}00" for row in range(20)]
    columns = {"image": NAMES[:20], "steering": ["0.1"] * 20, "time": cells}
    folder = labelled(tmp_path / "set", columns, NAMES[:20])
    steps = rows_of(imported(folder, tmp_path / "out").output)["time_ms"].diff().tolist()[1:]
    assert steps == [100] * 19


@pytest.mark.parametrize(
    ("name", "step_ms"),
    [
        ("{0}.{1:02}.jpg", 50), ("{0}_{1:02}0.jpg", 50), ("{0}{1:02}0.jpg", 50),
        ("x_{0}-{1:02}.jpg", 50),
    ],
)  # fmt: skip
def test_names_hold_the_seconds_since_1970_and_a_part_of_a_second(tmp_path, name, step_ms):
    names = [name.format(NEW_YEAR_S + row // 20, row % 20 * 5) for row in range(ROWS)]
    folder = labelled(tmp_path / "set", {"image": names, "steering": ["0.1"] * ROWS}, names)
    assert steps_of(folder, tmp_path / "out") == [step_ms] * 3


@pytest.mark.parametrize("name", ["{0}_{1}.jpg", "{0}-{1:02}.jpg"])
def test_numbers_that_count_pictures_behind_the_seconds_are_asked_about(tmp_path, name):
    names = [name.format(NEW_YEAR_S + row // 20, row % 20) for row in range(ROWS)]
    folder = labelled(tmp_path / "set", {"image": names, "steering": ["0.1"] * ROWS}, names)
    assert asked(folder) == {"--frame-rate": "part of a second"}


def test_a_column_of_dates_with_another_name_is_offered_as_the_times(tmp_path):
    cells = [f"20.05.2026 10:00:{row // 10:02},{row % 10}" for row in range(ROWS)]
    columns = {"Bild": NAMES, "Lenkwinkel [°]": ["0,1"] * ROWS, "Zeit": cells}
    folder = labelled(tmp_path / "set", columns, separator=";")
    spoiled = (folder / "labels.csv").read_text(encoding="utf-8")
    (folder / "labels.csv").write_bytes(spoiled.encode("cp1252"))
    assert asked(folder) == {
        "--steering-column": "no steering", "--time-column": "times of columns"
    }  # fmt: skip
    given = {"steering_column": "Lenkwinkel [°]", "time_column": "Zeit"}
    assert steps_of(folder, tmp_path / "out", **given) == [100] * 3


def test_a_table_of_words_alone_is_said_to_hold_no_steering(tmp_path):
    columns = {"image": NAMES, "command": ["left", "right", "forward"] * 20, "time_s": TIMES}
    assert asked(labelled(tmp_path / "set", columns)) == {None: "no steering at all"}


def test_of_several_columns_of_images_those_that_are_there_are_taken(tmp_path):
    names = [f"main/{name}" for name in NAMES]
    others = [f"left/{name}" for name in NAMES]
    columns = {"side": others, "road": names, "steering": ["0.1"] * ROWS, "time_s": TIMES}
    result = imported(labelled(tmp_path / "set", columns, names), tmp_path / "out")
    assert "images: by road" in result.seen.notes


@pytest.mark.parametrize("name", ["images\\{}", "images/{}", "IMAGES\\{}"])
def test_the_images_of_a_tub_from_an_archive_of_windows_are_found(tmp_path, name):
    tub = make_tub(tmp_path / "tub")
    for path in list((tub / "images").iterdir()):
        new = tub / name.format(path.name.upper())
        new.parent.mkdir(exist_ok=True)
        path.rename(new)
    assert imported(tub, tmp_path / "out").rows == 4


@pytest.mark.skipif(os.name == "nt", reason="a name cannot hold a backslash on Windows")
def test_an_archive_that_was_not_unpacked_into_folders_is_said_to_be(tmp_path):
    (tmp_path / "set").mkdir()
    for name in ("tub\\manifest.json", "tub\\catalog_0.catalog"):
        (tmp_path / "set" / name).write_text("{}")
    with pytest.raises(UserError, match=r"names of folders in their own.*unzip"):
        imported(tmp_path / "set", tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "mph"),
    [
        ("Speed (kmph)", 6.21), ("speed [km/hr]", 6.21), ("Velocity (m/sec)", 22.37),
        ("vehicle_speed_mi_h", 10), ("speed_knots", 11.51), ("Speed [cm/s]", 0.2237),
    ],
)  # fmt: skip
def test_a_unit_in_the_name_of_a_speed_is_read(tmp_path, name, mph):
    columns = {"image": NAMES, "steering": ["0.1"] * ROWS, name: ["10"] * ROWS, "time_s": TIMES}
    rows = rows_of(imported(labelled(tmp_path / "set", columns), tmp_path / "out").output)
    assert rows["speed_mph"].iloc[0] == pytest.approx(mph, abs=0.01)


@pytest.mark.parametrize(
    ("units", "full"),
    [
        (("", "deg", "s", "km/h"), 25), (("-", "[°]", "[ms]", "[m/s]"), 25),
        (("", "(rad)", "sec", "mph"), 25), (("name", "%", "s", "kph"), 100),
    ],
)  # fmt: skip
def test_a_line_of_units_below_the_names_is_read(tmp_path, units, full):
    times = [str(80 * row) for row in range(ROWS)] if "[ms]" in units else TIMES
    per = math.degrees(1) if "(rad)" in units else 1
    angles = [round(0.3 * math.sin(row), 3) for row in range(ROWS)]
    columns = {
        "image": [units[0], *NAMES],
        "steer": [units[1], *map(str, angles)],
        "time": [units[2], *times],
        "speed": [units[3], *["10"] * ROWS],
    }
    folder = labelled(tmp_path / "set", columns)
    result = imported(folder, tmp_path / "out")
    rows = rows_of(result.output)
    assert rows["steering"].tolist() == pytest.approx([per * one / full for one in angles])
    assert rows["time_ms"].diff().tolist()[1:4] == [80] * 3
    assert rows["speed_mph"].iloc[0] > 5
    assert imported(folder, tmp_path / "named", steering_column="steer").rows == ROWS


@pytest.mark.parametrize(
    ("before", "separator"),
    [
        ("# Recorded by CarLogger 2.1\n# car: trx4, operator, 2026\n", ","),
        ("% a, b\n\n// c\n", ";"),
        ("sep=;\n", ";"),
        ('"sep=|"\r\n', "|"),
        ("sep=\t\n", "\t"),
        ("CarLogger 2.1\nDriver: Smith\n\n", ","),
        ("Device,Pixel 7\nApp,RoadLogger 3\n\n", ","),
    ],
)
def test_lines_before_the_names_are_left_out(tmp_path, before, separator):
    columns = {"image": NAMES, "steering": list(map(str, np.array(ANGLES) / 50)), "time_s": TIMES}
    folder = labelled(tmp_path / "set", columns, separator=separator, before=before)
    assert steering_of(folder, tmp_path / "out").tolist() == [angle / 50 for angle in ANGLES]


@pytest.mark.parametrize("mark", ["# ", "%", "#"])
def test_a_comment_may_name_the_columns(tmp_path, mark):
    columns = {"image": NAMES, "steering": list(map(str, np.array(ANGLES) / 50)), "time_s": TIMES}
    folder = labelled(tmp_path / "set", columns, before=mark)
    assert steering_of(folder, tmp_path / "out").tolist() == [angle / 50 for angle in ANGLES]


def test_a_blank_behind_one_of_the_commas_does_not_divide_alone(tmp_path):
    folder = make_frames(tmp_path / "set", NAMES)
    lines = [f"38.5532, 22.5789,{a / 50},{name}" for a, name in zip(ANGLES, NAMES, strict=True)]
    (folder / "labels.csv").write_text("\n".join(lines))
    given = {"steering_column": "3", "unit": "ratio", "frame_rate": 20}
    assert steering_of(folder, tmp_path / "out", **given).tolist() == [a / 50 for a in ANGLES]


def test_names_that_differ_in_case_or_in_a_backslash_alone_are_found(tmp_path):
    make_frames(tmp_path / "set", ["IMG/Frame1.PNG", "IMG\\frame2.png"])
    cells = "image,steering\nimg\\frame1.png,0.1\nIMG\\frame2.png,0.2\n"
    (tmp_path / "set" / "labels.csv").write_text(cells)
    result = imported(tmp_path / "set", tmp_path / "out", frame_rate=20, straight=0.0)
    assert rows_of(result.output)["steering"].tolist() == [0.1, 0.2]


# ---- no remedy goes wrong


@pytest.mark.parametrize(
    ("turn", "per"), [(360, 1), (65536, 65536 / 360), (2 * math.pi, math.radians(1)), (3600, 10)]
)
def test_an_angle_without_a_sign_is_named_whatever_is_straight(tmp_path, turn, per):
    numbers = [round(angle * per % turn, 4) for angle in ANGLES]
    folder = steered(tmp_path / "set", "angle", numbers)
    given = {"unit": "deg", "max_degrees": 375 * per}
    for straight in (None, 0.0, turn / 2, 10.0):
        refusal = refusal_of(folder, straight=straight, **given)
        assert [one["kind"] for one in refusal.facts["missing"] if not one["optional"]] == [
            "wrapped"
        ]
        assert "--straight" not in refusal.facts["command"]
    # as the question says: those above the half as minus
    signed = [number - turn if number > turn / 2 else number for number in numbers]
    again = steered(tmp_path / "again", "angle", signed)
    found = steering_of(again, tmp_path / "out", **given)
    assert found.tolist() == pytest.approx([angle / 375 for angle in ANGLES], abs=1e-3)


@pytest.mark.parametrize(
    "numbers",
    [
        [abs(angle) + 20 for angle in ANGLES],  # a road to one side
        [90 + angle for angle in ANGLES],  # a servo
        [0 if row % 3 else 100 for row in range(ROWS)],  # keys
        [row % 30 for row in range(ROWS)],
    ],
)
def test_a_steering_that_turns_and_does_not_jump_may_have_a_middle(tmp_path, numbers):
    folder = steered(tmp_path / "set", "steering_deg", numbers)
    assert asked(folder, max_degrees=200)["--straight"] == "middle"
    assert imported(folder, tmp_path / "out", max_degrees=200, straight=0.0).rows == ROWS


@pytest.mark.parametrize("name", ["STEER_ANGLE_SIGN", "sign", "steeringSign"])
@pytest.mark.parametrize(("left", "right"), [("-1", "1"), ("0", "1"), ("L", "R"), ("-", "+")])
def test_a_column_that_is_called_the_sign_of_the_steering_is_named(tmp_path, name, left, right):
    sides = [left if angle < 0 else right for angle in ANGLES]
    folder = steered(tmp_path / "set", "steering_deg", map(abs, ANGLES), **{name: sides})
    for straight in (None, 0.0):
        refusal = refusal_of(folder, straight=straight, max_degrees=375)
        assert [one["kind"] for one in refusal.facts["missing"] if not one["optional"]] == ["sign"]
        assert name in str(refusal)
        assert "--straight" not in refusal.facts["command"]


def test_a_side_that_may_be_the_sign_is_named_with_the_question_for_the_middle(tmp_path):
    # a servo, whose angle has no sign, and a column that does not change with it
    sides = ["left" if row < 30 else "right" for row in range(ROWS)]
    folder = steered(tmp_path / "set", "steering_deg", [90 + a for a in ANGLES], direction=sides)
    assert asked(folder, max_degrees=60) == {"--straight": "sign perhaps"}
    assert imported(folder, tmp_path / "out", max_degrees=60, straight=90.0).rows == ROWS
    assert asked(folder, max_degrees=200, straight=0.0) == {None: "sign"}


@pytest.mark.parametrize(
    "camera", ["{}_{:04}.png", "{}/{:02}.png", "flip_{}{:03}.png", "{1}_{0}.png"]
)
def test_rows_of_several_cameras_are_refused_also_when_they_are_counted(tmp_path, camera):
    names = [
        camera.format(side, number) for number in range(20) for side in ("center", "left", "right")
    ]
    columns = {"1": names, "2": [str(0.01 * (row % 7 - 3)) for row in range(60)]}
    folder = labelled(tmp_path / "set", {"image": columns["1"], "steering": columns["2"]}, names)
    for settings in ({}, {"frame_rate": 20}):
        assert asked(folder, **settings)[None] == "cameras"
    # one camera behind the other
    blocks = sorted(names, key=lambda name: "center" not in name)
    again = labelled(tmp_path / "again", {"image": blocks, "steering": columns["2"]}, names)
    assert asked(again, frame_rate=20) == {None: "cameras"}


@pytest.mark.parametrize(
    ("left", "right"), [("left", "right"), ("left_speed", "right_speed"), ("L_pwm", "R_pwm")]
)
def test_the_speeds_of_wheels_are_not_offered_as_the_steering(tmp_path, left, right):
    speeds = [str(150 + angle) for angle in ANGLES], [str(150 - angle) for angle in ANGLES]
    columns = {
        "image": NAMES,
        left: speeds[0],
        right: speeds[1],
        "cmd": ["0"] * ROWS,
        "time_s": TIMES,
    }
    folder = labelled(tmp_path / "set", columns)
    assert None in asked(folder)
    refusal = refusal_of(folder, steering_column=left, straight=150.0)
    assert [one["kind"] for one in refusal.facts["missing"]] == ["wheels"]
    # as the question says
    steering = [str((150 + a - (150 - a)) / 2 / 255) for a in ANGLES]
    again = labelled(tmp_path / "again", columns | {"steering": steering})
    assert imported(again, tmp_path / "out").rows == ROWS


@pytest.mark.parametrize(
    "classes", [("forward", "left"), ("0", "1", "2"), ("turn_left", "turn_right", "straight")]
)
def test_folders_of_pictures_alone_are_no_sources(tmp_path, classes):
    make_frames(
        tmp_path / "set", [f"{name}/{number}.png" for name in classes for number in range(3)]
    )
    for source in (tmp_path / "set", tmp_path / "set" / classes[0]):
        assert asked(source) == {None: "classes as folders", "--table": "no table"}


@pytest.mark.parametrize("name", ["labels.json", "labels.jsonl", "train.parquet", "labels.xlsx"])
def test_a_file_beside_the_pictures_that_is_not_read_is_named(tmp_path, name):
    make_frames(tmp_path / "set", ["images/1.png", "images/2.png"])
    (tmp_path / "set" / name).write_text("{}")
    for source in (tmp_path / "set", tmp_path / "set" / "images"):
        refusal = refusal_of(source)
        assert name in str(refusal)
        assert {one["kind"] for one in refusal.facts["missing"]} == {"data", "no table"}


def test_one_table_in_a_folder_beside_that_of_the_pictures_is_taken(tmp_path):
    make_frames(tmp_path / "set", [f"images/{name}" for name in NAMES[:3]])
    (tmp_path / "set" / "sensors").mkdir()
    cells = "".join(f"images\\{name},0.{row}\n" for row, name in enumerate(NAMES[:3]))
    (tmp_path / "set" / "sensors" / "frames.txt").write_text("frame,steering\n" + cells)
    result = imported(tmp_path / "set", tmp_path / "out", frame_rate=20, straight=0.0)
    assert rows_of(result.output)["steering"].tolist() == [0, 0.1, 0.2]
    refusal = refusal_of(tmp_path / "set" / "images")
    assert [one["option"] for one in refusal.facts["missing"]] == ["--table"]


@pytest.mark.parametrize("name", ["frames/frame{:06}.png", "{}.png", "f-{}.png"])
def test_row_n_is_of_picture_n_where_no_column_can_name_one(tmp_path, name):
    names = [name.format(row) for row in range(12)]
    steering = [str(0.01 * (row - 5)) for row in range(12)]
    columns = {"steering": steering, "time_s": TIMES[:12]}
    folder = labelled(tmp_path / "set", columns, names)
    result = imported(folder, tmp_path / "out")
    rows = rows_of(result.output)
    assert rows["steering"].tolist() == [0.01 * (row - 5) for row in range(12)]
    from tests.exchange.foreign_sources import color_of, color_shown

    for row in (0, 2, 11):
        assert color_shown(result.output, row) == pytest.approx(color_of(row), abs=6)
    (folder / names[3]).unlink()
    assert asked(folder) == {None: "no images"}


def test_pictures_at_other_times_than_their_rows_are_not_paired(tmp_path):
    names = [f"{NEW_YEAR_S + row}000000000.png" for row in range(12)]
    cells = [f"{NEW_YEAR_S + 2 * row}000000000" for row in range(12)]
    columns = {"steering": ["0.1"] * 12, "time": cells}
    assert asked(labelled(tmp_path / "set", columns, names)) == {None: "images at other times"}
    columns["time"] = [f"{NEW_YEAR_S + row}040000000" for row in range(12)]
    assert steps_of(labelled(tmp_path / "near", columns, names), tmp_path / "out") == [1000] * 3
