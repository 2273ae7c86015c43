"""Which workers train together: from --workers and --worker-index, or from TF_CONFIG."""

import json
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from bcclone.cluster.cluster_settings import WorkerSettings, find_workers
from bcclone.cluster.connection import await_others
from bcclone.system.errors import UserError
from tests.processes import free_addresses, wait_for
from tests.running import run_script

BOTH = ("one:2345", "two:2345")


def found(workers, index, environment):
    return find_workers(WorkerSettings(workers, index), environment)


def tf_config(index=1, kind="worker", **jobs):
    return {"TF_CONFIG": json.dumps({"cluster": jobs, "task": {"type": kind, "index": index}})}


def test_options_name_the_workers():
    cluster = found(BOTH, 1, {})
    assert cluster == WorkerSettings(BOTH, 1)
    assert (cluster.count, cluster.index, cluster.host_and_port(0)) == (2, 1, ("one", 2345))
    assert found((), None, {}) is None
    assert found(BOTH[:1], 0, {}) is None


def test_tf_config_names_the_workers_unless_options_do():
    assert found((), None, tf_config(worker=BOTH)) == WorkerSettings(BOTH, 1)
    with_chief = tf_config(0, chief=["chief:1"], worker=BOTH)
    assert found((), None, with_chief) == WorkerSettings(("chief:1", *BOTH), 1)
    assert found((), None, tf_config(0, "chief", chief=["chief:1"], worker=BOTH)).index == 0
    assert found(("x:1", "y:2"), 0, with_chief) == WorkerSettings(("x:1", "y:2"), 0)
    assert found((), None, tf_config(0, worker=BOTH[:1])) is None


@pytest.mark.parametrize(
    "environment",
    [
        {"TF_CONFIG": "not json"},
        {"TF_CONFIG": "[]"},
        tf_config(5, worker=BOTH),
        tf_config(0, "ps", worker=BOTH, ps=["c:1"]),
        tf_config(0, "evaluator", worker=BOTH),
        tf_config(0, worker=["one", "two:1"]),
    ],
)
def test_a_wrong_tf_config_is_refused(environment):
    with pytest.raises(UserError, match="TF_CONFIG: not the description of a worker.*expected"):
        found((), None, environment)


@pytest.mark.parametrize(
    ("workers", "index", "words"),
    [
        ("4", None, ["--workers '4'", "--feed-workers", "host1:2345"]),
        ("one:2345,two:99999", 0, ["'two:99999'", "HOST:PORT"]),
        ("one:2345,one:2345", 0, ["different addresses"]),
        ("one:2345,two:2345", 2, ["--worker-index 2", "0 to 1"]),
        ("one:2345,two:2345", None, ["--workers host1:2345", "--worker-index 0"]),
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


def test_a_worker_that_does_not_come_is_named_in_limited_time():
    both = free_addresses(2)
    with pytest.raises(
        UserError, match=rf"worker 1 \({both[1]}\) did not come within 0.5 s.*--worker-index"
    ):
        await_others(WorkerSettings(tuple(both), 0), seconds=0.5)
    host, port = WorkerSettings(tuple(both), 1).host_and_port(1)
    with socket.create_server((host, port)):
        await_others(WorkerSettings(tuple(both), 0), seconds=5)
        with pytest.raises(UserError, match="cannot listen at port.*--worker-index of its own"):
            await_others(WorkerSettings(tuple(both), 1), seconds=0.5)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no second loopback address")
def test_a_worker_at_a_loopback_address_listens_there_alone():
    both = free_addresses(2)
    port = int(both[0].rpartition(":")[2])

    def connect(host):
        socket.create_connection((host, port), timeout=1).close()
        return True

    def listens():
        with suppress(OSError):
            return connect("127.0.0.1")

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(await_others, WorkerSettings(tuple(both), 0), seconds=2)
        wait_for(listens)
        with pytest.raises(ConnectionRefusedError):
            connect("127.0.0.2")
        assert isinstance(waiting.exception(), UserError)
