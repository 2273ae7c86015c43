"""Train on several machines by tf.distribute.MultiWorkerMirroredStrategy, or on several GPUs of
this one.

Each worker reads its part of the same global batch, and every one applies the sum of all gradients.
Worker 0, the chief, decides and writes; the others get its settings and its state, and keep their
own files in a temporary folder. While TensorFlow waits for a worker, no signal, thread or exception
ends the wait. So the workers first look for each other, and a timer ends the process if TensorFlow
then waits for more than a minute.
"""

import faulthandler
import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from bcclone.cluster.cluster_settings import WorkerSettings
from bcclone.feed.feed_settings import AUTO, FeedSettings
from bcclone.feed.selection import TrainingData
from bcclone.system.arrays import FloatArray
from bcclone.system.errors import UserError
from bcclone.system.json_values import from_json, json_text, names_of
from bcclone.system.own_process import is_own_process
from bcclone.system.progress import Notify
from bcclone.system.task_pool import source_digest
from bcclone.system.tensorflow_quietly import describe_devices, load_tensorflow, onednn_for_batches
from bcclone.training.plan import Plan, Worker
from bcclone.training.train_settings import DECIDE_WEIGHTS, TrainSettings
from bcclone.training.training_folder import RunIdentity
from bcclone.training.training_state import TrainResult
from bcclone.web.access import is_this_machine

if TYPE_CHECKING:  # it loads TensorFlow
    from bcclone.training.trainer import Trainer

MEETING_SECONDS = 60.0
_RETRY_SECONDS, _PROBE_SECONDS = 0.2, 2.0
_WORD_BYTES = 4
_REPORTED = re.compile(r"Error reported from /job:worker/(?:replica:0/)?task:(\d+)")
_TASK = re.compile(r"/job:worker/(?:replica:0/)?task:(\d+)")
_OF_CLUSTER = ("Collective ops is aborted", "CoordinationService", "/job:worker/")


@contextmanager
def open_worker(
    cluster: WorkerSettings | None, chosen: Mapping[str, Any], notify: Notify
) -> Iterator["JointWorker"]:
    """Connect this worker with the others of a cluster; with None, give the one that trains on all
    GPUs chosen.

    chosen: settings of the training by name, in which the workers must agree. Raises UserError when
    the workers do not meet, and within the block when another one is lost.
    """
    if cluster is None:
        yield JointWorker(None, None, chosen, Path())
        return
    if is_own_process():  # an error of another worker is reported in one line, by us
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    own = cluster.describe(cluster.index)
    others = ", ".join(
        cluster.describe(index) for index in range(cluster.count) if index != cluster.index
    )
    limit = f"up to {MEETING_SECONDS:g} s for {others}, and ends without them"
    notify(f"{own}, this one, waits {limit}; worker 0 writes the model")
    await_others(cluster)
    strategies: list[Any] = []
    load_tensorflow(
        gpu_memory=chosen.get("gpu_memory", 0),
        initialize=lambda: strategies.append(_connected(cluster, chosen.get("gpus", 1))),
        onednn=onednn_for_batches(chosen.get("onednn", AUTO)),
    )
    import tensorflow as tf

    with TemporaryDirectory() as scratch:
        worker = JointWorker(cluster, strategies[0], chosen, Path(scratch))
        try:
            version, addresses = source_digest()[:16], ",".join(cluster.workers)
            worker.require_agreement({"version of bcclone": version, "workers": addresses})
            yield worker
        except tf.errors.OpError as error:
            if not any(words in str(error) for words in _OF_CLUSTER):
                raise
            raise UserError(_describe_loss(cluster, str(error))) from None
        if cluster.index:
            notify(f"{own}: trained to the end; {cluster.describe(0)} writes the model")


class JointWorker(Worker):
    """One of several workers, or with no cluster the only one of a machine with several GPUs.

    strategy: of tf.distribute, None without a cluster; chosen: settings of the training by name;
    scratch: folder for the files of a worker that does not write.
    """

    def __init__(
        self,
        cluster: WorkerSettings | None,
        strategy: Any,
        chosen: Mapping[str, Any],
        scratch: Path,
    ) -> None:
        self._cluster, self._strategy, self._chosen, self._scratch = (
            cluster,
            strategy,
            chosen,
            scratch,
        )
        if cluster:
            self.count, self.index = cluster.count, cluster.index
            self._sum_words = _summing_words(strategy)

    def share(self, content: bytes) -> bytes:
        """Return the content that the chief gave; every worker calls this."""
        return self._gather(content if self.writes else b"")[0]

    def sum(self, values: FloatArray) -> FloatArray:
        """Return the sum of the arrays that the workers gave, of equal shapes; the same to the bit
        on every worker.
        """
        if self.count == 1:
            return values
        rows = self._gather(values.astype(np.float64).tobytes())
        total: FloatArray = np.sum([np.frombuffer(row, np.float64) for row in rows], axis=0)
        return total.reshape(values.shape)

    def require_agreement(self, facts: Mapping[str, Any]) -> None:
        """Raise UserError on all workers when a fact differs from the chief's. facts: plain values
        by what they are.
        """
        if self._cluster is None:
            return
        first, *others = [json.loads(each) for each in self._gather(json.dumps(facts).encode())]
        for index, theirs in enumerate(others, start=1):
            for name in dict.fromkeys([*first, *theirs]):
                ours, other = first.get(name, "not given"), theirs.get(name, "not given")
                if ours != other:
                    raise UserError(
                        f"{name.replace('_', ' ')}: {other} on {self._cluster.describe(index)}, and {ours} on "
                        f"{self._cluster.describe(0)}; give every worker the same"
                    )

    def decide(self, data: TrainingData, make_plan: Callable[[], Plan]) -> Plan:
        """Return the chief's plan; on the other workers all of its files lie in the scratch folder."""
        if self._cluster is None:
            return make_plan()
        names = (*DECIDE_WEIGHTS, *names_of(FeedSettings))
        joint = {name: self._chosen[name] for name in names if name in self._chosen}
        self.require_agreement({"content of the store": data.content_hash[:16], **joint})
        own = make_plan() if self.writes else None
        described = own and {
            "settings": own.settings,
            "identity": own.identity,
            "result": own.result,
        }
        stored = json.loads(self.share(json_text(described).encode()))
        start = self.share(own.settings.start.read_bytes() if own and own.settings.start else b"")
        plan = own or self._received(stored, start)
        if plan.settings.batch_size < self.count:
            raise UserError(
                f"--batch-size {plan.settings.batch_size} for {self.count} workers, expected a sample for each; train "
                "with fewer --workers or a larger --batch-size"
            )
        return plan

    def _received(self, stored: Mapping[str, Any], start: bytes) -> Plan:
        scratch, settings = self._scratch, from_json(TrainSettings, stored["settings"])
        settings = replace(settings, output=scratch / "model.h5", runs=scratch, name="worker")
        if start:
            settings = replace(settings, start=scratch / "start.h5")
            (scratch / "start.h5").write_bytes(start)
        result = from_json(TrainResult, stored["result"]) if stored["result"] else None
        return Plan(settings, from_json(RunIdentity, stored["identity"]), result=result)

    def load(self, settings: TrainSettings) -> str:
        """Return the devices of TensorFlow, which several workers have loaded to be connected."""
        if self._cluster is None:
            return super().load(settings)
        if settings.onednn != (loaded := onednn_for_batches(self._chosen.get("onednn", AUTO))):
            raise UserError(
                f"the run computes with onednn={settings.onednn}, and this worker with {loaded}; give all "
                f"workers --set onednn={settings.onednn}"
            )
        return describe_devices()

    def make_trainer(self, data: TrainingData, settings: TrainSettings, labels: int) -> "Trainer":
        from bcclone.cluster.joint_trainer import make_joint_trainer

        return make_joint_trainer(data, settings, labels, self._strategy)

    def _gather(self, value: bytes) -> list[bytes]:
        """Return the values that the workers gave, of any lengths, in their order; every worker
        calls this.
        """
        if self.count == 1:
            return [value]
        sizes = np.frombuffer(
            b"".join(self._gather_equal(np.int64(len(value)).tobytes())), np.int64
        )
        longest = -(-int(sizes.max()) // _WORD_BYTES) * _WORD_BYTES
        rows = self._gather_equal(value.ljust(longest, b"\0")) if longest else [b""] * self.count
        return [row[:size] for row, size in zip(rows, sizes.tolist(), strict=True)]

    def _gather_equal(self, value: bytes) -> list[bytes]:
        """Gather values of an equal number of bytes, a multiple of 4."""
        words = np.zeros((self.count, len(value) // _WORD_BYTES), np.int32)
        words[self.index] = np.frombuffer(value, np.int32)
        return [
            row.tobytes() for row in self._sum_words(words.reshape(-1)).numpy().reshape(words.shape)
        ]


def _summing_words(strategy: Any) -> Callable[[Any], Any]:
    """Return the compiled sum of the words, int32 (words,), that the workers give."""
    import tensorflow as tf

    def summed(words: Any) -> Any:
        context = tf.distribute.get_replica_context()
        # of several devices of a worker the first one gives the words
        is_first = tf.cast(
            context.replica_id_in_sync_group % len(strategy.extended.worker_devices) == 0, tf.int32
        )
        return context.all_reduce(tf.distribute.ReduceOp.SUM, words * is_first)

    def sum_words(words: Any) -> Any:
        return strategy.experimental_local_results(strategy.run(summed, (words,)))[0]

    signature = [tf.TensorSpec((None,), tf.int32)]
    compiled: Callable[[Any], Any] = tf.function(
        sum_words, input_signature=signature, autograph=False
    )
    return compiled


def await_others(cluster: WorkerSettings, seconds: float = MEETING_SECONDS) -> None:
    """Return when every worker listens at its address, as this one does meanwhile. Raises UserError
    after so long.
    """
    until, missing = (
        time.monotonic() + seconds,
        [index for index in range(cluster.count) if index != cluster.index],
    )
    with _listening(cluster):
        while missing := [index for index in missing if not _listens(cluster, index)]:
            if time.monotonic() > until:
                raise UserError(
                    f"{', '.join(map(cluster.describe, missing))} did not come within {seconds:g} s; start every "
                    "worker with the same --workers, each with its --worker-index, and check that the machines reach "
                    "each other at these ports"
                )
            time.sleep(_RETRY_SECONDS)
        time.sleep(5 * _RETRY_SECONDS)  # for those that have not found this one yet


def _listening(cluster: WorkerSettings) -> socket.socket:
    """Return a socket that listens at this worker's port; raises UserError when the port is in use.

    Other machines reach it only where the worker's address is not of this machine alone.
    """
    host, port = cluster.host_and_port(cluster.index)
    try:
        return socket.create_server((host if is_this_machine(host) else "", port))
    except OSError as error:
        raise UserError(
            f"{cluster.describe(cluster.index)}, this one, cannot listen at port {port}: {error.strerror}; give each "
            "worker a --worker-index of its own, or end the program that uses the port, or choose other --workers"
        ) from None


def _listens(cluster: WorkerSettings, index: int) -> bool:
    with suppress(OSError):
        socket.create_connection(cluster.host_and_port(index), timeout=_PROBE_SECONDS).close()
        return True
    return False


def _connected(cluster: WorkerSettings, gpus: int) -> Any:
    """Return the strategy of all workers. gpus: number of GPUs to use on each machine, 0 for all."""
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
        if (
            threading.current_thread() is threading.main_thread()
        ):  # Python cannot handle signals meanwhile
            for number in (signal.SIGINT, signal.SIGTERM):
                stack.callback(signal.signal, number, signal.signal(number, signal.SIG_DFL))
        faulthandler.dump_traceback_later(
            MEETING_SECONDS, exit=True, file=nowhere
        )  # a worker was lost just now
        stack.callback(faulthandler.cancel_dump_traceback_later)
        return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)


def _describe_loss(cluster: WorkerSettings, text: str) -> str:
    """Return which worker was lost, by TensorFlow's error."""
    reported = [int(number) for number in _REPORTED.findall(text)]
    unreachable = [
        index
        for index in range(cluster.count)
        if index != cluster.index and not _listens(cluster, index)
    ]
    named = [int(number) for number in _TASK.findall(text)]
    # the chief watches all workers, and the others watch the chief
    candidates = [index for index in [*reported, *unreachable, *named] if index != cluster.index]
    lost = (candidates or [0])[0]
    return (
        f"{cluster.describe(lost)} was lost: it ended (its own output says why), stopped, or cannot be reached; "
        f"{cluster.describe(cluster.index)}, this one, ends, too; start every worker again with the same "
        "command and --resume to continue from the last checkpoint"
    )
