"""The style of pictures is bcclone's own: no file in the current folder changes it, or starts a
program.
"""

import os
import subprocess
import sys

import pytest

from tests.processes import python
from tests.running import ROOT

DRAW = """
from pathlib import Path
from bcclone.pictures.plots.style import new_figure, save
save(new_figure(1, "$x$"), Path("out.png"))
"""


@pytest.mark.parametrize("pipe", [False, True])
def test_settings_of_matplotlib_in_the_current_folder_are_not_read(tmp_path, pipe):
    if pipe:  # which would be waited for
        os.mkfifo(tmp_path / "matplotlibrc")
    else:
        (tmp_path / "matplotlibrc").write_text("text.usetex: True\nfigure.facecolor: red\n")
    for name in ("latex", "dvipng"):
        (tmp_path / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/mark\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    environment = os.environ | {
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    subprocess.run(
        [sys.executable, "-P", "-c", DRAW], cwd=tmp_path, env=environment, check=True, timeout=100
    )
    assert (tmp_path / "out.png").stat().st_size
    assert not (tmp_path / "mark").exists()


def test_a_program_keeps_the_style_that_it_has_chosen_for_its_own_figures():
    code = (
        "import matplotlib; matplotlib.rcParams['figure.facecolor'] = 'red'; import "
        "bcclone.pictures.plots.style; "
        "print(matplotlib.rcParams['figure.facecolor'])"
    )
    assert python(code).strip() == "red"
