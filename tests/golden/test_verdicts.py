"""Verdicts of the doctor of recordings: on generated ones with planted faults, and on ../shared."""

import json
import shutil
from unittest.mock import ANY

import numpy as np
import pandas as pd
import pytest

from tests.conftest import SHARED, made_once
from tests.golden.expected import check
from tests.running import run_script

pytestmark = pytest.mark.slow  # seconds for the pictures of each

COLUMNS = ["center", "left", "right", "steering", "throttle", "brake", "speed"]
NEAR = {"rtol": 0.01, "atol": 1e-3}


@pytest.fixture(scope="session")
def winding(tmp_path_factory):
    """A recording of a winding road, 25 s. Not to be changed."""

    def make(folder):
        options = ("--road", "random:12:shape=winding", "--laps", 0.4, "--recoveries", 0)
        run_script("simulate", "record", folder / "drive", *options, "--quiet")
        log = folder / "drive" / "driving_log.csv"
        log.write_text(log.read_text().replace(f"{folder / 'drive'}/", ""))

    return made_once(tmp_path_factory, "golden winding", make) / "drive"


def mirrored(rows, folder):
    rows["steering"] *= -1


def late(rows, folder):
    rows["steering"] = rows["steering"].shift(6, fill_value=0.0)


def stuck_throttle(rows, folder):
    rows["throttle"] = 0.5


def second_half_mirrored(rows, folder):
    rows.loc[len(rows) // 2 :, "steering"] *= -1


def exchanged_sides(rows, folder):
    for left, right in zip(rows["left"], rows["right"], strict=True):
        (folder / left).rename(folder / "kept.jpg")
        (folder / right).rename(folder / left)
        (folder / "kept.jpg").rename(folder / right)


def no_steering(rows, folder):
    rows["steering"] = 0.0


def frozen(rows, folder):
    """The pictures of the last third are all the same."""
    third = len(rows) * 2 // 3
    for camera in ("center", "left", "right"):
        still = folder / rows[camera][third]
        for name in rows[camera][third + 1 :]:
            shutil.copy(still, folder / name)


def missing(rows, folder):
    for name in rows["center"][10:60]:
        (folder / name).unlink()


def damaged(rows, folder):
    for name in rows["left"][20:30]:
        (folder / name).write_bytes((folder / name).read_bytes()[:900])


def out_of_order(rows, folder):
    numbers = np.arange(len(rows))
    numbers[100:150] = numbers[100:150][::-1]
    rows[:] = rows.to_numpy()[numbers]


PLANTED = {
    "none": (),
    "mirrored": (mirrored,),
    "late": (late,),
    "second half mirrored": (second_half_mirrored,),
    "no steering": (no_steering,),
    "frozen": (frozen,),
    "mirrored and late": (mirrored, late),
    "half mirrored, late, throttle stuck": (second_half_mirrored, late, stuck_throttle),
    "sides exchanged, throttle stuck": (exchanged_sides, stuck_throttle),
    "pictures missing and damaged, out of order": (missing, damaged, out_of_order),
}


def verdict(path):
    """Return what --check finds, without the sentences; the exit code where it refuses."""
    done = run_script("preprocess.py", path, "--check", "--json", code=ANY)
    if not done.stdout:
        return {"refused": done.returncode}
    return [_figures(recording) for recording in json.loads(done.stdout)["recordings"]]


def _figures(recording):
    diagnosis = recording.get("diagnosis")
    if diagnosis:
        findings = [
            {key: item for key, item in finding.items() if key not in ("text", "remedy")}
            for finding in diagnosis["findings"]
        ]
        diagnosis = diagnosis | {"findings": findings, "unknown": len(diagnosis["unknown"])}
        del diagnosis["verdict"]
    images = recording.get("images")
    return {
        "diagnosis": diagnosis,
        "images": images and {key: images[key] for key in images if key != "reasons"},
        "bad_rows": len(recording.get("bad_rows", ())),
        **{key: recording[key] for key in recording if key in _PLAIN},
    }


_PLAIN = {"rows", "episodes", "steering_sum", "speed_sum", "zero_steering_share", "dialect"}
_PLAIN |= {"foreign", "deleted_rows"}


@pytest.mark.parametrize("name", PLANTED)
def test_verdict_on_planted_faults(name, winding, tmp_path):
    folder = shutil.copytree(winding, tmp_path / "drive")
    rows = pd.read_csv(folder / "driving_log.csv", names=COLUMNS, skipinitialspace=True)
    for plant in PLANTED[name]:
        plant(rows, folder)
    rows.to_csv(folder / "driving_log.csv", header=False, index=False)
    check("verdicts", name, verdict(folder), **NEAR)


@pytest.mark.parametrize("name", ["lake_linux", "mountain_windows"])
def test_verdict_on_a_recording(name):
    folder = SHARED / "recordings" / name
    if not folder.exists():
        pytest.skip(f"needs {folder}")
    check("verdicts", name, verdict(folder), **NEAR)


@pytest.mark.parametrize("name", ["tub_floor", "tub_road"])
def test_verdict_on_a_tub(name, tmp_path):
    tub = SHARED / "real" / name
    if not tub.exists():
        pytest.skip(f"needs {tub}")
    run_script("import", tub, "-o", tmp_path / "drive")
    check("verdicts", name, verdict(tmp_path / "drive"), **NEAR)


def test_verdicts_on_logs_of_others():
    """Each dialect: how it is written, how many rows it has, and their sums."""
    logs = sorted((SHARED / "logs").glob("*.csv"))
    if not logs:
        pytest.skip(f"needs {SHARED / 'logs'}")
    check("logs", "all", {log.stem: verdict(log) for log in logs}, **NEAR)
