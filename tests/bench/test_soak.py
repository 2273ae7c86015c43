"""bench soak: a drive that is disturbed loses no answer, and its recording stays whole."""

import json
import subprocess
from contextlib import contextmanager

import pytest

from tests.conftest import run_script


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


@pytest.mark.slow
def test_a_drive_that_is_cut_watched_and_without_a_disk_loses_no_answer(tmp_path):
    with small_disk(tmp_path / "disk"):
        line = ("--minutes", 0.6, "--pages", 1, "--reconnect", 1, "--record", tmp_path / "disk", "--disk-fills", 2)
        done = run_script("bench", "soak", *line, "--json")
    found = {measure["name"]: measure for measure in json.loads(done.stdout)["measures"]}
    assert found["frames answered"]["value"] > 36 * 30 * 0.7
    assert found["answers lost"]["value"] == 0
    assert found["connections cut, with an answer under way"]["value"] >= 24
    assert found["rows recorded"]["value"] > found["frames answered"]["value"] * 0.5
    assert found["rows that cannot be used"]["value"] == 0
    assert found["full disks after which the recording went on"]["value"] == 2
    assert done.stderr.count("the disk was full: No space left on device") == 2
