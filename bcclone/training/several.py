"""Train one network on several machines or GPUs, by tf.distribute.

In: the addresses of the workers, and the settings that the user chose. The workers agree on the
chief's run; the others write into a temporary folder. If a worker is lost, TensorFlow ends the
others, too; --resume goes on from the chief's last checkpoint.
"""

import json
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bcclone.dataset.conversion import open_samples
from bcclone.dataset.store import Store
from bcclone.feed.feed_settings import FeedSettings
from bcclone.feed.order import BatchPart
from bcclone.system.codec import explained
from bcclone.system.errors import UserError, first_line
from bcclone.system.interrupts import INTERRUPTS
from bcclone.system.process import is_own_process
from bcclone.system.progress import Notify
from bcclone.system.tensorflow_quietly import LEAST_LEVEL, load_tensorflow, onednn_for_batches
from bcclone.system.values import from_json, json_text, names_of
from bcclone.training.plan import new_run, resumed_run
from bcclone.training.result import TrainResult
from bcclone.training.run import Record, Run
from bcclone.training.train import output_locked, train_run
from bcclone.training.train_settings import (
    SETTINGS_OF_WEIGHTS,
    RunFiles,
    TrainSettings,
    WorkerSettings,
    are_several,
    values_of,
)
from bcclone.training.workers import Workers

_TF_CONFIG = (  # example for messages
    '{"cluster": {"worker": ["host1:2345", "host2:2345"]}, "task": {"type": "worker", "index": 0}}'
)


def train_together(
    several: WorkerSettings,
    files: RunFiles,
    chosen: Mapping[str, Any],
    resumes: bool,
    notify: Notify,
) -> TrainResult | None:
    """Train as one of several workers, or on several GPUs of this machine.

    Returns the result on the chief, and None on other workers. Raises what train() raises, and
    UserError if the workers cannot connect, have different settings, or lose a worker.

    chosen: the settings that the user gave, name -> value; equal on all workers
    resumes: whether to continue the chief's newest run as resume() does
    """
    with ExitStack() as stack:
        workers = Workers()
        if are_several(several):
            workers = stack.enter_context(_connected(several, chosen, notify))
        if workers.writes:
            stack.enter_context(output_locked(files))
        data = stack.enter_context(open_samples(files.data, notify))
        run = None
        _require_agreement(workers, data, chosen)
        if workers.writes and resumes:
            run = resumed_run(files, chosen, data, notify, workers.count)
        elif workers.writes:
            settings = TrainSettings(**values_of(files, names_of(RunFiles)), **chosen)
            run = new_run(settings, data, notify, workers.count)
        run = _shared_run(workers, run, Path(stack.enter_context(TemporaryDirectory())))
        result = train_run(run, data, notify, workers)
    return result if workers.writes else None


def _require_agreement(workers: Workers, data: Store, chosen: Mapping[str, Any]) -> None:
    """Raise UserError on all workers if one has another store or other settings than the chief."""
    names = (*SETTINGS_OF_WEIGHTS, *names_of(FeedSettings))
    mine = [f"content of the store: {data.content_hash[:16]}"]
    mine += [f"{name.replace('_', ' ')}: {chosen[name]}" for name in names if name in chosen]
    facts = "\n".join(mine).encode()
    # share(facts, n) returns the facts of worker n
    facts_of_chief, *facts_of_others = (
        set(workers.share(facts, n).decode().splitlines()) for n in range(workers.count)
    )
    for index, theirs in enumerate(facts_of_others, start=1):
        if theirs != facts_of_chief:
            raise UserError(
                f"{', '.join(sorted(theirs - facts_of_chief)) or 'less'} on worker {index}, and "
                f"{', '.join(sorted(facts_of_chief - theirs)) or 'less'} on worker 0; "
                "give every worker the same"
            )


def _shared_run(workers: Workers, run: Run | None, scratch: Path) -> Run:
    """Return the chief's run, on all workers.

    run: the chief's; None on the other workers
    scratch: temporary folder for the files of workers that are not the chief
    """
    described = start = b""
    if run:
        parts = {"record": replace(run.record, settings=run.settings), "result": run.result}
        described = json_text(parts).encode()
        start = run.settings.start.read_bytes() if run.settings.start else b""
    described = workers.share(described)
    start = workers.share(start)
    if not run:
        stored = json.loads(described)
        record = from_json(Record, stored["record"])
        start_file = scratch / "start.h5" if start else None
        if start_file:
            start_file.write_bytes(start)
        settings = replace(
            record.settings,
            output=scratch / "model.h5",
            runs=scratch,
            name="worker",
            start=start_file,
        )
        result = from_json(TrainResult, stored["result"]) if stored["result"] else None
        run = Run(scratch / "worker", record, settings, is_new=True, result=result)
    if run.settings.batch_size < workers.count:
        raise UserError(
            f"--batch-size {run.settings.batch_size} for {workers.count} workers, "
            "expected a sample for each; train with fewer --workers or a larger --batch-size"
        )
    return run


# ---- the connection


@contextmanager
def _connected(
    several: WorkerSettings, chosen: Mapping[str, Any], notify: Notify
) -> Iterator[Workers]:
    """Connect this worker with all others by TensorFlow, which is loaded here.

    Raises UserError if they cannot be connected, and if a worker is lost while the block runs.
    """
    # an error of another worker is reported in one line here, not in many lines by TensorFlow; in
    # the process of a program that imports bcclone, the program's level stays
    if is_own_process():
        os.environ.setdefault(LEAST_LEVEL, "3")
    notify("connecting all workers; this waits until every one has been started, Ctrl-C ends it")
    onednn = onednn_for_batches()
    connected: list[Workers] = []  # with one element, since initialize() returns nothing
    load_tensorflow(
        # during the loading, before TensorFlow computes anything
        initialize=lambda: connected.append(_connect(several, chosen, onednn)),
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
        yield connected[0]
    except losses as error:
        raise UserError(
            f"a worker was lost, or cannot be reached; its own output may say why, TensorFlow says "
            f"{first_line(error)}; "
            "start every worker again with the same command, and --resume to continue from the "
            "last checkpoint"
        ) from None


def _connect(several: WorkerSettings, chosen: Mapping[str, Any], onednn: str) -> Workers:
    import tensorflow as tf

    gpus = chosen.get("gpus", 1)
    if gpus:
        tf.config.set_visible_devices(tf.config.list_physical_devices("GPU")[:gpus], "GPU")
    if several.workers:
        resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec({"worker": list(several.workers)}),
            task_type="worker",
            task_id=several.worker_index,
            rpc_layer="grpc",
        )
    else:
        resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    with ExitStack() as stack:
        # TensorFlow waits without running Python's signal handlers, so interrupts get the system's
        # default: they end the process at once
        if threading.current_thread() is threading.main_thread():
            for number in INTERRUPTS:
                before = signal.getsignal(number)
                if before != signal.SIG_IGN:
                    signal.signal(number, signal.SIG_DFL)
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
