"""The digest of the sources is the same for the same files, and another one for any change."""

import shutil
import subprocess
import sys

from bcclone.system.task_pool import source_digest
from tests.conftest import ROOT


def digest_in(folder):
    line = [sys.executable, "-c", "from bcclone.system.task_pool import source_digest; print(source_digest())"]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def test_a_copy_has_the_same_digest_until_a_file_changes(tmp_path):
    shutil.copytree(ROOT / "bcclone", tmp_path / "bcclone", ignore=shutil.ignore_patterns("__pycache__"))
    assert digest_in(tmp_path) == source_digest()
    with (tmp_path / "bcclone" / "samples.py").open("a") as file:
        file.write("#\n")
    assert digest_in(tmp_path) != source_digest()
