"""A user who may not read an input, or write where the output belongs, gets an error that names it,
and a remedy.

Root may read and write everything; so each command runs as another user where the tests run as
root.
"""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from tests.messages.small_recording import without_privileges
from tests.processes import content_of, said
from tests.running import run_script

# runs a command twice in one process: first with all rights, which loads what it needs, then as
# another user
_AS_ANOTHER = """
import json, os, sys
from bcclone.cli import run_line

first, second = json.loads(sys.argv[1])
run_line(first)
if os.getuid() == 0:
    os.setgroups([])
    os.setresgid(*[65534] * 3)
    os.setresuid(*[65534] * 3)
os.chdir("/")
print("-----", file=sys.stderr)
sys.exit(run_line(second))
"""

READING = {
    "edit": "edit {recording}",
    "preprocess": "preprocess.py {recording} -o {here}/data.h5",
    "export": "export {recording} --to csv -o {here}/exported",
    "import": "import {csv} -o {here}/imported",
    "video": "video.py {recording} -o {here}/clip.mp4",
    "model": "model.py {store} -o {here}/model.h5 --runs {here}/runs",
    "evaluate": "evaluate {model} --laps 0.01",
    "plots": "plots {model} {store} -o {here}/plots",
}
WRITING = {
    "preprocess": "preprocess.py {recording} -o {here}/data.h5",
    "simulate record": "simulate record {here}/recording --laps 0.01",
    "import": "import {csv} -o {here}/imported",
    "edit": "edit {copy} --delete 3 5",
    "video": "video.py {recording} -o {here}/clip.mp4",
    "model": "model.py {store} -o {here}/model.h5 --runs {runs} --epochs 1",
    "a run folder": "model.py {store} -o {runs}/model.h5 --runs {here}/runs --epochs 1",
    "evaluate": "evaluate {model} --laps 0.01 -o {here}/scores",
    "plots": "plots {model} {store} -o {here}/plots",
    "export onnx": "export {model} --to onnx -o {here}/model.onnx",
}


@pytest.fixture(scope="module")
def csv(simulated_recording, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "csv"
    run_script("export", simulated_recording, "--to", "csv", "-o", folder)
    return folder


@pytest.fixture
def homes(simulated_recording, simulated_store, untrained_model, csv):
    """Two folders with copies of all inputs, the first for the run with all rights.

    Everybody may read what is in them, and write into `runs` only.
    """
    both = []
    for _ in range(2):
        home = Path(tempfile.mkdtemp())
        shutil.copytree(simulated_recording, home / "recording")
        shutil.copytree(simulated_recording, home / "copy")
        shutil.copy(simulated_store, home / "store")
        shutil.copy(untrained_model, home / "model")
        shutil.copytree(csv, home / "csv")
        for name in ("here", "runs"):
            (home / name).mkdir()
        for path in [home, *home.rglob("*")]:
            mode = 0o755 if path.is_dir() else 0o644
            path.chmod(mode)
        (home / "runs").chmod(0o777)
        both.append(home)
    yield both
    for home in both:
        for path in (home, *home.rglob("*")):
            path.chmod(0o755)
        shutil.rmtree(home)


def words_in(line, home):
    """Return the words of a line of `bcclone`; {name} is a file or folder of this home."""
    names = ("recording", "copy", "store", "model", "csv", "here", "runs")
    words = line.format(**{name: home / name for name in names}).split()
    return [words[0].removesuffix(".py"), *words[1:]]


def skip_without_python():
    """Skip a command that starts a process of Python where another user may not run this Python."""
    with without_privileges():
        may_run = os.access(os.path.realpath(sys.executable), os.X_OK, effective_ids=True)
    if not may_run:
        pytest.skip(f"another user may not run {sys.executable}")


def refused(line, homes, *named):
    """Run a command as another user; it must end with an error that names one of these paths, and
    change nothing.
    """
    first, home = homes
    before = content_of(home)
    lines = json.dumps([words_in(line, first), words_in(line, home)])
    done = said(sys.executable, "-c", _AS_ANOTHER, lines, timeout=200)
    printed = done.stderr.partition("-----")[2]
    errors = [text for text in printed.splitlines() if text.startswith("error: ")]
    assert done.returncode in (1, 2), f"{done.returncode} {done.stderr}"
    assert len(errors) == 1, done.stderr
    assert "Traceback" not in printed
    assert any(str(path) in errors[0] for path in named), errors[0]
    assert any(word in printed for word in ("ermission", "cannot")), printed
    assert any(
        word in printed for word in ("change", "choose", "name another", "copy", "expected")
    ), printed
    after = content_of(home)
    assert {path: after.get(path) for path in before} == before
    return errors[0]


def test_an_image_that_may_not_be_read_is_not_called_damaged(homes):
    for path in (homes[1] / "recording" / "IMG").iterdir():
        path.chmod(0)
    (homes[1] / "here").chmod(0o777)
    error = refused("video.py {recording} -o {here}/clip.mp4", homes, homes[1] / "recording")
    assert "Permission denied" in error
    assert "not a JPEG" not in error


@pytest.mark.slow
@pytest.mark.parametrize("line", READING.values(), ids=READING)
def test_an_input_that_may_not_be_read_is_named(homes, line):
    if line.startswith("evaluate"):  # its drive server refuses the model
        skip_without_python()
    (homes[1] / "here").chmod(0o777)
    name = max(("csv", "recording", "model", "store"), key=lambda name: line.find("{" + name + "}"))
    path = homes[1] / name
    files = path.rglob("*") if path.is_dir() else [path]
    for file in files:
        if file.is_file():
            file.chmod(0)
    refused(line, homes, path)


@pytest.mark.slow
@pytest.mark.parametrize("line", WRITING.values(), ids=WRITING)
def test_a_folder_that_may_not_be_written_is_named(homes, line):
    if line.startswith("plots"):  # a process reads the model first
        skip_without_python()
    for name in ("here", "copy"):
        (homes[1] / name).chmod(0o555)
    refused(line, homes, homes[1] / "here", homes[1] / "copy")
