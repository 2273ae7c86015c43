"""A source of any format is imported, and what is none is refused with file, row and remedy."""

import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from bcclone.commands.recordings import checked_import
from bcclone.diagnosis.first_check import first_check
from bcclone.exchange.exchange_settings import IMPORT_FORMATS, ImportSettings
from bcclone.exchange.recording_import import import_recording
from bcclone.system.errors import UserError
from tests.exchange.driven_recordings import make_driven
from tests.exchange.foreign_sources import (
    PICTURE,
    imported,
    make_lerobot,
    make_tub,
    rows_of,
    spoil,
    write_image,
)
from tests.messages.refusals import run_command
from tests.running import ROOT, result_of, run_script


def test_a_recording_with_images_of_another_size_is_imported_with_its_tables(tmp_path):
    folder = make_driven(tmp_path / "lake")
    for path in (folder / "IMG").iterdir():
        write_image(path, 3, (64, 48))
        path.rename(folder / path.name)
        path.symlink_to(folder / path.name)
    (folder / "IMG" / "left_2025_12_31_23_59_59_000.jpg").write_bytes(b"")
    result = imported(folder, tmp_path / "out")
    assert (result.format, result.rows, result.converted) == ("recording", 6, 18)
    assert result.seen.images_without_record == 1
    columns = ["steering", "throttle", "speed_mph", "time_ms", "center", "left"]
    assert rows_of(tmp_path / "out")[columns].equals(rows_of(folder)[columns])
    for name in ("drivers.csv", "trace.csv"):
        assert (tmp_path / "out" / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.parametrize(
    ("header", "columns", "size", "full"),
    [
        ("", 4, (320, 160), 1),
        ("image,a,b,steering_angle,gas,brake", 6, (64, 48), 1),
        ("center,left,right,steering,throttle,brake,speed_kmh", 7, (320, 160), 1),
        ("center,left,right,steering,throttle,reverse,speed", 7, (320, 160), 451),
        ("", 7, (640, 320), 1),
    ],
)
def test_what_preprocess_refuses_is_imported_by_the_command_that_it_names(
    tmp_path, header, columns, size, full
):
    log = make_driven(tmp_path / "lake", rows=12) / "driving_log.csv"
    for path in (log.parent / "IMG").iterdir():
        write_image(path, 3, size)
    rows = [line.split(",")[:columns] for line in log.read_text().splitlines()]
    steering = [float(row[3]) for row in rows]
    for row, value in zip(rows, steering, strict=True):
        row[3] = repr(full * value)
    log.write_text("\n".join([*filter(None, [header]), *map(",".join, rows)]) + "\n")
    for command, *line in (("preprocess",), ("export", "--to", "csv")):
        with pytest.raises(UserError, match="bcclone import") as refused:
            run_command(command, *line, log.parent, "-o", tmp_path / f"refused-{command}.h5")
        words = re.search(r"bcclone (import \S+ -o )recordings/NAME([^(;,\n]*)", str(refused.value))
        unit = f"deg --max-degrees {full}" if full > 1 else "ratio"
        options = words[2].replace("COLUMN", "4").replace("UNIT", unit)
        run_command(*shlex.split(f"{words[1]}{tmp_path / command}{options}"))
        found = rows_of(tmp_path / command)["steering"].tolist()
        assert found == pytest.approx(np.clip(steering, -1, 1), abs=1e-6)
        run_command("preprocess", tmp_path / command, "-o", tmp_path / f"{command}.h5")


@pytest.mark.parametrize(
    ("begin", "words"),
    [
        (b"PK\3\4", "an archive; unpack it, and name what it holds"),
        (b"PAR1", "bcclone import FOLDER .*write its pictures as image files"),
        (b"\x80\4", "a pickle.*write its pictures as image files"),
    ],
)
def test_a_file_that_is_no_source_is_named_as_what_it_is(tmp_path, begin, words):
    (tmp_path / "tub.1").write_bytes(begin)
    with pytest.raises(UserError, match=f"tub.1: .*{words}"):
        imported(tmp_path / "tub.1", tmp_path / "out")
    with pytest.raises(UserError, match=f"tub.1 is .*{words}"):
        imported(tmp_path, tmp_path / "out")
    write_image(tmp_path / "1.jpg", 1)
    with pytest.raises(UserError, match=f"tub.1: not a table: .*{words}"):
        imported(tmp_path, tmp_path / "out", table=tmp_path / "tub.1")


@pytest.mark.parametrize(
    ("make", "file", "old", "new", "words"),
    [
        (
            make_tub,
            "manifest.json",
            "catalog_0",
            "catalog_7",
            r"catalog_7\.catalog: cannot be read: .*manifest\.json",
        ),
        (
            make_lerobot,
            "meta/info.json",
            '"fps"',
            '"rate"',
            r"info\.json: not the description of a LeRobot data set",
        ),
        (
            make_lerobot,
            "data/chunk-000/episode_000001.parquet",
            "",
            "",
            r"episode_000001\.parquet: .*download",
        ),
        (make_lerobot, "data", "", "", "there are no Parquet files; download the data set"),
    ],
)
def test_a_source_without_a_file_that_describes_it_is_refused(
    tmp_path, make, file, old, new, words
):
    options = {} if make is make_tub else {"camera": PICTURE}
    path = make(tmp_path / "set", **options) / file
    if path.is_dir():
        shutil.rmtree(path)
    elif old:
        spoil(path, old, new)
    else:
        path.write_text("none")
    with pytest.raises(UserError, match=words):
        imported(tmp_path / "set", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_what_is_of_no_known_format_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        UserError, match=f"none of the formats; expected a folder .*{IMPORT_FORMATS[-1]}"
    ):
        imported(tmp_path / "empty", tmp_path / "out")
    with pytest.raises(UserError, match="no such file or folder"):
        imported(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(UserError, match="a recording already, which needs no import"):
        imported(make_driven(tmp_path / "lake"), tmp_path / "out")
    for settings in ({"format": "frames", "unit": "ratio"}, {"unit": "ratio"}):  # not in circles
        assert imported(tmp_path / "lake", tmp_path / "".join(settings), **settings).rows == 6
    with pytest.raises(UserError, match="lake exists, and is no empty folder"):
        imported(make_tub(tmp_path / "tub"), tmp_path / "lake")
    with pytest.raises(UserError, match="info.json.*No such file.*download"):
        imported(tmp_path / "tub", tmp_path / "out", format="lerobot")


def test_the_command_says_what_comes_next(tmp_path):
    make_tub(tmp_path / "tub", deleted=[1])
    line = ("import", tmp_path / "tub", "-o")
    done = run_script(*line, tmp_path / "new" / "folder" / "out")
    assert "next: bcclone calibrate" in done.stdout  # its pictures are not framed yet
    assert "or:   bcclone preprocess" in done.stdout
    assert "images: 160x120 pixels, 1.333 to 1, 20 frames a second" in done.stdout
    assert "steers 0% left, 25% straight, 75% right" in done.stdout
    assert "1 row marked as deleted" in done.stderr
    result = result_of(*line, tmp_path / "two")
    assert (result["rows"], result["deleted"], result["format"]) == (4, 1, "tub")
    assert result["seen"]["size"] == [160, 120]
    assert (
        "--unit is only for lerobot, video, frames"
        in run_script(*line, "x", "--unit", "rad", code=1).stderr
    )


def turning_camera(folder, rows=240, unrelated=False):
    """Write frames of a camera that turns as a table says, to both sides."""
    random = np.random.default_rng(0)
    around = cv2.resize(random.integers(0, 256, (20, 400, 3), np.uint8), (6000, 160))
    steering = 0.8 * np.sin(np.arange(rows) / 17) + 0.2 * np.sin(np.arange(rows) / 5)
    column = 2500 + np.cumsum(12 * steering).astype(int)
    folder.mkdir()
    for row, begin in enumerate(column.tolist()):
        cv2.imwrite(str(folder / f"{row:04}.jpg"), around[:, begin : begin + 320])
    if unrelated:
        steering = 0.9 * np.sin(np.arange(rows) / 2.3)
    lines = [f"{row:04}.jpg,{value:.4f},{row / 20}" for row, value in enumerate(steering.tolist())]
    (folder / "labels.csv").write_text("\n".join(["image,steering,time_s", *lines]))
    return folder


def test_the_first_check_of_an_import_is_made_and_its_remedy_mends_it(tmp_path):
    folder = turning_camera(tmp_path / "set")
    wrong = result_of("import", folder, "-o", tmp_path / "wrong", "--left-positive")["check"]
    assert wrong["turning"] == "mirrored"
    assert wrong["correlation"] < -0.8
    words = shlex.split(wrong["remedy"])
    done = run_script(*words[words.index("import") :])
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("check: "))
    assert "turn to the side to which the car is steered" in line
    (output,) = (word for word in words if word.endswith("wrong-mirrored"))
    right = rows_of(tmp_path / output)["steering"]
    assert right.tolist() == (-rows_of(tmp_path / "wrong")["steering"]).tolist()


def test_the_first_check_says_how_late_the_steering_is_and_its_remedy_mends_it(tmp_path):
    folder = turning_camera(tmp_path / "set")
    table = folder / "labels.csv"
    lines = table.read_text().splitlines()
    rows = [line.split(",") for line in lines[1:]]
    steering = lines[0].split(",").index("steering")
    late = 10
    for row in range(len(rows) - 1, -1, -1):
        rows[row][steering] = rows[max(row - late, 0)][steering]
    table.write_text("\n".join([lines[0], *map(",".join, rows)]) + "\n")
    check = result_of("import", folder, "-o", tmp_path / "late")["check"]
    assert check["turning"] == "as steered"
    assert check["lag_frames"] == pytest.approx(late, abs=2)
    words = shlex.split(check["remedy"])
    run_script(*words[words.index("edit") :])
    assert abs(first_check(tmp_path / "late" / "driving_log.csv").lag_frames) < late - 4


def test_the_remedy_of_the_first_check_writes_where_nothing_is(tmp_path):
    folder = turning_camera(tmp_path / "set")
    (tmp_path / "wrong-mirrored").mkdir()
    (tmp_path / "wrong-mirrored" / "mine").write_text("")
    wrong = result_of("import", folder, "-o", tmp_path / "wrong", "--left-positive")["check"]
    words = shlex.split(wrong["remedy"])
    run_script(*words[words.index("import") :])


def test_a_first_check_that_cannot_be_made_is_one_line_after_a_complete_import(tmp_path):
    settings = ImportSettings(turning_camera(tmp_path / "set"), tmp_path / "out")
    result = import_recording(settings)
    assert checked_import(result, settings).found.turning == "as steered"
    (tmp_path / "out" / "driving_log.csv").unlink()
    check = checked_import(result, settings)
    assert check.found.turning == "not made"
    assert "the recording is complete" in check.words
    assert check.words.count("\n") == 0
    assert f"preprocess {tmp_path / 'out'} --check" in check.remedy


def test_a_first_check_takes_no_longer_than_its_seconds(tmp_path):
    result = imported(turning_camera(tmp_path / "set"), tmp_path / "out")
    log = result.output / "driving_log.csv"
    found = first_check(log, most_seconds=0)
    assert (found.turning, found.rows) == ("not made", 1)


@pytest.mark.slow
def test_an_interrupt_in_the_first_check_leaves_a_complete_import_and_says_so(tmp_path):
    folder = turning_camera(tmp_path / "set", rows=2000)
    output = tmp_path / "out"
    line = [sys.executable, "-m", "bcclone", "import", str(folder), "-o", str(output)]
    pipe = subprocess.PIPE
    with subprocess.Popen(line, stdout=pipe, stderr=pipe, text=True, cwd=ROOT) as process:
        while not (output / "driving_log.csv").exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        printed, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert printed == ""
    assert str(output) in said
    assert "complete" in said
    assert "nothing was written" not in said
    assert len(rows_of(output)) == 2000


def test_a_steering_that_does_not_follow_the_pictures_is_said(tmp_path):
    folder = turning_camera(tmp_path / "set", unrelated=True)
    found = result_of("import", folder, "-o", tmp_path / "out")["check"]
    assert found["turning"] == "unrelated"
    assert f"preprocess {tmp_path / 'out'} --check" in found["remedy"]


def test_too_few_rows_are_not_judged(tmp_path):
    found = result_of("import", make_tub(tmp_path / "tub"), "-o", tmp_path / "out")["check"]
    assert (found["turning"], found["remedy"]) == ("unknown", None)
    assert "4 rows are too few" in found["words"]
