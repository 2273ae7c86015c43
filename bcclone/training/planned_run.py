"""A planned training, step by step: trainer, run folder, training, choice of the model, output.

In: a `Plan`, its samples and the device that trains. Out: a `TrainResult`, and files. Importing
this loads Keras, so load_device() must have configured TensorFlow before.
"""

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from bcclone.system.errors import UserError
from bcclone.system.process import Notify
from bcclone.system.tensorflow_quietly import describe_peak_memory
from bcclone.training.decisions import Device, fit_to_compiler, fit_to_device, report_compiler
from bcclone.training.environment import describe_environment
from bcclone.training.handover import hand_over, start_model
from bcclone.training.loop import Trained, Training, train_epochs
from bcclone.training.plan import Plan, may_overwrite
from bcclone.training.prepare import report_network
from bcclone.training.result import TrainResult
from bcclone.training.samples import TrainingSamples, open_feeds
from bcclone.training.saving import EventLog
from bcclone.training.train_settings import TrainSettings
from bcclone.training.trainer import Trainer
from bcclone.training.training_folder import RunFolder
from bcclone.training.worker import Worker
from bcclone.training.worker_group import WorkerGroup


def train_on(
    device: Device, plan: Plan, samples: TrainingSamples, worker: Worker, notify: Notify
) -> TrainResult:
    """Train on a device as train.train_planned() says, and return the result."""
    settings = fit_to_device(plan.settings, device)
    plan = replace(plan, settings=settings)
    trainer = _make_trainer(device, settings, samples, worker)
    with (
        _open_run(plan) as folder,
        _saying_what_is_kept(folder, worker.group),
        EventLog(folder, settings.tensorboard) as events,
    ):
        training = Training(
            trainer=trainer,
            samples=samples,
            feeds=open_feeds(samples, settings, trainer.program_steps, worker.group.part),
            settings=settings,
            folder=folder,
            events=events,
            notify=notify,
            group=worker.group,
        )
        _report(training, plan, device)
        start = start_model(training)  # before a checkpoint is loaded over the start weights
        trained = _train(training, worker)
        result, model = hand_over(training, trained, start)
        if worker.group.writes:
            _publish(plan, folder, result, model, notify)
    return result


def _make_trainer(
    device: Device, settings: TrainSettings, samples: TrainingSamples, worker: Worker
) -> Trainer:
    """Return the trainer.

    Whether XLA compiles the steps is decided here, for this trainer alone, and is not kept with the
    run: a resume, perhaps on another device, decides it anew.
    """
    compiled = fit_to_compiler(settings, device, worker.group.size)
    return worker.make_trainer(samples.data, compiled, samples.label_count)


@contextmanager
def _open_run(plan: Plan) -> Iterator[RunFolder]:
    """Make the folder of a new run, or take that of a resumed one, and lock it in the block."""
    settings = plan.settings
    folder = plan.folder
    if folder is None:
        name = settings.name or f"{datetime.datetime.now():%Y-%m-%d_%H-%M-%S}"
        folder = RunFolder.create(settings.runs / name, plan.identity, settings)
    with folder.locked():
        folder.record(settings, describe_environment())
        yield folder


@contextmanager
def _saying_what_is_kept(folder: RunFolder, group: WorkerGroup) -> Iterator[None]:
    """Let a KeyboardInterrupt from the block say what the run folder keeps, and how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        kept = f"the run so far is {folder.path}; "
        if folder.model.exists():
            kept = f"the model so far is {folder.model}; "
        if not group.writes:  # its folder is temporary
            kept = ""
        raise KeyboardInterrupt(f"{kept}continue with the same command and --resume") from None


def _train(training: Training, worker: Worker) -> Trained:
    """Train from the newest checkpoint of the run, or from the beginning."""
    checkpoints = training.folder.checkpoints
    state, model = worker.load_checkpoint(checkpoints, training.trainer, training.notify)
    return train_epochs(training, state, model)


# ---- what the user is told


def _report(training: Training, plan: Plan, device: Device) -> None:
    """Tell the user what is trained, on what, and what may be unexpected about it."""
    settings = training.settings
    samples = training.samples
    notify = training.notify
    report_compiler(settings, device, notify, training.group.size)
    report_network(training.trainer.model, samples.data, settings, notify)
    # the run folder of a worker that does not write is temporary, so nothing is said about it
    if training.group.writes:
        _report_run(training, plan, device)
    samples.report(notify)


def _report_run(training: Training, plan: Plan, device: Device) -> None:
    settings = training.settings
    run = training.folder.path
    trains_on = _describe_trainer(device, settings, training.trainer.is_one_program)
    if plan.folder:
        training.notify(f"resuming {run} on {trains_on}, feed {settings.feed}")
        return
    augmentation = _describe_augmentation(settings)
    training.notify(f"training on {trains_on}{augmentation}; the run is in {run}")
    begin = f"from {settings.start}" if settings.start else f"a new {settings.network}"
    length = f"{settings.epochs} epochs" if settings.epochs else "as many epochs as --time allows"
    training.notify(
        f"{begin}, by {settings.optimizer} at a learning rate of {settings.learning_rate:g}, for "
        f"{length}"
    )


def _describe_trainer(device: Device, settings: TrainSettings, is_one_program: bool) -> str:
    """Return the device and how it computes, for the user, such as "CPU (oneDNN on)"."""
    name = device.name
    if name == "CPU":
        name = f"CPU (oneDNN {settings.onednn})"
    return f"{name}, in programs of XLA" if is_one_program else name


def _describe_augmentation(settings: TrainSettings) -> str:
    if not settings.augment:
        return ", without augmentation"
    if settings.augment_on == "device":
        return ", which augments the samples, too"
    return ", augmenting on the CPU"


# ---- the end


def _publish(
    plan: Plan, folder: RunFolder, result: TrainResult, model: bytes, notify: Notify
) -> None:
    """Write the model to the output, and mark the run as complete.

    When another program has written the output since the training began, that file stays as it is:
    the run is still marked as complete, and UserError says where the model is.
    """
    output = plan.settings.output
    is_free = not output.exists() or may_overwrite(plan)
    if is_free:
        folder.publish(output, model)
    peak = describe_peak_memory()
    if peak:
        notify(f"TensorFlow used {peak} at most")
    folder.write_result(result)
    if not is_free:
        raise UserError(
            f"{output} was written by another program while the training ran, and is left as it "
            f"is; the model is {folder.model}: copy it from there, or replace {output} by the same "
            "command with --resume --force"
        )
