"""The benchmark soak: a drive that is disturbed loses no answer, and its recording stays whole."""

import json
import subprocess
from contextlib import contextmanager

import pytest

from tests.benchmarks.running import run_benchmark


@contextmanager
def small_disk(folder):
    """Mount a file system of 100 MB, where this user may."""
    folder.mkdir()
    line = ["mount", "-t", "tmpfs", "-o", "size=100M", "none", str(folder)]
    try:
        mounted = subprocess.run(line, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("needs the right to mount a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def measured(*line):
    done = run_benchmark("soak", *line, "--json")
    return {measure["name"]: measure for measure in json.loads(done.stdout)["measures"]}, done.stderr


@pytest.mark.long
def test_a_drive_that_is_cut_and_watched_loses_no_answer(tmp_path):
    line = ("--minutes", 0.4, "--pages", 1, "--reconnect", 1, "--record", tmp_path, "--async-mode", "eventlet")
    found, _ = measured(*line)
    assert found["frames answered"]["value"] > 24 * 30 * 0.5
    assert found["answers lost"]["value"] == 0
    assert found["connections cut after a telemetry"]["value"] >= 12
    assert found["rows recorded"]["value"] > found["frames answered"]["value"] * 0.9
    assert found["rows that cannot be used"]["value"] == 0


@pytest.mark.long
def test_a_drive_whose_disk_is_full_for_a_time_goes_on_and_is_recorded_again(tmp_path):
    with small_disk(tmp_path / "disk"):
        found, lines = measured("--minutes", 0.4, "--record", tmp_path / "disk", "--disk-fills", 2)
    assert found["answers lost"]["value"] == 0
    assert found["rows that cannot be used"]["value"] == 0
    assert found["full disks, then recorded again"]["value"] == 2
    assert lines.count("the disk was full: No space left on device") == 2
