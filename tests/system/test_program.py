"""A command that is shown works where it is read: in the shell in which bcclone was started."""

import json
import os
import shlex
import shutil
import sys
import venv
from pathlib import Path

import numpy
import pytest

from tests.processes import said
from tests.running import ROOT

SCRIPTS = Path(sys.executable).parent  # where Python has the program bcclone
needs_a_posix_shell = pytest.mark.skipif(sys.platform == "win32", reason="commands are for sh")


def shown_beside(start, folder, path):
    """Return the command that a refusal shows, and run it in the shell of the start.

    start: the words that start preprocess, without a recording
    folder: the current one, which has no recording
    path: the shell's PATH
    """
    environment = os.environ | {"PATH": os.pathsep.join(map(str, path))}
    environment.pop("PYTHONSAFEPATH", None)
    refused = said(*start, cwd=folder, env=environment)
    assert refused.returncode == 2, refused.stderr
    shown = refused.stderr.rpartition("or record one: ")[2].strip()
    done = said("sh", "-c", f"{shown} --help", cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: ")
    return shown


@needs_a_posix_shell
def test_with_the_environment_on_the_path_a_command_is_its_name(tmp_path):
    shown = shown_beside(["bcclone", "preprocess"], tmp_path, [SCRIPTS, "/usr/bin", "/bin"])
    assert shown == "bcclone simulate record recordings/lake"


@needs_a_posix_shell
def test_without_it_a_command_is_the_path_that_was_typed(tmp_path):
    (tmp_path / "environment").symlink_to(SCRIPTS.parent)
    start = [Path("environment") / "bin" / "bcclone", "preprocess"]
    shown = shown_beside(start, tmp_path, ["/usr/bin", "/bin"])
    assert shown == "environment/bin/bcclone simulate record recordings/lake"


@needs_a_posix_shell
def test_of_another_bcclone_on_the_path_the_started_one_is_shown(tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "bcclone").write_text("#!/bin/sh\nexit 1\n")
    (other / "bcclone").chmod(0o755)
    start = [SCRIPTS / "bcclone", "preprocess"]
    shown = shown_beside(start, tmp_path, [other, "/usr/bin", "/bin"])
    assert shown == f"{SCRIPTS / 'bcclone'} simulate record recordings/lake"


@needs_a_posix_shell
def test_a_module_is_shown_as_one(tmp_path):
    start = [sys.executable, "-m", "bcclone", "preprocess"]
    shown = shown_beside(start, tmp_path, ["/usr/bin", "/bin"])
    assert shown == f"{sys.executable} -m bcclone simulate record recordings/lake"


@needs_a_posix_shell
def test_beside_a_script_other_commands_have_the_same_python(tmp_path):
    start = [sys.executable, ROOT / "preprocess.py"]
    shown = shown_beside(start, tmp_path, ["/usr/bin", "/bin"])
    assert shown == f"{sys.executable} -m bcclone simulate record recordings/lake"


def test_a_script_names_the_other_scripts(simulated_recording, tmp_path):
    line = [sys.executable, ROOT / "preprocess.py", simulated_recording, "--size", 32]
    done = said(*line, "-o", "data.h5", cwd=tmp_path, check=True)
    expected = [sys.executable, str(ROOT / "model.py"), "data.h5", "-o", "model.h5"]
    assert f"next: {shlex.join(expected)}" in done.stderr + done.stdout


@needs_a_posix_shell
@pytest.mark.slow
@pytest.mark.parametrize("extra", ["", "s3"])
def test_uvx_is_shown_with_where_it_had_bcclone_from(tmp_path, extra):
    if shutil.which("uvx", path=SCRIPTS) is None:
        pytest.skip("uv is not installed here")
    only_uv = tmp_path / "uv"
    only_uv.mkdir()
    for name in ("uv", "uvx"):
        (only_uv / name).symlink_to(SCRIPTS / name)
    source = f"git+{ROOT.as_uri()}"
    if extra:
        source = f"bcclone[{extra}] @ {source}"
    start = ["uvx", "--from", source, "bcclone", "preprocess"]
    shown = shown_beside(start, tmp_path, [only_uv, "/usr/bin", "/bin"])
    assert shown == f"uvx --from {shlex.quote(source)} bcclone simulate record recordings/lake"


def test_the_source_of_uvx_is_shown_with_its_extras_and_without_its_token(tmp_path):
    cache = tmp_path / "cache"
    venv.create(cache / "env", symlinks=os.name != "nt")
    (cache / "CACHEDIR.TAG").touch()
    (packages,) = (cache / "env").rglob("site-packages")
    (packages / "all.pth").write_text(f"{ROOT}\n{Path(numpy.__file__).parents[1]}\n")
    about = packages / "bcclone-0.1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(
        "Metadata-Version: 2.4\nName: bcclone\nVersion: 0.1.0\nRequires-Dist: numpy\n"
        "Provides-Extra: draw\nRequires-Dist: pillow; extra == 'draw'\n"
        "Provides-Extra: other\nRequires-Dist: no-such-package; extra == 'other'\n"
    )
    source = {
        "url": "https://5f90e682@host/bcclone.git",
        "vcs_info": {"vcs": "git", "requested_revision": "main", "commit_id": "1"},
    }
    (about / "direct_url.json").write_text(json.dumps(source))
    code = (
        "import sys; sys.argv = ['bcclone']; from bcclone.system.program import program_words; "
        "print(*program_words(), sep='\\n')"
    )
    (python,) = {*(cache / "env").glob("bin/python"), *(cache / "env").glob("Scripts/python.exe")}
    environment = os.environ | {"UV": "uv"}
    environment.pop("UV_RUN_RECURSION_DEPTH", None)
    done = said(python, "-P", "-c", code, env=environment, check=True)
    expected = "bcclone[draw] @ git+https://YOUR-PASSWORD@host/bcclone.git@main"
    assert done.stdout.splitlines() == ["uvx", "--from", expected, "bcclone"]
