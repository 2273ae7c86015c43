"""The packages contain what they should, and an installed wheel runs the complete workflow, without the repository."""

import importlib.metadata
import json
import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """Build both packages from the last commit; the wheel is built from the source package, as in the release."""
    folder = tmp_path_factory.mktemp("packages")
    source = folder / "source"  # setuptools writes beside what it builds from
    subprocess.run(["git", "clone", "-q", ROOT, source], check=True)
    subprocess.run([sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, source], check=True)
    return folder


@pytest.fixture(scope="module")
def wheel(packages):
    (built,) = packages.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def source_package(packages):
    (built,) = packages.glob("*.tar.gz")
    return built


def tracked():
    done = subprocess.run(
        ["git", "ls-tree", "-r", "--name-only", "HEAD", "bcclone"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_pypi_accepts_the_metadata_and_the_long_description(wheel, source_package):
    line = [sys.executable, "-m", "twine", "check", "--strict", wheel, source_package]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("PASSED") == 2


def test_the_source_package_contains_what_a_build_needs_and_nothing_more(source_package):
    with tarfile.open(source_package) as archive:
        names = {name.partition("/")[2] for name in archive.getnames() if archive.getmember(name).isfile()}
    expected = {*tracked(), "LICENSE", "MANIFEST.in", "PKG-INFO", "README.md", "pyproject.toml", "setup.cfg"}
    assert {name for name in names if ".egg-info/" not in name} == expected


def test_the_wheel_contains_only_the_package_and_its_data(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    packaged = [name for name in names if ".dist-info/" not in name]
    assert sorted(packaged) == sorted(tracked())
    assert "bcclone/py.typed" in packaged


def test_the_wheel_declares_its_command_licence_and_requirements(wheel):
    archive = zipfile.ZipFile(wheel)
    (info,) = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name}
    (entry,) = importlib.metadata.PathDistribution(zipfile.Path(archive, f"{info}/")).entry_points
    assert (entry.name, entry.value) == ("bcclone", "bcclone.__main__:main")
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
    assert len(json.loads(done.stdout)["steps"]) == 8
    assert (tmp_path / "demo" / "run1.mp4").exists()
