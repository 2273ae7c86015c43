"""Recordings of the built-in simulator, made by commands. Not to be changed."""

import shutil

import pytest

from tests.conftest import made_once
from tests.running import run_script

DRIVES = {
    "lake": ("--laps", 0.06, "--seed", 3, "--recoveries", 0),
    "mountain": ("--road", "mountain", "--laps", 0.04, "--seed", 4, "--rain", 0.4),
}


@pytest.fixture(scope="session")
def drives(tmp_path_factory):
    """A folder with the recordings lake and mountain, 6 s each, three cameras."""

    def make(folder):
        for name, options in DRIVES.items():
            run_script("simulate", "record", folder / name, *options, "--quiet")
            # the names of images without the folder, so that a log's digest is the same anywhere
            log = folder / name / "driving_log.csv"
            log.write_text(log.read_text().replace(f"{folder / name}/", ""))

    return made_once(tmp_path_factory, "golden", make)


@pytest.fixture
def here(drives, tmp_path):
    """A folder with a copy of these recordings, for commands to work in."""
    return shutil.copytree(drives, tmp_path / "here")
