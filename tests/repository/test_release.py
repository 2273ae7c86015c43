"""What the release workflow runs: the check of the tag, the long description, and the files that it
names.
"""

import re
import shlex
import shutil
import sys
import tomllib

import pytest
import yaml

from bcclone.cli import COMMANDS
from tests.processes import said
from tests.running import ROOT

ADDRESS = "https://git.example/owner/name"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
VERSION = PROJECT["version"]
WORKFLOWS = {path.name: path for path in (ROOT / ".github" / "workflows").glob("*.yml")}


@pytest.fixture
def checkout(tmp_path):
    for name in ("README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n## {VERSION} (2026-12-01)\n")
    return tmp_path


def prepare(checkout, tag):
    return said(sys.executable, ROOT / ".ci" / "prepare_release.py", ADDRESS, tag, cwd=checkout)


def test_each_relative_link_of_the_long_description_becomes_a_file_of_the_tag(checkout):
    assert prepare(checkout, f"v{VERSION}").returncode == 0
    before, after = ((folder / "README.md").read_text() for folder in (ROOT, checkout))
    link = re.compile(r"\]\(([^)\s]+)\)")
    relative = [target for target in link.findall(before) if "://" not in target]
    assert relative
    for target in relative:
        kind = "raw" if target.endswith((".gif", ".png")) else "blob"
        assert f"]({ADDRESS}/{kind}/v{VERSION}/{target})" in after
    assert all("://" in target for target in link.findall(after))
    assert f"git clone {ADDRESS} bcclone" in after


def test_the_addresses_are_added_to_the_metadata(checkout):
    assert "urls" not in PROJECT  # a clone does not know its address
    prepare(checkout, f"v{VERSION}")
    prepared = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]
    assert prepared.pop("urls")["Source"] == ADDRESS
    assert prepared == PROJECT


@pytest.mark.parametrize(
    ("tag", "changelog", "words"),
    [
        (f"v{VERSION}1", None, (f"v{VERSION}1", f"v{VERSION}")),
        (VERSION, None, (VERSION, f"v{VERSION}")),
        (f"v{VERSION}", "# Changelog\n\n## Unreleased\n", (f"## {VERSION}",)),
        (
            f"v{VERSION}",
            f"# Changelog\n\n## {VERSION} (unreleased)\n",
            (f"## {VERSION} (YYYY-MM-DD)",),
        ),
    ],
)
def test_another_tag_than_the_version_and_a_version_without_a_date_are_refused(
    checkout, tag, changelog, words
):
    if changelog:
        (checkout / "CHANGELOG.md").write_text(changelog)
    done = prepare(checkout, tag)
    assert done.returncode == 1
    assert all(word in done.stderr for word in words)
    assert (checkout / "README.md").read_text() == (ROOT / "README.md").read_text()


def test_the_classifiers_name_the_python_versions_of_requires_python_and_of_make():
    prefix = "Programming Language :: Python :: 3."
    named = sorted(
        int(one.removeprefix(prefix)) for one in PROJECT["classifiers"] if one.startswith(prefix)
    )
    first, end = map(
        int, re.fullmatch(r">=3\.(\d+),<3\.(\d+)", PROJECT["requires-python"]).groups()
    )
    assert named == list(range(first, end))
    assert (
        f"(3, {named[0]}) <= sys.version_info[:2] <= (3, {named[-1]})"
        in (ROOT / "Makefile").read_text()
    )


def jobs(workflow):
    return yaml.safe_load(WORKFLOWS[workflow].read_text())["jobs"]


def lines(workflow):
    steps = [step for job in jobs(workflow).values() for step in job["steps"]]
    return [line for step in steps for line in step.get("run", "").splitlines()]


@pytest.mark.parametrize("workflow", sorted(WORKFLOWS))
def test_the_files_and_actions_that_a_workflow_names_exist_in_a_version(workflow):
    words = [word for line in lines(workflow) for word in shlex.split(line, comments=True)]
    named = {
        word
        for word in words
        if word.startswith((".ci/", "constraints")) or word == "Containerfile"
    }
    assert named
    assert all((ROOT / name).exists() for name in named)
    used = [
        step["uses"] for job in jobs(workflow).values() for step in job["steps"] if "uses" in step
    ]
    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+@(v\d+|release/v\d+)", one) for one in used), used


def test_the_commands_of_the_release_exist():
    ours = [
        " ".join(line.split()[1:3]) for line in lines("release.yml") if line.startswith("bcclone ")
    ]
    named = [
        [name for name in (*COMMANDS, "--help") if f"{line} ".startswith(f"{name} ")]
        for line in ours
    ]
    assert [line for line, names in zip(ours, named, strict=True) if not names] == []
    assert {"simulate record", "preprocess", "model", "evaluate"} <= {
        name for names in named for name in names
    }


def test_only_the_last_job_may_publish_and_only_after_the_tests_of_the_wheel():
    release = jobs("release.yml")
    publishers = [
        name
        for name, job in release.items()
        if job.get("permissions", {}).get("id-token") == "write"
    ]
    assert publishers == ["publish"]
    assert release["publish"]["environment"] == "pypi"
    assert {"test-wheel", "image"} <= set(release["publish"]["needs"])
    assert release["image"]["needs"] == "test-wheel"
    assert release["test-wheel"]["needs"] == "build"
