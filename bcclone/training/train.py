"""A store or recordings -> a model file and its run folder.

Open the data, decide the settings, and train by them; planned_run.py has the steps of that.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from bcclone.dataset.conversion import open_samples
from bcclone.feed.selection import TrainingData
from bcclone.model.model_path import check_keras_path
from bcclone.system.codec import read_bytes
from bcclone.system.files import BUSY, locked
from bcclone.system.process import Notify
from bcclone.training.plan import Plan, new_plan, resumed_plan
from bcclone.training.result import TrainResult
from bcclone.training.samples import select_samples
from bcclone.training.train_settings import RunFiles, TrainSettings
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
    # mistakes in the settings and the samples are found before TensorFlow takes seconds to load
    samples = select_samples(data, plan.settings, notify)
    if plan.result:
        return _return_complete(plan, plan.result, notify)
    counts = f"{len(samples.training)} to train on, {len(samples.validation)} to validate with"
    notify(f"samples: {counts}; loading TensorFlow")
    device = worker.load_device(plan.settings)
    # this loads Keras, which must find TensorFlow as load_device() has configured it
    from bcclone.training.planned_run import train_on

    return train_on(device, plan, samples, worker, notify)


@contextmanager
def output_locked(files: RunFiles) -> Iterator[None]:
    """Check that --from can be a model file, and lock the output against other processes."""
    if files.start:
        check_keras_path(files.start)
    with locked(files.output, BUSY):
        yield


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
        f"{folder.path} is complete already, after {result.epochs} epochs; {output} is "
        f"{result.origin}; it was ended by {result.ended}: increase that to train on, "
        "or train again without --resume"
    )
    return replace(result, was_complete=True)
