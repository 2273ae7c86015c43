"""Train a network on a store or on recordings: begin or resume a run, train, publish the model."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from bcclone.dataset.conversion import open_samples
from bcclone.dataset.images import PRESETS
from bcclone.dataset.store import OpenStore, open_if_store
from bcclone.feed.open import check_feed
from bcclone.feed.selection import Selection, TrainingData, describe_windows, select
from bcclone.model.architectures import ARCHITECTURES
from bcclone.system.errors import UserError
from bcclone.system.tensorflow_quietly import describe_peak_memory, load_tensorflow
from bcclone.train.environment import describe_environment
from bcclone.train.plan import Plan, new_plan, resumed_plan
from bcclone.train.run_folder import RunFolder, new_path
from bcclone.train.train_settings import RunFiles, TrainSettings
from bcclone.train.training_state import Trained, TrainResult

Notify = Callable[[str], None]


def run(
    settings: TrainSettings, notify: Notify = lambda line: None, open_store: OpenStore = open_if_store
) -> TrainResult:
    """Train a network in a new run, and return the result.

    notify: called with each line of progress; open_store: opens the samples if they are a store. Raises UserError when
    the settings, the samples or the run folder cannot be used, and KeyboardInterrupt on Ctrl-C or SIGTERM, after saving
    the state.
    """
    check_inputs(settings)
    with open_samples(settings.data, notify, open_store) as data:
        return _train(new_plan(settings, data, notify), data, notify)


def resume(
    files: RunFiles,
    changes: Mapping[str, Any],
    notify: Notify = lambda line: None,
    open_store: OpenStore = open_if_store,
) -> TrainResult:
    """Continue the newest run of these samples and this output with its own settings; without one, begin a new run.

    changes: settings by name. Limits (epochs, time, patience) may differ from the run's, and so may a feed that gives
    the same batches. Raises as run() does, and UserError for other changes.
    """
    check_inputs(files)
    with open_samples(files.data, notify, open_store) as data:
        return _train(resumed_plan(files, changes, data, notify), data, notify)


def _train(plan: Plan, data: TrainingData, notify: Notify) -> TrainResult:
    """Train in the folder of a resumed run, or in a new one."""
    samples, validation = select_samples(data, plan.settings, notify)
    if plan.result:
        return republish(plan, notify)
    device = load_tensorflow(gpu_memory=plan.settings.gpu_memory)
    from bcclone.train.loop import Training, train_epochs
    from bcclone.train.prepare import make_trainer, with_augment_device

    plan = replace(plan, settings=with_augment_device(plan.settings))
    trainer = make_trainer(data, plan.settings, samples.arrays.labels.shape[1])
    announce_network(trainer.model, data, plan.settings, notify)
    with ExitStack() as opened:
        folder = open_folder(plan, device, opened, notify)
        trained = train_epochs(Training(trainer, samples, validation, plan.settings, folder, notify))
        return publish(plan, folder, trained, notify)


def check_inputs(files: RunFiles) -> None:
    """Raise UserError when the output is one of the inputs, or the model to begin with is missing."""
    if files.output.resolve() in [Path(path).resolve() for path in files.data]:
        raise UserError(f"{files.output} is the store itself; name another -o")
    if files.start and not files.start.is_file():
        raise UserError(f"{files.start}: no such model; name another one, or leave --from out")


def select_samples(data: TrainingData, settings: TrainSettings, notify: Notify) -> tuple[Selection, Selection]:
    """Return the samples of training and of validation; raises UserError when the feed cannot read them."""
    check_feed(data, settings)
    training, validation = (select(data, side, settings.seq_length, settings.predict) for side in (False, True))
    if not data.split_indices(validation=False).size:
        raise UserError(f"{data.path}: no training samples; make the store with more driving or a smaller --validation")
    if settings.seq_length > 1:
        notify(f"note: {describe_windows(training, validation)}")
    return training, validation


def announce_network(model: Any, data: TrainingData, settings: TrainSettings, notify: Notify) -> None:
    """Report the layers, and what of a new network differs from its own design."""
    from bcclone.model.network import convolutions_for, layer_table

    architecture, images = ARCHITECTURES[settings.network], data.preprocessing
    height, width, preset = images.height, images.width, architecture.preset
    if preset and not settings.start and images != PRESETS[preset]:
        notify(f"note: {settings.network} was published for images like those of --preprocess {preset}")
    elif not (preset or settings.start) and convolutions_for(height, width, architecture) != architecture.convolutions:
        notify(f"note: images of {width}x{height} are too small for conv3; using the convolutions of cnn-64")
    notify(layer_table(model))


def open_folder(plan: Plan, device: str, opened: ExitStack, notify: Notify) -> RunFolder:
    """Return the folder of the resumed run, or a new one, locked until `opened` closes."""
    settings, folder = plan.settings, plan.folder
    if folder:
        notify(f"resuming {folder.path} on {device}, feed {settings.feed}")
    else:
        folder = RunFolder.create(new_path(settings.runs, settings.name), plan.identity, settings)
        notify(f"training on {device}{_describe_augmentation(settings)}; the run is in {folder.path}")
        if settings.start:
            notify(f"beginning with {settings.start} at a learning rate of {settings.learning_rate:g}")
    opened.enter_context(folder.locked())
    folder.record(settings, describe_environment())
    return folder


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
            folder.publish(output, folder.model.read_bytes())
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
