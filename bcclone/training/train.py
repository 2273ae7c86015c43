"""A store or recordings -> a model file and its run folder.

Top to bottom: open the data, decide the settings, make the trainer and the feeds, train, publish.
"""

import datetime
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from bcclone.dataset.conversion import open_samples
from bcclone.feed.selection import TrainingData
from bcclone.model.model_path import check_keras_path
from bcclone.system.codec import read_bytes
from bcclone.system.errors import UserError
from bcclone.system.output import BUSY, locked
from bcclone.system.progress import Notify
from bcclone.system.tensorflow_quietly import describe_peak_memory
from bcclone.training.decisions import fit_to_compiler, fit_to_device, report_compiler
from bcclone.training.environment import describe_environment
from bcclone.training.plan import Plan, may_overwrite, new_plan, resumed_plan
from bcclone.training.result import TrainResult
from bcclone.training.samples import open_feeds, select_samples
from bcclone.training.train_settings import RunFiles, TrainSettings
from bcclone.training.training_folder import RunFolder
from bcclone.training.worker import ALONE, Worker


def train(settings: TrainSettings, notify: Notify = lambda line: None) -> TrainResult:
    """Train a network in a new run, and return the result.

    Raises UserError when the settings, the samples or the run folder cannot be used, and
    KeyboardInterrupt on Ctrl-C or SIGTERM, after saving the state.

    notify: called with each line of progress
    """
    with output_locked(settings), open_samples(settings.data, notify) as data:
        plan = new_plan(settings, data, notify)
        return train_planned(plan, data, notify)


def resume(
    files: RunFiles, changes: Mapping[str, Any], notify: Notify = lambda line: None
) -> TrainResult:
    """Continue the newest run of these samples and this output; without one, begin a new run.

    The run keeps its own settings. The changes may set other limits (epochs, time, patience), a
    feed that gives the same batches, and settings on which the weights do not depend. Raises what
    train() raises, and UserError for all other changes.

    changes: the settings that the user gave, name -> value
    notify: called with each line of progress
    """
    with output_locked(files), open_samples(files.data, notify) as data:
        plan = resumed_plan(files, changes, data, notify)
        return train_planned(plan, data, notify)


def train_planned(
    plan: Plan, data: TrainingData, notify: Notify, worker: Worker = ALONE
) -> TrainResult:
    """Train as a plan says, and return the result; raises what train() raises.

    worker: this process, as one of several workers or as the only one; one that does not write
        needs a plan whose files are temporary
    """
    # checks that need no TensorFlow come first, so that a mistake is found at once
    settings = plan.settings
    workers = worker.part.count
    samples = select_samples(data, settings, notify)
    if plan.result:
        return _return_complete(plan, plan.result, notify)
    device = worker.load_device(settings)
    settings = fit_to_device(settings, device)

    # these modules load Keras, so they are imported after load_device() has configured TensorFlow
    from bcclone.training.handover import hand_over, start_model
    from bcclone.training.loop import Training, train_epochs
    from bcclone.training.prepare import report_network
    from bcclone.training.saving import EventLog

    # the trainer: the network, its optimizer and the compiled steps
    compiled = fit_to_compiler(settings, device, workers)
    trainer = worker.make_trainer(data, compiled, samples.label_count)
    report_compiler(settings, device, notify, workers)
    report_network(trainer.model, data, settings, notify)
    trains_on = _describe_trainer(device.name, settings, trainer.is_one_program)

    # nothing is said about the temporary run folder of a worker that does not write
    notify_of_run = notify if worker.writes else _silent
    with (
        _open_run(plan, settings, trains_on, notify_of_run) as folder,
        EventLog(folder, settings.tensorboard) as events,
    ):
        feeds = open_feeds(samples, settings, trainer.program_steps, worker.part)
        samples.report(notify)
        training = Training(
            trainer, samples, feeds, settings, folder, events, notify, worker.part, worker.all_sum
        )
        # must come before load_checkpoint(), which replaces the weights of the start model
        start = start_model(training)
        state, model = worker.load_checkpoint(folder.checkpoints, trainer, notify)
        trained = train_epochs(training, state, model)
        result, model = hand_over(training, trained, start)
        if worker.writes:
            _publish(plan, folder, result, model, notify)
        return result


def _silent(line: str) -> None:
    """Ignore a line of progress."""


@contextmanager
def output_locked(files: RunFiles) -> Iterator[None]:
    """Check that --from can be a model file, and lock the output against other processes."""
    if files.start:
        check_keras_path(files.start)
    with locked(files.output, BUSY):
        yield


def _describe_trainer(device: str, settings: TrainSettings, is_one_program: bool) -> str:
    """Return the device and how it computes, for the user, such as "CPU (oneDNN on)"."""
    if device == "CPU":
        device = f"CPU (oneDNN {settings.onednn})"
    return f"{device}, in programs of XLA" if is_one_program else device


@contextmanager
def _open_run(
    plan: Plan, settings: TrainSettings, trains_on: str, notify: Notify
) -> Iterator[RunFolder]:
    """Make the folder of a new run, or take that of a resumed one, and lock it in the block.

    settings: the plan's settings, with values for all that the plan had left to the device
    trains_on: the device in words, as _describe_trainer() returns it
    """
    folder = plan.folder
    if folder:
        notify(f"resuming {folder.path} on {trains_on}, feed {settings.feed}")
    else:
        name = settings.name or f"{datetime.datetime.now():%Y-%m-%d_%H-%M-%S}"
        folder = RunFolder.create(settings.runs / name, plan.identity, settings)
        augmentation = _describe_augmentation(settings)
        notify(f"training on {trains_on}{augmentation}; the run is in {folder.path}")
        if settings.start:
            rate = settings.learning_rate
            notify(f"beginning with {settings.start} at a learning rate of {rate:g}")
    with folder.locked():
        folder.record(settings, describe_environment())
        yield folder


def _describe_augmentation(settings: TrainSettings) -> str:
    if not settings.augment:
        return ", without augmentation"
    if settings.augment_on == "device":
        return ", which augments the samples, too"
    return ", augmenting on the CPU"


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


def _return_complete(plan: Plan, result: TrainResult, notify: Notify) -> TrainResult:
    """Return the result of a run that is complete already.

    The run's model is written to the output again if the file there is not from this run. In a
    training on several machines, only the chief's plan has a folder; the others write nothing.
    """
    folder = plan.folder
    if folder is None:
        return result
    output = plan.settings.output
    with folder.locked():
        if not folder.has_published(output):
            folder.publish(output, read_bytes(folder.model, "model"))
    notify(
        f"{folder.path} is complete already: {result.epochs} epochs, epoch {result.epoch} is in "
        f"{output}; it was ended by {result.ended}: increase that to train on, "
        "or train again without --resume"
    )
    return replace(result, was_complete=True)
