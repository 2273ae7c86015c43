"""An installed wheel runs the complete workflow, without the repository."""

import importlib.metadata
import json
import os
import subprocess
import sys
import tomllib
import zipfile

import pytest

from tests.conftest import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # setuptools writes beside what it builds from
    subprocess.run(["git", "clone", "-q", ROOT, source], check=True)
    line = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", source]
    subprocess.run([*line, "--wheel-dir", folder], check=True)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_contains_only_the_package_and_its_data(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tracked = subprocess.run(
        ["git", "ls-tree", "-r", "--name-only", "HEAD", "bcclone"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    packaged = [name for name in names if ".dist-info/" not in name]
    assert sorted(packaged) == sorted(tracked)
    assert "bcclone/py.typed" in packaged


def test_the_wheel_declares_its_command_licence_and_requirements(wheel):
    archive = zipfile.ZipFile(wheel)
    (info,) = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name}
    (entry,) = importlib.metadata.PathDistribution(zipfile.Path(archive, f"{info}/")).entry_points
    assert (entry.name, entry.value) == ("bcclone", "bcclone.cli:main")
    assert f"{info}/licenses/LICENSE" in archive.namelist()
    metadata = archive.read(f"{info}/METADATA").decode()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert metadata.count("\nRequires-Dist:") >= len(project["dependencies"])
    for extra in project["optional-dependencies"]:
        assert f"\nProvides-Extra: {extra}\n" in metadata


@pytest.mark.long
def test_the_installed_wheel_runs_the_complete_workflow(wheel, tmp_path):
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", tmp_path / "installed", wheel],
        check=True,
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed"), "PYTHONSAFEPATH": "1"}
    where = subprocess.run(
        [sys.executable, "-c", "import bcclone; print(bcclone.__file__)"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert where.stdout.startswith(str(tmp_path))
    line = ("demo", "--record-laps", "0.08", "--epochs", "1", "--laps", "0.04", "--json")
    done = subprocess.run(
        [sys.executable, "-m", "bcclone", *line],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    assert len(json.loads(done.stdout)["steps"]) == 7
    assert (tmp_path / "demo" / "run1.mp4").exists()
