"""Commands are killed (kill -9) at random moments; the next run recovers and gives the identical
result.

Long (make test-long). 300 kills: 60 of preprocess.py, 60 of model.py, 40 of drive.py, 60 of
video.py, 40 of import and 40 of export, at moments drawn with a fixed seed from the time that each
takes uninterrupted.
"""

import contextlib
import hashlib
import os
import random
import shutil
import signal
import subprocess
import time

import cv2
import numpy as np
import pytest

from bcclone.camera.images import read_frame
from bcclone.dataset.shards import open_store
from bcclone.recording.log import read_log
from tests.drive.drive_server import Still, drive, serving
from tests.recordings import many_rows
from tests.running import command, run_process
from tests.training.trainings import assert_same_weights, state_of

pytestmark = pytest.mark.long


def kill_after(line, seconds):
    """Start a program in a group of its own and kill the group; return True when it had not ended
    before.
    """
    run = subprocess.Popen(
        [str(part) for part in line],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with contextlib.suppress(subprocess.TimeoutExpired):
        run.wait(seconds)
    ended = run.poll() is not None
    if not ended:
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    return not ended


def seconds_of(script, *arguments):
    begun = time.monotonic()
    run_process(script, *arguments)
    return time.monotonic() - begun


def moments(seed, count, longest):
    """Return moments all over the program's time, each at random in its own part of it."""
    draw = random.Random(seed)
    return [(number + draw.random()) * longest / count for number in range(count)]


def content_of(store):
    with open_store(store) as opened:
        return opened.content_hash, hashlib.sha256(np.asarray(opened.frames).tobytes()).hexdigest()


def frames_of(clip):
    opened = cv2.VideoCapture(str(clip))
    count = int(opened.get(cv2.CAP_PROP_FRAME_COUNT))
    opened.release()
    return count


def names_and_sizes(folder):
    # the times in these have more digits in one run than in another
    with_times = (".json", ".csv", ".catalog_manifest")
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix not in with_times]
    return {path.relative_to(folder): path.stat().st_size for path in files}


@pytest.fixture
def sources(request, tmp_path_factory, simulated_recording):
    """What the commands read: {recording}, {long}, {table} and {run}; only what is asked for is
    made.
    """

    def make(name):
        path = tmp_path_factory.mktemp("sources") / name
        if name == "recording":
            return simulated_recording
        if name == "long":
            return many_rows(simulated_recording, path, 4000)
        if name == "table":
            run_process("export", simulated_recording, "--to", "csv", "-o", path)
        if name == "run":
            with serving(request.getfixturevalue("untrained_model"), path) as server:
                drive(server.port, Still(400))
        return path

    return make


@pytest.mark.parametrize(
    ("line", "source", "output", "content", "count"),
    [
        ("preprocess.py {} --force", "long", "data.h5", content_of, 60),
        ("video.py {}", "run", "run1.mp4", frames_of, 60),
        ("import {}", "table", "new", names_and_sizes, 40),
        ("export {} --to tub", "recording", "new", names_and_sizes, 40),
    ],
)
def test_an_output_is_there_whole_or_not_at_all(
    sources, tmp_path, line, source, output, content, count
):
    """The next run removes what the killed ones have left."""
    path = tmp_path / output
    words = line.format(sources(source)).split()
    longest = seconds_of(*words, "-o", path)
    expected = content(path)
    killed = 0
    for number, moment in enumerate(moments(count, count, 1.1 * longest)):
        if number % 2 or path.is_dir():  # files are also replaced, in turns
            remove(path)
        killed += kill_after(command(*words, "-o", path), moment)
        assert not path.exists() or content(path) == expected
    remove(path)
    run_process(*words, "-o", path)
    assert content(path) == expected
    assert [file.name for file in tmp_path.iterdir()] == [output]  # no temporary files
    assert killed > count / 3


def remove(path):
    """Remove an output, a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def test_a_training_killed_at_any_moment_resumes_to_the_same_weights(simulated_store, tmp_path):
    """One training after the other, each killed up to eight times on its way."""
    options = ("--epochs", 3, "--batch-size", 16, "--checkpoint-minutes", "0.001", "--no-plots")
    arguments = (simulated_store, *options, "--runs", tmp_path / "runs")
    longest = seconds_of("model.py", *arguments, "-o", tmp_path / "whole.h5", "--name", "whole")
    killed = trainings = 0
    draw = random.Random(2)
    while killed < 60:
        output = tmp_path / f"{trainings}.h5"
        line = (*arguments, "-o", output, "--resume")
        for _ in range(8):
            if not kill_after(command("model.py", *line), draw.uniform(0.0, 0.7) * longest):
                break
            killed += 1
        notices = run_process("model.py", *line).stderr
        assert any(
            word in notices for word in ("resuming", "complete already", "beginning a new one")
        ), notices
        assert_same_weights(output, tmp_path / "whole.h5")
        (run,) = [
            path.parent
            for path in tmp_path.glob("runs/*/settings.json")
            if f'"{output}"' in path.read_text()
        ]
        assert state_of(run) == state_of(tmp_path / "runs" / "whole")
        trainings += 1
    assert not list(tmp_path.rglob("*.partial*"))


def test_a_drive_killed_at_any_moment_leaves_a_recording(untrained_model, tmp_path):
    """The run folder is a recording with complete frames."""
    frames = 0
    draw = random.Random(3)
    for number in range(40):
        run = tmp_path / f"run{number}"
        with serving(untrained_model, run) as server:
            stop = time.monotonic() + draw.uniform(0.0, 0.5)
            while time.monotonic() < stop:
                drive(server.port, Still(draw.randrange(1, 30)))
            server.end(signal.SIGKILL)
        if not (run / "driving_log.csv").exists() or not (run / "driving_log.csv").read_bytes():
            continue
        log = read_log(run / "driving_log.csv")
        assert len(log.bad_rows) <= 1
        assert all(
            read_frame(str(run / name)).shape == (160, 320, 3) for name in log.rows["center"]
        )
        if len(log.rows) > frames:
            frames = len(log.rows)
            longest = run
    run_process("video.py", longest, "-o", tmp_path / "run.mp4")
    assert frames > 10
