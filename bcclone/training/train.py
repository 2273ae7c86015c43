"""A store or recordings -> a model file and its run folder.

Open the data, decide the settings, and train by them, from a new network or model, or from the last
checkpoint of a run; alone, or as one of several workers.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bcclone.dataset.conversion import open_samples
from bcclone.dataset.labels import LOST_STEERING
from bcclone.dataset.sample_settings import TRAINING, VALIDATION
from bcclone.dataset.store import Store
from bcclone.feed.feed import check_feed
from bcclone.feed.feed_settings import FeedSettings
from bcclone.feed.selection import Selection, describe_windows, select
from bcclone.model.model_path import check_keras_path
from bcclone.system.codec import read_bytes
from bcclone.system.errors import UserError
from bcclone.system.files import BUSY, locked
from bcclone.system.numbers import constant
from bcclone.system.process import Notify
from bcclone.system.tensorflow_quietly import gpu_compiler_fault, used_gpus
from bcclone.system.values import from_json, json_text, names_of
from bcclone.training.decisions import fit_to_device
from bcclone.training.result import TrainResult
from bcclone.training.run import Record, Run, describe_environment, new_run, resumed_run
from bcclone.training.several import Workers, connected
from bcclone.training.train_settings import (
    SETTINGS_OF_WEIGHTS,
    RunFiles,
    TrainSettings,
    WorkerSettings,
    are_several,
)


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
            workers = stack.enter_context(connected(several, chosen, notify))
        if workers.writes:
            stack.enter_context(output_locked(files))
        data = stack.enter_context(open_samples(files.data, notify))
        run = None
        _require_agreement(workers, data, chosen)
        if workers.writes and resumes:
            run = resumed_run(files, chosen, data, notify, workers.count)
        elif workers.writes:
            file_settings = {name: getattr(files, name) for name in names_of(RunFiles)}
            run = new_run(TrainSettings(**file_settings, **chosen), data, notify, workers.count)
        run = _shared_run(workers, run, Path(stack.enter_context(TemporaryDirectory())))
        result = train_run(run, data, notify, workers)
    return result if workers.writes else None


def _require_agreement(workers: Workers, data: Store, chosen: Mapping[str, Any]) -> None:
    """Raise UserError on all workers if one has another store or other settings than the chief."""
    names = (*SETTINGS_OF_WEIGHTS, *names_of(FeedSettings))
    mine = [f"content of the store: {data.content_hash[:16]}"]
    mine += [f"{name.replace('_', ' ')}: {chosen[name]}" for name in names if name in chosen]
    facts = "\n".join(mine).encode()
    chiefs, *others = (
        set(workers.share(facts, n).decode().splitlines()) for n in range(workers.count)
    )
    for index, theirs in enumerate(others, start=1):
        if theirs != chiefs:
            raise UserError(
                f"{', '.join(sorted(theirs - chiefs)) or 'less'} on worker {index}, and "
                f"{', '.join(sorted(chiefs - theirs)) or 'less'} on worker 0; "
                "give every worker the same"
            )


def _shared_run(workers: Workers, run: Run | None, scratch: Path) -> Run:
    """Return the chief's run, on all workers.

    run: on the chief
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
    device = workers.load_tensorflow(run.settings)
    # these load Keras, which must find TensorFlow as it has just been configured
    from bcclone.training.handover import hand_over, start_model
    from bcclone.training.loop import Loop
    from bcclone.training.prepare import make_trainer, report_network

    settings, compiled = fit_to_device(
        run.settings, bool(used_gpus()), gpu_compiler_fault(), workers.count, notify
    )
    labels = training.labels.shape[1]
    trainer = make_trainer(data, compiled, labels, workers.strategy(settings))
    if run.is_new:
        run.make_folder()
    with _saying_what_is_kept(run, workers):
        run.begin(settings, describe_environment())
        loop = Loop(trainer, training, validation, settings, run, notify, workers)
        report_network(trainer.model, data, settings, notify)
        # the run folder of a worker that does not write is temporary, so nothing is said about it
        if workers.writes:
            for line in _described_run(run, device, trainer.is_one_program):
                notify(line)
        if not len(validation):
            notify(
                "note: there are no validation samples, so nothing shows whether the model has "
                "become better; the best epoch is the one with the smallest loss"
            )
        start = start_model(loop)  # before a checkpoint is loaded over the start weights
        loop.train(*workers.load_checkpoint(run.checkpoints, trainer, notify))
        result, model = hand_over(loop, *start)
        if workers.writes:
            _publish(run, result, model, notify)
    return result


# ---- the samples


def select_samples(
    data: Store, settings: TrainSettings, notify: Notify
) -> tuple[Selection, Selection]:
    """Return the samples to train on, and those to validate with.

    Raises UserError when the feed cannot read them.
    """
    check_feed(data, settings)
    training = select(data, TRAINING, settings.seq_length, settings.predict)
    validation = select(data, VALIDATION, settings.seq_length, settings.predict)
    # samples, not windows of them: describe_windows() below reports if there are no windows
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
        notify(f"note: {describe_windows(training, validation)}")
    return training, validation


# ---- what the user is told


@contextmanager
def _saying_what_is_kept(run: Run, workers: Workers) -> Iterator[None]:
    """Let a KeyboardInterrupt from the block say what the run folder keeps, and how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        kept = f"the run so far is {run.path}; "
        if run.model.exists():
            kept = f"the model so far is {run.model}; "
        if not workers.writes:  # its folder is temporary
            kept = ""
        raise KeyboardInterrupt(f"{kept}continue with the same command and --resume") from None


def _described_run(run: Run, trains_on: str, is_one_program: bool) -> list[str]:
    """Return lines that say what is trained, on what and how."""
    settings = run.settings
    if trains_on == "CPU":
        trains_on = f"CPU (oneDNN {settings.onednn})"
    if is_one_program:
        trains_on += ", in programs of XLA"
    if not run.is_new:
        return [f"resuming {run.path} on {trains_on}, feed {settings.feed}"]
    augmentation = ", augmenting on the CPU"
    if not settings.augment:
        augmentation = ", without augmentation"
    elif settings.augment_on == "device":
        augmentation = ", which augments the samples, too"
    begin = f"from {settings.start}" if settings.start else f"a new {settings.network}"
    length = f"{settings.epochs} epochs" if settings.epochs else "as many epochs as --time allows"
    return [
        f"training on {trains_on}{augmentation}; the run is in {run.path}",
        f"{begin}, by {settings.optimizer} at a learning rate of {settings.learning_rate:g}, for "
        f"{length}",
    ]


# ---- the end


def _publish(run: Run, result: TrainResult, model: bytes, notify: Notify) -> None:
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
        f"{run.path} is complete already, after {result.epochs} epochs; {output} is "
        f"{result.origin}; it was ended by {result.ended}: increase that to train on, "
        "or train again without --resume"
    )
    return replace(result, was_complete=True)
