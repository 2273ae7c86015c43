"""Train on several machines by tf.distribute.MultiWorkerMirroredStrategy, or on several GPUs.

Each worker, a process on one machine, reads its part of every batch, and all workers apply the sum
of all gradients. Worker 0, the chief, makes the plan and writes the run folder and the model. The
other workers get the chief's settings and state, and write into a temporary folder. The steps of a
training are those of bcclone.training.train, in the same order.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bcclone.cluster.cluster_settings import WorkerSettings
from bcclone.cluster.collective import Collective
from bcclone.cluster.connection import connected
from bcclone.dataset.conversion import open_samples
from bcclone.feed.feed_settings import AUTO, FeedSettings
from bcclone.feed.selection import TrainingData
from bcclone.system.errors import UserError
from bcclone.system.json_values import from_json, json_text, names_of
from bcclone.system.progress import Notify
from bcclone.system.task_pool import source_digest
from bcclone.system.tensorflow_quietly import describe_devices, onednn_for_batches
from bcclone.training.decisions import (
    Device,
    fit_to_compiler,
    fit_to_device,
    load_device,
    report_compiler,
)
from bcclone.training.plan import Plan, new_plan, resumed_plan
from bcclone.training.result import TrainResult
from bcclone.training.samples import TrainingSamples, open_feeds, select_samples
from bcclone.training.train import (
    describe_trainer,
    open_run,
    output_locked,
    publish,
    return_complete,
)
from bcclone.training.train_settings import DECIDE_WEIGHTS, RunFiles, TrainSettings
from bcclone.training.training_folder import RunIdentity

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
    """Train as training.train() does, as one of several workers or as the only worker."""
    with ExitStack() as stack:
        if workers.writes:
            stack.enter_context(output_locked(files))
        scratch = Path(stack.enter_context(TemporaryDirectory()))
        data = stack.enter_context(open_samples(files.data, notify))
        plan = _shared_plan(workers, chosen, data, make_plan, scratch)
        samples = select_samples(data, plan.settings, notify)
        if plan.result:
            return return_complete(plan, plan.result, notify)
        device = _loaded_device(workers, plan.settings, chosen)
        plan = replace(plan, settings=fit_to_device(plan.settings, device))
        return _train_on(device, workers, plan, samples, notify)


def _train_on(
    device: Device, workers: Collective, plan: Plan, samples: TrainingSamples, notify: Notify
) -> TrainResult:
    """Train on a device that is loaded, and return the result; the chief writes the model."""
    # these modules load Keras, so they are imported after TensorFlow was configured
    from bcclone.cluster.joint_trainer import load_shared_checkpoint, make_joint_trainer
    from bcclone.training.handover import hand_over, start_model
    from bcclone.training.loop import Training, train_epochs
    from bcclone.training.prepare import report_network
    from bcclone.training.saving import EventLog

    # the trainer: the network, its optimizer and the compiled steps
    settings = plan.settings
    compiled = fit_to_compiler(settings, device, workers.count)
    trainer = make_joint_trainer(samples.data, compiled, samples.label_count, workers.strategy)
    report_compiler(settings, device, notify, workers.count)
    report_network(trainer.model, samples.data, settings, notify)
    trains_on = describe_trainer(device.name, settings, trainer.is_one_program)
    notify_of_run = notify if workers.writes else _silent
    with open_run(plan, settings, trains_on, notify_of_run) as folder:
        events = EventLog(folder, settings.tensorboard)
        feeds = open_feeds(samples, settings, trainer.program_steps, workers.part)
        samples.report(notify)
        training = Training(
            trainer, samples, feeds, settings, folder, events, notify, workers.part, workers.all_sum
        )
        # must be called before a checkpoint is loaded, which replaces the start model's weights
        start = start_model(training)
        state, model = load_shared_checkpoint(workers, folder.checkpoints, trainer, notify)
        trained = train_epochs(training, state, model)
        result, model = hand_over(training, trained, start)
        if workers.writes:
            publish(plan, folder, result, model, notify)
        return result


def _silent(line: str) -> None:
    """Ignore a line: the run folder of a worker other than the chief is only temporary."""


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
    names = (*DECIDE_WEIGHTS, *names_of(FeedSettings))
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


def _loaded_device(
    workers: Collective, settings: TrainSettings, chosen: Mapping[str, Any]
) -> Device:
    """Return the device that trains; loads TensorFlow unless connecting the workers has done so.

    settings: settings of the chief's plan
    chosen: settings that were given to this worker, with which it has loaded TensorFlow
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
