"""recording: what is no log, what no row, and what lies beside them."""

from pathlib import Path

import pytest

from bcclone.recording.dialect import resolve_decimal_commas, split_line
from bcclone.recording.files import default_inputs, find_log, find_logs
from bcclone.recording.log import read_log
from bcclone.recording.row import LogRow, RowError, time_of
from bcclone.recording.run_tables import read_answers
from tests.messages.refusals import refusal

ROW = "center_2019_03_07_20_01_33_184.jpg,left.jpg,right.jpg,0,1,0,30\n"
LATER_ROW = ROW.replace("184.jpg", "284.jpg")
NO_ROWS = "expected rows of center,left,right,steering,throttle,brake,speed"


def log(text):
    Path("driving_log.csv").write_text(text)
    return read_log(Path("driving_log.csv"))


def bad_row(text):
    (bad,) = log(ROW + text).bad_rows
    return f"row {bad.row}: {bad.reason}"


def row(**values):
    ours = {"center": "", "left": "", "right": "", "steering": 0, "throttle": 0, "brake": 0, "speed_mph": 0}
    return LogRow(1, 0, **(ours | values))


def several_recordings():
    for name in ("one", "two"):
        Path(name).mkdir()
        Path(name, "driving_log.csv").write_text(ROW)
    return find_log("*/")


def folder_of_images():
    Path("rec/IMG").mkdir(parents=True)
    Path("rec/IMG/center_1.jpg").write_bytes(b"")
    return find_logs(["rec"])


def answers(text):
    Path("answers.csv").write_bytes(text)
    return read_answers(Path())


REFUSALS = [
    refusal(lambda: find_logs([]), "no recording", "CSV", "'recordings/*/'"),
    refusal(lambda: find_logs(["/dev/null"]), "/dev/null", "driving_log.csv"),
    refusal(lambda: find_logs(["nowhere"]), "nowhere", "no such file or folder", "driving_log.csv"),
    refusal(lambda: find_logs(["none-*"]), "none-*", "'recordings/*/'"),
    refusal(default_inputs, "RECORDING", "driving_log.csv", "bcclone simulate record recordings/lake", code=2),
    refusal(several_recordings, "*/", "2 recordings", "one/driving_log.csv"),
    refusal(folder_of_images, "rec", "driving_log.csv"),
    refusal(lambda: read_log(Path()), "not a regular file", "another"),
    refusal(lambda: log(" \n"), "driving_log.csv", "empty", "center,left,right,steering,throttle,brake,speed"),
    refusal(
        lambda: Path("data.h5").write_bytes(b"\x89HDF\r\n\x1a\n") and read_log(Path("data.h5")),
        "data.h5",
        "a store or a model",
        "a folder with a driving_log.csv",
        code=2,
    ),
    refusal(
        lambda: log("version https://git-lfs.github.com/spec/v1\n"),
        "driving_log.csv",
        "git-LFS",
        "git lfs pull",
        code=2,
    ),
    refusal(
        lambda: log(f"center,left,right,speed\n{ROW}"), "driving_log.csv", "'speed'", "column 4", "column 7", code=2
    ),
    refusal(lambda: log("nothing\n"), "driving_log.csv", "no rows", "center,left,right,steering,throttle,brake,speed"),
    refusal(lambda: log("1,2\n3,4\n"), "driving_log.csv", "row 2", "first column", "1,2", code=2),
    refusal(lambda: log(ROW.replace(",30", ",fast")), "driving_log.csv", "row 1", "speed", "fast", code=2),
    refusal(lambda: bad_row(LATER_ROW + "x" * 20_001), "row 3", "20001", "at most 20000", by=()),
    refusal(lambda: bad_row(LATER_ROW.replace(",1,", ",full,")), "row 2", "throttle", "full", "number", by=()),
    refusal(lambda: split_line(1, "0,1,0,30"), "image", "expected center,left,right,steering", by=(RowError,)),
    refusal(lambda: split_line(1, "a.jpg,b.png,0,0,0,0"), "left", "expected center,left,right", by=(RowError,)),
    refusal(lambda: split_line(1, "a" * 300 + ROW), "center", "334 bytes", "at most 255", by=(RowError,)),
    refusal(lambda: split_line(1, "a.jpg,b.jpg,c.jpg,0,0"), "5 columns", "expected 7", by=(RowError,)),
    refusal(lambda: resolve_decimal_commas(["9", "9", "9", "9", "9"], 0), "decimal comma", "9,9,9,9,9", by=(RowError,)),
    refusal(
        lambda: resolve_decimal_commas(["0", "1", "0", "0", "5"], 2.75), "decimal comma", "0,1,0,0,5", by=(RowError,)
    ),
    refusal(lambda: row(steering=float("nan")), "steering", "finite", by=(RowError,)),
    refusal(lambda: row(brake=3), "brake", "3", "0 to 1", by=(RowError,)),
    refusal(lambda: row(left="right_2019_03_07_20_01_33_184.jpg"), "left", "right camera", by=(RowError,)),
    refusal(lambda: time_of("a.jpg"), "a.jpg", "center_yyyy_MM_dd_HH_mm_ss_fff.jpg", by=(RowError,)),
    refusal(lambda: time_of("2019_13_07_20_01_33_184.jpg"), "2019_13_07", "month", by=(RowError,)),
    refusal(lambda: answers(b"\xff\n"), "answers.csv", "UTF-8", "remove"),
    refusal(lambda: answers(b"image,ms\n"), "answers.csv", "row 1", "image,ms", "image,request_to_steer_ms", "remove"),
    refusal(
        lambda: answers(b"image,request_to_steer_ms\n" + b"x" * 200_000 + b"\n"),
        "answers.csv",
        "row 2",
        "200000",
        "at most 20000",
    ),
    refusal(lambda: answers(b"image,request_to_steer_ms\na.jpg\n"), "answers.csv", "row 2", "1", "expected 2"),
    refusal(
        lambda: answers(b"image,request_to_steer_ms\na.jpg,slow\n"),
        "answers.csv",
        "row 2",
        "request_to_steer_ms",
        "slow",
        "number",
    ),
    refusal(lambda: answers(b"image\n"), "answers.csv", "row 1", "remove", "latency"),
]


@pytest.mark.parametrize("refused", REFUSALS)
def test_a_mistake_is_refused_with_what_the_user_needs(refused, request):
    refused.check(request)
