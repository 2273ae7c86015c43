"""The private names of Keras that bcclone uses are there, and work as model_file.py needs them.

When a newer Keras is installed and a test fails, bcclone cannot write model files with it. Change
model_content() in bcclone/model/model_file.py, or leave the upper bound of keras in pyproject.toml
below that version. When all pass, raise the bound to the version above it. What
feed/keras_sequence.py takes of Keras is tested with the other feeds.
"""

import io
import re
import tomllib
from importlib import import_module

import h5py
import keras
import numpy as np
from packaging.requirements import Requirement
from packaging.version import Version

from tests.running import ROOT

PRIVATE = {
    "keras.src.legacy.saving": ["legacy_h5_format"],
    "keras.src.trainers.data_adapters.py_dataset_adapter": ["PyDatasetAdapter"],
}
WHAT_TO_DO = f"Keras {keras.__version__}: {__doc__}"


def test_these_are_all_private_names_of_keras_that_are_used():
    used = {}
    for path in (ROOT / "bcclone").rglob("*.py"):
        for module, names in re.findall(
            r"from (keras\.src[\w.]*) import ([\w, ]+)", path.read_text()
        ):
            used.setdefault(module, []).extend(names.split(", "))
        assert "import keras.src" not in path.read_text(), f"{path}: use `from ... import`"
    assert used == PRIVATE


def test_a_model_is_written_into_an_open_file_without_its_optimizer():
    legacy_h5_format = import_module("keras.src.legacy.saving").legacy_h5_format
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, name="steering")])
    model.compile("adam", "mse")
    model.fit(np.zeros((1, 2)), np.zeros((1, 3)), verbose=0)
    with h5py.File(io.BytesIO(), "w") as file:
        legacy_h5_format.save_model_to_hdf5(model, file, include_optimizer=False)
        assert file, f"it has closed the file. {WHAT_TO_DO}"
        assert sorted(file) == ["model_weights"], WHAT_TO_DO
        assert {"model_config", "keras_version", "backend"} <= set(file.attrs), WHAT_TO_DO
        shapes = []
        file["model_weights"].visititems(
            lambda _, found: shapes.append(getattr(found, "shape", None))
        )
        assert sorted(filter(None, shapes)) == [(2, 3), (3,)], WHAT_TO_DO


def test_the_upper_bound_of_keras_is_just_above_the_version_that_is_tested():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    bound = next(
        found for text in declared if (found := Requirement(text)).name == "keras"
    ).specifier
    pinned = Version(
        re.search(r"^keras==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)[1]
    )
    assert bound.contains(pinned)
    assert not bound.contains(f"{pinned.major}.{pinned.minor + 1}")
