"""Run tasks on the workers of a Dask cluster: a running cluster, or processes of this machine.

In: the scheduler's address, or a number of processes. Out: a TaskPool.
"""

import asyncio
import logging
import pickle
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib import import_module
from importlib.util import find_spec
from multiprocessing import resource_tracker
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from bcclone.system import pool as pools
from bcclone.system.errors import UserError, require_package
from bcclone.system.pool import Result, Task, TaskPool, run_task, source_digest
from bcclone.system.process import (
    Notify,
    claim_process,
    interrupts_kept_from_children,
    loggers_silent,
)

if TYPE_CHECKING:
    from distributed import Client, Security

_CONNECT_SECONDS = 8.0  # longest wait for a connection to the scheduler
# how long a cluster may be without workers: somebody may be restarting a worker that has ended
_WORKER_SECONDS = 10.0
_ANSWER_SECONDS = 20.0  # longest wait for an answer; a busy scheduler takes less
_SECONDS_BETWEEN_REPORTS = 0.25  # between two events by which a task reports its progress
_LOOPBACK = "127.0.0.1"
# the forms of --scheduler: an address, and local:N
_ADDRESS = re.compile(r"(?:tcp|tls)://[^\s/:]+:\d+|(?:tcp|tls)://\[[0-9a-fA-F:]+\]:\d+")
_LOCAL = re.compile(r"local:([1-9]\d{0,2})")
# loggers that print tracebacks when a connection ends
_LOGGERS = ("distributed", "distributed.client", "tornado", "tornado.application", "asyncio")
_CONFIGURATION = {
    "distributed.comm.timeouts.connect": f"{_CONNECT_SECONDS:g}s",
    "distributed.comm.timeouts.tcp": "12s",  # how soon a vanished machine is noticed
    "distributed.worker.daemon": False,  # daemons cannot start processes, but tasks do
}


class DaskPool(TaskPool):
    """A pool of Dask's workers.

    address: address of the scheduler, for messages
    topic: topic of Dask's events by which the tasks report their progress
    notify: called with a line when a worker was lost
    """

    def __init__(self, client: "Client", address: str, topic: str, notify: Notify) -> None:
        # pure=False: Dask runs equal tasks again, instead of returning the first result; the number
        # of workers may change, so the property `workers` asks for it
        super().__init__(
            client.get_executor(pure=False), workers=0, reported=lambda: self._progress
        )
        self._client = client
        self._address = address
        self._topic = topic
        self._notify = notify
        self._progress = 0.0  # sum of what all tasks have reported
        self._present: set[str] = set()  # addresses of the workers that _all_workers() found last
        # time at which check() first found no worker, None while there are some
        self._without_workers_since: float | None = None

        def add(event: tuple[float, float]) -> None:  # event: time, amount
            self._progress += event[1]

        client.subscribe_topic(topic, add)

    @property
    def workers(self) -> int:
        """Return the number of threads of all workers; each runs one task at a time."""
        return sum(worker["nthreads"] for worker in self._all_workers().values())

    def submit(
        self, function: Callable[[Task], Result], task: Task, faulty: Sequence[str]
    ) -> "Future[Result]":
        """Submit a task, and return the future of its result.

        faulty: addresses of workers to avoid, as long as there are other workers
        """
        choice: dict[str, Any] = {}
        if faulty:
            sound = [name for name in self._all_workers() if name not in faulty]
            if sound:
                choice = {"workers": sound, "allow_other_workers": True}
        packed = pickle.dumps((function, task))
        return self._executor.submit(_run_on_worker, packed, source_digest(), self._topic, **choice)

    def explain(self, error: Exception) -> None:
        """Raise UserError if the scheduler or a worker failed, or has another version of bcclone.

        Returns if none of these is the cause, so that the task itself has raised the error.
        """
        from distributed import KilledWorker
        from distributed.comm import CommClosedError

        if isinstance(error, CancelledError | CommClosedError) or self._client.status != "running":
            raise self._lost() from None
        if isinstance(error, KilledWorker):
            raise UserError(
                f"{error.allowed_failures + 1} workers ended unexpectedly while they ran the same "
                f"task, the last one {error.last_worker.address}; its log may say why; "
                "if memory ran out, start fewer workers on a machine"
            ) from None
        self.check_versions()

    def check(self) -> None:
        """Raise UserError if the scheduler does not answer, or has had no worker for some time."""
        if self._all_workers():
            self._without_workers_since = None
        elif self._without_workers_since is None:
            self._without_workers_since = time.monotonic()
        elif time.monotonic() - self._without_workers_since > _WORKER_SECONDS:
            raise UserError(
                f"all workers of the Dask scheduler at {self._address} have ended; start some "
                f"(dask worker {self._address}), and run the same command again, "
                "with --resume if it has that"
            )

    def check_versions(self) -> None:
        """Raise UserError if the scheduler or a worker has another bcclone than this process."""
        digests: dict[str, str | Exception] = {}
        scheduler = f"the scheduler at {self._address}"
        try:
            digests[scheduler] = self._client.run_on_scheduler(source_digest)
        except Exception as error:
            digests[scheduler] = error
        for name, digest in self._client.run(source_digest, on_error="return").items():
            digests[f"worker {name}"] = digest
        for place, digest in digests.items():
            if isinstance(digest, Exception):
                raise UserError(
                    f"{place} cannot load bcclone ({digest}); install the same versions of "
                    "bcclone, Python and packages there as here, and start it again"
                )
            if digest != source_digest():
                raise _other_version(place)

    def _all_workers(self) -> Mapping[str, Mapping[str, Any]]:
        """Return what the scheduler knows of each worker, by the worker's address.

        The user hears which workers were lost since the last call.
        """
        identity = self._client.scheduler.identity
        try:
            state = self._client.sync(identity, n_workers=-1, callback_timeout=_ANSWER_SECONDS)
        except TimeoutError:
            raise self._lost() from None
        workers: Mapping[str, Mapping[str, Any]] = state["workers"]
        for address in sorted(self._present - set(workers)):
            self._notify(
                f"note: worker {address} was lost, {len(workers)} remain; "
                "other workers repeat its tasks"
            )
        self._present = set(workers)
        return workers

    def _lost(self) -> UserError:
        """Return the error that the scheduler was lost."""
        return UserError(
            f"the Dask scheduler at {self._address} ended or cannot be reached any more; "
            "start it and its workers again, and run the same command again, "
            "with --resume if it has that"
        )


def _other_version(place: str) -> UserError:
    return UserError(
        f"{place} has another version of bcclone; install the same one there, and start it again"
    )


def _run_on_worker(packed: bytes, sources: str, topic: str) -> Any:
    """Run a task in a thread of a worker, and send its progress four times a second.

    From its first task on, a worker is a process of bcclone's own until it ends, because TensorFlow
    cannot take back its threads and devices.

    packed: a function and its task, pickled: they load large packages, which first ask whose
        process it is
    sources: source_digest() of the process that has sent the task
    topic: topic of the events
    """
    claim_process()
    from distributed import get_worker

    worker = get_worker()
    unsent = 0.0
    sent_at = time.monotonic()

    def report(amount: float) -> None:
        nonlocal unsent, sent_at
        unsent += float(amount)  # NumPy's numbers cannot be sent as events
        if time.monotonic() - sent_at >= _SECONDS_BETWEEN_REPORTS:
            worker.log_event(topic, unsent)
            unsent = 0.0
            sent_at = time.monotonic()

    if sources != source_digest():
        raise _other_version(f"worker {worker.address}")
    function, task = pickle.loads(packed)  # noqa: S301 Dask unpickles what it gets, too
    result = run_task(function, task, worker.address, report)
    worker.log_event(topic, unsent)  # before the result is sent, so that it arrives first
    return result


@contextmanager
def open_pool(
    scheduler: str, jobs: int = 0, notify: Notify = lambda line: None
) -> Iterator[TaskPool]:
    """Yield a pool of workers; processes that are started for it end with the block.

    Raises UserError.

    scheduler: "" for processes of this machine, "local:N" for a Dask cluster of N processes on
        this machine, or the address of a running Dask scheduler, such as "tcp://HOST:8786"
    jobs: number of processes if there is no scheduler, 0 for one per usable core
    notify: called with the address of Dask's dashboard, and when a worker was lost
    """
    if not scheduler:
        with pools.open_pool(jobs) as pool:
            yield pool
        return
    with _open_dask_pool(scheduler, notify) as pool:
        yield pool


@contextmanager
def _open_dask_pool(scheduler: str, notify: Notify) -> Iterator[DaskPool]:
    """Yield the pool of a Dask cluster; scheduler: as open_pool() takes it, but not ""."""
    local = _LOCAL.fullmatch(scheduler)
    if not local and not _ADDRESS.fullmatch(scheduler):
        raise UserError(
            f"scheduler {scheduler}: expected tcp://HOST:PORT, "
            "or local:N for N processes of this machine"
        )
    require_package("distributed", "--scheduler", "bcclone[cluster]")
    import dask

    if local:
        require_package("cryptography", f"--scheduler {scheduler}", "bcclone[cluster]")
    import_module("distributed")  # makes the default settings and the loggers that are changed next
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(_CONFIGURATION))
        stack.enter_context(loggers_silent(*_LOGGERS))
        address = scheduler
        security: Security | None = None
        if local:
            address, security = stack.enter_context(_local_cluster(int(local[1])))
        client = stack.enter_context(_connected(address, security))
        try:
            client.wait_for_workers(1, timeout=_WORKER_SECONDS)
        except TimeoutError:
            raise UserError(
                f"the Dask scheduler at {address} has no workers; "
                f"start at least one: dask worker {address}"
            ) from None
        topic = f"bcclone-{uuid.uuid4().hex}"
        pool = DaskPool(client, address, topic, notify)
        stack.callback(client.unsubscribe_topic, topic)
        pool.check_versions()
        if client.dashboard_link and (not local or find_spec("bokeh")):
            notify(f"Dask's dashboard: {client.dashboard_link}")
        yield pool


@contextmanager
def _local_cluster(workers: int) -> Iterator[tuple[str, "Security"]]:
    """Start a scheduler in this process, and worker processes; all end with the block.

    Yields the address of the scheduler, and the keys with which a client may connect. Whoever can
    connect to a scheduler or a worker can run programs there. So they accept only holders of a key
    that is made for this run, and never written to disk. Dask imports Python modules from its
    folder of temporary files; so it gets a folder in which no other user can write.

    workers: number of worker processes
    """
    import dask
    from distributed import LocalCluster, Security

    # Python's resource tracker unblocks signals when it starts, so let it start before they are
    # blocked
    resource_tracker.ensure_running()
    security = Security.temporary()
    with (
        TemporaryDirectory(prefix="bcclone-dask-") as folder,
        dask.config.set({"temporary-directory": folder}),
    ):
        # Dask's threads inherit that Ctrl-C is blocked, and start all workers
        with interrupts_kept_from_children():
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                host=_LOOPBACK,
                security=security,
                dashboard_address=f"{_LOOPBACK}:0",
                memory_limit=0,  # no spilling to disk, and no worker ended for its memory
                silence_logs=logging.CRITICAL,
            )
        with cluster:
            yield cluster.scheduler_address, security


@contextmanager
def _connected(address: str, security: "Security | None") -> Iterator["Client"]:
    """Yield a client of a scheduler; raises UserError if none answers.

    security: keys of the client; None for the keys in Dask's configuration, if it has any
    """
    from distributed import Client, Security

    if security is None:
        security = Security()
    try:
        with ThreadPoolExecutor(1) as thread:  # the caller's thread may already run an event loop
            thread.submit(asyncio.run, _shake_hands(address, security)).result()
        client = Client(address, timeout=_CONNECT_SECONDS, set_as_default=False, security=security)
    except Exception as error:  # Dask raises many kinds for a program that is no scheduler
        raise UserError(
            f"no Dask scheduler answers at {address} ({type(error).__name__}); "
            "start one: dask scheduler --host HOST"
        ) from None
    with client:
        yield client


async def _shake_hands(address: str, security: "Security") -> None:
    """Connect to a scheduler and disconnect; raises an error if no answer comes in eight seconds.

    Without this, Client would wait forever if the program at the address is no scheduler.
    """
    from distributed.comm import connect

    options = security.get_connection_args("client")
    comm = await asyncio.wait_for(
        connect(address, timeout=_CONNECT_SECONDS, **options), _CONNECT_SECONDS
    )
    await comm.close()
