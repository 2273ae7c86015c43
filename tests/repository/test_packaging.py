"""The packages contain what they should, and an installed wheel runs the commands, without the
repository.
"""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from contextlib import contextmanager
from pathlib import Path
from sysconfig import get_path

import pytest
import requests

from tests.pages import FakePage
from tests.processes import said
from tests.running import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """Build both packages from the last commit; the wheel is built from the source package, as in
    the release.
    """
    folder = tmp_path_factory.mktemp("packages")
    source = folder / "source"  # setuptools writes beside what it builds from
    subprocess.run(["git", "clone", "-q", ROOT, source], check=True)
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, source], check=True
    )
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
    """Return the files of the package and its models in the last commit, which the packages are
    built from; the scripts that made the models stay in the clone.
    """
    done = said(
        "git", "ls-tree", "-r", "--name-only", "HEAD", "bcclone", "models", cwd=ROOT, check=True
    )
    return {
        name
        for name in done.stdout.split()
        if not name.endswith(".md") and not name.startswith("models/making/")
    }


def test_pypi_accepts_the_metadata_and_the_long_description(wheel, source_package):
    done = said(sys.executable, "-m", "twine", "check", "--strict", wheel, source_package)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("PASSED") == 2


def test_the_source_package_contains_what_a_build_needs_and_nothing_more(source_package):
    with tarfile.open(source_package) as archive:
        names = {
            name.partition("/")[2]
            for name in archive.getnames()
            if archive.getmember(name).isfile()
        }
    others = {
        "LICENSE",
        "MANIFEST.in",
        "PKG-INFO",
        "README.md",
        "pyproject.toml",
        "setup.cfg",
        "setup.py",
    }
    assert {name for name in names if ".egg-info/" not in name} == tracked() | others


def test_the_wheel_contains_only_the_package_and_its_data_and_declares_what_it_needs(wheel):
    archive = zipfile.ZipFile(wheel)
    names = archive.namelist()
    packaged = [name for name in names if ".dist-info/" not in name]
    # the models are tracked outside the package
    in_repository = {re.sub("^bcclone/models/", "models/", name) for name in packaged}
    assert in_repository == tracked()
    assert {"bcclone/py.typed", "bcclone/models/lake.h5"} <= set(packaged)
    (info,) = {name.split("/")[0] for name in names if ".dist-info/" in name}
    (entry,) = importlib.metadata.PathDistribution(zipfile.Path(archive, f"{info}/")).entry_points
    assert (entry.name, entry.value) == ("bcclone", "bcclone.__main__:main")
    assert f"{info}/licenses/LICENSE" in names
    metadata = archive.read(f"{info}/METADATA").decode()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert metadata.count("\nRequires-Dist:") >= len(project["dependencies"])
    assert all(
        f"\nProvides-Extra: {extra}\n" in metadata for extra in project["optional-dependencies"]
    )


class Installation:
    """The wheel in an environment of its own, in a folder outside the clone, where its commands
    run, with a new home.

    The packages that bcclone requires are those of the environment that runs the tests, so that no
    network is needed. So this cannot find a requirement that is not declared; the release workflow
    installs the declared ones.
    """

    def __init__(self, folder, wheel):
        self.folder = folder / "here"
        self._home = folder / "home"
        for new in (self.folder, self._home):
            new.mkdir()
        environment = folder / "environment"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
        self._programs = environment / ("Scripts" if os.name == "nt" else "bin")
        install = ("install", "--quiet", "--no-deps", "--no-index", wheel)
        subprocess.run(
            [sys.executable, "-m", "pip", "--python", self._programs / "python", *install],
            check=True,
        )
        where = "import sysconfig; print(sysconfig.get_path('purelib'))"
        (packages,) = self.run("python", "-c", where).stdout.split("\n")[:-1]
        # Python reads no .pth file there, such as the one by which this environment finds the clone
        Path(packages, "others.pth").write_text(f"{get_path('purelib')}\n{get_path('platlib')}\n")

    def _options(self):
        unset = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "HOME", "USERPROFILE")
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in unset and "COVERAGE" not in name
        }
        homes = dict.fromkeys(("HOME", "USERPROFILE"), str(self._home))
        return {"cwd": self.folder, "text": True, "env": kept | homes}

    def run(self, program, *arguments, codes=(0,)):
        line = [self._programs / program, *map(str, arguments)]
        done = subprocess.run(line, capture_output=True, check=False, **self._options())
        assert done.returncode in codes, done.stdout + done.stderr
        return done

    @contextmanager
    def serving(self, *arguments):
        """Run a command that serves within the block; yield its port. It must end with exit
        code 0.
        """
        line = [self._programs / "bcclone", *arguments, "--port", "0"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        with subprocess.Popen(line, **pipes, **self._options()) as process:
            output = ""
            for text in process.stdout:
                output += text
                if found := re.search(r"listening on \S+:(\d+);", text):
                    break
            assert found, output
            try:
                yield int(found[1])
            finally:
                process.terminate()
            output += process.stdout.read()
        assert process.returncode == 0, output


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    return Installation(tmp_path_factory.mktemp("installed"), wheel)


def test_the_clone_cannot_be_imported_where_the_wheel_is_installed(installed):
    seen = "import sys, bcclone; print(bcclone.__file__, sys.meta_path, *sys.path, sep='\\n')"
    package, finders, *paths = installed.run("python", "-c", seen).stdout.splitlines()
    assert Path(package).is_relative_to(installed.folder.parent)
    assert str(ROOT) not in paths
    assert "editable" not in finders.lower()


def test_the_installed_wheel_copies_its_models_and_scores_one(installed):
    installed.run("bcclone", "trained-models")
    for model in (ROOT / "models").glob("*.h5"):
        assert (installed.folder / "models" / model.name).read_bytes() == model.read_bytes()
    score = installed.run("bcclone", "evaluate", "models/lake.h5", "--laps", "0.02", "--json")
    assert json.loads(score.stdout)["autonomy_percent"] == 100


def test_the_installed_wheel_drives_a_simulator_records_and_makes_the_clip(installed):
    installed.run("bcclone", "trained-models")
    with installed.serving("drive", "models/lake.h5", "run1") as port:
        assert requests.get(f"http://127.0.0.1:{port}/page/page.js", timeout=120).ok
        installed.run("bcclone", "simulate", "drive", "--port", port, "--laps", "0.02")
    assert (installed.folder / "run1" / "drivers.csv").exists()
    installed.run("bcclone", "video", "run1")
    assert (installed.folder / "run1.mp4").exists()


def test_the_installed_wheel_lets_a_person_drive(installed):
    with installed.serving("play", "--no-browser") as port:
        assert "page.js" in requests.get(f"http://127.0.0.1:{port}/", timeout=120).text
        with FakePage(port) as page:
            page.until(lambda state: state["speed_mph"] > 3, throttle_key=1)


@pytest.mark.long
def test_the_installed_wheel_runs_the_demo(installed):
    short = ("--record-laps", "0.3", "--epochs", "1", "--laps", "0.04")
    # it may leave the road
    done = installed.run("bcclone", "demo", *short, "--json", codes=(0, 1))
    made = [step["made"] for step in json.loads(done.stdout)["steps"]]
    assert "demo/model.h5" in [Path(path).as_posix() for path in made]
    written = (*made, "demo/drive/clip.mp4", "demo/index.html")
    assert all((installed.folder / path).exists() for path in written)
