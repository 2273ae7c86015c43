"""The score of predictions: its figures, by hand and on shifted, scaled and smoothed curves; tables
that are wrong.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from bcclone.evaluation.evaluate_settings import ScoreSettings
from bcclone.evaluation.predict import (
    FrameSteering,
    read_labels,
    read_steering,
    seconds_of,
    write_steering,
)
from bcclone.evaluation.prediction_score import score_predictions
from bcclone.pictures.plots.drive_pictures import plot_curves
from bcclone.system.errors import UserError
from tests.conftest import result_of, run_script
from tests.messages.refusals import run_command
from tests.messages.small_recording import make_recording

START = 1479425441000000000  # nanoseconds, as in Udacity's challenge 2
STEP = 50_000_000


def table(values, name="t.csv", **others):
    return FrameSteering(
        Path(name),
        {str(START + STEP * n): float(value) for n, value in enumerate(values)},
        **others,
    )


def road(frames=1200):
    """Return the steering of a minute on a winding road, without a mean."""
    seconds = np.arange(frames) / 20
    return 0.3 * np.sin(seconds / 2) + 0.1 * np.sin(1.7 * seconds)


def scored(predictions, labels, **settings):
    return score_predictions(predictions, labels, ScoreSettings(**settings)).figures()


def test_the_figures_are_those_that_one_computes_by_hand():
    labels, predictions = np.array([0.2, -0.2, 0.4, 0.0]), np.array([0.1, 0.1, 0.4, 0.05])
    figures = scored(table(predictions), table(labels))
    its, error = figures["predictions"], predictions - labels
    assert (figures["frames"], figures["frames_beyond_threshold"]) == (4, 3)
    assert its["right_side"] == pytest.approx(2 / 3, abs=1e-4)
    assert its["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)), abs=1e-6)
    assert its["mae"] == pytest.approx(np.abs(error).mean())
    assert its["eva"] == pytest.approx(1 - error.var() / labels.var(), abs=1e-4)
    assert its["correlation"] == pytest.approx(np.corrcoef(predictions, labels)[0, 1], abs=1e-4)
    assert figures["zero"]["rmse"] == pytest.approx(np.sqrt(np.mean(labels**2)), abs=1e-6)
    assert figures["constant"]["rmse"] == pytest.approx(labels.std(), abs=1e-6)
    assert (figures["zero"]["eva"], figures["zero"]["correlation"]) == (0, None)


def test_gain_and_bias_come_from_the_first_seconds_and_the_rest_is_scored():
    labels = road()
    predictions = table(-4 * labels + 0.5)
    raw, fitted = (
        scored(predictions, table(labels)),
        scored(predictions, table(labels), fit_seconds=20),
    )
    assert raw["predictions"]["correlation"] == -1
    assert fitted["fit"] == {
        "gain": pytest.approx(-0.25),
        "bias": pytest.approx(0.125),
        "seconds": 20,
        "frames": 400,
    }
    assert fitted["frames"] == 800
    assert fitted["fitted"]["rmse"] == pytest.approx(0, abs=1e-6)
    assert (fitted["fitted"]["eva"], fitted["fitted"]["right_side"]) == (1, 1)
    assert fitted["predictions"]["correlation"] == -1  # as given
    assert fitted["constant_steering"] == pytest.approx(labels[:400].mean(), abs=1e-6)


def test_the_lag_of_late_predictions_is_found():
    labels = road()
    late = scored(table(np.concatenate([labels[:6], labels[:-6]])), table(labels))
    assert late["lag"] == {"frames": 6, "seconds": 0.3, "correlation": pytest.approx(1, abs=1e-3)}
    early = scored(table(np.concatenate([labels[6:], labels[-6:]])), table(labels))
    assert early["lag"]["seconds"] == -0.3


def test_an_option_of_a_table_is_refused_for_a_recording(tmp_path):
    recording = make_recording(tmp_path / "recording")
    frame_ids = [path.stem for path in recording.glob("*.jpg")]
    write_steering(tmp_path / "p.csv", dict.fromkeys(frame_ids, 0.1))
    with pytest.raises(
        UserError, match="--rate is only for a table of labels, and .*driving_log.csv is none"
    ):
        run_command("score", tmp_path / "p.csv", recording, "--rate", 20)


def test_labels_of_a_tub_are_those_of_its_import_whose_frames_have_other_names(tmp_path):
    recording = make_recording(tmp_path / "recording")
    write_steering(tmp_path / "p.csv", {"1_cam_image_array_": 0.1})
    with pytest.raises(
        UserError, match="none of its frames is in .*; predict those of .*recording"
    ):
        run_command("score", tmp_path / "p.csv", recording)
    (tmp_path / "tub").mkdir()
    with pytest.raises(
        UserError, match="bcclone import .*tub -o recordings/NAME; .* predict those of NAME"
    ):
        run_command("score", tmp_path / "p.csv", tmp_path / "tub")


def test_noise_is_smoothed_in_time_or_without_times_over_nine_frames():
    labels = road()
    noisy = labels + np.random.default_rng(0).normal(0, 0.2, len(labels))
    timed = scored(table(noisy), table(labels))
    assert timed["smoothing"] == "exponential mean of 0.35 s"
    assert timed["smoothed"]["correlation"] > timed["predictions"]["correlation"] + 0.1
    numbered = [FrameSteering(Path(name), {str(n): float(one) for n, one in enumerate(values)})
                for name, values in (("p", noisy), ("l", labels))]  # fmt: skip
    counted = scored(*numbered)
    assert counted["smoothing"] == "the mean over 9 frames"
    assert counted["smoothed"]["correlation"] > counted["predictions"]["correlation"] + 0.1
    assert counted["lag"]["seconds"] is None
    with pytest.raises(UserError, match="holds no times.*--rate 20"):
        scored(*numbered, fit_seconds=5)
    assert scored(*numbered, fit_seconds=5, rate=20)["fit"]["frames"] == 100


def test_a_challenges_labels_are_scored_in_their_two_parts(tmp_path):
    labels, predictions = tmp_path / "labels.csv", tmp_path / "p.csv"
    labels.write_text("frame_id,steering_angle,public\n1,0.5,1\n2,0.1,0\n3,-0.5,1\n4,0.3,0\n")
    predictions.write_text("frame_id,steering_angle\n1,0.4\n2,0.1\n3,-0.4\n4,0.3\n")
    figures = result_of("score", predictions, labels)
    assert figures["public"]["predictions"]["rmse"] == pytest.approx(0.1)
    assert figures["private"]["predictions"]["rmse"] == 0
    assert "predictions, public" in run_script("score", predictions, labels).stdout


def test_frames_of_one_table_alone_are_counted_and_the_others_matched_by_name():
    labels = {str(START + STEP * n): 0.1 * n for n in (3, 0, 1, 2)}
    predictions = {str(START + STEP * n): 0.1 * n for n in (9, 2, 1, 3)}
    score = score_predictions(
        FrameSteering(Path("p"), predictions), FrameSteering(Path("l"), labels)
    )
    figures = score.figures()
    assert (figures["frames"], figures["predictions"]["rmse"]) == (3, 0)
    assert (figures["labels_without_prediction"], figures["predictions_without_label"]) == (1, 1)
    assert any(str(START) in notice for notice in score.notices)
    assert score.matched.seconds.tolist() == pytest.approx([0, 0.05, 0.1])
    with pytest.raises(UserError, match="none of its frames is in other.csv"):
        score_predictions(table([0.1]), FrameSteering(Path("other.csv"), {"frame_1": 0.1}))


def test_opposite_signs_are_noticed_and_turned_on_demand():
    labels = road()
    score = score_predictions(table(-labels), table(labels))
    assert any("--left-positive" in notice for notice in score.notices)
    turned = scored(table(-labels), table(labels), left_positive=True)
    assert (turned["predictions"]["correlation"], turned["predictions"]["right_side"]) == (1, 1)


@pytest.mark.parametrize(
    "values", [[0.1], [0.1] * 30, [1e-300, -1e-300] * 20, [10_000.0, -10_000.0] * 20]
)
def test_figures_that_are_not_defined_are_none_and_never_infinite(values):
    for predictions, labels in (
        (values, values),
        (road(len(values)), values),
        (values, road(len(values))),
    ):
        for settings in ({}, {"fit_seconds": 0.5}) if len(values) > 1 else ({},):
            json.dumps(scored(table(predictions), table(labels), **settings), allow_nan=False)


@pytest.mark.parametrize(
    ("names", "unit"),
    [
        (("1479425441182877835", "1479425441232877835"), 0.05),
        (("1479425441182877", "1479425441232877"), 0.05),
        (("1479425441182", "1479425441232"), 0.05),
        (("center_2016_12_01_13_30_48_287", "center_2016_12_01_13_30_48_337"), 0.05),
        (("1", "2"), None),
        (("1479425441182877835", "x"), None),
    ],
)
def test_times_are_read_from_names(names, unit):
    seconds = seconds_of(names)
    assert seconds is None if unit is None else seconds.tolist() == pytest.approx([0, unit])


def test_the_column_of_the_steering_is_named_or_found(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("frame_id,speed,torque,angle\n7,1,2,0.25\n")
    assert read_steering(path).steering == {"7": 0.25}
    assert read_labels(path, "torque").steering == {"7": 2}
    path.write_text("frame_id,wheel\r\n7,0.5\r\n\r\n", newline="")
    assert read_steering(path).steering == {"7": 0.5}
    path.write_text("frame_id,speed,torque\n7,1,2\n")
    with pytest.raises(
        UserError, match="its columns are .frame_id,speed,torque.*--steering-column"
    ):
        read_steering(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"frame_id,steering_angle\n", "no rows"),
        (b"frame_id,steering_angle\n1,0.5\n1,0.6\n", "line 3: frame_id '1' stands there twice"),
        (
            b"frame_id,steering_angle\n1,0.5\n2,left\n",
            "line 3: steering_angle is 'left', expected a number",
        ),
        (b"frame_id,steering_angle\n1,1e300\n", "line 2: steering_angle is '1e300'"),
        (b"frame_id,steering_angle\n,1\n", "line 2: frame_id ''"),
        (b"frame_id,steering_angle,public\n1,0.5,2\n", "line 2: public is '2', expected 0 or 1"),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(content, message, tmp_path):
    path, good = tmp_path / "wrong.csv", tmp_path / "good.csv"
    path.write_bytes(content)
    good.write_text("frame_id,steering_angle\n1,0.5\n")
    for line in ((path, good), (good, path)):
        with pytest.raises(UserError, match=message) as error:
            run_command("score", *line)
        assert str(path) in str(error.value)


@pytest.mark.slow
def test_curves_of_any_length_and_with_gaps_are_drawn(tmp_path):
    for frames in (1, 2, 8_000):
        steering = np.random.default_rng(0).uniform(-1, 1, frames)
        times = np.arange(frames) + 1000.0 * (np.arange(frames) > frames // 2)
        path = tmp_path / f"{frames}.png"
        plot_curves(
            "a drive",
            ("seconds", times),
            {"labels": steering, "none": steering * np.nan},
            path,
            0.1,
        )
        assert path.read_bytes().startswith(b"\x89PNG")


def test_the_command_writes_both_curves_the_figures_and_a_report(tmp_path):
    labels = road()
    write_steering(tmp_path / "labels.csv", table(labels).steering)
    write_steering(tmp_path / "p.csv", table(0.5 * labels + 0.02).steering)
    line = (
        "score",
        tmp_path / "p.csv",
        tmp_path / "labels.csv",
        "--fit-seconds",
        20,
        "-o",
        tmp_path / "out",
    )
    figures = result_of(*line)
    assert json.loads((tmp_path / "out" / "figures.json").read_text()) == figures
    assert (tmp_path / "out" / "score.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "gain 2.000" in page
    assert "fitted, smoothed" in page
