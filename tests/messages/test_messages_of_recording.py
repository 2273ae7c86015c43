"""recording: what is no log, what no row, and what lies beside them."""

from pathlib import Path

import pytest

from bcclone.recording.files import default_inputs, find_log
from bcclone.recording.log import read_log
from bcclone.recording.row import RowError, time_of
from bcclone.recording.run_tables import read_answers
from tests.dataset.test_store import some_frames, write_store
from tests.messages.refusals import refusal

ROW = "center_2019_03_07_20_01_33_184.jpg,left.jpg,right.jpg,0,1,0,30\n"
SPEED_FIRST = "center,left,right,steering,speed,throttle,brake"
IN_KMH = "center,left,right,steering,throttle,brake,Speed (km/h)"
IMPORT = "bcclone import driving_log.csv -o recordings/"


def log(text):
    Path("driving_log.csv").write_text(text)
    return read_log(Path("driving_log.csv"))


def of_a_store():
    write_store(Path("data.h5"), some_frames(10))
    return read_log(Path("data.h5"))


def mistyped():
    Path("laps").mkdir()
    Path("laps", "driving_log.csv").write_text(ROW)
    Path("lapse").mkdir()  # no recording
    return find_log("lap")


def several_recordings():
    for name in ("one", "two"):
        Path(name).mkdir()
        Path(name, "driving_log.csv").write_text(ROW)
    return find_log("*/")


def folders_too_high():
    Path("deep/runs/one").mkdir(parents=True)
    Path("deep/runs/one/driving_log.csv").write_text(ROW)
    return find_log("deep")


def answers(text):
    Path("answers.csv").write_bytes(text)
    return read_answers(Path())


REFUSALS = [
    refusal(
        lambda: log(f"{ROW}{SPEED_FIRST}\n{ROW}"),
        "line 2",
        "'speed'",
        "column 5",
        "7",
        IMPORT,
        code=2,
    ),
    refusal(
        lambda: log(f"{IN_KMH}\n{ROW}"),
        "driving_log.csv",
        "line 1",
        "'speed (km/h)'",
        "mph",
        IMPORT,
        code=2,
    ),
    refusal(
        lambda: log("image_path,steering_angle\na.jpg,0.1\n"),
        "line 2",
        "left camera",
        IMPORT,
        "--unit",
        code=2,
    ),
    refusal(
        lambda: log("c.jpg,l.jpg,r.jpg,0.1\n"),
        "line 1",
        "4 columns",
        IMPORT,
        "--steering-column 4",
        code=2,
    ),
    refusal(of_a_store, "it is a store", "bcclone model data.h5", code=2),
    refusal(
        lambda untrained_model: read_log(untrained_model),
        "it is a model",
        "bcclone drive",
        "untrained.h5",
        code=2,
    ),
    refusal(
        lambda: Path("m.keras").write_text("PK\3\4") and read_log(Path("m.keras")),
        "it is a model",
        "bcclone drive m.keras",
        code=2,
    ),
    refusal(mistyped, "lap: no such file or folder; did you mean laps?"),
    refusal(lambda: log("PK\3\4"), "driving_log.csv", "archive", "unpack", code=2),
    refusal(lambda: log('{"records": []}'), "bcclone import FOLDER -o", code=2),
    refusal(lambda: log("\0\0\0 ftypisom"), "video", IMPORT, code=2),
    refusal(
        default_inputs,
        "RECORDING",
        "driving_log.csv",
        "bcclone simulate record recordings/lake",
        code=2,
    ),
    refusal(folders_too_high, "deep: no driving_log.csv", "deep/runs/one/driving_log.csv"),
    refusal(several_recordings, "*/", "2 recordings", "one/driving_log.csv"),
    refusal(lambda: log("1,2\n3,4\n"), "driving_log.csv", "line 1", "center camera", "1,2", code=2),
    refusal(
        lambda: log(ROW.replace(",30", ",fast")),
        "driving_log.csv",
        "line 1",
        "speed",
        "fast",
        code=2,
    ),
    refusal(
        lambda: time_of("a.jpg"), "a.jpg", "center_yyyy_MM_dd_HH_mm_ss_fff.jpg", by=(RowError,)
    ),
    refusal(
        lambda: answers(b"image,request_to_steer_ms\na.jpg,slow\n"),
        "answers.csv",
        "line 2",
        "request_to_steer_ms",
        "slow",
        "number",
    ),
]


@pytest.mark.parametrize("mistake", REFUSALS)
def test_a_wrong_log_is_refused_with_line_expectation_and_remedy(mistake, check_refusal):
    check_refusal(mistake)
