"""OpenCV leaves no empty entry in the search path of shared libraries, which would stand for the
current folder.

The path of a program stays as it was.
"""

import os

import pytest

from tests.processes import python

PRINT = "import os, bcclone.camera.images; print(os.environ.get('LD_LIBRARY_PATH', ''))"
OWN = "from bcclone.system.process import claim_process; claim_process(); "


@pytest.mark.parametrize(
    ("before", "code"), [(None, PRINT), ("/opt/lib", PRINT), (None, OWN + PRINT)]
)
def test_processes_that_are_started_load_no_library_of_the_current_folder(before, code):
    environment = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    if before is not None:
        environment["LD_LIBRARY_PATH"] = before
    entries = python(code, env=environment).rstrip("\n").split(":")
    assert entries == [""] or "" not in entries
    assert ("/opt/lib" in entries) == ("opt" in (before or ""))
