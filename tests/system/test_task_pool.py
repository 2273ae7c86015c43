"""The task pool: the same results, progress, retries and errors on processes of this machine and on
a Dask cluster.
"""

import os
import shutil
import signal
import socket
import sys
import threading

import psutil
import pytest

from bcclone.cluster.dask_workers import open_pool
from bcclone.system.errors import UserError
from tests import opencv_task, pool_tasks
from tests.dask_cluster import dask_cluster, kill
from tests.processes import started, wait_for
from tests.running import ROOT

ENGINES = ["", pytest.param("local:2", marks=pytest.mark.slow)]


@pytest.fixture(scope="module", params=ENGINES)
def pool(request):
    with open_pool(request.param, 2) as pool:
        yield pool


def test_results_come_with_the_index_of_their_task_and_progress_adds_up(pool):
    amounts = []
    results = dict(pool.run(pool_tasks.square, range(20), amounts.append))
    assert results == {number: number**2 for number in range(20)}
    assert sum(amounts) == sum(range(20))
    assert min(amounts) > 0
    assert list(pool.run(pool_tasks.square, [])) == []
    assert pool.workers == 2


def test_progress_arrives_while_a_task_runs(pool, tmp_path):
    released = tmp_path / "released"
    results = pool.run(pool_tasks.wait_for_file, [released], lambda amount: released.touch())
    assert list(results) == [(0, released)]


def test_an_error_arrives_as_it_is_one_for_the_user_with_its_exit_code(pool):
    with pytest.raises(UserError, match=r"three\.csv: cannot be read") as caught:
        list(pool.run(pool_tasks.refuse_three, range(6)))
    assert caught.value.exit_code == 2
    with pytest.raises(ZeroDivisionError):
        list(pool.run(pool_tasks.divide_by, [1, 0]))


def test_a_task_is_tried_again_after_a_fault_of_the_worker(pool, tmp_path):
    assert list(pool.run(pool_tasks.fault_twice, [tmp_path / "count"])) == [(0, 2)]


def test_a_fault_that_stays_names_task_worker_and_fault(pool, tmp_path):
    with pytest.raises(
        UserError, match=r"task-7: failed 4 times, at last on worker (process|tls:).*disk is full"
    ):
        list(pool.run(pool_tasks.fault_always, ["task-7"]))


def test_a_run_that_is_left_cancels_what_has_not_begun(pool, tmp_path):
    tasks = [tmp_path / name for name in "abcdefgh"]
    (tmp_path / "a").touch()
    results = pool.run(pool_tasks.wait_for_file, tasks)
    assert next(results) == (0, tasks[0])
    results.close()
    for task in tasks:
        task.touch()
    assert dict(pool.run(pool_tasks.square, [2, 3])) == {0: 4, 1: 9}


def test_a_task_may_start_processes(pool):
    assert list(pool.run(pool_tasks.start_a_process, ["abc"])) == [(0, "abc 3")]


def test_a_worker_is_our_own_process_before_it_loads_what_its_task_needs(pool):
    assert list(pool.run(opencv_task.is_silent, [None])) == [(0, True)]


def test_a_worker_process_that_ends_is_told():
    with (
        pytest.raises(UserError, match="a worker process ended unexpectedly.*--jobs"),
        open_pool("", 2) as pool,
    ):
        list(pool.run(pool_tasks.end_process, [1, 2]))


@pytest.mark.parametrize("scheduler", ["local:0", "tcp://host", "host:8786"])
def test_what_is_no_scheduler_is_refused(scheduler):
    with (
        pytest.raises(UserError, match=f"{scheduler}: expected tcp://HOST:PORT, or local:N"),
        open_pool(scheduler),
    ):
        pass


def test_a_missing_dask_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UserError, match=r"pip install 'bcclone\[cluster\]'"), open_pool("local:2"):
        pass


@pytest.mark.long
@pytest.mark.parametrize("listening", [False, True])
def test_a_scheduler_that_does_not_answer_is_told(listening):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        if not listening:
            server.close()
        with (
            pytest.raises(UserError, match=f"no Dask scheduler answers at {address}.*start one"),
            open_pool(address),
        ):
            pass


def tasks_begun(folder):
    """Return how often pool_tasks.wait_for_file() has begun."""
    return len(list(folder.glob("*.pid")))


@pytest.mark.long
@pytest.mark.parametrize(
    ("which", "words"),
    [
        ("stopped scheduler", "the Dask scheduler at {0} ended or cannot be reached"),
        ("workers", "all workers of the Dask scheduler at {0} have ended.*dask worker {0}"),
    ],
)
def test_a_scheduler_that_stops_or_all_workers_that_end_are_told(tmp_path, which, words):
    def end_them():
        wait_for(lambda: tasks_begun(tmp_path) >= 2)
        if which == "workers":
            for process in cluster.workers:
                kill(process)
        else:
            os.kill(cluster.scheduler.pid, signal.SIGSTOP)

    with dask_cluster(tmp_path) as cluster:
        thread = threading.Thread(target=end_them, daemon=True)
        thread.start()
        with (
            pytest.raises(UserError, match=words.format(cluster.address)),
            open_pool(cluster.address) as pool,
        ):
            list(pool.run(pool_tasks.wait_for_file, [tmp_path / name for name in "abcd"]))
        thread.join(30)


@pytest.mark.long
def test_a_task_that_ends_its_workers_is_told():
    with (
        pytest.raises(UserError, match="4 workers ended unexpectedly.*tls://127.0.0.1"),
        open_pool("local:2") as pool,
    ):
        list(pool.run(pool_tasks.end_process, [1]))


@pytest.mark.long
def test_a_cluster_without_workers_is_told(tmp_path):
    with dask_cluster(tmp_path, workers=0) as cluster:
        words = f"{cluster.address} has no workers.*dask worker {cluster.address}"
        with pytest.raises(UserError, match=words), open_pool(cluster.address):
            pass


@pytest.mark.long
@pytest.mark.parametrize("words", ["another version of bcclone", "cannot load bcclone"])
def test_a_worker_with_another_bcclone_or_none_is_named(tmp_path, words):
    (other := tmp_path / "other").mkdir()
    if words == "cannot load bcclone":
        (other / "bcclone.py").write_text(
            "raise ModuleNotFoundError(\"No module named 'bcclone'\")\n"
        )
    else:
        (shutil.copytree(ROOT / "bcclone", other / "bcclone") / "more.py").write_text("# changed\n")
    with dask_cluster(tmp_path, workers=0) as cluster:
        cluster.start_worker(packages=other)
        with (
            pytest.raises(UserError, match=f"worker tcp://127.0.0.1.*{words}"),
            open_pool(cluster.address),
        ):
            pass


PROGRAM = """
import sys
from bcclone.cluster.dask_workers import open_pool
from tests.pool_tasks import wait_for_file

if __name__ == "__main__":
    try:
        with open_pool(sys.argv[1], 2) as pool:
            list(pool.run(wait_for_file, sys.argv[2:]))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
"""


@pytest.mark.long
def test_a_pool_that_ctrl_c_ends_leaves_no_process_behind(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    line = [sys.executable, "program.py", "", *(tmp_path / name for name in "abcd")]
    options = {
        "cwd": tmp_path,
        "env": os.environ | {"PYTHONPATH": str(ROOT)},
        "start_new_session": True,
    }
    with started(line, lambda: tasks_begun(tmp_path) >= 2, **options) as program:
        children = psutil.Process(program.pid).children(recursive=True)
        os.killpg(program.pid, signal.SIGINT)  # as Ctrl-C in a terminal
        stderr = program.communicate(timeout=40)[1]
    _, alive = psutil.wait_procs(children, timeout=40)
    assert not alive
    assert stderr == "interrupted\n"
