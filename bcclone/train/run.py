"""Train a network on a store or on recordings: begin or resume a run, train, write the model and its pictures."""

import json
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from bcclone.cluster.worker_group import WorkerGroup, open_group
from bcclone.cluster.workers import find_cluster
from bcclone.dataset.conversion import open_samples
from bcclone.dataset.images import PRESETS
from bcclone.feed.feed_settings import FeedSettings
from bcclone.feed.open import check_feed
from bcclone.feed.selection import Selection, TrainingData, describe_windows, select
from bcclone.model.architectures import ARCHITECTURES
from bcclone.system import file_kinds
from bcclone.system.errors import UserError
from bcclone.system.settings import differences
from bcclone.train.run_folder import RunFolder, RunIdentity, RunPlan, new_path
from bcclone.train.run_plan import make_plan
from bcclone.train.run_settings import RunSettings, describe_settings
from bcclone.train.train_settings import TrainSettings
from bcclone.train.training_state import TrainResult

if TYPE_CHECKING:  # they load TensorFlow
    from bcclone.train.loop import Trained, Training

Notify = Callable[[str], None]


def run(settings: RunSettings, notify: Notify = lambda line: None) -> TrainResult:
    """Train a network, or resume a training, and return the result.

    notify: called with each line of progress. Of several workers, each one calls this; they train together, and only
    worker 0 writes. Raises UserError when the settings, the samples or the run folder cannot be used, or another worker
    is lost, and KeyboardInterrupt on Ctrl-C or SIGTERM, after saving the state.
    """
    cluster = find_cluster(settings.workers, settings.worker_index, os.environ)
    gpus, gpu_memory = (settings.training or TrainSettings()).gpus, settings.checkpointing.gpu_memory
    with open_group(cluster, notify, gpus, gpu_memory) as group, ExitStack() as opened:
        data = group.each(lambda: _open_data(settings, group, opened, notify))
        group.check_agreement({"content of the store": data.content_hash[:16], **settings.chosen})
        begun = group.on_chief(lambda: _begin(settings, data, group.count, notify))
        if group.count > 1:
            scratch = Path(opened.enter_context(TemporaryDirectory()))
            begun = _received(group.broadcast(_sent(begun) if begun else b""), scratch, begun)
        if begun is None:
            raise AssertionError("the chief has begun or raised an error")
        if begun.result:
            return replace(begun.result, was_complete=True, worker=group.index)
        selection, validation = group.each(lambda: _select(data, begun.plan))
        if begun.plan.settings.seq_length > 1:
            notify(f"note: {describe_windows(selection, validation)}")
        return _Run(settings, begun, selection, validation, notify, group).train(opened)


@dataclass(frozen=True)
class _Beginning:
    """How a run begins. folder: that of a resumed run, on the chief; result: of a run that is complete already."""

    plan: RunPlan
    identity: RunIdentity
    folder: RunFolder | None = None
    result: TrainResult | None = None


def _open_data(settings: RunSettings, group: WorkerGroup, opened: ExitStack, notify: Notify) -> TrainingData:
    if group.is_chief:
        _check_inputs(settings)
    return opened.enter_context(open_samples(settings.data, notify))


def _begin(settings: RunSettings, data: TrainingData, workers: int, notify: Notify) -> _Beginning:
    """Find the run to resume, and decide the settings of the run."""
    identity = RunIdentity(str(data.path.resolve()), data.content_hash, str(settings.output.resolve()))
    folder = RunFolder.find(settings.runs, identity, settings.name) if settings.resume else None
    if settings.resume and folder is None:
        _explain_missing_run(settings, identity, notify)
    _check_output(settings, folder)
    plan = make_plan(settings, data, folder, notify, workers)
    result = folder.result if folder and plan.settings == folder.settings else None
    if folder and result:
        check_feed(data, plan.feed)
        _select(data, plan)
        with folder.locked():
            result = _complete_result(settings, folder, result, notify)
    return _Beginning(plan, identity, folder, result)


def _select(data: TrainingData, plan: RunPlan) -> tuple[Selection, Selection]:
    """Return the samples of training and validation."""
    check_feed(data, plan.feed)
    seq_length = plan.settings.seq_length
    selection, validation = (select(data, side, seq_length, plan.settings.predict) for side in (False, True))
    if seq_length > 1:
        describe_windows(selection, validation)
    return selection, validation


def _sent(begun: _Beginning) -> bytes:
    """Return what the other workers must know: a line of JSON, then the model that the run begins with."""
    described = {
        "settings": begun.plan.settings.flat(),
        "feed": asdict(begun.plan.feed),
        "identity": asdict(begun.identity),
        "result": begun.result.as_json() if begun.result else None,
        "has_start": begun.plan.start is not None,
    }
    start = begun.plan.start.read_bytes() if begun.plan.start else b""
    return json.dumps(described).encode() + b"\n" + start


def _received(content: bytes, scratch: Path, own: _Beginning | None) -> _Beginning:
    """Return the beginning that the chief sent, or the chief's own. scratch: folder for the model to begin with."""
    if own:
        return own
    line, _, model = content.partition(b"\n")
    described = json.loads(line)
    start = scratch / "start.h5" if described["has_start"] else None
    if start:
        start.write_bytes(model)
    plan = RunPlan(TrainSettings.from_flat(described["settings"]), FeedSettings(**described["feed"]), start)
    result = TrainResult.from_json(described["result"]) if described["result"] else None
    return _Beginning(plan, RunIdentity(**described["identity"]), result=result)


@dataclass(frozen=True)
class _Run:
    """A training whose settings are decided and checked."""

    settings: RunSettings
    begun: _Beginning
    selection: Selection
    validation: Selection
    notify: Notify
    group: WorkerGroup

    def train(self, opened: ExitStack) -> TrainResult:
        """Train in the folder of a resumed run, or in a new one; a worker alone loads TensorFlow here.

        opened: closes the lock of the run folder.
        """
        from bcclone.system.tensorflow_quietly import describe_devices, load_tensorflow

        gpu_memory = self.settings.checkpointing.gpu_memory
        device = load_tensorflow(gpu_memory=gpu_memory) if self.group.count == 1 else describe_devices()
        from bcclone.model.network import layer_table
        from bcclone.train.loop import Training
        from bcclone.train.prepare import prepare, with_augment_device

        plan = replace(self.begun.plan, settings=with_augment_device(self.begun.plan.settings))
        data, notify, group = self.selection.data, self.notify, self.group
        trainer = prepare(data, plan.settings, plan.start, group.strategy, self.selection.arrays.learned)
        if not plan.start:
            _check_network(data, plan.settings, notify)
        notify(layer_table(trainer.model))
        folder = group.on_chief(lambda: self._locked_folder(plan, device, opened))
        training = Training(
            selection=self.selection,
            validation=self.validation,
            trainer=trainer,
            folder=folder,
            settings=plan.settings,
            feed=plan.feed,
            checkpointing=self.settings.checkpointing,
            output=self.settings.output,
            notify=notify,
            group=group,
        )
        trained = _train(training)
        if folder:
            self._finish(training, folder, trained)
        return trained.result

    def _locked_folder(self, plan: RunPlan, device: str, opened: ExitStack) -> RunFolder:
        """Return the folder of the resumed run, or make one, locked and with its settings recorded."""
        folder = self.begun.folder
        if folder:
            self.notify(f"resuming {folder.path} on {device}, feed {plan.feed.feed}")
        else:
            path = new_path(self.settings.runs, self.settings.name)
            folder = RunFolder.create(path, self.begun.identity, plan, self.settings.force)
            self.notify(f"training on {device}{_describe_augmentation(plan.settings)}; the run is in {folder.path}")
            if plan.start:
                self.notify(f"beginning with {plan.start} at a learning rate of {plan.settings.learning_rate:g}")
        opened.enter_context(folder.locked())
        self._record_settings(folder, plan)
        return folder

    def _finish(self, training: "Training", folder: RunFolder, trained: "Trained") -> None:
        """Write the model to the output, draw its pictures and mark the run as complete.

        Raises UserError at the end when another program has written the output since the training began.
        """
        from bcclone.system.tensorflow_quietly import describe_peak_memory

        output = self.settings.output
        is_free = not output.exists() or _may_overwrite(self.settings, folder)
        if is_free:
            folder.publish(output, trained.model)
        if peak := describe_peak_memory():
            self.notify(f"TensorFlow used {peak} at most")
        if self.settings.checkpointing.plots:
            _draw_pictures(training, folder, trained)
        try:
            folder.write_result(trained.result)
        except OSError as error:
            self.notify(f"note: {folder.path}: the run's result cannot be written: {error.strerror}")
        if not is_free:
            raise UserError(
                f"{output} was written by another program while the training ran, and is left as it is; the model is "
                f"{folder.model}: copy it from there, or replace {output} by the same command with --resume --force"
            )

    def _record_settings(self, folder: RunFolder, plan: RunPlan) -> None:
        """Record the settings and the environment that the run is trained with from now on."""
        from bcclone.train.environment import describe_environment

        if plan.settings != folder.settings:
            folder.extend(plan.settings)
        folder.note_environment(describe_environment())
        folder.write_settings(describe_settings(plan.settings, plan.feed, self.settings.checkpointing))


def _train(training: "Training") -> "Trained":
    """Train; on Ctrl-C, report the saved model and how to resume."""
    from bcclone.train.loop import train

    try:
        return train(training)
    except KeyboardInterrupt:
        folder = training.folder
        saved = f"the model so far is {folder.model}; " if folder and folder.model.exists() else ""
        raise KeyboardInterrupt(f"{saved}continue with the same command and --resume") from None


def _describe_augmentation(settings: TrainSettings) -> str:
    """Return where samples are augmented, as a part of a sentence."""
    if not settings.augmentation.augment:
        return ", without augmentation"
    on_device = settings.augmentation.augment_on == "device"
    return ", which augments the samples, too" if on_device else ", augmenting on the CPU"


def _check_network(data: TrainingData, settings: TrainSettings, notify: Notify) -> None:
    """Raise UserError for images that the network does not take; report what differs from the network's own design."""
    from bcclone.model.network import convolutions_for
    from bcclone.model.published_networks import check_images

    height, width = data.preprocessing.height, data.preprocessing.width
    architecture = ARCHITECTURES[settings.network]
    if architecture.preset:
        check_images(architecture, height, width, settings.seq_length)
        if data.preprocessing != PRESETS[architecture.preset]:
            notify(
                f"note: {settings.network} was published for images like those of --preprocess {architecture.preset}"
            )
        return
    if convolutions_for(height, width, architecture) != architecture.convolutions:
        notify(f"note: images of {width}x{height} are too small for conv3; using the convolutions of cnn-64")


def _draw_pictures(training: "Training", folder: RunFolder, trained: "Trained") -> None:
    """Draw the pictures of the run's model; an error is reported and does not fail the training."""
    settings, data = training.settings, training.selection.data
    try:
        from bcclone.model.model_file import load_model_file
        from bcclone.pictures.plots.pictures import draw_pictures
        from bcclone.pictures.plots.subject import Subject

        folder.plots.mkdir(exist_ok=True)
        file = load_model_file(folder.model)
        subject = Subject(file, data, trained.history, settings.seed, settings.zero_fraction, settings.augmentation)
        draw_pictures(subject, folder.plots)
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        training.notify(
            f"note: not all pictures could be drawn: {reason}; try: bcclone plots {folder.model} {data.path}"
        )


def _complete_result(settings: RunSettings, folder: RunFolder, result: TrainResult, notify: Notify) -> TrainResult:
    """Return the result of a run that is complete already; write its model if the output is not the run's."""
    if not folder.has_published(settings.output):
        folder.publish(settings.output, folder.model.read_bytes())
    notify(
        f"{folder.path} is complete already: {result.epochs} epochs, epoch {result.epoch} is in {settings.output}; "
        f"it was ended by {result.ended}: increase that to train on, or train again without --resume"
    )
    return result


def _explain_missing_run(settings: RunSettings, identity: RunIdentity, notify: Notify) -> None:
    """Notify that a new run begins; raises UserError when the named run is of another store or output."""
    found = RunFolder(settings.runs / settings.name).identity if settings.name else None
    if found:
        raise UserError(
            f"{settings.runs / str(settings.name)} is a run of another store or output; resume it with the store, its "
            f"content and the output that it was begun with:{differences(found, identity)}"
        )
    notify(
        f"note: {settings.runs} has no run of {identity.store} with its present content for {settings.output}; "
        "beginning a new one"
    )


def _check_inputs(settings: RunSettings) -> None:
    """Raise UserError when the output is one of the inputs, or the model to begin with is missing."""
    output = settings.output
    if output.resolve() in [Path(path).resolve() for path in settings.data]:
        raise UserError(f"{output} is the store itself; name another -o")
    if settings.start and not settings.start.is_file():
        raise UserError(f"{settings.start}: no such model; name another one, or leave --from out")


def _check_output(settings: RunSettings, folder: RunFolder | None) -> None:
    """Raise UserError when the output exists and is not a model that may be overwritten."""
    file_kinds.check_output(settings.output, "model", _may_overwrite(settings, folder))


def _may_overwrite(settings: RunSettings, folder: RunFolder | None) -> bool:
    """Return whether the output may be replaced if it exists."""
    return settings.force or bool(folder and (folder.may_overwrite or folder.has_published(settings.output)))
