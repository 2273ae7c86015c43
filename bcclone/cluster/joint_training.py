"""Train on several machines by tf.distribute.MultiWorkerMirroredStrategy, or on several GPUs.

In: the workers, a store, and the settings that the user chose. Out: a model file, a run folder and
a `TrainResult`, on worker 0 alone, which is called the chief.

Each worker, a process on one machine, reads its part of every batch, and all workers apply the sum
of all gradients. The chief makes the plan and writes the run folder and the model. The other
workers get the chief's settings and state, and write into a temporary folder. All of them train by
bcclone.training.train.train_planned(), each as a Worker that knows its part.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from bcclone.cluster.cluster_settings import WorkerSettings
from bcclone.cluster.collective import Collective
from bcclone.cluster.connection import connected
from bcclone.dataset.conversion import open_samples
from bcclone.feed.feed_settings import AUTO, FeedSettings
from bcclone.feed.selection import TrainingData
from bcclone.system.errors import UserError
from bcclone.system.pool import source_digest
from bcclone.system.process import Notify
from bcclone.system.tensorflow_quietly import describe_devices, onednn_for_batches
from bcclone.system.values import from_json, json_text, names_of
from bcclone.training.decisions import Device, load_device
from bcclone.training.plan import Plan, new_plan, resumed_plan
from bcclone.training.result import TrainResult
from bcclone.training.train import output_locked, train_planned
from bcclone.training.train_settings import SETTINGS_OF_WEIGHTS, RunFiles, TrainSettings
from bcclone.training.training_folder import RunIdentity
from bcclone.training.training_state import TrainingState
from bcclone.training.worker import Worker
from bcclone.training.worker_group import WorkerGroup

if TYPE_CHECKING:  # it loads TensorFlow
    from bcclone.training.trainer import Trainer

# samples, number of workers -> the plan of the chief
MakePlan = Callable[[TrainingData, int], Plan]


def train_together(
    cluster: WorkerSettings | None, files: RunFiles, chosen: Mapping[str, Any], notify: Notify
) -> TrainResult | None:
    """Train in a new run, as one of several workers or on several GPUs of this machine.

    Returns the result on the chief, and None on other workers. Raises what training.train() raises,
    and UserError if the workers do not find each other, have different settings, or lose a worker.

    cluster: all workers and the number of this one; None for the GPUs of this machine
    files: the store, the model and the runs
    chosen: the settings that the user gave, name -> value; equal on all workers
    """
    file_settings = {name: getattr(files, name) for name in names_of(RunFiles)}
    settings = TrainSettings(**file_settings, **chosen)

    def make_plan(data: TrainingData, workers: int) -> Plan:
        return new_plan(settings, data, notify, workers)

    return _train(cluster, files, chosen, make_plan, notify)


def resume_together(
    cluster: WorkerSettings | None, files: RunFiles, chosen: Mapping[str, Any], notify: Notify
) -> TrainResult | None:
    """Continue the chief's newest run as training.resume() does.

    Arguments, result and errors are those of train_together().
    """

    def make_plan(data: TrainingData, workers: int) -> Plan:
        return resumed_plan(files, chosen, data, notify, workers)

    return _train(cluster, files, chosen, make_plan, notify)


def _train(
    cluster: WorkerSettings | None,
    files: RunFiles,
    chosen: Mapping[str, Any],
    make_plan: MakePlan,
    notify: Notify,
) -> TrainResult | None:
    """Connect the workers, if there are several, and train."""
    if cluster is None:
        return _train_as_worker(Collective(), files, chosen, make_plan, notify)
    onednn = onednn_for_batches(chosen.get("onednn", AUTO))
    gpu_memory = chosen.get("gpu_memory", 0)
    with connected(cluster, chosen.get("gpus", 1), gpu_memory, onednn, notify) as strategy:
        workers = Collective(cluster, strategy)
        version = source_digest()[:16]
        addresses = ",".join(cluster.workers)
        workers.require_agreement({"version of bcclone": version, "workers": addresses})
        result = _train_as_worker(workers, files, chosen, make_plan, notify)
    return result if workers.writes else None


def _train_as_worker(
    workers: Collective,
    files: RunFiles,
    chosen: Mapping[str, Any],
    make_plan: MakePlan,
    notify: Notify,
) -> TrainResult:
    """Train by the chief's plan, as one of several workers or as the only worker."""
    with ExitStack() as stack:
        if workers.writes:
            stack.enter_context(output_locked(files))
        scratch = Path(stack.enter_context(TemporaryDirectory()))
        data = stack.enter_context(open_samples(files.data, notify))
        plan = _shared_plan(workers, chosen, data, make_plan, scratch)
        return train_planned(plan, data, notify, _worker_of(workers, chosen))


def _worker_of(workers: Collective, chosen: Mapping[str, Any]) -> Worker:
    """Return this process as a worker, which does some steps together with all workers.

    chosen: settings that were given to this worker
    """

    def make_trainer(data: TrainingData, settings: TrainSettings, labels: int) -> "Trainer":
        from bcclone.cluster.joint_trainer import make_joint_trainer

        return make_joint_trainer(data, settings, labels, workers.strategy)

    def load_checkpoint(
        folder: Path, trainer: "Trainer", notify: Notify
    ) -> tuple[TrainingState, bytes]:
        from bcclone.cluster.joint_trainer import load_shared_checkpoint

        return load_shared_checkpoint(workers, folder, trainer, notify)

    find_device = partial(_find_device, workers, chosen)
    group = WorkerGroup(workers.part, workers.all_sum)
    return Worker(group, find_device, make_trainer, load_checkpoint)


def _shared_plan(
    workers: Collective,
    chosen: Mapping[str, Any],
    data: TrainingData,
    make_plan: MakePlan,
    scratch: Path,
) -> Plan:
    """Return the chief's plan, on all workers.

    make_plan: makes the plan; called only on the chief
    scratch: temporary folder for the files of workers that are not the chief
    """
    if workers.count == 1:
        return make_plan(data, workers.count)
    # the settings on which the weights depend must be the same on all workers
    names = (*SETTINGS_OF_WEIGHTS, *names_of(FeedSettings))
    joint = {name: chosen[name] for name in names if name in chosen}
    workers.require_agreement({"content of the store": data.content_hash[:16], **joint})
    # the chief sends its plan, and then the start model (empty without --from); the other workers
    # have nothing to send, and receive both
    if workers.writes:
        plan = make_plan(data, workers.count)
        described = {
            "settings": plan.settings,
            "identity": plan.identity,
            "result": plan.result,
        }
        workers.share(json_text(described).encode())
        workers.share(plan.settings.start.read_bytes() if plan.settings.start else b"")
    else:
        stored = json.loads(workers.share(b""))
        start = workers.share(b"")
        plan = _received_plan(stored, start, scratch)
    if plan.settings.batch_size < workers.count:
        raise UserError(
            f"--batch-size {plan.settings.batch_size} for {workers.count} workers, "
            "expected a sample for each; train with fewer --workers or a larger --batch-size"
        )
    return plan


def _received_plan(stored: Mapping[str, Any], start: bytes, scratch: Path) -> Plan:
    """Return the plan that the chief has sent, with all files in the folder `scratch`.

    start: content of the start model's file, b"" if there is none
    """
    settings = from_json(TrainSettings, stored["settings"])
    settings = replace(settings, output=scratch / "model.h5", runs=scratch, name="worker")
    if start:
        start_file = scratch / "start.h5"
        start_file.write_bytes(start)
        settings = replace(settings, start=start_file)
    result = None
    if stored["result"]:
        result = from_json(TrainResult, stored["result"])
    return Plan(settings, from_json(RunIdentity, stored["identity"]), result=result)


def _find_device(workers: Collective, chosen: Mapping[str, Any], settings: TrainSettings) -> Device:
    """Return the device that trains; loads TensorFlow unless connecting the workers has done so.

    chosen: settings that were given to this worker, with which it has loaded TensorFlow
    settings: settings of the chief's plan
    """
    if workers.count == 1:
        return load_device(settings)
    loaded = onednn_for_batches(chosen.get("onednn", AUTO))
    if settings.onednn != loaded:
        raise UserError(
            f"the run computes with onednn={settings.onednn}, and this worker with {loaded}; "
            f"give all workers --set onednn={settings.onednn}"
        )
    return Device.loaded(describe_devices())
