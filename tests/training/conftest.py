"""A complete training, which several files of tests look at and resume."""

import json
import shutil

import pytest

from tests.conftest import made_once
from tests.training.trainings import QUICK, train_apart


@pytest.fixture(scope="module")
def trained(simulated_store, tmp_path_factory):
    """A folder in which an uninterrupted training ran, and what it printed."""

    def make(folder):
        (folder / "whole").mkdir()
        done = train_apart(simulated_store, folder / "whole", *QUICK, "--name", "whole")
        (folder / "result.json").write_text(done.stdout)
        (folder / "notices.txt").write_text(done.stderr)

    made = made_once(tmp_path_factory, "training", make)
    # a copy, since tests resume it
    folder = shutil.copytree(made / "whole", tmp_path_factory.mktemp("trained") / "whole")

    def moved(path):
        return path.read_text().replace(str(made / "whole"), str(folder))

    run = folder / "runs" / "whole"
    for path in (run / "settings.json", run / "result.json"):
        path.write_text(moved(path))
    result = json.loads(moved(made / "result.json"))
    return folder, result, (made / "notices.txt").read_text()
