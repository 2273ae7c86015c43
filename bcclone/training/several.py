"""The workers that train one network together, on several machines or GPUs, by tf.distribute.

In: the addresses of the workers, and the settings that the user chose. Out: `Workers`, by which
they agree on a run, divide each batch, and add up what they measure.

A worker is a process on one machine. Each reads its part of every batch, and all apply the sum of
all gradients. Worker 0, the chief, makes the plan and writes the run folder and the model; the
others get its settings and its state, and write into a temporary folder. If a worker is lost,
TensorFlow ends the others, too; --resume goes on from the chief's last checkpoint.
"""

import io
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bcclone.feed.feed_settings import AUTO
from bcclone.feed.order import ALL, BatchPart
from bcclone.system.codec import explained
from bcclone.system.errors import UserError, first_line
from bcclone.system.numbers import FloatArray
from bcclone.system.process import Notify, is_own_process
from bcclone.system.tensorflow_quietly import (
    LEAST_LEVEL,
    describe_devices,
    load_tensorflow,
    onednn_for_batches,
)
from bcclone.training.train_settings import TrainSettings, WorkerSettings
from bcclone.training.training_state import TrainingState

if TYPE_CHECKING:  # it loads TensorFlow
    from bcclone.training.trainer import Trainer

_TF_CONFIG = (  # example for messages
    '{"cluster": {"worker": ["host1:2345", "host2:2345"]}, "task": {"type": "worker", "index": 0}}'
)
_REMEDY = (
    "start every worker again with the same command, and --resume to continue from the last "
    "checkpoint"
)


class Workers:
    """All workers that train together, as one of them sees them; by default, it is alone.

    Each method waits for the other workers. So all must make the same calls in the same order.

    strategy: the strategy of tf.distribute that connects the workers; None for one worker, whose
        GPUs are connected when the training begins
    part: the part of each batch that this worker trains on
    onednn: with which TensorFlow has been loaded, to connect the workers
    """

    def __init__(self, strategy: Any = None, part: BatchPart = ALL, onednn: str = "") -> None:
        self._strategy = strategy
        self.part = part
        self._onednn = onednn

    @property
    def count(self) -> int:
        return self.part.count

    @property
    def writes(self) -> bool:
        """Return whether this worker writes the run folder and the model that the user gets."""
        return self.part.index == 0

    def all_sum(self, values: FloatArray) -> FloatArray:
        """Return the sum of the arrays of all workers, which have equal shapes."""
        if self._strategy is None:
            return values
        import tensorflow as tf

        devices = len(self._strategy.extended.worker_devices)

        def summand(context: Any) -> Any:
            # of the devices of this machine, the first one brings the array; replicas, as
            # tf.distribute calls devices, are numbered through all workers
            is_first = context.replica_id_in_sync_group % devices == 0
            return tf.constant(values if is_first else np.zeros_like(values))

        summands = self._strategy.experimental_distribute_values_from_function(summand)
        total: FloatArray = self._strategy.reduce(
            tf.distribute.ReduceOp.SUM, summands, axis=None
        ).numpy()
        return total

    def share(self, content: bytes, index: int = 0) -> bytes:
        """Return the content of one worker, by its number, on all; that of others is ignored."""
        if self.count == 1:
            return content
        mine = content if self.part.index == index else b""
        size = int(self.all_sum(np.array([len(mine)], np.float64))[0])
        # tf.distribute adds up numbers: those of 32 bits are exact as floats of 64
        words = np.zeros(size // 4 + 1, np.uint32)
        words.view(np.uint8)[: len(mine)] = np.frombuffer(mine, np.uint8)
        return self.all_sum(words.astype(np.float64)).astype(np.uint32).tobytes()[:size]

    def load_tensorflow(self, settings: TrainSettings) -> str:
        """Load TensorFlow, and return the name of what it trains on."""
        if self._strategy is None:
            return load_tensorflow(onednn=settings.onednn)
        if settings.onednn != self._onednn:
            raise UserError(
                f"the run computes with onednn={settings.onednn}, and this worker with "
                f"{self._onednn}; give all workers --onednn {settings.onednn}"
            )
        return describe_devices()

    def strategy(self, settings: TrainSettings) -> Any:
        """Return the strategy of tf.distribute that has the devices; None for one device."""
        if self._strategy or settings.gpus == 1:
            return self._strategy
        import tensorflow as tf

        gpus = [device.name for device in tf.config.list_logical_devices("GPU")]
        if settings.gpus > max(len(gpus), 1):
            raise UserError(
                f"--gpus {settings.gpus}, but TensorFlow sees {len(gpus)}; "
                "see bcclone doctor --full"
            )
        used = gpus[: settings.gpus or len(gpus)]
        return tf.distribute.MirroredStrategy(used or None)  # None: the CPU

    def load_checkpoint(
        self, folder: Path, trainer: "Trainer", notify: Notify
    ) -> tuple[TrainingState, bytes]:
        """Load the chief's newest checkpoint, as checkpoint.load_checkpoint() does."""
        from bcclone.training.checkpoint import checkpoint_content, load_checkpoint, load_content

        # only the chief's folder may have checkpoints; in one without, a new training begins
        state, model = load_checkpoint(folder, trainer, notify)
        if self.count == 1:
            return state, model
        content = checkpoint_content(trainer, state, model) if self.writes else b""
        return load_content(io.BytesIO(self.share(content)), trainer)


@contextmanager
def connected(
    workers: WorkerSettings, chosen: Mapping[str, Any], notify: Notify
) -> Iterator[Workers]:
    """Connect this worker with all others by TensorFlow, which is loaded here.

    Raises UserError if they cannot be connected, and if a worker is lost while the block runs.
    """
    # an error of another worker is reported in one line here, not in many lines by TensorFlow; in
    # the process of a program that imports bcclone, the program's level stays
    if is_own_process():
        os.environ.setdefault(LEAST_LEVEL, "3")
    notify("connecting all workers; this waits until every one has been started, Ctrl-C ends it")
    onednn = onednn_for_batches(chosen.get("onednn", AUTO))
    groups: list[Workers] = []
    load_tensorflow(
        # during the loading, before TensorFlow computes anything
        initialize=lambda: groups.append(_connect(workers, chosen, onednn)),
        onednn=onednn,
    )
    import tensorflow as tf

    # errors of the connection; others, such as that of a GPU without memory, stay as they are
    losses = (
        tf.errors.UnavailableError,
        tf.errors.AbortedError,
        tf.errors.CancelledError,
        tf.errors.DeadlineExceededError,
        tf.errors.InternalError,
        tf.errors.FailedPreconditionError,
    )
    try:
        yield groups[0]
    except losses as error:
        raise UserError(
            f"a worker was lost, or cannot be reached; its own output may say why, TensorFlow says "
            f"{first_line(error)}; {_REMEDY}"
        ) from None


def _connect(workers: WorkerSettings, chosen: Mapping[str, Any], onednn: str) -> Workers:
    import tensorflow as tf

    gpus = chosen.get("gpus", 1)
    if gpus:
        tf.config.set_visible_devices(tf.config.list_physical_devices("GPU")[:gpus], "GPU")
    if workers.workers:
        resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec({"worker": list(workers.workers)}),
            task_type="worker",
            task_id=workers.worker_index,
            rpc_layer="grpc",
        )
    else:
        resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    with ExitStack() as stack:
        # TensorFlow waits without running Python's signal handlers, so Ctrl-C and SIGTERM get the
        # system's default: they end the process at once
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                before = signal.signal(number, signal.SIG_DFL)
                stack.callback(signal.signal, number, before)
        what = f"the description of a worker ({os.environ.get('TF_CONFIG', '')[:200]!r})"
        with explained("TF_CONFIG", what, f"expected {_TF_CONFIG}"):
            jobs = resolver.cluster_spec().as_dict()
            chiefs = jobs.get("chief", [])
            # TensorFlow numbers chiefs and workers apart; here, chiefs come first
            index = resolver.task_id + (len(chiefs) if resolver.task_type == "worker" else 0)
            if not {resolver.task_type} <= set(jobs) <= {"chief", "worker"}:
                raise ValueError("its jobs must be chief and worker")
        try:
            strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
        except (tf.errors.OpError, RuntimeError, ValueError) as error:
            raise UserError(
                f"worker {index} cannot connect with the others: {first_line(error)}; give every "
                "worker the same --workers and its own --worker-index, and check that the machines "
                "reach each other at these ports"
            ) from None
    return Workers(strategy, BatchPart(index, sum(map(len, jobs.values()))), onednn)
