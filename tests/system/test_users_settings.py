"""Settings of the user's machine for other programs: left out, or named with what mends them."""

import json
import os
import sys

import pytest

from tests.processes import said
from tests.running import ROOT, command

MODEL = ROOT / "models" / "lake.h5"
SETTINGS = [
    {"floatx": "float16", "backend": "theano", "image_data_format": "channels_first"},
    {"floatx": "float64", "epsilon": 1, "nnx_enabled": True},
]
LOAD = f"""
import bcclone
try:
    bcclone.load_model({str(MODEL)!r})
except bcclone.UserError as error:
    print(error)
"""


def set_to(folder, settings, **variables):
    """Return the environment of a user who has this keras.json."""
    (folder / "keras.json").write_text(json.dumps(settings))
    return os.environ | {"KERAS_HOME": str(folder)} | variables


def predicted(recording, path, environment):
    line = command("predict", MODEL, recording, "-o", path)
    done = said(*line, env=environment)
    assert done.returncode == 0, done.stderr
    return path.read_bytes()


@pytest.mark.slow
def test_a_users_settings_of_keras_change_no_number(simulated_recording, tmp_path):
    expected = predicted(simulated_recording, tmp_path / "expected.csv", os.environ)
    for number, settings in enumerate(SETTINGS):
        variables = {"KERAS_BACKEND": "torch"} if number % 2 else {}
        environment = set_to(tmp_path, settings, **variables)
        assert predicted(simulated_recording, tmp_path / f"{number}.csv", environment) == expected


@pytest.mark.slow
def test_a_worker_leaves_out_the_users_settings_of_keras(tmp_path):
    environment = set_to(tmp_path, {"floatx": "float16", "backend": "jax"})
    line = command("suite", MODEL, "--rows", "lake-30", "--laps", 0.005, "--jobs", 2, "--json")
    done = said(*line, env=environment, cwd=tmp_path)
    expected = said(*line, cwd=tmp_path)
    rows = [json.loads(each.stdout)["rows"] for each in (done, expected)]
    assert rows[0] == rows[1]


@pytest.mark.parametrize(
    ("settings", "variables", "named"),
    [
        ({"floatx": "float16"}, {}, "floatx float16 in {}"),
        ({"backend": "jax"}, {}, "backend jax in {}"),
        ({"backend": "jax"}, {"KERAS_BACKEND": "torch"}, "backend torch by the variable KERAS_BAC"),
        ({"image_data_format": "channels_first"}, {}, "image_data_format channels_first in {}"),
    ],
)
def test_the_doctor_and_a_program_are_told_which_setting_of_keras_does_not_suit(
    settings, variables, named, tmp_path
):
    environment = set_to(tmp_path, settings, **variables)
    expected = named.format(tmp_path / "keras.json")
    assert expected in said(*command("doctor"), env=environment).stdout
    assert expected in said(sys.executable, "-c", LOAD, env=environment).stdout


@pytest.mark.slow
def test_a_program_that_has_set_its_keras_otherwise_is_told_so():
    code = f"import keras; keras.config.set_floatx('float16')\n{LOAD}"
    assert "floatx float16 in this program" in said(sys.executable, "-c", code).stdout


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["NUMBA_NUM_THREADS=0", "NUMBA_DISABLE_JIT=1"])
def test_a_users_settings_of_numba_stop_no_command(setting, tmp_path):
    name, _, value = setting.partition("=")
    line = command("simulate", "record", tmp_path / "x", "--laps", 0.005)
    assert said(*line, env=os.environ | {name: value}, timeout=100).returncode == 0


@pytest.mark.parametrize("name", ["cv2", "numpy", "h5py", "queue"])
def test_a_file_that_stands_before_a_package_or_a_module_of_python_is_named(
    name, simulated_recording, tmp_path
):
    path = tmp_path / f"{name}.py"
    path.write_text("raise ImportError('of another Python')")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    line = command("preprocess", simulated_recording, "-o", tmp_path / "x.h5")
    done = said(*line, env=environment)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"{name} is {path}" in done.stderr
    assert "PYTHONPATH" in done.stderr
    report = said(*command("doctor"), env=environment).stdout
    assert f"{name} is {path}" in report
    assert "PYTHONPATH" in report


@pytest.mark.parametrize("name", ["numpy", "random"])
def test_a_file_of_the_current_folder_is_to_be_renamed(name, tmp_path):
    (tmp_path / f"{name}.py").write_text("")
    environment = os.environ | {"PYTHONPATH": ""}
    done = said(*command("predict", "x.h5", "y"), env=environment, cwd=tmp_path)
    assert done.returncode == 1
    assert f"rename {tmp_path / f'{name}.py'}" in done.stderr
