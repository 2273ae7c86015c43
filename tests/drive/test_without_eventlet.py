"""All but `--async-mode eventlet` works where eventlet is not installed (docs/decisions/0019)."""

import os
import sys

import pytest

from bcclone.drive.drive_settings import DriveSettings
from bcclone.drive.server import serve
from bcclone.system.errors import UserError
from tests.conftest import run_process

IMPORT_ALL = """
import pkgutil
from importlib import import_module
import bcclone
from bcclone.system.errors import UserError
found = [module.name for module in pkgutil.walk_packages(bcclone.__path__, "bcclone.", lambda name: None)]
for name in found:
    try:
        import_module(name)
    except ModuleNotFoundError as error:
        print(name, error.name.partition(".")[0])
    except UserError:  # of an extra that is not installed
        pass
"""


@pytest.fixture(autouse=True)
def without_eventlet(tmp_path_factory, monkeypatch):
    """Hide eventlet from this process, if it has not imported it, and from those that it starts."""
    folder = tmp_path_factory.mktemp("hidden")
    (folder / "eventlet.py").write_text("raise ModuleNotFoundError(\"No module named 'eventlet'\", name='eventlet')\n")
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setitem(sys.modules, "eventlet", None)
    monkeypatch.delitem(sys.modules, "bcclone.drive.wire.eventlet_host", raising=False)


@pytest.mark.slow
def test_one_module_imports_it(tmp_path):
    script = tmp_path / "import_all.py"
    script.write_text(IMPORT_ALL)
    lines = run_process(str(script)).stdout.splitlines()
    assert [line for line in lines if line.endswith(" eventlet")] == ["bcclone.drive.wire.eventlet_host eventlet"]


def test_the_mode_is_refused_with_advice(untrained_model, tmp_path):
    with pytest.raises(UserError, match="pip install eventlet"):
        serve(DriveSettings(untrained_model, tmp_path / "run1", port=0, async_mode="eventlet"), lambda line: None)
    assert not (tmp_path / "run1").exists()
