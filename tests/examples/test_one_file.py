"""examples/one_file.py trains on a recording, and drive.py drives the model."""

import json
import subprocess
import sys

import pytest

from tests.running import ROOT, run_script

ONE_FILE = ROOT / "examples" / "one_file.py"
AS_IT_PREPARES = ("--preprocess", "nvidia-66x200-yuv")


def trained_on(recording, model, epochs):
    line = [sys.executable, ONE_FILE, recording, model, "--epochs", str(epochs)]
    subprocess.run(line, capture_output=True, text=True, check=True)
    return model


def test_it_is_short_and_needs_nothing_of_the_package():
    text = ONE_FILE.read_text(encoding="utf-8")
    assert text.count("\n") <= 200
    assert "import bcclone" not in text
    assert "from bcclone" not in text


@pytest.mark.slow
def test_a_model_of_one_pass_drives_over_the_wire(simulated_recording, tmp_path):
    model = trained_on(simulated_recording, tmp_path / "one.h5", 1)
    drive = ("--laps", 0.01, "--speed", 10, "--json")
    driven = json.loads(run_script("evaluate", model, *AS_IT_PREPARES, *drive).stdout)
    assert driven["request_to_steer_ms"]["p50"] > 0
    assert driven["distance_m"] > 5


@pytest.mark.slow
def test_one_recorded_lap_is_enough_for_a_lap_of_the_lake(tmp_path):
    run_script("simulate", "record", tmp_path / "lap", "--laps", 1)
    model = trained_on(tmp_path / "lap", tmp_path / "one.h5", 6)
    driven = json.loads(
        run_script("evaluate", model, *AS_IT_PREPARES, "--speed", 15, "--json").stdout
    )
    assert (driven["autonomy_percent"], driven["interventions"]) == (100.0, 0)
