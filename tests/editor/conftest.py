"""A recording with faults, which its page finds and mends."""

import shutil

import pytest

from tests.conftest import made_once
from tests.recordings import images_of, mirrored, rewrite


@pytest.fixture(scope="session")
def faulty_recording(winding_recording, tmp_path_factory):
    """The winding recording, mirrored; rows 100 to 140 show one picture. Not to be changed."""

    def make(folder):
        shutil.copytree(winding_recording, folder, dirs_exist_ok=True)
        rewrite(folder, mirrored)
        for camera in ("center", "left", "right"):
            images = images_of(folder, camera)
            for image in images[100:140]:
                shutil.copy(images[99], image)

    return made_once(tmp_path_factory, "faulty", make)


@pytest.fixture
def faulty(faulty_recording, tmp_path):
    """A copy of it that a test may edit."""
    return shutil.copytree(faulty_recording, tmp_path / "faulty")
