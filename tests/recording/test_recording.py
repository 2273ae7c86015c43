"""Logs of every dialect give the same rows, and other files are refused with the reason."""

import contextlib
import csv
import json
import os
import random
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bcclone.recording.dialect import (
    header_error,
    is_known_header,
    resolve_decimal_commas,
    split_line,
    text_of,
    with_decimal_point,
)
from bcclone.recording.files import ImageIndex, default_inputs, find_log, find_logs
from bcclone.recording.foreign_log import ForeignLog
from bcclone.recording.log import read_log
from bcclone.recording.row import NUMBERS as COLUMNS
from bcclone.recording.row import RowError
from bcclone.recording.standard_log import read_standard
from bcclone.system.errors import UserError
from tests.conftest import shared
from tests.hostile import damaged
from tests.processes import cpu_limit

STAMPS = ["2019_03_07_20_01_33_184", "2019_03_07_20_01_33_253", "2019_03_07_20_01_33_321"]
NUMBERS = [
    ("0", "1", "0", "30.19016"),
    ("-0.1802609", "0", "0.5", "30.18234"),
    ("1", "0.3093727", "0", "7.953689E-07"),
]
VALUES = [
    [0.0, 1.0, 0.0, 30.19016],
    [-0.1802609, 0.0, 0.5, 30.18234],
    [1.0, 0.3093727, 0.0, 7.953689e-07],
]


def log_lines(
    separator=",",
    folder="/home/me/data/IMG/",
    comma=False,
    cameras=("center", "left", "right"),
    extra="",
):
    """Write the three rows above in a dialect."""
    lines = []
    for stamp, numbers in zip(STAMPS, NUMBERS, strict=True):
        cells = []
        for camera in ("center", "left", "right"):
            image = f"{folder}{camera}_{stamp}.jpg"
            cells.append(image if camera in cameras else "")
        for number in numbers:
            cells.append(number.replace(".", ",") if comma else number)
        lines.append(separator.join(cells) + extra)
    return lines


def write(tmp_path, lines, encoding="utf-8", newline="\n", end="\n"):
    path = tmp_path / "driving_log.csv"
    path.write_bytes((newline.join(lines) + end).encode(encoding))
    return path


def values(log):
    return log.rows[["steering", "throttle", "brake", "speed_mph"]].to_numpy().tolist()


HEADER = "center,left,right,steering,throttle,brake,speed"
DIALECTS = {
    "unspaced": log_lines(),
    "spaced": log_lines(", "),
    "decimal comma, spaced": log_lines(", ", comma=True),
    "decimal comma, unspaced": log_lines(comma=True),
    "semicolons": log_lines(";", comma=True),
    "tabs": log_lines("\t"),
    "header": [HEADER, *log_lines()],
    "header repeated by a join": [HEADER, *log_lines()[:2], HEADER, *log_lines()[2:]],
    "Windows paths": log_lines(folder="D:\\tmp\\New folder\\try4\\IMG\\"),
    "a comma in the path": log_lines(folder="C:\\Users\\Doe, John\\IMG\\"),
    "non-ASCII paths": log_lines(folder="C:\\Masaüstü\\IMG\\"),
    "one camera": log_lines(cameras=("center",)),
    "one camera, decimal comma": log_lines(cameras=("center",), comma=True),
    "extra columns": log_lines(extra=",1245.439:817.817:27.10,356.3:172.6:2.05"),
    "extra column with spaces": log_lines(extra=",lake, the first"),
    "a comma at the end": [line + "," for line in log_lines(", ")],
    "blank lines": ["", *log_lines(), "", ""],
    "quotes": [",".join(f'"{field}"' for field in line.split(",")) for line in log_lines()],
    "quoted decimal commas": [
        line.rsplit(",", 4)[0]
        + ","
        + ",".join(f'"{n.replace(".", ",")}"' for n in line.rsplit(",", 4)[1:])
        for line in log_lines()
    ],
    "pandas with its index": [",center,left,right,steering,throttle,brake,speed"]
    + [f"{number},{line}" for number, line in enumerate(log_lines(folder=""))],
    "shuffled": [log_lines()[index] for index in (2, 0, 1)],
    "bars": log_lines("|"),
    "spaces before images": [line.replace("/home", " /home") for line in log_lines()],
    "spaces before numbers": [line.replace(", ", ",", 2) for line in log_lines(", ")],
    "no space before the last number": [
        line[::-1].replace(" ,", ",", 1)[::-1] for line in log_lines(", ")
    ],
    "a header of other names": ["image 1,image 2,image 3,angle,gas,brakes,v", *log_lines()],
    "numbers for names": ["0,1,2,3,4,5,6", *log_lines()],
    "a spreadsheet": ["sep=;", HEADER.replace(",", ";"), *log_lines(";", comma=True), ";;;;;;"],
    "lines in quotes": [f'"{line}"' for line in log_lines(", ")],
    "two indices": ["Unnamed: 0.1,Unnamed: 0,center,left,right,steering,throttle,brake,speed"]
    + [f'"{number}",{number},{line}' for number, line in enumerate(log_lines(folder=""))],
    "joined, with byte order marks": [
        *log_lines(folder="")[:1],
        "\ufeff" + HEADER,
        *log_lines(folder="")[1:],
    ],
    "joined, with bare and spaced commas": [
        *log_lines(comma=True)[:2],
        *log_lines(", ", comma=True)[2:],
    ],
    "joined, with points and commas": [*log_lines()[:2], *log_lines(", ", comma=True)[2:]],
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_gives_the_same_rows_in_order_of_time_by_both_parsers(tmp_path, dialect):
    log = read_log(write(tmp_path, DIALECTS[dialect]))
    assert values(log) == VALUES
    assert log.rows["center"].tolist() == [f"center_{stamp}.jpg" for stamp in STAMPS]
    assert (log.bad_rows, log.episodes) == ((), 1)
    # selects the line-by-line parser
    by_line = read_log(write(tmp_path, [*DIALECTS[dialect], HEADER]))
    assert log.dialect == by_line.dialect
    pd.testing.assert_frame_equal(log.rows, by_line.rows)


def test_the_names_of_images_may_have_microseconds(tmp_path):
    log = read_log(write(tmp_path, [line.replace(".jpg", "999.jpg") for line in log_lines()]))
    assert (
        log.rows["time_ms"].tolist()
        == read_log(write(tmp_path, log_lines())).rows["time_ms"].tolist()
    )


PANDAS = {
    "": {},
    "index": {"index": True},
    "no header": {"header": False},
    "semicolons": {"sep": ";", "decimal": ","},
    "quoted tabs": {"sep": "\t", "quoting": csv.QUOTE_ALL},
    "decimal commas": {"decimal": ",", "index": True, "quoting": csv.QUOTE_NONNUMERIC},
    "exponents": {"float_format": "%.7e", "encoding": "utf-8-sig", "lineterminator": "\r\n"},
}


@pytest.mark.parametrize("kind", PANDAS)
@pytest.mark.parametrize("folder", ["", "IMG/", "C:\\Users\\Doe, John\\my data\\IMG\\"])
def test_a_log_is_read_after_pandas_saved_it_and_a_cut_line_is_a_bad_row(tmp_path, kind, folder):
    # pandas keeps the spaces before paths
    cells = [line.split("|") for line in log_lines("| ", folder)]
    table = pd.DataFrame(
        [[*row[:3], *map(float, row[3:])] for row in cells], columns=HEADER.split(",")
    )
    path = tmp_path / "driving_log.csv"
    table.to_csv(path, **{"index": False} | PANDAS[kind])
    assert (values(read_log(path)), read_log(path).bad_rows) == (VALUES, ())
    lines = path.read_text("utf-8-sig").splitlines()
    for row in range(3):
        number = row + len(lines) - 3
        cut = lines[number][: len(lines[number]) // 2]
        log = read_log(write(tmp_path, [*lines[:number], cut, *lines[number + 1 :]]))
        assert values(log) == VALUES[:row] + VALUES[row + 1 :]
        assert [bad.row for bad in log.bad_rows] == [number + 1]


@pytest.mark.parametrize("columns", [1, 2, 3])
@pytest.mark.parametrize(
    "dialect", ["unspaced", "spaced", "decimal comma, spaced", "decimal comma, unspaced", "tabs"]
)
def test_a_row_that_lacks_columns_never_gets_other_numbers(tmp_path, dialect, columns):
    lines = list(DIALECTS[dialect])
    separator = ","
    if "spaced" in dialect.split():
        separator = ", "
    if dialect == "tabs":
        separator = "\t"
    for place, row in (
        (0, lines[0]),
        (2, lines[1].replace("_253", "_260")),
        (4, lines[2].replace("_321", "_330")),
    ):
        lines.insert(place, separator.join(row.split(separator)[: 7 - columns]))
    log = read_log(write(tmp_path, lines))
    assert (values(log), len(log.bad_rows)) == (VALUES, 3)


@pytest.mark.parametrize("first", ["1,0,30.19016", "30,19016", "_33_184.jpg,left.jpg", "a title"])
def test_a_broken_first_line_is_a_bad_row_and_no_header(tmp_path, first):
    log = read_log(write(tmp_path, [first, *log_lines()]))
    assert (values(log), [bad.row for bad in log.bad_rows], log.dialect.header) == (
        VALUES,
        [1],
        False,
    )


@pytest.mark.parametrize(
    ("encoding", "newline", "end"),
    [
        ("utf-8-sig", "\n", "\n"),
        ("utf-16", "\n", "\n"),
        ("utf-8", "\r\n", "\r\n"),
        ("cp1252", "\n", "\n"),
        ("utf-16-le", "\n", "\n"),
        ("utf-8", "\n", "\n\0\0\0\0"),
    ],
    ids=["BOM", "UTF-16", "CRLF", "cp1252", "UTF-16 without BOM", "a block of zeros at the end"],
)
def test_every_encoding_gives_the_same_rows(tmp_path, encoding, newline, end):
    log = read_log(write(tmp_path, DIALECTS["non-ASCII paths"], encoding, newline, end))
    assert (values(log), log.bad_rows) == (VALUES, ())


def test_the_dialect_is_reported(tmp_path):
    spaced = read_log(write(tmp_path, DIALECTS["decimal comma, spaced"])).dialect
    assert (spaced.spaced, spaced.decimal_comma, spaced.header) == (True, True, False)
    plain = read_log(write(tmp_path, DIALECTS["extra columns"])).dialect
    assert (plain.spaced, plain.decimal_comma, plain.extra_columns) == (False, False, 2)
    assert read_log(write(tmp_path, DIALECTS["header"])).dialect.header
    assert read_log(write(tmp_path, DIALECTS["one camera"])).dialect.cameras == ("center",)
    assert read_log(write(tmp_path, DIALECTS["decimal comma, unspaced"])).dialect.decimal_comma


FOREIGN = {
    "empty": ("", "empty"),
    "white space": (" \n\n", "empty"),
    "git-LFS pointer": (
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "git lfs pull",
    ),
    "header alone": (HEADER + "\n", "no rows"),
    "another schema": (
        "nombre_imagen,steering,comando\nIMG/20260629_154138_000000.png,0.0,0\n",
        "steering",
    ),
    "no times in the names": ("a.jpg,b.jpg,c.jpg,0,0,0,1\n", "time stamp"),
    "other order of columns": (
        "center,left,right,steering,speed,throttle,brake\n" + log_lines()[0],
        "speed",
    ),
    "binary": ("\1\2\3\n\4", "no image path"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_the_error_for_a_foreign_file_has_its_name_and_the_reason(tmp_path, kind):
    text, reason = FOREIGN[kind]
    path = tmp_path / "driving_log.csv"
    path.write_text(text)
    with pytest.raises(ForeignLog, match="driving_log.csv") as refusal:
        read_log(path)
    assert reason in str(refusal.value)
    is_without_rows = kind in ("empty", "white space", "header alone")
    code = 1 if is_without_rows else 2
    assert refusal.value.exit_code == code


SWAPPED = log_lines()[0].replace("left_", "X").replace("right_", "left_").replace("X", "right_")
BAD = {
    "NaN": (",NaN,0,0,1", "steering is 'NaN'"),
    "a word": (",left,0,0,1", "steering is 'left'"),
    "steering out of range": (",25,0,0,1", "steering is 25, expected -1 to 1"),
    "throttle out of range": (",0,-2,0,1", "throttle is -2, expected -1 to 1"),
    "brake out of range": (",0,0,-1,1", "brake is -1, expected 0 to 1"),
    "an endless name": (",0,0,0,1", "image has"),
    "truncated": (",0.5,1", "ends after 5 columns"),
    "infinite speed": (",0,0,0,1e999", "speed_mph is not a finite number"),
    "a lost decimal point": (",0,0,0,1281146", "speed_mph is 1.28115e+06, expected -300 to 300"),
}


@pytest.mark.parametrize(
    ("degrees", "words"),
    [
        (
            22.5,
            "the steering of 8 of 11 rows is beyond -1 to 1, the greatest is 22.5,.* --unit deg$",
        ),
        (2, r"--unit deg \(or rad\)"),
        (450, r"--unit deg --max-degrees 450 \(or, of a steering wheel, --steering-ratio 15\)"),
    ],
)
def test_a_log_in_another_unit_is_refused_as_such_and_a_few_rows_in_one_are_bad(
    tmp_path, degrees, words
):
    in_degrees = [
        line.replace(",1,0.3", f",{sign * degrees},0.3")
        for sign in (1, -1)
        for line in log_lines()[2:]
    ]
    with pytest.raises(ForeignLog, match=words):
        read_log(write(tmp_path, [HEADER, *log_lines(), *in_degrees * 4]))
    assert len(read_log(write(tmp_path, [HEADER, *log_lines(), *in_degrees * 2])).bad_rows) == 4


IMPORT = (
    "a table of another program, with pictures beside it, becomes a recording with: "
    "bcclone import LOG -o"
)
FIRST = "no row can be used; the first bad one is line"
NO_IMAGE = f"no image path for the center camera, expected {HEADER}"


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (
            ["", " a,b,c,0.5 "] * 2,
            f"{FIRST} 2: {NO_IMAGE} (the file begins with 'a,b,c,0.5'); {IMPORT} recordings/NAME "
            "--unit ratio (or deg, "
            "rad: that of its steering)",
        ),
        (
            ["", "image,steering_rad", "x.png,0.1"],
            f"{FIRST} 3: {NO_IMAGE} (the file begins with 'image,steering_rad'); {IMPORT} "
            "recordings/NAME",
        ),
        (
            [log_lines(folder="")[0].replace(",0,1,0,", ",abc,1,0,")],
            f"{FIRST} 1: steering is 'abc', expected a number (the file begins with "
            f"{log_lines(folder='')[0][:60]!r}); {IMPORT} recordings/NAME --unit ratio (or deg, "
            "rad: that of its steering)",
        ),
        ([HEADER], f"it has a header and no rows, expected rows of {HEADER}"),
    ],
)
def test_the_whole_message_about_a_foreign_log(tmp_path, lines, reason):
    path = write(tmp_path, lines)
    with pytest.raises(ForeignLog) as refusal:
        read_log(path)
    assert refusal.value.reason.replace(str(path), "LOG") == reason
    assert str(refusal.value) == f"{path}: not a log of the simulator: {refusal.value.reason}"


@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize(
    ("spaced", "plain", "is_spaced"), [(1, 1, False), (2, 1, True), (1, 2, False), (3, 2, True)]
)
def test_a_log_is_spaced_if_most_of_its_rows_are(tmp_path, spaced, plain, is_spaced, quote):
    first, spaced_first = (
        line.replace("center", f"{quote}center", 1) for line in (log_lines()[0], log_lines(", ")[0])
    )
    lines = [first.replace(".jpg", f".jpg{quote}", 1)] * plain
    lines += [spaced_first.replace(".jpg", f".jpg{quote}", 1)] * spaced
    assert read_log(write(tmp_path, lines)).dialect.spaced == is_spaced


@pytest.mark.parametrize("camera", [0, 1, 2])
def test_a_name_that_no_file_can_have_makes_a_bad_row_for_each_camera(tmp_path, camera):
    first, *others = log_lines()
    columns = first.split(",")
    columns[camera] = columns[camera].replace(".jpg", f"{'x' * 240}.jpg")
    log = read_log(write(tmp_path, [",".join(columns), *others]))
    (bad,) = log.bad_rows
    assert bad.reason.startswith(f"the name of the {HEADER.split(',')[camera]} image has ")


def test_a_log_without_a_usable_row_is_refused_with_its_first_bad_row_or_its_size(tmp_path):
    first, second, third = log_lines()
    lines = [
        first.replace(",0,1,0,30.19016", ",5,1,0,30"),
        second.rsplit(",", 2)[0],
        third.replace(",1,", ",7,", 1),
    ]
    with pytest.raises(ForeignLog, match="first bad one is line 1: steering is 5"):
        read_log(write(tmp_path, lines))
    with pytest.raises(UserError, match=r"10000004 lines, expected at most 10000000; divide it"):
        read_log(write(tmp_path, [*log_lines(), "\n" * 10_000_000]))


def test_a_log_may_have_rows_twice_and_more_bad_rows_than_good_ones(tmp_path):
    log = read_log(write(tmp_path, [*log_lines() * 2, *["garbage"] * 10, SWAPPED]))
    assert (len(log.rows), len(log.bad_rows)) == (6, 11)
    assert "column left names an image of the right camera" in log.bad_rows[-1].reason


@pytest.mark.parametrize(
    ("stamp", "episodes"), [("20_01_34_321", [0, 0, 0, 0]), ("20_01_34_322", [0, 0, 0, 1])]
)
def test_a_gap_over_a_second_begins_a_new_episode(tmp_path, stamp, episodes):
    lines = log_lines()
    assert (
        read_log(write(tmp_path, [*lines, lines[0].replace("20_01_33_184", stamp)]))
        .rows["episode"]
        .tolist()
        == episodes
    )


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_row_is_listed_with_its_number_and_reason(tmp_path, kind):
    numbers, reason = BAD[kind]
    lines = log_lines()
    damaged = lines[1].rsplit(",", 4)[0].replace("33_253", "33_200") + numbers
    if kind == "an endless name":
        damaged = damaged.replace("left_", "left_" + "x" * 250)
    lines.insert(1, damaged)
    log = read_log(write(tmp_path, lines))
    assert values(log) == VALUES
    assert [bad.row for bad in log.bad_rows] == [2]
    assert reason in log.bad_rows[0].reason


def as_bare_commas(rows: pd.DataFrame) -> list[str]:
    """Write rows with decimal commas, and separators without spaces."""
    lines = []
    for row in rows.to_dict("records"):
        numbers = [f"{row[column]:.7g}".replace(".", ",") for column in COLUMNS]
        lines.append(",".join([row["center"], row["left"], row["right"], *numbers]))
    return lines


@pytest.mark.parametrize("shuffled", [False, True])
def test_decimal_commas_without_spaces_are_resolved_in_order_of_time(
    tmp_path, simulated_recording, shuffled
):
    original = read_log(simulated_recording / "driving_log.csv")
    lines = as_bare_commas(original.rows)
    if shuffled:
        random.Random(0).shuffle(lines)
    again = read_log(write(tmp_path, lines))
    assert again.bad_rows == ()
    np.testing.assert_allclose(values(again), values(original), atol=1e-5)


def test_an_ambiguous_row_is_resolved_by_the_previous_speed_or_refused():
    parts = ["0", "1", "0", "3", "5"]  # 0 | 1 | 0 | 3.5, or 0.1 | 0 | 3 ... which no brake is
    assert resolve_decimal_commas(parts, 3.0) == (0.0, 1.0, 0.0, 3.5)
    assert resolve_decimal_commas(["0", "0", "0", "5", "12", "5"], 12.0) == (0.0, 0.0, 0.5, 12.5)
    with pytest.raises(RowError, match="no possible reading .*expected"):
        resolve_decimal_commas(["7", "7", "7", "7", "7"], 0.0)
    parts = ["0", "1", "0", "0", "5"]  # 0.1 | 0 | 0 | 5, or 0 | 1 | 0 | 0.5
    assert resolve_decimal_commas(parts, 4.0) == (0.1, 0.0, 0.0, 5.0)
    assert resolve_decimal_commas(parts, 1.0) == (0.0, 1.0, 0.0, 0.5)
    with pytest.raises(RowError, match="more than one reading .*decimal points"):
        resolve_decimal_commas(parts, 2.75)


def test_every_shared_log_gives_the_expected_rows_by_both_parsers(tmp_path):
    folder = shared("logs")
    standard = 0
    for name, expected in json.loads((folder / "expected.json").read_text()).items():
        if expected["foreign"]:
            with pytest.raises(ForeignLog):
                read_log(folder / name)
            continue
        log = read_log(folder / name)
        assert len(log.rows) == expected["rows"], name
        assert len(log.bad_rows) == expected["bad_rows"], name
        assert values(log)[0] == expected["first"], name
        assert values(log)[-1] == expected["last"], name
        assert log.rows["steering"].sum() == pytest.approx(expected["steering_sum"], abs=1e-6), name
        assert log.rows["speed_mph"].sum() == pytest.approx(expected["speed_sum"], abs=1e-4), name
        assert log.rows["center"].iloc[0] == expected["first_center"], name
        copy = tmp_path / name
        copy.write_bytes((folder / name).read_bytes() + f"\n{HEADER}\n".encode())
        by_line = read_log(copy)
        assert (log.dialect, log.bad_rows) == (by_line.dialect, by_line.bad_rows), name
        pd.testing.assert_frame_equal(log.rows, by_line.rows)
        standard += (
            read_standard((folder / name).read_text(errors="replace").splitlines()) is not None
        )
    assert standard > 20


@pytest.mark.parametrize("subfolder", ["IMG", ".", "IMG/IMG"])
def test_images_are_found_by_base_name_in_every_usual_folder(tmp_path, subfolder):
    folder = tmp_path / subfolder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "center_x.jpg").write_bytes(b"")
    for log in (tmp_path / "driving_log.csv", tmp_path / "IMG" / "driving_log.csv"):
        index = ImageIndex(log)
        assert index.find("center_x.jpg") == str(folder / "center_x.jpg")
        assert index.find("center_y.jpg") is None
        assert index.orphans(["center_y.jpg"]) == ["center_x.jpg"]


def test_images_are_found_in_spite_of_other_letters_as_on_windows_and_macos(tmp_path):
    folder = tmp_path / "img"
    folder.mkdir()
    for name in ("CENTER_X.JPG", "center_y.jpg"):
        (folder / name).write_bytes(b"")
    index = ImageIndex(tmp_path / "driving_log.csv")
    assert index.find("center_x.jpg") == str(folder / "CENTER_X.JPG")
    assert index.find("center_y.JPG") == str(folder / "center_y.jpg")
    assert index.find("center_z.jpg") is None
    assert index.orphans(["center_x.jpg"]) == ["center_y.jpg"]
    (folder / "driving_log.csv").write_text("a\n")
    assert find_logs([str(tmp_path)]) == [folder / "driving_log.csv"]
    (folder / "center_x.jpg").write_bytes(b"")
    assert ImageIndex(tmp_path / "driving_log.csv").find("center_x.jpg") == str(
        folder / "center_x.jpg"
    )


def test_a_pattern_of_any_depth_enters_each_folder_once_where_links_lead_in_a_circle(tmp_path):
    for name in ("a/one", "a/two/three", "b"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "driving_log.csv").write_text("x")
    for place in ("a", "a/one", "a/two", "a/two/three"):
        for number, target in enumerate((".", "..", tmp_path, tmp_path / "b")):
            (tmp_path / place / f"link{number}").symlink_to(target)
    logs = sorted(tmp_path.resolve().rglob("driving_log.csv"))
    for pattern in ("**/driving_log.csv", "a/**/*.csv", "**/**/driv*.csv", "a/**/link3/*.csv"):
        found = sorted(log.resolve() for log in find_logs([f"{tmp_path}/{pattern}"]))
        expected = logs[-1:] if "link3" in pattern else logs
        assert found == expected
    (tmp_path / "a" / "[x]").mkdir()
    (tmp_path / "a" / "[x]" / "other.csv").write_text("x")
    assert [log.name for log in find_logs([f"{tmp_path}/a/**/other.csv"])] == ["other.csv"]
    assert find_logs([f"{tmp_path}/b/**/"]) == [tmp_path / "b" / "driving_log.csv"]


def test_folders_files_and_patterns_name_each_log_once(tmp_path):
    logs = []
    for name in ("a", "b", ".cache"):
        (tmp_path / name).mkdir()
        logs.append(write(tmp_path / name, log_lines()))
    (tmp_path / "empty.csv").write_text("")
    assert find_logs([str(tmp_path)]) == find_logs([f"{tmp_path}/?/"]) == logs[:2]
    assert find_logs([str(tmp_path / "a"), str(logs[0]), f"{tmp_path}/?"]) == logs[:2]
    tables = [
        tmp_path / name
        for name in ("run1.csv", "run2.csv", "trace.csv", "answers.csv", "drivers.csv")
    ]
    for table in tables:
        table.write_text("x")
    # tables beside a log are no logs
    assert find_logs([str(tmp_path / "run*.csv")]) == find_logs([str(tmp_path)]) == tables[:2]
    with pytest.raises(UserError, match=r"2 recordings, expected one.*run1\.csv"):
        find_log(str(tmp_path))
    log = write(tmp_path, log_lines())
    assert find_logs([str(tmp_path)]) == [log]
    (tmp_path / "IMG").mkdir()
    assert find_logs([str(tmp_path), str(tmp_path / "IMG")]) == [log]


def test_missing_inputs_and_a_named_pipe_are_errors(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    for name, words in [
        ("none", "no such file"),
        ("*.none", "nothing matches"),
        (".", "no driving_log.csv"),
        ("pipe.csv", "neither a folder nor a file"),
    ]:
        with pytest.raises(UserError, match=words):
            find_logs([str(tmp_path / name)])


def test_the_default_inputs_are_the_recordings_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.csv").write_text("x")  # any CSV file of the current folder may be anything
    with pytest.raises(UserError, match="no RECORDING named") as nothing:
        default_inputs()
    assert nothing.value.exit_code == 2
    (tmp_path / "data" / "IMG").mkdir(parents=True)
    write(tmp_path / "data", log_lines())
    assert default_inputs() == ["data"]
    for name in ("b", "a", ".cache", "empty"):
        (tmp_path / "recordings" / name).mkdir(parents=True)
    for name in ("b", "a", ".cache"):
        write(tmp_path / "recordings" / name, log_lines())
    assert default_inputs() == [str(Path("recordings", name)) for name in ("a", "b")]
    write(tmp_path, log_lines())
    assert default_inputs() == ["driving_log.csv"]


def test_random_damage_never_raises_another_error(tmp_path):
    """Damaged bytes give rows or a ForeignLog."""
    randomness = random.Random(0)
    text = "\n".join([HEADER, *log_lines(), *log_lines(", ", comma=True), *log_lines(";")]).encode()
    for _ in range(300):
        (tmp_path / "driving_log.csv").write_bytes(damaged(text, randomness, 12))
        with contextlib.suppress(ForeignLog):
            assert (
                read_log(tmp_path / "driving_log.csv").rows["steering"].between(-1.001, 1.001).all()
            )


ENDLESS = {
    "spaces": " " * 19_000 + "x.jpg x.jpg,",
    "spaces in quotes": '"' + " " * 19_000 + '"x.jpg',
    "tabs": "\t" * 19_000 + "x.jpg,",
    "tabs before an image": "0" + "\t" * 19_000 + "x.jpg\t",
    "images without an end": "x.jpg " * 3_000,
    "empty images": "x.jpg," + " " * 19_000 + "x",
    "digits": log_lines()[0].rpartition(",")[0] + "," + "1" * 19_000 + "x",
    "a decimal of digits": log_lines()[0].rpartition(",")[0]
    + ","
    + "1" * 9_000
    + "."
    + "1" * 9_000
    + "e",
    "quotes": "x.jpg,,," + '"' * 19_000,
    "commas": "x.jpg" + "," * 19_000,
}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no timer of the processor")
@pytest.mark.parametrize("kind", ENDLESS)
def test_a_line_takes_a_time_proportional_to_its_length(tmp_path, kind):
    good = [*log_lines(), log_lines()[0].replace("_184", "_999")]
    with cpu_limit(20):
        log = read_log(write(tmp_path, [*good, *[ENDLESS[kind]] * 20]))
    assert (len(log.rows), len(log.bad_rows)) == (4, 20)


KNOWN = "center,left,right,steering,throttle,brake,speed"


@pytest.mark.parametrize(
    ("header", "error"),
    [
        *(
            (header, None)
            for header in (KNOWN, KNOWN.upper(), f"index,{KNOWN}", f"Unnamed: 0,index,{KNOWN}")
        ),
        *(
            (header, None)
            for header in (KNOWN.replace(",", '";"').join('""'), KNOWN.replace(",", " , "))
        ),
        (
            KNOWN.replace("steering,throttle", "throttle,steering"),
            "'throttle' as column 4, expected as column 5",
        ),
        (
            f"index,{KNOWN}".replace("brake,speed", "speed,brake"),
            "'speed' as column 6, expected as column 7",
        ),
        (
            f"{KNOWN}_kmh",
            "'speed_kmh' as column 7, expected steering from -1 to 1, and speed in mph",
        ),
    ],
)
def test_a_header_is_known_in_any_usual_spelling_or_says_what_contradicts_it(header, error):
    assert (header_error(header), is_known_header(header)) == (error, error is None)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "no image path for the center camera"),
        (
            f"{'c' * 252}.jpg,l.jpg,r.jpg,0,0,0,9",
            "the name of the center image has 256 bytes, expected at most 255",
        ),
    ],
)
def test_a_line_without_usable_images_says_which(text, error):
    with pytest.raises(RowError, match=f"^{error}"):
        split_line(1, text)
    assert split_line(1, f"{'c' * 251}.jpg,,r.jpg, 0.5, 0,0, 9").images == (
        "c" * 251 + ".jpg",
        "",
        "r.jpg",
    )


@pytest.mark.parametrize(
    ("written", "numbers"),
    [("0,5,0,1,9", (0.5, 0.0, 1.0, 9.0)), ("0,5,0,0,60", (0.5, 0.0, 0.0, 60.0))],
)
def test_decimal_commas_are_resolved_to_what_a_log_can_hold(written, numbers):
    assert resolve_decimal_commas(written.split(","), 9.0) == numbers


@pytest.mark.parametrize("written", ["0,2,0,9,5", "0,0,2,9,5", "2,0,0,9,5", "0,5,0,0,61"])
def test_decimal_commas_that_no_log_can_hold_are_refused(written):
    with pytest.raises(RowError, match=f"no possible reading of {written}, ex"):
        resolve_decimal_commas(written.split(","), 9.0)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("\ufeff\ufeffa\r\nb\rc\n".encode(), "a\nb\nc\n"),
        ("a,b".encode("utf-16") + b"c", "a,b\ufffd"),
        ("a\u017f".encode("utf-16-le") + b"c", "a\u017f\ufffd"),
        ("\u017fa".encode("utf-16-le"), "\u017fa"),
        ("M\u00fcller".encode("cp1252") + b"\x81", "M\u00fcller\ufffd"),
        (b"ab\0c", "abc"),
        (b"abcd\0e", "abcde"),
    ],
)
def test_the_text_of_a_log_in_any_encoding(data, text):
    assert text_of(data) == text


def test_only_a_number_gets_its_decimal_point():
    numbers = ("-1,5", "1,5e-05", "a,b", "1,2,3", "2.5", "7")
    assert [with_decimal_point(number) for number in numbers] == [
        "-1.5",
        "1.5e-05",
        "a,b",
        "1,2,3",
        "2.5",
        "7",
    ]


def test_a_line_that_never_ends_is_a_bad_row():
    line = "c.jpg,l.jpg,r.jpg,0,0,0,9"
    assert split_line(1, line + " " * (20_000 - len(line))).numbers == ("0", "0", "0", "9")
    with pytest.raises(RowError, match="the line has 20001 characters, expected at most 20000"):
        split_line(1, line + " " * (20_001 - len(line)))
