"""The four commands, from a recording to a clip, with a simulated car that connects to drive.py."""

import json

import numpy as np
import pytest

from bcclone.recording.log import read_log
from tests.chain import run_chain
from tests.conftest import shared
from tests.running import result_of, run_script


@pytest.mark.slow
def test_a_simulated_recording_passes_the_whole_chain(simulated_recording, tmp_path):
    made, trained, report, clip, steering = run_chain(
        [simulated_recording],
        tmp_path,
        ("--block-seconds", 2, "--frame-offsets", 0),
        ("--epochs", 4),
        frames=120,
    )
    assert made["frames"] == 360
    assert trained["epochs"] == 4
    assert report.steers == 119
    assert clip["frames"] == 120
    again = result_of("preprocess.py", tmp_path / "run1", "--check")["recordings"]
    assert (again[0]["rows"], again[0]["images"]["corrupt"]) == (120, 0)
    assert len(steering) == 119


@pytest.mark.slow
def test_a_new_network_learns_to_drive_from_a_third_of_a_lap(tmp_path, untrained_model):
    run_script("simulate", "record", tmp_path / "lap", "--laps", 0.3)
    store = tmp_path / "data.h5"
    model = tmp_path / "model.h5"
    run_script("preprocess.py", tmp_path / "lap", "-o", store, "--size", "64x64")
    run_script(
        "model.py", store, "-o", model, "--epochs", 6, "--no-plots", "--runs", tmp_path / "runs"
    )

    def driven(by):
        return result_of("evaluate", by, "--laps", 0.1, "--speed", 20)

    trained = driven(model)
    assert trained["interventions"] == 0
    assert trained["mean_abs_cross_track_m"] < 0.5
    assert driven(untrained_model)["interventions"] > 0


@pytest.mark.long
def test_real_recordings_pass_the_whole_chain_and_the_model_steers_as_the_human(tmp_path):
    recordings = [shared("recordings") / name for name in ("lake_linux", "mountain_windows")]
    made, trained, report, clip, steering = run_chain(
        recordings, tmp_path, (), ("--epochs", 2), frames=600
    )
    print(json.dumps([made, trained]))
    assert (made["recordings"], made["rows"], made["frames"], made["skipped"]) == (2, 2656, 7968, 0)
    assert trained["val_loss"] < 0.2
    assert report.steers == 599
    assert clip["frames"] == 600
    human = read_log(recordings[0] / "driving_log.csv").rows["steering"].to_numpy()[:599]
    correlation = np.corrcoef(human, steering)[0, 1]
    print(f"correlation with the human: {correlation:.2f}")
    assert correlation > 0.2
