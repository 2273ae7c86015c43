"""Scores of simulated drives: their figures, and that blind policies do not score well."""

import json
import shutil
import signal

import numpy as np
import PIL.Image
import pytest

from bcclone.evaluation.evaluate import evaluate_policy
from bcclone.evaluation.settings import EvaluateSettings
from bcclone.recording.run_tables import read_answers, read_trace
from bcclone.simulator.car import TrackedCar
from bcclone.simulator.expert import Expert
from bcclone.simulator.track import load_track
from bcclone.simulator.world_settings import ExpertSettings
from bcclone.system.errors import UserError
from tests.conftest import shared
from tests.evaluation.blind import Blind
from tests.evaluation.conftest import LEGACY
from tests.pictures.video_runs import read_frames
from tests.processes import started
from tests.running import command, result_of, run_script


@pytest.mark.slow
def test_one_option_gives_report_pictures_recording_and_clip_of_a_drive(untrained_model, tmp_path):
    run = tmp_path / "out" / "drive"
    line = ("evaluate", untrained_model, "--laps", 0.03, "--speed", 20, "-o", tmp_path / "out")
    result = result_of(*line)
    assert result["laps"] == pytest.approx(0.03, abs=0.005)
    assert 0 < result["request_to_steer_ms"]["p50"] <= result["request_to_steer_ms"]["p99"]
    expected = (1 - result["interventions"] * 6 / result["seconds"]) * 100
    assert result["autonomy_percent"] == pytest.approx(expected, abs=0.01)
    figures = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert len(figures.pop("driven_line")) > 30
    assert len(figures.pop("left_road_at")) == result["interventions"]
    assert figures == result
    for name in ("map.png", "views.png"):
        with PIL.Image.open(tmp_path / "out" / name) as picture:
            assert picture.width > 600
    check = result_of("preprocess.py", run, "--check")["recordings"]
    assert check[0]["rows"] > 30
    # each frame has its place and its latency
    trace = read_trace(run)
    answers = read_answers(run)
    names = sorted(path.name for path in run.glob("*.jpg"))
    assert list(trace) == list(answers) == names
    assert np.allclose(np.diff([point.seconds for point in trace.values()]), 0.04)
    farthest = max(abs(point.cross_track_m) for point in trace.values())
    assert farthest <= result["max_abs_cross_track_m"] + 0.001
    p50 = np.median(list(answers.values()))
    assert p50 == pytest.approx(result["request_to_steer_ms"]["p50"], abs=0.001)
    # the clip that was drawn on the way shows every second frame of the run's clip
    result_of("video.py", run, "--overlay")
    _, drawn = read_frames(tmp_path / "out" / "clip.mp4")
    of_run = read_frames(tmp_path / "out" / "drive.mp4")[1][::2]
    assert len(drawn) == len(of_run)
    upper = np.s_[50:200, :400]  # without title, map and latency
    # two encodings of the same frames differ by up to 6, those of neighbours by 12 and more
    for shown, expected in zip(drawn, of_run, strict=True):
        assert np.abs(shown[upper].astype(int) - expected[upper]).mean() < 10
    assert len(read_frames(tmp_path / "out" / "begin.mp4")[1]) == len(drawn)
    assert "<video" in (tmp_path / "out" / "report.html").read_text()
    # --force drives again; a model that cannot be read leaves all as it was
    assert "exists already" in run_script(*line, code=1).stderr
    (tmp_path / "damaged.h5").write_bytes(b"no model")
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    run_script(line[0], tmp_path / "damaged.h5", *line[2:], "--force", code=1)
    assert {path: path.read_bytes() for path in before} == before
    run_script(*line, "--force")
    assert sorted(path.name for path in run.glob("*.jpg")) != names
    assert len(read_trace(run)) == len(names)


@pytest.mark.slow
def test_an_interrupted_or_killed_evaluation_is_done_again_and_no_other_recording_is_replaced(
    untrained_model, simulated_recording, tmp_path
):
    output = tmp_path / "out"
    line = ("evaluate", untrained_model, "--laps", 0.5, "-o", output)

    def drives():
        return list(output.glob(".drive*/*.jpg"))

    for number in (signal.SIGINT, signal.SIGKILL):
        with started(command(*line), drives) as process:
            process.send_signal(number)
            process.communicate()
        assert not (output / "drive").exists()
        assert not (output / "figures.json").exists()
    short = (*line[:2], "--laps", 0.02, "-o", output)
    result_of(*short)
    assert (output / "drive" / "driving_log.csv").exists()
    assert not list(output.glob(".*"))
    # a recording of the user's, in the place of the evaluation's
    other = tmp_path / "other"
    shutil.copytree(simulated_recording, other / "drive")
    (other / "figures.json").write_text('{"rows": []}')  # of a suite
    refused = run_script(*short[:-1], other, "--force", code=1)
    assert str(other / "drive") in refused.stderr
    assert "another -o" in refused.stderr
    assert len(list((other / "drive" / "IMG").iterdir())) == 360


@pytest.fixture(scope="module")
def expert_steering():
    """An expert's steering of a lap of the lake track, every 0.04 s."""
    track = load_track("lake")
    tracked = TrackedCar(track)
    expert = Expert(track, ExpertSettings(recoveries=0), seed=0)
    steering = []
    while tracked.progress_m < track.length_m:
        tracked.car.control(*expert.control(tracked.car, tracked.position))
        if tracked.steps % 2 == 0:
            steering.append(tracked.car.steering)
        tracked.step()
    return np.array(steering)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["none", "mean", "shuffled"])
def test_blind_steering_leaves_the_road_within_150_m(kind, expert_steering):
    steering = {
        "none": [0.0],
        "mean": [float(expert_steering.mean())],
        "shuffled": np.random.default_rng(0).permutation(expert_steering).tolist(),
    }[kind]
    settings = EvaluateSettings(laps=0.14, set_back=False, speed_mph=20.0)
    score = evaluate_policy(Blind(*steering), settings).score
    assert 5 < score.first_off_road_m < 150


@pytest.mark.slow
def test_latency_and_offset_reach_the_world():
    traces = []
    for latency in (0, 500):
        settings = EvaluateSettings(
            laps=0.01, latency_ms=latency, start_offset_m=-2.0, speed_mph=10
        )
        traces.append(evaluate_policy(Blind(0.0), settings).trace)
    assert traces[0][0].cross_track_m == pytest.approx(-2.0, abs=0.1)
    # how far the car moves in half a second
    moved = [abs(trace[5].x - trace[0].x) + abs(trace[5].z - trace[0].z) for trace in traces]
    assert moved[1] < 0.01 < 0.2 < moved[0]


@pytest.mark.slow
def test_a_model_that_never_steers_gets_no_score():
    with pytest.raises(UserError, match="policy.*no usable steering.*trained"):
        evaluate_policy(Blind(float("nan")), EvaluateSettings(laps=0.01))


@pytest.mark.slow
def test_a_policy_forgets_its_frames_when_the_car_is_set_back():
    policy = Blind(0.0)
    result = evaluate_policy(policy, EvaluateSettings(laps=0.14, speed_mph=20))
    assert result.interventions
    assert policy.forgotten == 1 + len(result.interventions)  # and once at the start


@pytest.mark.long
def test_models_that_others_trained_on_the_unity_program_drive_the_lake():
    folder = shared("legacy_models")
    for name, preset in LEGACY.items():
        line = ("evaluate", folder / name, "--preprocess", preset, "--speed", 20)
        result = result_of(*line)
        assert (result["autonomy_percent"], result["interventions"], result["ended"]) == (
            100.0,
            0,
            "laps driven",
        )
        assert result["mean_abs_cross_track_m"] < 0.8
