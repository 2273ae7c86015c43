"""The scripts and `bcclone` answer alike, quickly, and tell mistakes without a traceback."""

import subprocess
import sys

import pytest

from bcclone import __version__
from bcclone.cli import COMMANDS
from tests.conftest import ROOT, command, run_script

SCRIPTS = ("preprocess.py", "model.py", "drive.py", "video.py")


def imported_by(*line):
    """Run a command under Python's own record of imports; return the top-level names imported."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *map(str, line[1:])], capture_output=True, text=True, check=True
    )
    lines = [text for text in done.stderr.splitlines() if text.startswith("import time:")]
    return {text.rpartition("|")[2].strip().partition(".")[0] for text in lines}


@pytest.mark.parametrize("name", [*SCRIPTS, *COMMANDS])
def test_help_answers_without_loading_what_it_does_not_need(name):
    heavy = {"tensorflow", "keras", "moviepy", "matplotlib", "eventlet", "pandas", "cv2", "h5py"}
    assert not imported_by(*command(name, "--help")) & heavy


def test_preprocess_and_video_never_load_tensorflow(simulated_recording, tmp_path):
    store = imported_by(*command("preprocess.py", simulated_recording, "-o", tmp_path / "data.h5"))
    clip = imported_by(*command("video.py", simulated_recording, "-o", tmp_path / "clip.mp4"))
    assert "h5py" in store
    assert "moviepy" in clip
    assert not (store | clip) & {"tensorflow", "keras"}


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_and_its_subcommand_have_the_same_options(script):
    name = script.removesuffix(".py")
    by_script = run_script(script, "--help").stdout
    by_name = run_script(name, "--help").stdout
    assert by_script.partition("\n\n")[2] == by_name.partition("\n\n")[2]
    assert f"python {script}" in by_script


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_scripts_are_docstring_and_one_call(script):
    text = (ROOT / script).read_text()
    assert text.startswith('"""')
    assert len(text.splitlines()) <= 60


def test_bcclone_lists_its_commands_and_its_version():
    listed = run_script("--help").stdout
    for name in COMMANDS:
        assert f"  {name}" in listed
    assert __version__ in run_script("--version").stdout


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (("preprocess.py",), "RECORDING"),
        (("preprocess.py", "x", "--size", "big"), "expected a number of pixels"),
        (("video.py", "run1", "--fps", "fast"), "expected a number"),
        (("model.py", "--epochs", "many"), "invalid int"),
        (("fly",), "invalid choice"),
    ],
)
def test_a_wrong_command_line_is_told_with_exit_code_2(line, told):
    assert told in run_script(*line, code=2).stderr


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (("preprocess.py", "x", "--size", 4), "image width 4, expected 8 to 1024"),
        (("preprocess.py", "x", "--cameras", "front"), "cameras front, expected some of center,left,right"),
        (("preprocess.py", "x", "--validation", 2), "validation 2.0, expected"),
        (("preprocess.py", "nowhere"), "nowhere: there is no such file or folder"),
        (("drive.py", "nowhere.h5"), "nowhere.h5: there is no such model; train one with: python model.py"),
        (("drive.py", "--speed", 99), "speed 99 mph, expected 0 to 60"),
        (("drive.py", "--port", 99999), "port 99999, expected 0 to 65535"),
        (("simulate", "replay", ROOT / "docs", "--port", 1), "no driving_log.csv in this folder"),
        (("simulate", "drive", "--port", 1), "no drive server at 127.0.0.1:1"),
    ],
)
def test_a_users_mistake_is_one_line_with_exit_code_1(line, told, tmp_path):
    said = run_script(*line, code=1, cwd=tmp_path).stderr
    assert told in said
    assert said.startswith("error: ")
    assert len(said.strip().splitlines()) == 1
