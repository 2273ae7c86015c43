"""A store or recordings -> a model file and its run folder.

Open the data, decide the settings, and train by them, from a new network or model, or from the last
checkpoint of a run.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from bcclone.dataset.conversion import open_samples
from bcclone.dataset.labels import LOST_STEERING
from bcclone.dataset.sample_settings import TRAINING, VALIDATION
from bcclone.dataset.store import Store
from bcclone.feed.feed import check_feed
from bcclone.feed.selection import Selection, require_windows, select
from bcclone.model.model_path import check_keras_path
from bcclone.system.codec import read_bytes
from bcclone.system.errors import UserError, number_of
from bcclone.system.files import BUSY, locked
from bcclone.system.progress import Notify
from bcclone.system.statistics import constant
from bcclone.system.xla import keep_programs
from bcclone.training.plan import may_compile, new_run, resumed_run, steps_left
from bcclone.training.result import TrainResult
from bcclone.training.run import Run
from bcclone.training.train_settings import RunFiles, TrainSettings
from bcclone.training.workers import Workers


def train(settings: TrainSettings, notify: Notify = lambda line: None) -> TrainResult:
    """Train a network in a new run, and return the result.

    Raises UserError when the settings, the samples or the run folder cannot be used, and
    KeyboardInterrupt on Ctrl-C or SIGTERM, after saving the state.

    notify: called with each line of progress
    """
    with output_locked(settings), open_samples(settings.data, notify) as data:
        return train_run(new_run(settings, data, notify), data, notify, Workers())


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
        return train_run(resumed_run(files, changes, data, notify), data, notify, Workers())


@contextmanager
def output_locked(files: RunFiles) -> Iterator[None]:
    """Check that --from can be a model file, and lock the output against other processes."""
    if files.start:
        check_keras_path(files.start)
    with locked(files.output, BUSY):
        yield


def train_run(run: Run, data: Store, notify: Notify, workers: Workers) -> TrainResult:
    """Train a run, and return the result; raises what train() raises.

    workers: those that train together; one that does not write needs a run whose files are
        temporary
    """
    # mistakes in the settings and the samples are found before TensorFlow takes seconds to load
    training, validation = select_samples(data, run.settings, notify)
    if run.result:
        return _return_complete(run, run.result, notify)
    counts = f"{len(training)} to train on, {len(validation)} to validate with"
    notify(f"samples: {counts}; loading TensorFlow")
    try:
        # the output's lock does not suffice: a run may be continued with another output
        with locked(run.path, BUSY) if workers.writes else nullcontext():
            compiling_pays = may_compile(run.settings, steps_left(run.settings, data, run))
            if compiling_pays and workers.count == 1:
                keep_programs(notify)
            device = workers.load_tensorflow(run.settings.onednn)
            # loads Keras, which must find TensorFlow as it has just been configured
            from bcclone.training.fit import fit

            result, model = fit(run, training, validation, device, compiling_pays, notify, workers)
            if workers.writes:
                _publish(run, result, model)
    except KeyboardInterrupt:
        if run.remove_before_steps() or not run.path.exists():
            raise KeyboardInterrupt("no step was taken yet; nothing is left of the run") from None
        kept = ""
        if workers.writes and run.model.exists():
            kept = f"the model so far is {run.model}; "
        elif workers.writes and run.path.exists():
            kept = f"the run so far is {run.path}; "
        raise KeyboardInterrupt(f"{kept}continue with the same command and --resume") from None
    return result


# ---- the samples


def select_samples(
    data: Store, settings: TrainSettings, notify: Notify
) -> tuple[Selection, Selection]:
    """Return the samples to train on, and those to validate with.

    Raises UserError when the feed cannot read them.
    """
    check_feed(data, settings)
    if settings.cache:
        data = replace(data, frames=data.frames.reopened(Path(settings.cache)))
    training = select(data, TRAINING, settings.seq_length, settings.predict)
    validation = select(data, VALIDATION, settings.seq_length, settings.predict)
    # samples, not windows of them: require_windows() below reports if there are no windows
    if not data.split_indices(TRAINING).size:
        raise UserError(
            f"{data.path}: no training samples; "
            "make the store with more driving or a smaller --validation"
        )
    same = constant(data.rows["steering"])
    if same:
        notify(
            f"note: the steering is {same[1]}, so nothing can be learned from it; {LOST_STEERING}"
        )
    if settings.seq_length > 1:
        require_windows(training)
        left_out = training.left_out + validation.left_out
        notify(
            f"note: windows of {settings.seq_length} frames; {left_out} samples are left out: too "
            "few frames precede them in their episode, or they pair an earlier frame with a later "
            "steering (--frame-offsets)"
        )
    return training, validation


# ---- the end


def _publish(run: Run, result: TrainResult, model: bytes) -> None:
    """Write the model to the output, and mark the run as complete.

    When another program has written the output since the training began, that file stays as it is:
    the run is still marked as complete, and UserError says where the model is.
    """
    output = run.settings.output
    is_free = not output.exists() or run.may_overwrite()
    if is_free:
        run.publish(output, model)
    run.write_result(result)
    if not is_free:
        raise UserError(
            f"{output} was written by another program while the training ran, and is left as it "
            f"is; the model is {run.model}: copy it from there, or replace {output} by the same "
            "command with --resume --force"
        )


def _return_complete(run: Run, result: TrainResult, notify: Notify) -> TrainResult:
    """Return the result of a run that is complete already.

    The run's model is written to the output again if the file there is not from this run. In a
    training on several machines, only the chief has the run's folder; the others write nothing.
    """
    if run.is_new:
        return result
    output = run.settings.output
    if not run.has_published(output):
        run.publish(output, read_bytes(run.model, "model"))
    notify(
        f"{run.path} is complete already, after {number_of(result.epochs, 'epoch')}; {output} is "
        f"{result.origin}; it was ended by {result.ended}: increase that to train on, "
        "or train again without --resume"
    )
    return replace(result, was_complete=True)
