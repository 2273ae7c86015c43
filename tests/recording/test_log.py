"""Logs of every dialect give the same rows, and bad rows are listed with the reason."""

import contextlib
import csv
import json
import random
import sys

import pandas as pd
import pytest

from bcclone.recording.dialect import header_error, is_known_header
from bcclone.recording.log import ForeignLog, read_log
from tests.conftest import shared
from tests.hostile import damaged
from tests.processes import cpu_limit
from tests.recording.written_logs import HEADER, STAMPS, log_lines, write

VALUES = [
    [0.0, 1.0, 0.0, 30.19016],
    [-0.1802609, 0.0, 0.5, 30.18234],
    [1.0, 0.3093727, 0.0, 7.953689e-07],
]


def values(log):
    return log.rows[["steering", "throttle", "brake", "speed_mph"]].to_numpy().tolist()


DIALECTS = {
    "unspaced": log_lines(),
    "spaced": log_lines(", "),
    "decimal comma, spaced": log_lines(", ", comma=True),
    "semicolons": log_lines(";", comma=True),
    "tabs": log_lines("\t"),
    "header": [HEADER, *log_lines()],
    "header repeated by a join": [HEADER, *log_lines()[:2], HEADER, *log_lines()[2:]],
    "Windows paths": log_lines(folder="D:\\tmp\\New folder\\try4\\IMG\\"),
    "a comma in the path": log_lines(folder="C:\\Users\\Doe, John\\IMG\\"),
    "non-ASCII paths": log_lines(folder="C:\\Masaüstü\\IMG\\"),
    "one camera": log_lines(cameras=("center",)),
    "one camera, decimal comma": log_lines(", ", cameras=("center",), comma=True),
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
    "a minus of typography": [line.replace(",-", ",\u2212") for line in log_lines()],
    "a minus of typography, decimal comma": [
        line.replace(", -", ", \u2212") for line in log_lines(", ", comma=True)
    ],
    "a minus behind a mark of direction": [
        line.replace(";-", ";\u200e\u2212").replace("E-", "E\u200e\u2212")
        for line in log_lines(";", comma=True)
    ],
    "joined, with points and commas": [*log_lines()[:2], *log_lines(", ", comma=True)[2:]],
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_gives_the_same_rows_in_order_of_time(tmp_path, dialect):
    log = read_log(write(tmp_path, DIALECTS[dialect]))
    assert values(log) == VALUES
    assert log.rows["center"].tolist() == [f"center_{stamp}.jpg" for stamp in STAMPS]
    assert (log.bad_rows, log.episodes) == ((), 1)


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
@pytest.mark.parametrize("dialect", ["unspaced", "spaced", "decimal comma, spaced", "tabs"])
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


# where a block of NULs lies, from and to, in parts of the three rows -> the line that is bad, and
# the rows that stay. A block that covers the end of a line joins two lines; neither of them is left
BLOCKS = {
    "at the start": (0, 0.5, [1], [1, 2]),
    "within a row": (1.2, 1.4, [2], [0, 2]),
    "in a number": (1.72, 1.73, [2], [0, 2]),
    "across the end of a line": (0.9, 1.2, [1], [2]),
    "a whole row": (1, 1.995, [2], [0, 2]),
    "at the end, within a row": (2.97, 4, [3], [0, 1]),
    "behind the last row": (3, 4, [], [0, 1, 2]),
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_of_nuls_makes_its_row_bad_and_counted(tmp_path, block, encoding):
    begin, end, bad_lines, kept = BLOCKS[block]
    width = 200
    text = "".join(line.ljust(width - 1) + "\n" for line in log_lines())
    first, last = round(begin * width), round(end * width)
    text = text[:first] + "\0" * (last - first) + text[last:]
    path = tmp_path / "driving_log.csv"
    path.write_bytes(text.encode(encoding))
    log = read_log(path)
    assert (values(log), [bad.row for bad in log.bad_rows]) == (
        [VALUES[row] for row in kept],
        bad_lines,
    )
    assert all("NUL characters" in bad.reason for bad in log.bad_rows)


def test_nuls_in_a_number_are_not_left_out(tmp_path):
    lines = [line.replace("0.18", "0.0\0\0\0" + "77") for line in log_lines()]
    log = read_log(write(tmp_path, lines))
    assert (len(log.rows), [bad.row for bad in log.bad_rows]) == (2, [2])
    with pytest.raises(ForeignLog, match="only NUL characters"):
        read_log(write(tmp_path, ["\0" * 4096], end=""))


def test_a_header_with_nuls_is_a_bad_row(tmp_path):
    lines = [HEADER.replace("left", "l\0\0t"), *log_lines()]
    assert [bad.row for bad in read_log(write(tmp_path, lines)).bad_rows] == [1]


def test_the_dialect_is_reported(tmp_path):
    spaced = read_log(write(tmp_path, DIALECTS["decimal comma, spaced"])).dialect
    assert (spaced.spaced, spaced.decimal_comma, spaced.header) == (True, True, False)
    plain = read_log(write(tmp_path, DIALECTS["extra columns"])).dialect
    assert (plain.spaced, plain.decimal_comma, plain.extra_columns) == (False, False, 2)
    assert read_log(write(tmp_path, DIALECTS["header"])).dialect.header
    assert read_log(write(tmp_path, DIALECTS["one camera"])).dialect.cameras == ("center",)
    assert read_log(write(tmp_path, DIALECTS["semicolons"])).dialect.decimal_comma


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


@pytest.mark.parametrize(
    ("header", "error"),
    [
        (f"Unnamed: 0,index,{HEADER.upper()}", None),
        (HEADER.replace(",", '";"').join('""'), None),
        (HEADER.replace("steering,throttle", "throttle,steering"), "'throttle' as column 4"),
        (f"index,{HEADER}".replace("brake,speed", "speed,brake"), "'speed' as column 6"),
        (f"{HEADER}_kmh", "'speed_kmh' as column 7, expected steering from -1 to 1, and speed"),
    ],
)
def test_a_header_is_known_in_any_usual_spelling_or_says_what_contradicts_it(header, error):
    assert is_known_header(header) == (error is None)
    assert (error or "None") in str(header_error(header))


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


BARE = log_lines(comma=True)


@pytest.mark.parametrize(
    "lines",
    [BARE, log_lines(comma=True, cameras=("center",)), [*BARE[:2], *log_lines(", ", comma=True)]],
    ids=["three cameras", "one camera", "joined"],
)
def test_a_log_whose_commas_are_separators_and_decimal_marks_is_refused(tmp_path, lines):
    with pytest.raises(ForeignLog, match=r"line 1: .*decimal points") as refusal:
        read_log(write(tmp_path, lines))
    assert refusal.value.exit_code == 2


def test_every_shared_log_gives_the_expected_rows():
    folder = shared("logs")
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


@pytest.mark.parametrize("day", ["1405_02_31", "2569_02_29", "2026_02_30", "2082_02_32"])
def test_a_day_of_another_calendar_is_a_day(tmp_path, day):
    lines = [line.replace("2019_03_07", day) for line in log_lines()]
    log = read_log(write(tmp_path, lines))
    assert log.rows["time_ms"].diff().tolist()[1:] == [69, 68]
    assert not log.bad_rows


@pytest.mark.parametrize("day", ["2026_02_00", "2026_02_33", "2026_13_01"])
def test_a_day_of_no_calendar_is_a_bad_row(tmp_path, day):
    lines = log_lines()
    log = read_log(write(tmp_path, [lines[0].replace("2019_03_07", day), *lines[1:]]))
    assert [bad.row for bad in log.bad_rows] == [1]
