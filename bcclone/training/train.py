"""A store or recordings -> a model file and its run folder: begin or resume a run, train, publish
the model.
"""

import datetime
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from bcclone.dataset.conversion import open_samples
from bcclone.dataset.store import OpenIfStore, open_if_store
from bcclone.feed.selection import TrainingData
from bcclone.model.model_path import check_keras_path
from bcclone.system.codec import read_bytes
from bcclone.system.errors import UserError
from bcclone.system.output import BUSY, locked
from bcclone.system.progress import Notify
from bcclone.system.tensorflow_quietly import describe_peak_memory
from bcclone.training.plan import Plan, Worker, new_plan, resumed_plan, select_samples
from bcclone.training.train_settings import RunFiles, TrainSettings
from bcclone.training.training_folder import RunFolder, describe_environment
from bcclone.training.training_state import TrainResult

_ALONE = Worker()


def train(
    settings: TrainSettings,
    notify: Notify = lambda line: None,
    open_if_store: OpenIfStore = open_if_store,
    worker: Worker = _ALONE,
) -> TrainResult:
    """Train a network in a new run, and return the result.

    notify: called with each line of progress; open_if_store: opens the samples if they are a store;
    worker: this process, which trains alone or as one of several. Raises UserError when the
    settings, the samples or the run folder cannot be used, and KeyboardInterrupt on Ctrl-C or
    SIGTERM, after saving the state.
    """
    return _train(settings, partial(new_plan, settings), notify, open_if_store, worker)


def resume(
    files: RunFiles,
    changes: Mapping[str, Any],
    notify: Notify = lambda line: None,
    open_if_store: OpenIfStore = open_if_store,
    worker: Worker = _ALONE,
) -> TrainResult:
    """Continue the newest run of these samples and this output with its own settings; without one,
    begin a new run.

    changes: settings by name. Limits (epochs, time, patience) may differ from the run's, and so may
    a feed that gives the same batches. Raises as train() does, and UserError for other changes.
    """
    return _train(files, partial(resumed_plan, files, changes), notify, open_if_store, worker)


def _train(
    files: RunFiles,
    make_plan: Callable[[TrainingData, Notify, int], Plan],
    notify: Notify,
    open_if_store: OpenIfStore,
    worker: Worker,
) -> TrainResult:
    if worker.writes and files.start:
        check_keras_path(files.start)
    with (
        locked(files.output, BUSY) if worker.writes else nullcontext(),
        open_samples(files.data, notify, open_if_store) as data,
    ):
        plan = worker.decide(data, lambda: make_plan(data, notify, worker.count))
        samples, validation = select_samples(data, plan.settings, notify)
        if plan.result:
            output = plan.settings.output
            return (
                _republish(plan.folder, plan.result, output, notify) if plan.folder else plan.result
            )
        device = worker.load(plan.settings)
        from bcclone.training.loop import Training
        from bcclone.training.prepare import prepare_trainer

        plan, trainer = prepare_trainer(plan, samples, notify, worker)
        device = f"CPU (oneDNN {plan.settings.onednn})" if device == "CPU" else device
        device += ", in programs of XLA" if trainer.is_one_program else ""
        with _open_folder(plan, device, notify if worker.writes else lambda line: None) as folder:
            result, model = Training(
                trainer, samples, validation, plan.settings, folder, notify, worker
            ).run()
            return _publish(plan, folder, result, model, notify) if worker.writes else result


@contextmanager
def _open_folder(plan: Plan, device: str, notify: Notify) -> Iterator[RunFolder]:
    settings, folder = plan.settings, plan.folder
    if folder:
        notify(f"resuming {folder.path} on {device}, feed {settings.feed}")
    else:
        on_device = settings.augment_on == "device"
        augmentation = (
            ", which augments the samples, too" if on_device else ", augmenting on the CPU"
        )
        augmentation = augmentation if settings.augment else ", without augmentation"
        name = settings.name or f"{datetime.datetime.now():%Y-%m-%d_%H-%M-%S}"
        folder = RunFolder.create(settings.runs / name, plan.identity, settings)
        notify(f"training on {device}{augmentation}; the run is in {folder.path}")
        if settings.start:
            notify(
                f"beginning with {settings.start} at a learning rate of {settings.learning_rate:g}"
            )
    with folder.locked():
        folder.record(settings, describe_environment())
        yield folder


def _publish(
    plan: Plan, folder: RunFolder, result: TrainResult, model: bytes, notify: Notify
) -> TrainResult:
    """Write the model to the output, and mark the run as complete.

    Raises UserError at the end when another program has written the output since the training
    began.
    """
    output = plan.settings.output
    is_free = not output.exists() or plan.may_overwrite
    if is_free:
        folder.publish(output, model)
    if peak := describe_peak_memory():
        notify(f"TensorFlow used {peak} at most")
    folder.write_result(result)
    if not is_free:
        raise UserError(
            f"{output} was written by another program while the training ran, and is left as it is; the model is "
            f"{folder.model}: copy it from there, or replace {output} by the same command with --resume --force"
        )
    return result


def _republish(folder: RunFolder, result: TrainResult, output: Path, notify: Notify) -> TrainResult:
    """Return the result of a run that is complete already; write its model if the output is
    another.
    """
    with folder.locked():
        if not folder.has_published(output):
            folder.publish(output, read_bytes(folder.model, "model"))
    notify(
        f"{folder.path} is complete already: {result.epochs} epochs, epoch {result.epoch} is in {output}; "
        f"it was ended by {result.ended}: increase that to train on, or train again without --resume"
    )
    return replace(result, was_complete=True)
