"""`preprocess --check` reports the content and the faults of a recording, and changes nothing."""

import shutil

import numpy as np
import pytest

from bcclone.camera.images import encode_jpeg
from bcclone.system.errors import UserError
from tests.messages.refusals import run_command
from tests.recordings import images_of, rewrite, spoil
from tests.running import result_of, run_script


def check(*arguments, code=0):
    return result_of("preprocess.py", *arguments, "--check", code=code)["recordings"]


def test_options_of_the_conversion_are_refused(tmp_path):
    with pytest.raises(UserError, match="--size .*changes nothing in --check"):
        run_command("preprocess", tmp_path, "--check", "--size", 64)


def test_check_counts_the_faults_and_changes_nothing(recording):
    spoil(recording)
    center = images_of(recording)
    shutil.copyfile(center[5], recording / "IMG" / "center_2020_01_01_00_00_00_000.jpg")
    shutil.copyfile(center[50], center[51])
    shutil.copyfile(center[60], center[70])
    before = sorted(path.stat().st_mtime_ns for path in recording.rglob("*"))
    (report,) = check(recording, code=1)
    assert {item["fault"] for item in report["diagnosis"]["findings"]} == {"unreadable"}
    images = report["images"]
    assert (images["missing"], images["corrupt"], images["orphans"]) == (1, 3, 1)
    assert (images["frozen"], images["duplicates"]) == (1, 1)
    text = run_script("preprocess.py", recording, "--check", code=1).stdout
    assert "line 11: image" in text
    assert "exactly zero" in text
    assert sorted(path.stat().st_mtime_ns for path in recording.rglob("*")) == before


def test_the_throttle_is_spoken_of_only_where_it_teaches_nothing(winding_recording, tmp_path):
    (report,) = check(winding_recording)
    assert not any("throttle" in line for line in report["diagnosis"]["unknown"])
    changed = shutil.copytree(winding_recording, tmp_path / "changed")
    (changed / "trace.csv").unlink()
    # of one camera, as of a real car: three of them would make it a fault
    rewrite(changed, lambda rows: [[row[0], "", "", row[3], "0.4", *row[5:]] for row in rows])
    (report,) = check(changed)
    (line,) = (line for line in report["diagnosis"]["unknown"] if "throttle" in line)
    assert line.endswith("train without --predict throttle")


def test_pictures_of_another_size_are_refused_with_the_command_that_mends_them(recording, tmp_path):
    for path in (recording / "IMG").iterdir():
        path.write_bytes(encode_jpeg(np.zeros((320, 640, 3), np.uint8)))
    remedy = f"bcclone import {recording}/driving_log.csv -o"
    with pytest.raises(UserError, match="line 1: .*640x320 pixels, expected 320x160") as refused:
        run_command("preprocess", recording, "-o", tmp_path / "data.h5")
    assert remedy in str(refused.value)
    (report,) = check(recording, code=1)
    (finding,) = report["diagnosis"]["findings"]
    assert finding["fault"] == "unreadable"
    assert remedy in finding["remedy"]


def test_check_reports_logs_without_images_and_foreign_files(recording, tmp_path):
    shutil.rmtree(recording / "IMG")
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    reports = check(recording, empty, code=2)
    assert [report["foreign"] for report in reports] == [False, True]
    assert reports[0]["images"] is None
    assert "empty" in reports[1]["reason"]
    (alone,) = check(recording, code=1)
    assert alone["rows"] == 120
    assert [item["fault"] for item in alone["diagnosis"]["findings"]] == ["no-images"]


def test_repeated_or_disordered_rows_are_no_fault_of_the_pictures(recording):
    def judged(change):
        rewrite(recording, change)
        (report,) = check(recording, code=1)
        (finding,) = report["diagnosis"]["findings"]
        assert "none is needed" in finding["remedy"]
        return (
            finding["fault"],
            finding["value"],
            report["images"]["frozen"],
            report["images"]["duplicates"],
        )

    assert judged(lambda rows: [*rows[60:], *rows[:60]]) == ("out-of-order", 1, 0, 0)
    assert judged(lambda rows: [*rows[60:], *rows[:60], *rows[:30]]) == ("repeated-rows", 30, 0, 30)
