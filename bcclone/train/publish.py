"""Open the run folder of a plan, and publish the trained model to the output of the run."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from bcclone.system.codec import read_bytes
from bcclone.system.errors import UserError
from bcclone.system.progress import Notify
from bcclone.system.tensorflow_quietly import describe_peak_memory
from bcclone.train.environment import describe_environment
from bcclone.train.plan import Plan
from bcclone.train.run_folder import RunFolder, new_path
from bcclone.train.train_settings import TrainSettings
from bcclone.train.training_state import Trained, TrainResult


@contextmanager
def open_folder(plan: Plan, device: str, notify: Notify) -> Iterator[RunFolder]:
    """Give the folder of the resumed run, or a new one, locked within the block."""
    settings, folder = plan.settings, plan.folder
    if device == "CPU":
        device = f"CPU (oneDNN {settings.onednn})"
    if folder:
        notify(f"resuming {folder.path} on {device}, feed {settings.feed}")
    else:
        folder = RunFolder.create(new_path(settings.runs, settings.name), plan.identity, settings)
        notify(f"training on {device}{_describe_augmentation(settings)}; the run is in {folder.path}")
        if settings.start:
            notify(f"beginning with {settings.start} at a learning rate of {settings.learning_rate:g}")
    with folder.locked():
        folder.record(settings, describe_environment())
        yield folder


def publish(plan: Plan, folder: RunFolder, trained: Trained, notify: Notify) -> TrainResult:
    """Write the model to the output, and mark the run as complete.

    Raises UserError at the end when another program has written the output since the training began.
    """
    output = plan.settings.output
    is_free = not output.exists() or plan.may_overwrite
    if is_free:
        folder.publish(output, trained.model)
    if peak := describe_peak_memory():
        notify(f"TensorFlow used {peak} at most")
    try:
        folder.write_result(trained.result)
    except OSError as error:
        notify(f"note: {folder.path}: the run's result cannot be written: {error.strerror}")
    if not is_free:
        raise UserError(
            f"{output} was written by another program while the training ran, and is left as it is; the model is "
            f"{folder.model}: copy it from there, or replace {output} by the same command with --resume --force"
        )
    return trained.result


def republish(plan: Plan, notify: Notify) -> TrainResult:
    """Return the result of a run that is complete already; write its model if the output is another."""
    folder, result, output = plan.folder, plan.result, plan.settings.output
    if folder is None or result is None:
        raise ValueError("the plan is of a run that is not complete")
    with folder.locked():
        if not folder.has_published(output):
            folder.publish(output, read_bytes(folder.model, "model"))
    notify(
        f"{folder.path} is complete already: {result.epochs} epochs, epoch {result.epoch} is in {output}; "
        f"it was ended by {result.ended}: increase that to train on, or train again without --resume"
    )
    return replace(result, was_complete=True)


def _describe_augmentation(settings: TrainSettings) -> str:
    """Return where samples are augmented, as a part of a sentence."""
    if not settings.augment:
        return ", without augmentation"
    return ", which augments the samples, too" if settings.augment_on == "device" else ", augmenting on the CPU"
