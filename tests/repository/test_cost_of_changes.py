"""CONTRIBUTING's table of what a change costs names exactly the files that its example stands in."""

import re
import subprocess

import pytest

from tests.conftest import ROOT

ROW = re.compile(
    r"^\| (?P<change>[^|]+?) \| (?P<examples>`[^|]+?`) \| (?P<files>`[^|]+?) \| (?P<most>\d+) \|$", re.MULTILINE
)
CHRONICLES = ("CHANGELOG.md", "CONTRIBUTING.md", "benchmarks/lab-log", "docs/results", "docs/decisions")


def rows():
    return [match.groupdict() for match in ROW.finditer((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))]


def files_with(patterns):
    """Return the tracked files that contain one of the regular expressions, except those that tell history."""
    words = [word for pattern in patterns for word in ("-e", pattern)]
    line = ["git", "grep", "-IlE", *words, "--", ".", *(f":!{name}" for name in CHRONICLES)]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="git finds the files")
@pytest.mark.parametrize("row", rows(), ids=lambda row: row["change"])
def test_a_change_takes_the_files_that_the_table_names(row):
    named, patterns = (re.findall(r"`([^`]+)`", row[cell]) for cell in ("files", "examples"))
    assert sorted(named) == sorted(files_with(patterns))
    assert len(named) <= int(row["most"])


def test_the_table_has_the_changes_that_are_made_most_often():
    changes = " ".join(row["change"] for row in rows())
    assert all(
        word in changes for word in ("variant", "layer", "output", "augmentation", "order", "law", "column", "command")
    )
