"""Whether held-out driving tells that a network steers: by how often the road turned."""

import json
import random
import shlex
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from bcclone.training.held_out import LEARNED, NOT_LEARNED, UNKNOWN, judge_held_out
from tests.recordings import rewrite
from tests.running import run_script

ROWS_A_SECOND = 10


def judged(driven, steering, mean=0.0, episode=None, recording=None):
    """Judge a network's steering against what a driver steered, ten rows a second."""
    count = len(driven)
    rows = np.zeros(count, [("time_ms", np.int64), ("episode", np.int64), ("recording", np.int64)])
    rows["time_ms"] = np.arange(count) * 1000 // ROWS_A_SECOND
    rows["episode"] = 0 if episode is None else episode
    rows["recording"] = 0 if recording is None else recording
    selection = SimpleNamespace(
        first_of_row=np.arange(count),
        row=np.arange(count),
        labels=np.asarray(driven, np.float32)[:, None],
        data=SimpleNamespace(rows=rows),
    )
    return judge_held_out(selection, mean, np.asarray(steering, np.float64))


def road(bends, seconds=4.0, size=0.2, seed=0):
    """Return the steering of so many bends, left and right, with a hand's noise."""
    steps = round(bends * seconds * ROWS_A_SECOND)
    wave = size * np.sin(np.pi * np.arange(steps) / (seconds * ROWS_A_SECOND))
    return wave + 0.02 * np.random.default_rng(seed).standard_normal(steps)


def noise(count, size, seed=0):
    return size * np.random.default_rng(seed).standard_normal(count)


@pytest.mark.parametrize("bends", [8, 30])
def test_enough_bends_tell_a_network_that_steers_from_one_that_does_not(bends):
    driven = road(bends)
    assert judged(driven, 0.8 * driven).verdict == LEARNED
    assert judged(driven, np.zeros(len(driven))).verdict == NOT_LEARNED
    assert judged(driven, -driven).verdict == NOT_LEARNED
    assert judged(driven, 0.05 * driven).verdict == NOT_LEARNED  # it drives straight on


def test_a_network_that_follows_a_nearly_straight_road_has_learned_though_its_error_is_no_smaller():
    driven = road(20, size=0.03)
    steering = 1.2 * driven + noise(len(driven), 0.06) + 0.01
    held_out = judged(driven, steering)
    of_mean = np.abs(driven - driven.mean()).mean()
    assert np.abs(steering - driven).mean() > 1.5 * of_mean
    assert held_out.verdict == LEARNED


@pytest.mark.parametrize("seed", range(20))
def test_a_steering_that_has_nothing_to_do_with_the_road_is_never_said_to_be_learned(seed):
    randomness = np.random.default_rng(seed)
    driven = road(12)
    shuffled = randomness.permutation(driven)
    other_road = np.interp(np.arange(len(driven)), np.arange(0, 520, 20), noise(26, 0.2, seed))
    late = np.roll(driven, 10 * ROWS_A_SECOND)
    for steering in (shuffled, other_road, late, driven.mean() + noise(len(driven), 0.2, seed)):
        assert judged(driven, steering).verdict != LEARNED
        assert judged(shuffled, steering if steering is not shuffled else driven).verdict != LEARNED


def test_a_network_that_only_tells_recordings_apart_does_not_follow_the_road():
    """Shuffled steering of a lap and of its reverse: the one turns left on the whole."""
    drive = np.repeat([0, 1], 400)
    on_the_whole = np.where(drive == 0, -0.06, 0.06)
    driven = on_the_whole + noise(800, 0.2)
    held_out = judged(driven, on_the_whole + noise(800, 0.01, 1), recording=drive)
    assert held_out.verdict == NOT_LEARNED
    of_seconds = [values.reshape(-1, ROWS_A_SECOND).mean(1) for values in (driven, on_the_whole)]
    assert np.corrcoef(of_seconds)[0, 1] > 0.6


@pytest.mark.parametrize(
    "driven",
    [
        0.15 + 0.01 * road(3, size=1.0),  # a road that turns one way
        road(2),  # to the left and to the right once
        road(20, size=0.005),  # straight, but for the hand's noise
    ],
)
def test_too_little_driving_tells_neither(driven):
    mean = float(driven.mean())
    for steering in (np.full(len(driven), mean), driven * 0.9 + 0.1 * mean, driven + 0.03):
        held_out = judged(driven, steering, mean)
        assert held_out.verdict == UNKNOWN
        assert "record" in held_out.remedy()


@pytest.mark.parametrize("bends", [2, 3])
def test_as_much_more_driving_as_is_asked_for_tells_it(bends):
    driven = road(bends)
    held_out = judged(driven, driven)
    assert held_out.verdict == UNKNOWN
    times = int(np.ceil(held_out.needed))
    assert f"{times} times" in held_out.remedy()
    more = road(bends * times)
    assert judged(more, more).verdict == LEARNED
    assert judged(more, np.zeros(len(more))).verdict == NOT_LEARNED


def test_as_much_more_driving_as_is_asked_for_tells_of_a_network_that_half_follows():
    def judged_on(bends, seed):
        driven = road(bends, seed=seed)
        # every two seconds it errs in another way
        knots = np.arange(0, len(driven) + 40, 20)
        wrong = np.interp(np.arange(len(driven)), knots, noise(len(knots), 0.13, seed))
        return judged(driven, 0.5 * driven + wrong)

    asked = 0
    for seed in range(12):
        held_out = judged_on(8, seed)
        if held_out.verdict == UNKNOWN:
            asked += 1
            times = int(np.ceil(held_out.needed))
            assert f"{times} times" in held_out.remedy()
            assert judged_on(8 * times, seed).verdict == LEARNED
    assert asked > 2


def test_a_road_that_always_turns_one_way_tells_it_if_it_turns_more_and_less():
    driven = 0.2 + 0.3 * road(10)
    assert judged(driven, driven + 0.01, 0.2).verdict == LEARNED
    assert judged(driven, np.full(len(driven), 0.2), 0.2).verdict == NOT_LEARNED


def test_recordings_of_a_single_bend_each_tell_neither():
    """There, the network has to know the bend, and what changes within it is the hand."""
    drive = np.repeat(np.arange(20), 40)
    driven = np.where(drive % 2, 0.2, -0.2) + noise(800, 0.08)
    followed = np.where(drive % 2, 0.18, -0.18) + noise(800, 0.02, 1)
    assert judged(driven, followed, recording=drive, episode=drive).verdict == UNKNOWN


def test_a_network_that_is_far_off_everywhere_is_seen_on_any_road():
    driven = road(2)
    assert judged(driven, driven + 0.6).verdict == NOT_LEARNED
    bend = np.full(200, 0.2)  # one bend: steering too much in it is not far off
    assert judged(bend, 1.5 * bend, 0.15).verdict == UNKNOWN
    assert judged(bend, -bend, 0.15).verdict == NOT_LEARNED


def test_many_rows_of_one_bend_are_one_bend_and_stretches_count_apart():
    driven = np.concatenate([np.full(1500, -0.2), np.full(1500, 0.2)])
    assert judged(driven, driven).parts == 2
    assert judged(driven, driven, episode=np.arange(3000) // 300).parts == 10
    assert judged(driven[:4], driven[:4]) is None


@pytest.mark.slow
def test_the_check_that_a_training_on_shuffled_steering_names_finds_it(winding_recording, tmp_path):
    shuffled = shutil.copytree(winding_recording, tmp_path / "shuffled")

    def shuffle(rows):
        steering = [row[3] for row in rows]
        random.Random(0).shuffle(steering)
        return [[*row[:3], value, *row[4:]] for row, value in zip(rows, steering, strict=True)]

    rewrite(shuffled, shuffle)
    run_script("preprocess.py", shuffled, "--size", 64, "-o", tmp_path / "data.h5")
    files = (tmp_path / "data.h5", "-o", tmp_path / "model.h5", "--runs", tmp_path / "runs")
    said = run_script("model.py", *files, "--epochs", 1, "--no-plots").stdout
    (line,) = [line for line in said.splitlines() if line.endswith("--check")]
    words = shlex.split(line.partition(" pictures: ")[2])
    first = next(number for number, word in enumerate(words) if "preprocess" in word)
    checked = run_script("preprocess.py", *words[first + 1 :], "--json", code=1).stdout
    (recording,) = json.loads(checked)["recordings"]
    assert "unrelated" in [finding["fault"] for finding in recording["diagnosis"]["findings"]]
