"""Connect the workers of a cluster to a group, which exchanges values and agrees on them.

tf.distribute.MultiWorkerMirroredStrategy connects the workers; everything they exchange is summed by its collectives.
"""

import faulthandler
import json
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from bcclone.cluster.meeting import MEETING_SECONDS, meet
from bcclone.cluster.part_order import BatchPart
from bcclone.cluster.workers import Cluster
from bcclone.system.errors import UserError
from bcclone.system.progress import Notify
from bcclone.system.task_pool import source_digest

_CONNECT_SECONDS, _PROBE_SECONDS = 60, 2.0
_WORD_BYTES = 4
_TASK = re.compile(r"/job:worker/(?:replica:0/)?task:(\d+)")
_REPORTED = re.compile(r"Error reported from /job:worker/(?:replica:0/)?task:(\d+)")
_OF_CLUSTER = ("Collective ops is aborted", "CoordinationService", "/job:worker/")


class WorkerGroup:
    """A worker that trains alone; the group of several, which has the same interface, is `ConnectedGroup`."""

    part = BatchPart()
    strategy: Any = None  # of tf.distribute, with several workers

    def __init__(self) -> None:
        self._shares_errors = False

    @property
    def count(self) -> int:
        """Return the number of workers."""
        return self.part.count

    @property
    def index(self) -> int:
        """Return the number of this worker."""
        return self.part.index

    @property
    def is_chief(self) -> bool:
        """Return whether this is the worker that decides and writes."""
        return self.part.index == 0

    def name(self, index: int) -> str:
        """Return how messages name a worker."""
        return f"worker {index}"

    def sum(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the sum of the arrays that the workers gave, of equal shapes; the same to the bit on every worker."""
        return values

    def gather(self, value: bytes = b"", error: str = "") -> list[bytes]:
        """Return the values that the workers gave, in their order; every worker calls this.

        error: of this worker, given instead of a value; another worker's is raised as UserError.
        """
        rows = self._gather(bytes([bool(error)]) + (error.encode() if error else value))
        for index, row in enumerate(rows):
            if row[0] and index != self.index:
                self._shares_errors = False  # all know of it
                raise UserError(f"{self.name(index)}: {row[1:].decode()}")
        return [row[1:] for row in rows]

    def broadcast(self, value: bytes) -> bytes:
        """Return the value that the chief gave; every worker calls this."""
        return self.gather(value if self.is_chief else b"")[0]

    @contextmanager
    def sharing_errors(self) -> Iterator[None]:
        """Raise a UserError of the block on all workers, up to agreed(), at the next exchange or at the end.

        Before they compute something together, the workers must exchange something.
        """
        self._shares_errors = True
        try:
            yield
            if self._shares_errors:
                self.gather()
        except UserError as error:
            if self._shares_errors:
                with suppress(UserError):
                    self.gather(error=str(error))
            raise

    def agreed(self) -> None:
        """End the sharing of errors: from here on, a worker that ends is lost to the others."""
        self.gather()
        self._shares_errors = False

    def check_agreement(self, facts: Mapping[str, Any]) -> None:
        """Raise UserError on all workers when a fact differs from the chief's. facts: plain values by what they are."""
        gathered = [json.loads(value) for value in self.gather(json.dumps(facts).encode())]
        for index, theirs in enumerate(gathered):
            for name in dict.fromkeys([*gathered[0], *theirs]):
                ours, other = gathered[0].get(name, "not given"), theirs.get(name, "not given")
                if ours != other:
                    self._shares_errors = False  # all raise it
                    raise UserError(
                        f"{name.replace('_', ' ')}: {other} on {self.name(index)}, and {ours} on {self.name(0)}; give "
                        "every worker the same"
                    )

    def _gather(self, value: bytes) -> list[bytes]:
        """Return the bytes that the workers gave, of any lengths."""
        return [value]


class ConnectedGroup(WorkerGroup):
    """Several workers, connected by TensorFlow."""

    def __init__(self, cluster: Cluster, strategy: Any) -> None:
        super().__init__()
        import tensorflow as tf

        self._cluster, self.strategy = cluster, strategy
        self.part = BatchPart(cluster.index, len(cluster))

        def summed(words: Any) -> Any:
            context = tf.distribute.get_replica_context()
            # of several devices of a worker the first one gives the words
            is_first = tf.cast(context.replica_id_in_sync_group % len(strategy.extended.worker_devices) == 0, tf.int32)
            return context.all_reduce(tf.distribute.ReduceOp.SUM, words * is_first)

        def sum_words(words: Any) -> Any:
            return strategy.experimental_local_results(strategy.run(summed, (words,)))[0]

        self._sum_words = tf.function(sum_words, input_signature=[tf.TensorSpec((None,), tf.int32)])

    def name(self, index: int) -> str:
        """Return number and address of a worker."""
        return self._cluster.describe(index)

    def sum(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the sum of the arrays that the workers gave, of equal shapes; the same to the bit on every worker."""
        rows = self._gather_equal(values.astype(np.float64).tobytes())
        total: npt.NDArray[np.float64] = np.sum([np.frombuffer(row, np.float64) for row in rows], axis=0)
        return total.reshape(values.shape)

    def _gather(self, value: bytes) -> list[bytes]:
        """Return the bytes that the workers gave, of any lengths."""
        sizes = np.frombuffer(b"".join(self._gather_equal(np.int64(len(value)).tobytes())), np.int64)
        longest = -(-int(sizes.max()) // _WORD_BYTES) * _WORD_BYTES
        rows = self._gather_equal(value.ljust(longest, b"\0")) if longest else [b""] * self.count
        return [row[:size] for row, size in zip(rows, sizes.tolist(), strict=True)]

    def _gather_equal(self, value: bytes) -> list[bytes]:
        """Gather values of an equal number of bytes, a multiple of 4."""
        words = np.zeros((self.count, len(value) // _WORD_BYTES), np.int32)
        words[self.index] = np.frombuffer(value, np.int32)
        return [row.tobytes() for row in self._sum_words(words.reshape(-1)).numpy().reshape(words.shape)]


@contextmanager
def open_group(
    cluster: Cluster | None, notify: Notify, gpus: int = 1, gpu_memory: int = 0, onednn: str = ""
) -> Iterator[WorkerGroup]:
    """Connect the workers of a cluster; with None, give the group of one worker.

    TensorFlow is loaded for several workers; it must not have computed anything before. gpus: number of GPUs to use on
    each machine, 0 for all; gpu_memory, onednn: as load_tensorflow() takes them. Raises UserError when the workers do
    not meet, and within the block when one of them is lost.
    """
    if cluster is None:
        yield WorkerGroup()
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # an error of another worker is reported in one line, by us
    from bcclone.system.tensorflow_quietly import load_tensorflow

    group: list[WorkerGroup] = []
    own, others = cluster.describe(cluster.index), [n for n in range(len(cluster)) if n != cluster.index]
    awaited = ", ".join(map(cluster.describe, others))
    notify(f"{own}, this one, waits up to {MEETING_SECONDS:g} s for {awaited}; worker 0 writes the model")

    def connect() -> None:
        meet(cluster, source_digest())
        group.append(ConnectedGroup(cluster, _connected(cluster, gpus)))

    load_tensorflow(gpu_memory=gpu_memory, initialize=connect, onednn=onednn)
    import tensorflow as tf

    try:
        yield group[0]
    except tf.errors.OpError as error:
        if not any(words in str(error) for words in _OF_CLUSTER):
            raise
        raise UserError(_describe_loss(cluster, str(error))) from None


def _connected(cluster: Cluster, gpus: int) -> Any:
    """Return the strategy of all workers, which blocks the interpreter until they are connected."""
    import tensorflow as tf

    if gpus:
        tf.config.set_visible_devices(tf.config.list_physical_devices("GPU")[:gpus], "GPU")
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(cluster.addresses)}),
        task_type="worker",
        task_id=cluster.index,
        rpc_layer="grpc",
    )
    with _ends_at_once_by_signals(), open(os.devnull, "w") as nowhere:  # noqa: PTH123 a device
        faulthandler.dump_traceback_later(_CONNECT_SECONDS, exit=True, file=nowhere)  # a worker was lost just now
        try:
            return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
        finally:
            faulthandler.cancel_dump_traceback_later()


@contextmanager
def _ends_at_once_by_signals() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the process within the block, where Python cannot handle them."""
    with ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                stack.callback(signal.signal, number, signal.signal(number, signal.SIG_DFL))
        yield


def _describe_loss(cluster: Cluster, text: str) -> str:
    """Return which worker was lost, by TensorFlow's error."""
    reported = [int(number) for number in _REPORTED.findall(text)]
    named = [int(number) for number in _TASK.findall(text)]
    unreachable = [index for index in range(len(cluster)) if index != cluster.index and not _listens(cluster, index)]
    # the chief watches all workers, and the others watch the chief
    candidates = [index for index in [*reported, *unreachable, *named] if index != cluster.index]
    lost = (candidates or [0])[0]
    return (
        f"{cluster.describe(lost)} was lost: it ended (its own output says why), stopped, or cannot be reached; "
        f"{cluster.describe(cluster.index)}, this one, ends, too; start every worker again with the same "
        "command and --resume to continue from the last checkpoint"
    )


def _listens(cluster: Cluster, index: int) -> bool:
    try:
        socket.create_connection(cluster.host_and_port(index), timeout=_PROBE_SECONDS).close()
    except OSError:
        return False
    return True
