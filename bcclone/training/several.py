"""Train on several machines, or on several GPUs of this one, by tf.distribute.

In: the workers, a store, and the settings that the user chose. Out: a model file, a run folder and
a `TrainResult`, on worker 0 alone, which is called the chief.

A worker is a process on one machine. Each reads its part of every batch, and all apply the sum of
all gradients. The chief makes the plan and writes the run folder and the model; the others get its
settings and its state, and write into a temporary folder. If a worker is lost, TensorFlow ends the
others, too; --resume goes on from the chief's last checkpoint.
"""

import io
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from bcclone.dataset.conversion import open_samples
from bcclone.feed.feed_settings import AUTO, FeedSettings
from bcclone.feed.order import BatchPart
from bcclone.feed.selection import TrainingData
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
from bcclone.system.values import from_json, json_text, names_of
from bcclone.training.decisions import Device, load_device
from bcclone.training.result import TrainResult
from bcclone.training.run import Record, Run, new_run, resumed_run
from bcclone.training.train import output_locked, train_run
from bcclone.training.train_settings import (
    SETTINGS_OF_WEIGHTS,
    RunFiles,
    TrainSettings,
    WorkerSettings,
    are_several,
)
from bcclone.training.training_state import TrainingState
from bcclone.training.workers import Workers

if TYPE_CHECKING:  # it loads TensorFlow
    from bcclone.training.trainer import Trainer

_TF_CONFIG = (  # example for messages
    '{"cluster": {"worker": ["host1:2345", "host2:2345"]}, "task": {"type": "worker", "index": 0}}'
)
_REMEDY = (
    "start every worker again with the same command, and --resume to continue from the last "
    "checkpoint"
)


def train_together(
    workers: WorkerSettings,
    files: RunFiles,
    chosen: Mapping[str, Any],
    resume: bool,
    notify: Notify,
) -> TrainResult | None:
    """Train as one of several workers, or on several GPUs of this machine.

    Returns the result on the chief, and None on other workers. Raises what training.train() raises,
    and UserError if the workers cannot connect, have different settings, or lose a worker.

    files: the store, the model and the runs
    chosen: the settings that the user gave, name -> value; equal on all workers
    resume: continue the chief's newest run as training.resume() does
    """

    def make_run(data: TrainingData, count: int) -> Run:
        if resume:
            return resumed_run(files, chosen, data, notify, count)
        file_settings = {name: getattr(files, name) for name in names_of(RunFiles)}
        return new_run(TrainSettings(**file_settings, **chosen), data, notify, count)

    with ExitStack() as stack:
        group = Group(chosen)
        if are_several(workers):
            group = stack.enter_context(_connected(workers, chosen, notify))
        if group.writes:
            stack.enter_context(output_locked(files))
        data = stack.enter_context(open_samples(files.data, notify))
        scratch = Path(stack.enter_context(TemporaryDirectory()))
        run = _shared_run(group, data, make_run, scratch)
        result = train_run(run, data, notify, group)
    return result if group.writes else None


class Group(Workers):
    """All workers that train together, as one of them sees them; by default, it is alone.

    Each method waits for the other workers. So all must make the same calls in the same order.

    chosen: settings that were given to this worker
    strategy: the strategy of tf.distribute that connects the workers; None for one worker, whose
        GPUs are connected when the training begins
    index: number of this worker; 0 is the chief
    """

    def __init__(
        self, chosen: Mapping[str, Any], strategy: Any = None, index: int = 0, count: int = 1
    ) -> None:
        self.chosen = chosen
        self._strategy = strategy
        self.part = BatchPart(index, count)

    def share(self, content: bytes) -> bytes:
        """Return the chief's content on all workers; the content of other workers is ignored."""
        return self._gather(content if self.writes else b"")[0]

    def all_sum(self, values: FloatArray) -> FloatArray:
        """Return the sum of the arrays of all workers, which have equal shapes."""
        if self._strategy is None:
            return values
        import tensorflow as tf

        nothing = np.zeros_like(values)
        summands = self._on_first_device(values, nothing)
        total: FloatArray = self._strategy.reduce(
            tf.distribute.ReduceOp.SUM, summands, axis=None
        ).numpy()
        return total

    def require_agreement(self, facts: Mapping[str, Any]) -> None:
        """Raise UserError on all workers if a fact of a worker differs from the chief's.

        facts: name of the fact, as the error calls it -> a value that JSON can hold
        """
        # every worker compares all others with the chief, so all raise the same error
        chiefs, *others = [json.loads(text) for text in self._gather(json.dumps(facts).encode())]
        for index, theirs in enumerate(others, start=1):
            for name in dict.fromkeys([*chiefs, *theirs]):
                values = [fact.get(name, "not given") for fact in (theirs, chiefs)]
                if values[0] != values[1]:
                    raise UserError(
                        f"{name.replace('_', ' ')}: {values[0]} on worker {index}, and "
                        f"{values[1]} on worker 0; give every worker the same"
                    )

    def _gather(self, content: bytes) -> list[bytes]:
        """Return the contents of all workers, in the order of the workers."""
        if self._strategy is None:
            return [content]
        # tf.distribute gathers no bytes, but numbers of 32 bits: the size, and the bytes in words
        words = -(-len(content) // 4)
        size = np.array([len(content)], np.int32).tobytes()
        mine = np.frombuffer(size + content.ljust(4 * words, b"\0"), np.int32)
        gathered = self._strategy.gather(self._on_first_device(mine, mine[:0]), axis=0)
        left = gathered.numpy().tobytes()
        contents = []
        while left:
            end = 4 + int(np.frombuffer(left[:4], np.int32)[0])
            contents.append(left[4:end])
            left = left[-(-end // 4) * 4 :]
        return contents

    def _on_first_device(self, values: Any, otherwise: Any) -> Any:
        """Return values for tf.distribute: on the first device of this worker, and on others."""
        import tensorflow as tf

        devices = len(self._strategy.extended.worker_devices)

        def value(context: Any) -> Any:
            # replicas, as tf.distribute calls devices, are numbered through all workers
            is_first = context.replica_id_in_sync_group % devices == 0
            return tf.constant(values if is_first else otherwise)

        return self._strategy.experimental_distribute_values_from_function(value)

    def load_device(self, settings: TrainSettings) -> Device:
        if self._strategy is None:
            return load_device(settings)
        loaded = onednn_for_batches(self.chosen.get("onednn", AUTO))
        if settings.onednn != loaded:
            raise UserError(
                f"the run computes with onednn={settings.onednn}, and this worker with "
                f"{loaded}; give all workers --onednn {settings.onednn}"
            )
        return Device.loaded(describe_devices())

    def strategy(self, settings: TrainSettings) -> Any:
        return self._strategy or strategy_of_gpus(settings.gpus)

    def load_checkpoint(
        self, folder: Path, trainer: "Trainer", notify: Notify
    ) -> tuple[TrainingState, bytes]:
        from bcclone.training.checkpoint import checkpoint_content, load_content

        # only the chief's folder may have checkpoints; in one without, a new training begins
        state, model = super().load_checkpoint(folder, trainer, notify)
        if self.count == 1:
            return state, model
        content = checkpoint_content(trainer, state, model) if self.writes else b""
        return load_content(io.BytesIO(self.share(content)), trainer)


@contextmanager
def _connected(
    workers: WorkerSettings, chosen: Mapping[str, Any], notify: Notify
) -> Iterator[Group]:
    """Connect this worker with all others by TensorFlow, which is loaded here.

    Raises UserError if they cannot be connected, and if a worker is lost while the block runs.
    """
    # an error of another worker is reported in one line here, not in many lines by TensorFlow; in
    # the process of a program that imports bcclone, the program's level stays
    if is_own_process():
        os.environ.setdefault(LEAST_LEVEL, "3")
    notify("connecting all workers; this waits until every one has been started, Ctrl-C ends it")
    groups: list[Group] = []
    load_tensorflow(
        # during the loading, before TensorFlow computes anything
        initialize=lambda: groups.append(_connect(workers, chosen)),
        onednn=onednn_for_batches(chosen.get("onednn", AUTO)),
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


def _connect(workers: WorkerSettings, chosen: Mapping[str, Any]) -> Group:
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
    return Group(chosen, strategy, index, sum(map(len, jobs.values())))


def strategy_of_gpus(count: int) -> Any:
    """Return a strategy of tf.distribute for GPUs of this machine, or for its CPU if it has none.

    count: number of GPUs; 0 for all
    """
    import tensorflow as tf

    gpus = [device.name for device in tf.config.list_logical_devices("GPU")]
    if count > max(len(gpus), 1):
        raise UserError(
            f"--gpus {count}, but TensorFlow sees {len(gpus)}; see bcclone doctor --full"
        )
    used = gpus[: count or len(gpus)]
    return tf.distribute.MirroredStrategy(used or None)


def _shared_run(
    group: Group,
    data: TrainingData,
    make_run: Callable[[TrainingData, int], Run],
    scratch: Path,
) -> Run:
    """Return the chief's run, on all workers.

    make_run: makes the run of so many workers; called only on the chief
    scratch: temporary folder for the files of workers that are not the chief
    """
    count = group.count
    if count == 1:
        return make_run(data, count)
    # the settings on which the weights depend must be the same on all workers
    names = (*SETTINGS_OF_WEIGHTS, *names_of(FeedSettings))
    joint = {name: group.chosen[name] for name in names if name in group.chosen}
    group.require_agreement({"content of the store": data.content_hash[:16], **joint})
    # the chief sends its run and its start model; the others have nothing to send
    described = start = b""
    if group.writes:
        run = make_run(data, count)
        parts = {"record": replace(run.record, settings=run.settings), "result": run.result}
        described = json_text(parts).encode()
        start = run.settings.start.read_bytes() if run.settings.start else b""
    described = group.share(described)
    start = group.share(start)
    if not group.writes:
        run = _received_run(json.loads(described), start, scratch)
    if run.settings.batch_size < count:
        raise UserError(
            f"--batch-size {run.settings.batch_size} for {count} workers, "
            "expected a sample for each; train with fewer --workers or a larger --batch-size"
        )
    return run


def _received_run(stored: Mapping[str, Any], start: bytes, scratch: Path) -> Run:
    """Return the run that the chief has sent, with all files in the folder `scratch`.

    start: content of the start model's file, b"" if there is none
    """
    record = from_json(Record, stored["record"])
    settings = replace(record.settings, output=scratch / "model.h5", runs=scratch, name="worker")
    if start:
        start_file = scratch / "start.h5"
        start_file.write_bytes(start)
        settings = replace(settings, start=start_file)
    result = None
    if stored["result"]:
        result = from_json(TrainResult, stored["result"])
    return Run(scratch / "worker", record, settings, is_new=True, result=result)
