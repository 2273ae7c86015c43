"""OpenCV leaves no empty entry in the search path of shared libraries, which would stand for the
current folder.
"""

import os

import pytest

from tests.processes import python

PRINT = "import os, bcclone.camera.images; print(os.environ.get('LD_LIBRARY_PATH', ''))"


@pytest.mark.parametrize("before", [None, "/opt/lib:"])
def test_processes_that_are_started_load_no_library_of_the_current_folder(before):
    environment = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    if before is not None:
        environment["LD_LIBRARY_PATH"] = before
    entries = python(PRINT, env=environment).rstrip("\n").split(":")
    assert entries == [""] or "" not in entries
    assert ("/opt/lib" in entries) == ("opt" in (before or ""))
