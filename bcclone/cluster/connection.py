"""Connect the workers of a training on several machines, and notice when a worker is lost.

In: the addresses of the workers. Out: the strategy of tf.distribute that has their devices. While
TensorFlow waits for a worker, no signal, thread or exception can end the wait. So the workers first
find each other by plain sockets, without TensorFlow. If TensorFlow then takes more than a minute to
connect them, a timer ends the process.
"""

import faulthandler
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from bcclone.cluster.cluster_settings import WorkerSettings
from bcclone.system.errors import UserError
from bcclone.system.process import Notify, is_own_process
from bcclone.system.tensorflow_quietly import load_tensorflow
from bcclone.web.access import is_this_machine

_MEETING_SECONDS = 60.0  # longest wait of the workers for each other, and then of TensorFlow
# TensorFlow's error about a lost worker has one of these words
_WORDS_OF_A_LOSS = ("Collective ops is aborted", "CoordinationService", "/job:worker/")


@contextmanager
def connected(
    cluster: WorkerSettings, gpus: int, gpu_memory: int, onednn: str, notify: Notify
) -> Iterator[Any]:
    """Yield the strategy of tf.distribute that connects this worker with all others.

    Loads TensorFlow. Raises UserError if the workers do not find each other in time, and if
    another worker is lost while the block runs.

    gpus: number of GPUs to use on each machine, 0 for all
    gpu_memory, onednn: as load_tensorflow() takes them
    """
    # an error of another worker is reported in one line here, not in many lines by TensorFlow; in
    # the process of a program that imports bcclone, the program's level stays
    if is_own_process():
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    this_one = cluster.describe(cluster.index)
    others = ", ".join(cluster.describe(index) for index in _others(cluster))
    notify(
        f"{this_one}, this one, waits up to {_MEETING_SECONDS:g} s for {others}, "
        "and ends if they do not come; worker 0 writes the model"
    )
    await_others(cluster)
    # the strategy must be made in `initialize`: during the loading, before TensorFlow computes
    # anything
    strategies: list[Any] = []
    load_tensorflow(
        gpu_memory=gpu_memory,
        initialize=lambda: strategies.append(_connect(cluster, gpus)),
        onednn=onednn,
    )
    import tensorflow as tf

    try:
        yield strategies[0]
    except tf.errors.OpError as error:
        # an error of this worker itself stays as it is
        if not any(words in str(error) for words in _WORDS_OF_A_LOSS):
            raise
        raise UserError(_describe_loss(cluster, str(error))) from None
    if cluster.index:
        notify(f"{this_one}: trained to the end; {cluster.describe(0)} writes the model")


def _others(cluster: WorkerSettings) -> list[int]:
    """Return the numbers of the other workers."""
    return [index for index in range(cluster.count) if index != cluster.index]


def await_others(cluster: WorkerSettings, seconds: float = _MEETING_SECONDS) -> None:
    """Wait until every other worker listens at its address; meanwhile listen at our own.

    Raises UserError if a worker does not listen within `seconds`.
    """
    retry_seconds = 0.2
    until = time.monotonic() + seconds
    missing = _others(cluster)
    with _listening(cluster):
        while True:
            missing = [index for index in missing if not _listens(cluster, index)]
            if not missing:
                break
            if time.monotonic() > until:
                raise UserError(
                    f"{', '.join(map(cluster.describe, missing))} did not come within "
                    f"{seconds:g} s; start every worker with the same --workers, each with its "
                    "--worker-index, and check that the machines reach each other at these ports"
                )
            time.sleep(retry_seconds)
        # listen a little longer, so that workers which have started later find this one, too
        time.sleep(5 * retry_seconds)


def _listening(cluster: WorkerSettings) -> socket.socket:
    """Return a socket that listens at this worker's port; raises UserError if it is in use.

    It listens on all addresses of the machine, or only locally if the worker's address is a local
    one such as localhost.
    """
    host, port = cluster.host_and_port(cluster.index)
    listen_at = host if is_this_machine(host) else ""
    try:
        return socket.create_server((listen_at, port))
    except OSError as error:
        raise UserError(
            f"{cluster.describe(cluster.index)}, this one, cannot listen at port {port}: "
            f"{error.strerror}; give each worker a --worker-index of its own, or end the program "
            "that uses the port, or choose other --workers"
        ) from None


def _listens(cluster: WorkerSettings, index: int) -> bool:
    """Return whether a worker, or TensorFlow in it, listens at its address."""
    probe_seconds = 2.0
    with suppress(OSError):
        socket.create_connection(cluster.host_and_port(index), timeout=probe_seconds).close()
        return True
    return False


def _connect(cluster: WorkerSettings, gpus: int) -> Any:
    """Return the strategy of all workers, as connected() gives it."""
    import tensorflow as tf

    if gpus:
        tf.config.set_visible_devices(tf.config.list_physical_devices("GPU")[:gpus], "GPU")
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(cluster.workers)}),
        task_type="worker",
        task_id=cluster.index,
        rpc_layer="grpc",
    )
    with ExitStack() as stack, open(os.devnull, "w") as nowhere:  # noqa: PTH123 a device
        # TensorFlow waits without running Python's signal handlers, so Ctrl-C and SIGTERM get the
        # system's default: they end the process at once
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                before = signal.signal(number, signal.SIG_DFL)
                stack.callback(signal.signal, number, before)
        # if a worker is lost at this moment, TensorFlow waits forever; so a timer ends the process,
        # and what it would print is thrown away
        faulthandler.dump_traceback_later(_MEETING_SECONDS, exit=True, file=nowhere)
        stack.callback(faulthandler.cancel_dump_traceback_later)
        return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)


# two patterns of a worker's number in an error about a lost worker
_REPORTED = re.compile(r"Error reported from /job:worker/(?:replica:0/)?task:(\d+)")
_TASK = re.compile(r"/job:worker/(?:replica:0/)?task:(\d+)")


def _describe_loss(cluster: WorkerSettings, text: str) -> str:
    """Return the message for the user, which names the worker that was probably lost.

    text: TensorFlow's error
    """
    reported = [int(number) for number in _REPORTED.findall(text)]
    unreachable = [index for index in _others(cluster) if not _listens(cluster, index)]
    named = [int(number) for number in _TASK.findall(text)]
    # The surest sign comes first: a worker that reported an error, then a worker that cannot be
    # reached, then a worker that the text names. Without a sign it is worker 0, the chief: the
    # other workers watch only the chief, so its loss is the only one that they notice themselves.
    lost = 0
    for index in (*reported, *unreachable, *named):
        if index != cluster.index:
            lost = index
            break
    return (
        f"{cluster.describe(lost)} was lost: it ended (its own output says why), stopped, or "
        f"cannot be reached; {cluster.describe(cluster.index)}, this one, ends, too; start every "
        "worker again with the same command and --resume to continue from the last checkpoint"
    )
