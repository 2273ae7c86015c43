"""Commands are killed (kill -9) at random moments; the next run recovers and gives the identical result.

Long (make test-long); prints a line a program with -s. 300 kills: 60 of preprocess.py, 60 of model.py, 40 of drive.py,
60 of video.py, 40 of import and 40 of export, at moments drawn with a fixed seed from the time that each takes
uninterrupted.
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

from bcclone.dataset.images import read_frame
from bcclone.dataset.store import Store
from bcclone.recording.log import read_log
from tests.conftest import command, run_process
from tests.drive.drive_server import Still, drive, serving
from tests.recordings import many_rows
from tests.train.test_train import assert_same_weights, state_of

pytestmark = pytest.mark.long


def kill_after(line, seconds):
    """Start a program in a group of its own and kill the group; return True when it had not ended before."""
    run = subprocess.Popen(
        [str(part) for part in line], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
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
    """Return moments spread evenly over the program's time, each at random in its own part of it."""
    draw = random.Random(seed)
    return [(number + draw.random()) * longest / count for number in range(count)]


def content_of(store):
    with Store(store) as opened:
        return opened.content_hash, hashlib.sha256(np.asarray(opened.frames).tobytes()).hexdigest()


def only(folder, *names):
    """Check that the folder contains nothing else, such as temporary files."""
    assert {path.name for path in folder.iterdir()} == set(names)


def test_preprocess_killed_60_times(simulated_recording, tmp_path):
    recording = many_rows(simulated_recording, tmp_path / "long", 4000)
    store = tmp_path / "data.h5"
    line = command("preprocess.py", recording, "-o", store, "--force")
    longest = seconds_of("preprocess.py", recording, "-o", store)
    whole, killed = content_of(store), 0
    for number, moment in enumerate(moments(1, 60, 1.1 * longest)):
        if number % 2:
            store.unlink(missing_ok=True)  # with nothing there, and with an old store there, in turns
        killed += kill_after(line, moment)
        assert not store.exists() or content_of(store) == whole
    run_process("preprocess.py", recording, "-o", store, "--force")
    assert content_of(store) == whole
    only(tmp_path, "data.h5", "long")
    print(f"\npreprocess.py: killed {killed} of 60 times, over {longest:.1f} s")
    assert killed > 40


def test_training_killed_60_times(simulated_store, tmp_path):
    """One training after the other, each killed up to eight times on its way."""
    options = ("--epochs", 3, "--batch-size", 16, "--set", "checkpoint-steps=5", "--no-plots")
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
        assert any(word in notices for word in ("resuming", "complete already", "beginning a new one")), notices
        assert_same_weights(output, tmp_path / "whole.h5")
        (run,) = [path.parent for path in tmp_path.glob("runs/*/settings.json") if f'"{output}"' in path.read_text()]
        assert state_of(run) == state_of(tmp_path / "runs" / "whole")
        trainings += 1
    assert not list(tmp_path.rglob("*.partial*"))
    print(f"\nmodel.py: {trainings} trainings killed {killed} times, over {longest:.1f} s")


def test_driving_killed_40_times(untrained_model, tmp_path):
    """The run folder is a recording with complete frames, and the next drive appends to it."""
    run, frames = tmp_path / "run1", 0
    draw = random.Random(3)
    for _ in range(40):
        with serving(untrained_model, run, "--append") as server:
            stop = time.monotonic() + draw.uniform(0.0, 0.5)
            while time.monotonic() < stop:
                drive(server.port, Still(draw.randrange(1, 30)))
            server.end(signal.SIGKILL)
        if not (run / "driving_log.csv").exists() or not (run / "driving_log.csv").read_bytes():
            continue
        log = read_log(run / "driving_log.csv")
        assert len(log.bad_rows) <= 1
        assert all(read_frame(str(run / name)).shape == (160, 320, 3) for name in log.rows["center"])
        assert len(log.rows) >= frames
        frames = len(log.rows)
    run_process("video.py", run, "-o", tmp_path / "run1.mp4")
    print(f"\ndrive.py: killed 40 times, {frames} frames recorded")
    assert frames > 100


def test_making_a_clip_killed_60_times(untrained_model, tmp_path):
    run, clip = tmp_path / "run1", tmp_path / "run1.mp4"
    with serving(untrained_model, run) as server:
        drive(server.port, Still(400))
    longest = seconds_of("video.py", run)
    count, killed = frames_of(clip), 0
    for number, moment in enumerate(moments(4, 60, 1.1 * longest)):
        if number % 2:
            clip.unlink(missing_ok=True)
        killed += kill_after(command("video.py", run), moment)
        assert not clip.exists() or frames_of(clip) == count
    run_process("video.py", run)
    assert frames_of(clip) == count
    only(tmp_path, "run1", "run1.mp4")
    print(f"\nvideo.py: killed {killed} of 60 times, over {longest:.1f} s")
    assert killed > 40


@pytest.mark.parametrize("name", ["import", "export"])
def test_an_exchange_killed_40_times(simulated_recording, tmp_path, name):
    """The folder is there whole or not at all, and the next run removes what the killed ones have left."""
    table, folder, whole = tmp_path / "table", tmp_path / "new", tmp_path / "whole"
    run_process("export", simulated_recording, "--to", "csv", "-o", table)
    line = ("import", table) if name == "import" else ("export", simulated_recording, "--to", "lerobot")
    longest = seconds_of(*line, "-o", whole)
    expected, killed = names_and_sizes(whole), 0
    for moment in moments(5, 40, 1.1 * longest):
        killed += kill_after(command(*line, "-o", folder), moment)
        assert not folder.exists() or names_and_sizes(folder) == expected
        shutil.rmtree(folder, ignore_errors=True)
    run_process(*line, "-o", folder)
    assert names_and_sizes(folder) == expected
    only(tmp_path, "table", "new", "whole")
    print(f"\n{name}: killed {killed} of 40 times, over {longest:.1f} s")
    assert killed > 15


def names_and_sizes(folder):
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".json", ".csv")]
    return {path.relative_to(folder): path.stat().st_size for path in files}


def frames_of(clip):
    opened = cv2.VideoCapture(str(clip))
    count = int(opened.get(cv2.CAP_PROP_FRAME_COUNT))
    opened.release()
    return count
