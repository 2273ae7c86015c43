"""`import bcclone`: the names that programs use, their parameters, and what importing them
loads.
"""

import inspect
from dataclasses import fields, is_dataclass

import pytest

import bcclone
from bcclone.system.settings import declared_in
from tests.processes import python
from tests.running import ROOT

PARAMETERS = {
    "check": "inputs",
    "convert": "settings notify unfit",
    "evaluate": "model settings watch run_folder",
    "evaluate_policy": "policy settings name watch run_folder",
    "judge_road": "points width_m map_m",
    "load_model": "path preprocessing must_agree",
    "load_policy": "path preprocessing must_agree",
    "open_store": "path",
    "make_clip": "settings",
    "play": "settings notify stop",
    "plot": "settings notify",
    "predict": "settings",
    "record": "folder settings",
    "replay": "models recording settings",
    "resume": "files changes notify",
    "save_model": "path model preprocessing training framing",
    "serve": "settings notify stop",
    "serve_policy": "policy settings notify stop",
    "suite": "models settings notify pool",
    "train": "settings notify",
}
CLASSES = {
    "Answer", "Preprocessing", "SampleDataset", "Simulator", "SteeringPolicy", "Store",
    "UserError",
}  # fmt: skip
SETTINGS = {
    "ClipSettings", "Conditions", "DriveSettings", "EnvironmentSettings", "EvaluateSettings",
    "ExpertSettings", "PlaySettings", "PlotSettings", "PredictSettings",
    "PreprocessSettings", "RecordSettings", "ReplaySettings", "RunFiles", "SampleSettings",
    "SpeedSettings", "SuiteSettings", "TrainSettings",
    "WorldSettings",
}  # fmt: skip


def test_bcclone_has_the_documented_names_and_no_other():
    assert set(dir(bcclone)) == {"__version__", *PARAMETERS, *CLASSES, *SETTINGS}


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_function_has_these_parameters(name):
    assert list(inspect.signature(getattr(bcclone, name)).parameters) == PARAMETERS[name].split()


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_settings_are_frozen_dataclasses_whose_fields_are_described(name):
    kind = getattr(bcclone, name)
    assert is_dataclass(kind)
    assert kind.__dataclass_params__.frozen
    assert [each.name for each in declared_in(kind)] == [each.name for each in fields(kind)]


def test_importing_loads_nothing_large_and_settings_nothing_of_tensorflow():
    code = (
        "import sys, time; start = time.process_time(); import bcclone; spent = "
        "time.process_time() - start;"
        "light = {'numpy', 'argparse'} & set(sys.modules);"
        f"[getattr(bcclone, name) for name in {sorted(SETTINGS - {'EnvironmentSettings'})}];"
        "heavy = {'tensorflow', 'keras', 'cv2', 'pandas', 'h5py', 'matplotlib'} & set(sys.modules);"
        "print(spent < 0.05, light, heavy)"
    )
    assert python(code) == "True set() set()\n"


def test_each_name_is_in_the_reference():
    page = (ROOT / "docs" / "how-to" / "as-a-library.md").read_text()
    assert [name for name in dir(bcclone) if f"`{name}`" not in page] == []


def test_no_room_has_the_name_of_a_function_of_the_door():
    rooms = {path.parent.name for path in (ROOT / "bcclone").glob("*/__init__.py")}
    assert not rooms & set(PARAMETERS)
