"""CONTRIBUTING's table of what a change costs: each kind of change is made in a copy of the package, and used."""

import re
import shutil
import sys

import pytest

from tests.conftest import ROOT
from tests.processes import said
from tests.repository.changes import CHANGES

ROW = re.compile(r"^\| (?P<kind>[^|]+?) \| (?P<files>`[^|]+?`) \|(?P<by_hand>[^|]*)\| (?P<most>\d+) \|$", re.MULTILINE)
ROWS = {row["kind"]: row for row in ROW.finditer((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))}
REFERENCE = "docs/reference/cli.md"
USE = """
import sys
from pathlib import Path

given = dict(zip(("recording", "model", "folder"), map(Path, sys.argv[1:4]), strict=True))
for number, use in enumerate(Path("uses.txt").read_text().split("=====")):
    exec(compile(use, f"change {number}", "exec"), dict(given))
"""


@pytest.fixture(scope="module")
def changed(tmp_path_factory):
    """A copy of the package, with all changes and the page of options that follows from them."""
    copy = tmp_path_factory.mktemp("changed")
    shutil.copytree(ROOT / "bcclone", copy / "bcclone", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("docs/cli_tables.py", REFERENCE, "preprocess.py", "model.py", "drive.py", "video.py"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    for change in CHANGES:
        for name, text, before in change.edits:
            old = (copy / name).read_text(encoding="utf-8") if before else ""
            assert bool(before) == (copy / name).exists(), name
            assert old.count(before) == 1 or not before, f"{change.kind}: {before!r} in {name}"
            (copy / name).write_text(old.replace(before, text + before) if before else text, encoding="utf-8")
    run(copy, "docs/cli_tables.py")
    return copy


def run(copy, *line):
    environment = {"PATH": "", "PYTHONPATH": str(copy), "TF_CPP_MIN_LOG_LEVEL": "3", "NUMBA_DISABLE_JIT": "1"}
    done = said(sys.executable, *line, cwd=copy, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_kind_of_change_is_tried_once():
    assert sorted(change.kind for change in CHANGES) == sorted(ROWS)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.kind)
def test_a_change_takes_the_files_of_its_row_and_no_others(change, changed):
    touched = {name for name, _, _ in change.edits}
    if change.name in (changed / REFERENCE).read_text(encoding="utf-8"):
        touched.add(REFERENCE)
    row = ROWS[change.kind]
    files, by_hand = (re.findall(r"`([^`]+)`", row[cell]) for cell in ("files", "by_hand"))
    existing = {name for name in touched if (ROOT / name).exists()}
    assert existing == {name for name in files if "NAME" not in name}
    assert len(touched) == len(files)
    assert len(files) + len(by_hand) <= int(row["most"])
    assert all((ROOT / name).exists() or "NAME" in name for name in by_hand)


@pytest.mark.slow
def test_what_is_new_works(changed, simulated_recording, untrained_model, tmp_path):
    (changed / "uses.txt").write_text("=====".join(change.use for change in CHANGES), encoding="utf-8")
    (changed / "use.py").write_text(USE, encoding="utf-8")
    run(changed, "use.py", simulated_recording, untrained_model, tmp_path)
