"""CONTRIBUTING's table of what a change costs names exactly the files that its example stands in."""

import re
import subprocess

import pytest

from tests.conftest import ROOT

ROW = re.compile(
    r"^\| (?P<change>[^|]+?) \| `(?P<example>[^`]+)` \| (?P<files>[^|]+?) \| (?P<goal>\d+) \|$", re.MULTILINE
)
CHRONICLES = ("CHANGELOG.md", "CONTRIBUTING.md", "docs/lab-log", "docs/results", "docs/decisions")


def rows():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return [match.groupdict() for match in ROW.finditer(text)]


def files_with(example):
    """Return the tracked files that contain the example, a regular expression, but those that tell history."""
    line = ["git", "grep", "-IlE", example.replace("∣", "|"), "--", ".", *(f":!{name}" for name in CHRONICLES)]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.split()


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="looks for the files with git")
@pytest.mark.parametrize("row", rows(), ids=lambda row: row["change"])
def test_a_change_takes_the_files_that_the_table_names(row):
    named = re.findall(r"`([^`]+)`", row["files"])
    assert sorted(named) == sorted(files_with(row["example"]))
    assert len(named) <= int(row["goal"])


def test_the_table_has_the_changes_that_are_most_often_made():
    assert len(rows()) >= 8
