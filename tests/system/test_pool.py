"""Results of tasks on processes of this machine and on a Dask cluster; kept results of earlier
runs.
"""

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from bcclone.system.errors import UserError
from bcclone.system.pool import find_kept, keep, open_pool, run_kept, run_tasks
from tests import opencv_task, pool_tasks
from tests.dask_cluster import dask_cluster, kill
from tests.processes import said, started, wait_for
from tests.running import ROOT, command


@pytest.fixture(scope="module", params=["processes", pytest.param("dask", marks=pytest.mark.slow)])
def pool(request, tmp_path_factory):
    if request.param == "processes":
        with open_pool(2) as pool:
            yield pool
        return
    with (
        dask_cluster(tmp_path_factory.mktemp("dask")) as cluster,
        open_pool(scheduler=cluster.address) as pool,
    ):
        yield pool


def test_results_come_with_the_index_of_their_task(pool):
    results = dict(run_tasks(pool, pool_tasks.square, range(20)))
    assert results == {number: number**2 for number in range(20)}
    assert list(run_tasks(pool, pool_tasks.square, [])) == []


def test_an_error_arrives_as_it_is_one_for_the_user_with_its_exit_code(pool):
    with pytest.raises(UserError, match=r"three\.csv: cannot be read") as caught:
        list(run_tasks(pool, pool_tasks.refuse_three, range(6)))
    assert caught.value.exit_code == 2
    with pytest.raises(ZeroDivisionError):
        list(run_tasks(pool, pool_tasks.divide_by, [1, 0]))


def test_a_run_that_is_left_cancels_what_has_not_begun(pool, tmp_path):
    tasks = [tmp_path / name for name in "abcdefgh"]
    (tmp_path / "a").touch()
    results = run_tasks(pool, pool_tasks.wait_for_file, tasks)
    assert next(results) == (0, tasks[0])
    results.close()
    for task in tasks:
        task.touch()
    assert dict(run_tasks(pool, pool_tasks.square, [2, 3])) == {0: 4, 1: 9}


def test_an_error_ends_the_other_workers_without_a_part_of_their_files(tmp_path):
    outputs = [tmp_path / "slow", tmp_path / "failing"]
    with pytest.raises(UserError, match="failing: no space left"), open_pool(2) as pool:
        list(run_tasks(pool, pool_tasks.write_or_fail, outputs))
    assert list(tmp_path.iterdir()) == []


def test_a_worker_is_our_own_process_before_it_loads_what_its_task_needs():
    with open_pool(1) as pool:
        assert list(run_tasks(pool, opencv_task.is_silent, [None])) == [(0, True)]


def test_a_worker_process_that_ends_is_told():
    told = pytest.raises(UserError, match="a worker process ended unexpectedly.*--jobs")
    with told, open_pool(2) as pool:
        list(run_tasks(pool, pool_tasks.end_process, [1, 2]))


def test_a_program_that_its_workers_would_run_again_is_told_so(tmp_path):
    program = tmp_path / "program.py"
    lines = (
        "from bcclone.system.pool import open_pool, run_tasks",
        "with open_pool(2) as pool:",
        "    print(list(run_tasks(pool, abs, [-1, -2])))",
    )
    program.write_text("\n".join(lines))
    done = said(sys.executable, program, cwd=ROOT)
    assert done.returncode == 1
    *_, told = done.stderr.strip().splitlines()
    assert 'if __name__ == "__main__":' in told
    assert "bootstrapping" not in done.stderr  # Python's own error, of each worker
    guarded = [lines[0], 'if __name__ == "__main__":', *(f"    {line}" for line in lines[1:])]
    program.write_text("\n".join(guarded))
    done = said(sys.executable, program, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_scheduler_without_a_port_or_without_dask_is_refused(monkeypatch):
    pytest.importorskip("distributed")
    with pytest.raises(UserError, match="at tcp://host .*port"), open_pool(scheduler="tcp://host"):
        pass
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UserError, match=r"bcclone\[cluster\]"), open_pool(scheduler="tcp://a:1"):
        pass


@pytest.mark.long
def test_a_cluster_without_workers_and_a_scheduler_that_ends_are_told(tmp_path):
    with dask_cluster(tmp_path, workers=0) as cluster:
        words = f"{cluster.address}.*dask worker {cluster.address}"
        with pytest.raises(UserError, match=words), open_pool(scheduler=cluster.address):
            pass
        cluster.start_worker()

        def end(pool):
            pool.submit(pool_tasks.wait_for_file, tmp_path / "begun")
            wait_for(lambda: tasks_begun(tmp_path))
            kill(cluster.scheduler)
            list(run_tasks(pool, pool_tasks.square, [1]))

        with (
            pytest.raises(UserError, match=f"scheduler.*{cluster.address}.*ended"),
            open_pool(scheduler=cluster.address) as pool,
        ):
            end(pool)


def tasks_begun(folder):
    """Return how often pool_tasks.wait_for_file() has begun."""
    return len(list(folder.glob("*.pid")))


PROGRAM = """
import sys
from bcclone.system.pool import open_pool, run_tasks
from tests.pool_tasks import wait_for_file

if __name__ == "__main__":
    try:
        with open_pool(2) as pool:
            list(run_tasks(pool, wait_for_file, sys.argv[1:]))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT to a group of processes")
def test_a_pool_that_ctrl_c_ends_leaves_no_process_behind(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    line = [sys.executable, "program.py", *(tmp_path / name for name in "abcd")]
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


WITHOUT_THREADS = """
import sys
import threading
from bcclone.system.pool import open_pool, run_tasks
from tests.pool_tasks import square

start = threading.Thread.start
left = int(sys.argv[1])

def start_while_allowed(self):
    global left
    if left == 0:
        raise RuntimeError("can't start new thread")
    left -= 1
    start(self)

if __name__ == "__main__":
    threading.Thread.start = start_while_allowed
    with open_pool(2) as pool:
        print(dict(run_tasks(pool, square, [1, 2])))
"""


@pytest.mark.parametrize("threads", [0, 1, 2])
def test_a_pool_that_may_start_no_thread_ends_with_an_error(tmp_path, threads):
    (tmp_path / "program.py").write_text(WITHOUT_THREADS)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    line = [sys.executable, tmp_path / "program.py", threads]
    done = said(*line, env=environment, timeout=60)
    if threads < 2:
        assert done.stderr.endswith("RuntimeError: can't start new thread\n")
    else:
        assert done.stdout == "{0: 1, 1: 4}\n", done.stderr


@dataclass(frozen=True)
class Figures:
    number: int
    values: tuple[float, ...] = ()


def test_a_result_is_read_as_it_was_kept_and_a_damaged_one_counts_as_unfinished(tmp_path):
    result = Figures(1, (0.5, 1.5))
    assert keep(None, "one", result) == result
    assert find_kept(None, Figures, "one") is None
    folder = tmp_path / "new"
    keep(folder, "one", result)
    assert find_kept(folder, Figures, "one") == result
    assert find_kept(folder, Figures, "two") is None
    (path,) = folder.iterdir()
    whole = path.read_text()
    for text in ("", "[]", '{"number": "1"}', whole[:-5], whole.replace("values", "more")):
        path.write_text(text)
        assert find_kept(folder, Figures, "one") is None


def test_only_what_no_earlier_run_has_finished_is_run(tmp_path):
    with open_pool(1) as pool:

        def run(*numbers):
            tasks = [pool_tasks.Counted(number, tmp_path / "runs") for number in numbers]
            kept = tmp_path / "kept"
            line = []
            results = run_kept(
                pool,
                pool_tasks.count,
                tasks,
                kept,
                int,
                label="counting",
                unit="rows",
                noun="counts",
                notify=line.append,
            )
            return results, line

        assert run(1, 2) == ([1, 2], [])
        results, line = run(3, 2, 1)
    assert results == [3, 2, 1]
    assert "2 of 3 counts are finished already" in line[0]
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["1", "2", "3"]


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="of Linux")
@pytest.mark.parametrize("options", ["ro", "size=4k"])
def test_processes_without_shared_memory_are_refused(options, simulated_recording, tmp_path):
    """One file needs no processes."""
    mount = f'mount -t tmpfs -o {options} none /dev/shm && exec "$@"'
    unshare = ("unshare", "--mount", "--propagation", "private", "sh", "-c", mount, "sh")
    if said(*unshare, "true").returncode:
        pytest.skip("may not mount")
    line = command("preprocess", simulated_recording, "--size", 32, "-o")
    assert said(*unshare, *line, tmp_path / "x.h5").returncode == 0
    done = said(*unshare, *line, tmp_path / "x", "--jobs", 2)
    assert done.returncode == 1
    assert "/dev/shm" in done.stderr
    assert "--shm-size" in done.stderr
