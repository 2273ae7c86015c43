"""Several workers on this machine: they train the network that one trains, and a lost one ends the
others.
"""

import csv
import json
import os
import signal
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from bcclone.dataset.conversion import convert
from bcclone.dataset.sample_settings import PreprocessSettings
from bcclone.dataset.shards import open_store
from tests.conftest import made_once
from tests.processes import free_addresses, wait_for
from tests.running import command, run_process, run_script
from tests.training.trainings import assert_same_weights, state_of, weights

# 69 samples in batches of 7: neither 2 nor 3 workers divide the batches, and the last one has fewer
# samples than 7. At a fifth of the usual rate, 60 steps of Muon do not enlarge how sums in another
# order are rounded (to 3e-5 at the usual rate, for some seeds).
QUICK = (
    *("--epochs", 6, "--batch-size", 7, "--learning-rate", 0.001),
    *("--no-plots", "--dropout", 0),
)


@pytest.fixture(scope="module")
def store(simulated_recording, tmp_path_factory):
    """A store of small images, one camera, not flipped."""
    samples = {"block_seconds": 2.0, "frame_offsets": 0, "flip": False, "cameras": ("center",)}

    def make(folder):
        convert(
            PreprocessSettings(
                (str(simulated_recording),), folder / "data.h5", size=(64, 64), **samples
            )
        )

    return made_once(tmp_path_factory, "store_of_workers", make) / "data.h5"


@dataclass
class Worker:
    process: subprocess.Popen
    folder: Path

    def ended(self, seconds=240):  # beside other programs two workers take long
        """Return the exit code and the lines on standard error."""
        _, notices = self.process.communicate(timeout=seconds)
        assert "Traceback" not in notices, notices
        return self.process.returncode, notices.splitlines()


class Workers:
    """Starts workers, each in a folder of its own, and ends them."""

    def __init__(self, folder):
        self.folder = folder
        self.opened = ExitStack()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.opened.close()

    def start(self, stores, *options, by_tf_config=(), more=()):
        """Start a worker for each store.

        by_tf_config: which ones, by their indices
        more: options of the last worker alone
        """
        addresses = free_addresses(len(stores))
        workers = []
        for index, store in enumerate(stores):
            if index == len(stores) - 1:
                options = (*options, *more)
            workers.append(self._start(store, index, addresses, options, index in by_tf_config))
        return workers

    def _start(self, store, index, addresses, options, by_tf_config):
        folder = self.folder / str(index)
        folder.mkdir(exist_ok=True)
        environment = {
            name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"
        }
        line = command("model.py", store, *options, "--json")
        if by_tf_config:
            task = {"type": "worker", "index": index}
            environment["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": task})
        else:
            line += ["--workers", ",".join(addresses), "--worker-index", str(index)]
        process = subprocess.Popen(
            line,
            cwd=folder,
            env=environment,
            text=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self.opened.callback(self._end, process)
        return Worker(process, folder)

    @staticmethod
    def _end(process):
        process.kill()
        process.wait()
        process.stderr.close()


@pytest.fixture
def workers(tmp_path):
    with Workers(tmp_path) as started:
        yield started


def trained_together(folder, store, count, *options):
    """Train with so many workers to the end; return the folder of worker 0."""
    with Workers(folder) as started:
        members = started.start([store] * count, *options, by_tf_config=(count - 1,))
        for member in members:
            code, lines = member.ended()
            assert code == 0, lines
            assert sum(line.startswith("epoch 6: loss") for line in lines) == 1
    return members[0].folder


@pytest.fixture(scope="module")
def two(store, tmp_path_factory):
    """A folder in which two workers have trained without an interruption."""
    return (
        made_once(
            tmp_path_factory,
            "two_workers",
            lambda folder: trained_together(folder, store, 2, *QUICK),
        )
        / "0"
    )


@pytest.fixture(scope="module")
def one(store, tmp_path_factory):
    """A folder in which one worker alone has trained."""
    return made_once(
        tmp_path_factory,
        "one_worker",
        lambda folder: run_process("model.py", store, *QUICK, cwd=folder),
    )


def history_of(folder):
    rows = csv.DictReader(next(folder.glob("runs/*/history.csv")).open())
    return [
        [float(row[name]) for name in ("loss", "mae", "val_loss", "val_mae", "val_correlation")]
        for row in rows
    ]


def assert_close(first, second):
    one = weights(first / "model.h5")
    other = weights(second / "model.h5")
    assert one.keys() == other.keys()
    floats = [name for name in one if one[name].dtype.kind == "f"]
    assert max(abs(one[name] - other[name]).max() for name in floats) < 1e-5
    assert np.allclose(history_of(first), history_of(second), rtol=1e-4)


@pytest.mark.slow
def test_two_workers_train_the_network_that_one_trains(one, two, store):
    """Augmented, without dropout, which each worker draws for its own part."""
    with open_store(store) as data:
        steps = 6 * -(-int(data.split_indices("training").size) // 7)
    run = next(two.glob("runs/*"))
    assert state_of(run)[2] == steps >= 50
    assert_close(one, two)
    assert sorted(path.name for path in (two.parent / "1").iterdir()) == []
    assert {path.name for path in two.iterdir()} == {"model.h5", "runs"}


def step_of(folder):
    found = folder.glob("runs/*/checkpoints/checkpoint-*[0-9].h5")
    return max((int(path.stem[-9:]) for path in found), default=0)


def assert_lost(member):
    code, lines = member.ended()
    assert code == 1
    (error,) = [line for line in lines if line.startswith("error: ")]
    assert lines[-1] == error
    assert [words for words in ("was lost", "--resume") if words not in error] == []


@pytest.mark.long
def test_a_resume_after_a_killed_member_gives_the_same_weights(two, store, workers):
    options = (*QUICK, "--checkpoint-minutes", "0.0001")
    for killed, after in ((1, 9), (0, 30)):
        members = workers.start([store] * 2, *options, "--resume")
        folder = members[0].folder
        wait_for(lambda: step_of(folder) >= after, seconds=120, every_seconds=0.01)  # noqa: B023
        members[killed].process.kill()
        assert_lost(members[1 - killed])
        assert not (members[0].folder / "model.h5").exists()
    ended = [member.ended() for member in workers.start([store] * 2, *QUICK, "--resume")]
    assert [code for code, _ in ended] == [0, 0], ended
    assert any(line.startswith("resuming") for line in ended[0][1])
    assert_same_weights(two / "model.h5", workers.folder / "0" / "model.h5")
    assert history_of(two) == history_of(workers.folder / "0")


@pytest.mark.long
def test_another_number_of_workers_resumes_at_the_same_step(one, store, workers):
    members = workers.start([store] * 2, *QUICK, "--checkpoint-minutes", "0.0001")
    wait_for(lambda: step_of(members[0].folder) >= 20, seconds=120, every_seconds=0.01)
    members[1].process.send_signal(signal.SIGTERM)  # any worker may be asked to stop
    for member in members:
        code, lines = member.ended()
        assert code == 130, lines
        assert any("--resume" in line for line in lines)
    run_process("model.py", store, *QUICK, "--resume", cwd=members[0].folder)
    assert_close(one, members[0].folder)


@pytest.mark.long
def test_a_stopped_worker_ends_the_others(store, workers):
    members = workers.start([store] * 3, *QUICK, "--epochs", 500)
    wait_for(lambda: step_of(members[0].folder) >= 9, seconds=120)
    members[2].process.send_signal(signal.SIGSTOP)
    for member in members[:2]:
        assert_lost(member)
    members[2].process.send_signal(signal.SIGCONT)
    assert members[2].ended()[0] == 1


def error_of(member):
    code, lines = member.ended()
    assert code == 1, lines
    (error,) = [line for line in lines if line.startswith("error: ")]
    assert not (member.folder / "runs").exists()
    return error


@pytest.mark.long
@pytest.mark.parametrize(
    ("other", "more", "words"),
    [
        (True, (), ("content of the store: ", "on worker 1", "on worker 0")),
        (
            False,
            ("--learning-rate", 0.01),
            ("learning rate: 0.01 on worker 1", "0.001 on worker 0"),
        ),
    ],
)
def test_another_store_or_other_settings_on_one_worker_end_all(
    store, simulated_store, workers, other, more, words
):
    second_store = simulated_store if other else store
    started = workers.start([store, second_store], *QUICK, more=more)
    errors = {error_of(worker) for worker in started}
    assert len(errors) == 1
    assert [word for word in words if word not in min(errors)] == []


# ---- which workers train together


def tf_config(index, kind="worker", **jobs):
    return json.dumps({"cluster": jobs, "task": {"type": kind, "index": index}})


@pytest.mark.slow
@pytest.mark.parametrize("text", ["not json", tf_config(0, "ps", worker=["one:2345"], ps=["c:1"])])
def test_a_wrong_tf_config_is_refused(tmp_path, monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    said = run_process("model.py", code=1, cwd=tmp_path).stderr
    (error,) = [line for line in said.splitlines() if line.startswith("error: ")]
    assert [words for words in ("TF_CONFIG", "expected", "host1:2345") if words not in error] == []


@pytest.mark.parametrize(
    ("workers", "index", "words"),
    [
        ("4", None, ["--workers '4'", "--feed-workers", "host1:2345"]),
        ("one:2345,one:2345", 0, ["--workers 'one:2345'", "once"]),
        ("one:2345,two:2345", 2, ["--worker-index 2 for 2", "from 0"]),
        (None, 1, ["--workers host1:2345", "--worker-index 0"]),
    ],
)
def test_wrong_options_are_refused_in_one_line(tmp_path, workers, index, words):
    options = []
    if workers:
        options += ["--workers", workers]
    if index is not None:
        options += ["--worker-index", index]
    (line,) = run_script("model.py", *options, code=1, cwd=tmp_path).stderr.splitlines()
    assert [word for word in words if word not in line] == []
