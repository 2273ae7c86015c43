"""recording: what is no log, what no row, and what lies beside them."""

from pathlib import Path

import pytest

from bcclone.recording import default_inputs, find_log, find_logs, read_log, time_of
from bcclone.recording.dialect import resolve, take_apart
from bcclone.recording.row import Row
from bcclone.recording.run_tables import read_answers
from tests.messages.told import Message, tabled

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
    return Row(1, 0, **(ours | values))


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


MESSAGES = [
    Message("recording/files.py", "no recording named; give folders, CSV files or a pattern such as 'recordings/*/'",
            lambda: find_logs([])),
    Message("recording/files.py", "…: neither a folder nor a file; name a folder with a …, or a CSV file",
            lambda: find_logs(["/dev/null"]), ("/dev/null: ", "driving_log.csv")),
    Message("recording/files.py", "…: there is no such file or folder; name a folder with a …, or a CSV file",
            lambda: find_logs(["nowhere"]), ("nowhere: ",)),
    Message("recording/files.py", "…: nothing matches this pattern; expected one such as 'recordings/*/'",
            lambda: find_logs(["none-*"]), ("none-*: ",)),
    Message("recording/files.py",
            "no RECORDING named, and there is neither a … in this folder nor a recording in ./recordings/ or ./data/; "
            "name a folder that the simulator recorded into, or record one: bcclone simulate record recordings/lake",
            default_inputs, ("driving_log.csv",)),
    Message("recording/files.py", "…: … recordings, expected one; name the one that is meant, such as …",
            several_recordings, ("*/: 2 recordings", "one/driving_log.csv")),
    Message("recording/files.py",
            "…: no … in this folder, nor in those in it; name one that the simulator recorded into",
            folder_of_images, ("rec: ", "driving_log.csv")),
    Message("recording/log.py", "…: cannot be read: …; mend that, or name another",
            lambda: read_log(Path()), ("Is a directory",)),
    Message("recording/log.py", "the file is empty, expected rows of …", lambda: log(" \n"),
            ("driving_log.csv: ", NO_ROWS)),
    Message("recording/log.py", "it is a git-LFS pointer, not the data; fetch it with: git lfs pull",
            lambda: log("version https://git-lfs.github.com/spec/v1\n"), ("driving_log.csv: ",)),
    Message("recording/log.py", "its header has …", lambda: log(f"center,left,right,speed\n{ROW}"),
            ("driving_log.csv: ", "'speed' as column 4, expected as column 7")),
    Message("recording/log.py", "(_take_apart) …", lambda: log("nothing\n"),
            ("driving_log.csv: ", "no rows", NO_ROWS)),
    Message("recording/log.py", "(_take_apart) …", lambda: log("1,2\n3,4\n"),
            ("driving_log.csv: ", "row 2: no image path in the first column", "begins with '1,2'")),
    Message("recording/log.py", "no row can be used; row …: …", lambda: log(ROW.replace(",30", ",fast")),
            ("driving_log.csv: ", "row 1: speed is 'fast'")),
    Message("recording/log.py", "the line has … characters, expected at most …",
            lambda: bad_row(LATER_ROW + "x" * 20_001), ("row 3: the line has 20001", "at most 20000")),
    Message("recording/log.py", "… is …, expected a number", lambda: bad_row(LATER_ROW.replace(",1,", ",full,")),
            ("row 2: throttle is 'full', expected a number",)),
    Message("recording/dialect.py", "no image path in the first column, expected …",
            lambda: take_apart(1, "0,1,0,30"), ("expected center,left,right,steering",)),
    Message("recording/dialect.py", "no image path for the … camera, expected …",
            lambda: take_apart(1, "a.jpg,b.png,0,0,0,0"), ("the left camera",)),
    Message("recording/dialect.py", "the name of the … image has … bytes, expected at most …",
            lambda: take_apart(1, "a" * 300 + ROW), ("the center image has 334 bytes, expected at most 255",)),
    Message("recording/dialect.py", "the row ends after … columns, expected 7: …",
            lambda: take_apart(1, "a.jpg,b.jpg,c.jpg,0,0"), ("after 5 columns",)),
    Message("recording/dialect.py", "decimal commas: no possible reading of …",
            lambda: resolve(["9", "9", "9", "9", "9"], 0), ("9,9,9,9,9",)),
    Message("recording/dialect.py", "decimal commas: more than one reading of …",
            lambda: resolve(["0", "1", "0", "0", "5"], 2.75), ("0,1,0,0,5",)),
    Message("recording/row.py", "… is not a finite number", lambda: row(steering=float("nan")), ("steering",)),
    Message("recording/row.py", "… is …, expected -1 to 1", lambda: row(brake=3), ("brake is 3",)),
    Message("recording/row.py", "column … names an image of the … camera",
            lambda: row(left="right_2019_03_07_20_01_33_184.jpg"), ("column left", "the right camera")),
    Message("recording/row.py", "no time stamp in the image name …, expected center_yyyy_MM_dd_HH_mm_ss_fff.jpg",
            lambda: time_of("a.jpg"), ("'a.jpg'",)),
    Message("recording/row.py", "no such time in the image name …: …",
            lambda: time_of("2019_13_07_20_01_33_184.jpg"), ("month",)),
    Message("recording/run_tables.py", "…: cannot be read: …; remove it, and … is left out",
            lambda: answers(b"\xff\n"), ("answers.csv: ", "no UTF-8 text", "the latency is left out")),
    Message("recording/run_tables.py", "it is …, expected …", lambda: answers(b"image,ms\n"),
            ("answers.csv: row 1: it is 'image,ms', expected 'image,request_to_steer_ms'",)),
    Message("recording/run_tables.py", "… characters, expected at most …",
            lambda: answers(b"image,request_to_steer_ms\n" + b"x" * 200_000 + b"\n"),
            ("answers.csv: row 2: 200000 characters, expected at most 20000",)),
    Message("recording/run_tables.py", "… cells, expected …", lambda: answers(b"image,request_to_steer_ms\na.jpg\n"),
            ("answers.csv: row 2: 1 cells, expected 2",)),
    Message("recording/run_tables.py", "… is …, expected a number",
            lambda: answers(b"image,request_to_steer_ms\na.jpg,slow\n"), ("row 2: request_to_steer_ms is 'slow'",)),
    Message("recording/run_tables.py", "…: row …: …; mend it, or remove the file, and … is left out",
            lambda: answers(b"image\n"), ("answers.csv: row 1: ", "mend it, or remove the file")),
]  # fmt: skip


@pytest.mark.parametrize("message", tabled(MESSAGES))
def test_the_message_comes_from_its_place(message, request):
    message.check(request)
