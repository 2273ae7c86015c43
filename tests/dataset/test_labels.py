"""The steering of samples: smoothed, shifted in time, corrected for the camera."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bcclone.camera.vehicle import MPH, SIDE_CAMERA_M, lookahead_of, steering_to_line
from bcclone.dataset.answer import OUTPUTS
from bcclone.dataset.labels import (
    PATH_COLUMNS,
    PATH_ENDS_M,
    camera_correction,
    lookahead_m,
    output_labels,
    path_labels,
    steering_labels,
)
from bcclone.dataset.sample_settings import SampleSettings


def rows_of(steering, episode=None, step_ms=100):
    count = len(steering)
    return pd.DataFrame({
        "episode": episode if episode is not None else np.zeros(count, int),
        "time_ms": 1_000_000 + step_ms * np.arange(count),
        "steering": np.array(steering, float),
    })  # fmt: skip


def test_smoothing_turns_a_single_key_press_into_a_gaussian_of_the_same_sum():
    steering = np.zeros(41)
    steering[20] = 1.0
    labels = steering_labels(rows_of(steering), 0.2, 0.0)
    assert labels.sum() == pytest.approx(1.0, abs=1e-6)
    assert labels.argmax() == 20
    # one standard deviation later
    assert labels[20] / labels[22] == pytest.approx(np.exp(0.5), rel=1e-6)
    np.testing.assert_allclose(labels, labels[::-1])


def test_smoothing_and_lead_do_not_cross_episodes():
    labels = steering_labels(rows_of([0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 1]), 0.3, 0.2)
    assert labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_the_auto_correction_steers_back_and_is_stronger_at_lower_speed():
    slow, fast = camera_correction(SampleSettings(), "left", np.array([15.0, 30.0]))
    assert slow > fast > 0
    assert (camera_correction(SampleSettings(), "right", np.array([15.0, 30.0])) < 0).all()
    assert camera_correction(SampleSettings(), "center", np.array([15.0, 30.0])).tolist() == [
        0.0,
        0.0,
    ]
    assert lookahead_m(SampleSettings(lookahead_seconds=0.5), [30.0, 60.0]) == pytest.approx(
        [15 * MPH, 30 * MPH]
    )


@pytest.mark.parametrize("steering", [0.05, 0.4])
def test_a_fixed_correction_determines_the_lookahead(steering):
    (ahead,) = lookahead_m(SampleSettings(correction=steering), np.array([30.0]))
    assert ahead == lookahead_of(SIDE_CAMERA_M, steering)
    assert steering_to_line(-SIDE_CAMERA_M, 0.0, ahead) == pytest.approx(steering)
    for camera, side in (("left", 1), ("center", 0), ("right", -1)):
        fixed = camera_correction(
            SampleSettings(correction=steering), camera, np.array([0.0, 30.0])
        )
        assert fixed.tolist() == [side * steering] * 2


@pytest.mark.parametrize("output", OUTPUTS[1:], ids=lambda output: output.name)
def test_the_label_of_an_output_is_what_was_recorded_later_within_the_episode(output):
    output = replace(output, lead_seconds=0.5)
    rows = np.zeros(5, [("episode", int), ("time_ms", int), (output.column, float)])
    rows["episode"] = [0, 0, 0, 1, 1]
    rows["time_ms"] = [0, 250, 750, 5000, 6000]
    rows[output.column] = [0.0, 3.0, 9.0, 30.0, 15.0]
    labels = output_labels(rows, [output])
    assert (labels * output.unit).T.tolist() == [pytest.approx([6.0, 9.0, 9.0, 22.5, 15.0])]
    assert labels.dtype == np.float32


def test_a_path_is_the_steering_over_each_stretch_ahead_within_the_episode():
    rows = np.zeros(
        60, [("episode", int), ("time_ms", int), ("steering", float), ("speed_mph", float)]
    )
    rows["episode"][30:] = 1
    rows["time_ms"] = 100 * np.arange(60)
    rows["speed_mph"] = 10 / MPH  # 1 m each row
    rows["steering"][28] = rows["steering"][45:] = 0.5
    path = path_labels(rows, SampleSettings(smooth_seconds=0.0))
    assert path.shape == (60, len(PATH_ENDS_M))
    assert path.std(axis=0) == pytest.approx(rows["steering"].std(), rel=1e-4)  # each counts alike
    for number, end in enumerate(PATH_ENDS_M):
        start = PATH_ENDS_M[number - 1] if number else 0.0
        seen = np.flatnonzero(path[:30, number])
        assert (seen.min(), seen.max()) == (28 - end, 28 - start)
    assert path[45:, 0] == pytest.approx(path[59, 0])  # held at the end of the episode
    assert not path[29].any()  # nothing of the next one


def test_a_path_that_the_rows_hold_is_taken_and_has_to_be_known_of_all():
    columns = [("steering", float), *((name, np.float32) for name in PATH_COLUMNS)]
    rows = np.zeros(50, columns)
    random = np.random.default_rng(0)
    rows["steering"] = random.normal(0, 0.2, 50)
    for number, name in enumerate(PATH_COLUMNS, start=1):
        rows[name] = random.normal(0, number, 50)
    path = path_labels(rows, SampleSettings())
    assert path.std(axis=0) == pytest.approx(rows["steering"].std(), rel=1e-4)
    assert np.corrcoef(path[:, 3], rows[PATH_COLUMNS[3]])[0, 1] == pytest.approx(1)
    rows[PATH_COLUMNS[0]][7] = np.nan
    with pytest.raises(ValueError, match="path.*row 7"):
        path_labels(rows, SampleSettings())
