"""Settings, samples and earlier runs -> the plan of a run, whose settings leave nothing open, and
its samples.

A `Worker` decides the plan: the process that trains alone, on one device, or the first of several.
"""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bcclone.dataset.answer import outputs_of
from bcclone.dataset.labels import LOST_STEERING
from bcclone.dataset.sample_settings import TRAINING, VALIDATION
from bcclone.feed.feed import check_feed, choose_feed
from bcclone.feed.feed_settings import (
    AUTO,
    CAMERA_MOVES,
    DEVICE,
    ORDERS,
    AugmentSettings,
    FeedSettings,
)
from bcclone.feed.order import BatchPart
from bcclone.feed.selection import Selection, TrainingData, describe_windows, select
from bcclone.model.architectures import ARCHITECTURES
from bcclone.system.arrays import FloatArray
from bcclone.system.codec import read_bytes
from bcclone.system.errors import UserError
from bcclone.system.hardware import free_gpu_memory
from bcclone.system.json_values import names_of
from bcclone.system.output import MODEL, SETTINGS, check_output, inputs_of
from bcclone.system.progress import Notify
from bcclone.system.settings import differences, option_of
from bcclone.system.statistics import constant
from bcclone.system.tensorflow_quietly import compiles_for_gpu, load_tensorflow, onednn_for_batches
from bcclone.training.train_settings import (
    DECIDE_WEIGHTS,
    FINE_TUNING_LEARNING_RATE,
    LEARNING_RATE,
    LEFT_OPEN,
    LIMITS,
    RECURRENT_SEQ_LENGTH,
    RunFiles,
    TrainSettings,
    values_of,
)
from bcclone.training.training_folder import RunFolder, RunIdentity, settings_as_text, settings_path
from bcclone.training.training_state import TrainResult

if TYPE_CHECKING:  # it loads Keras
    from bcclone.training.trainer import Trainer


@dataclass(frozen=True)
class Plan:
    """The decided settings of a run. folder: of a resumed run; result: of a run that is complete
    already.
    """

    settings: TrainSettings
    identity: RunIdentity
    folder: RunFolder | None = None
    result: TrainResult | None = None

    def __post_init__(self) -> None:
        output, inputs, force = self.settings.output, inputs_of(self.settings), self.may_overwrite
        check_output(output, MODEL, force, inputs)
        own, path = (
            self.folder and settings_as_text(self.folder.settings).encode(),
            settings_path(output),
        )
        check_output(path, SETTINGS, force or (path.is_file() and path.read_bytes() == own), inputs)

    @property
    def may_overwrite(self) -> bool:
        """Return whether the output may be replaced if it exists."""
        folder, output = self.folder, self.settings.output
        return self.settings.force or bool(
            folder and (folder.may_overwrite or folder.has_published(output))
        )


class Worker:
    """A process that trains alone; a subclass trains together with others, of which the first one
    writes.

    count: number of workers; index: of this one.
    """

    count: int = 1
    index: int = 0

    @property
    def part(self) -> BatchPart:
        return BatchPart(self.index, self.count)

    @property
    def writes(self) -> bool:
        """Return whether this worker decides, and writes the run and the model."""
        return self.index == 0

    def share(self, content: bytes) -> bytes:
        """Return the content that the writing worker gave; every worker calls this."""
        return content

    def sum(self, values: FloatArray) -> FloatArray:
        """Return the sum of the arrays that the workers gave; every worker calls this."""
        return values

    def decide(self, data: TrainingData, make_plan: Callable[[], Plan]) -> Plan:
        return make_plan()

    def load(self, settings: TrainSettings) -> str:
        return load_tensorflow(gpu_memory=settings.gpu_memory, onednn=settings.onednn)

    def make_trainer(self, data: TrainingData, settings: TrainSettings, labels: int) -> "Trainer":
        from bcclone.training.prepare import make_trainer

        return make_trainer(data, settings, labels)


def resolve(
    settings: TrainSettings,
    data: TrainingData,
    notify: Notify = lambda line: None,
    workers: int = 1,
) -> TrainSettings:
    """Return the settings with what they leave open decided: window length, learning rate, feed and
    its streams.
    """
    stored = data.sample_settings.seq_length
    usual = (
        RECURRENT_SEQ_LENGTH
        if stored == 1 and ARCHITECTURES[settings.network].recurrent
        else stored
    )
    rate = FINE_TUNING_LEARNING_RATE if settings.start else LEARNING_RATE
    feed = settings.feed
    if feed == AUTO:
        limit = settings.gpu_memory * 1e6 or math.inf
        by_cpu = (
            settings.augment and settings.augment_on == "cpu"
        )  # it would fetch each image from the GPU
        for_gpu = workers == settings.gpus == 1 and not by_cpu
        feed, reason = choose_feed(data, min(free_gpu_memory(), limit) if for_gpu else 0.0)
        if feed == DEVICE:
            load_tensorflow(
                gpu_memory=settings.gpu_memory, onednn=onednn_for_batches(settings.onednn)
            )
            if not compiles_for_gpu():
                feed, reason = choose_feed(data)
        notify(f"feed: {feed} ({reason}); choose another with --feed")
    if settings.augment and any(recording.framing for recording in data.recordings):
        # metres, and the steering back to the line, are those of the simulator's car: move the
        # camera only on request
        usual_moves: dict[str, Any] = {
            name: 0.0
            for name in CAMERA_MOVES
            if getattr(settings, name) == getattr(AugmentSettings, name)
        }
        if usual_moves:
            options = ", ".join(option_of(AugmentSettings, name) for name in usual_moves)
            notify(
                f"note: a real car's frames, so augmentation does not move the camera; to move it, give {options}"
            )
        settings = replace(settings, **usual_moves)
    return replace(
        settings,
        seq_length=settings.seq_length or usual,
        learning_rate=settings.learning_rate or rate,
        feed=feed,
        window_streams=settings.window_streams or workers,
        onednn=onednn_for_batches(settings.onednn),
    )


def new_plan(settings: TrainSettings, data: TrainingData, notify: Notify, workers: int = 1) -> Plan:
    return Plan(resolve(settings, data, notify, workers), identity_of(settings, data))


def resumed_plan(
    files: RunFiles,
    changes: Mapping[str, Any],
    data: TrainingData,
    notify: Notify,
    workers: int = 1,
) -> Plan:
    """Return the plan of the newest run of these samples and this output; without one, that of a
    new run.

    changes: settings by name. Raises UserError for changes other than of limits and of a feed with
    the same order.
    """
    identity = identity_of(files, data)
    folder = RunFolder.find(files.runs, identity, files.name)
    own = {name: getattr(files, name) for name in names_of(RunFiles)}
    if folder is None:
        if files.name and (record := RunFolder(files.runs / files.name).find_record()):
            raise UserError(
                f"{files.runs / files.name} is a run of another store or output; resume it with the store, its "
                f"content and the output that it was begun with:{differences(record.identity, identity)}"
            )
        notify(
            f"note: {files.runs} has no run of {identity.store} with its present content for {files.output}; "
            "beginning a new one"
        )
        return new_plan(TrainSettings(**own | dict(changes)), data, notify, workers)
    # also accept --from if the run has since overwritten that model
    if files.start and not (
        folder.start
        and (
            read_bytes(folder.start, "model") == read_bytes(files.start, "model")
            or folder.has_published(files.start)
        )
    ):
        raise UserError(
            f"{folder.path} did not begin with --from {files.start}; leave that out to resume it"
        )
    stored = folder.settings
    chosen = {name: value for name, value in changes.items() if value != LEFT_OPEN.get(name)}
    fixed = {name: chosen[name] for name in DECIDE_WEIGHTS if name in chosen and name not in LIMITS}
    if lines := differences(stored, replace(stored, **fixed)):
        raise UserError(
            f"{folder.path} has other settings; leave these options out to resume it, or leave out --resume:{lines}"
        )
    settings = TrainSettings(**values_of(stored) | own | {"start": folder.start} | chosen)
    if settings.ordering != stored.ordering:
        raise UserError(
            f"{folder.path} was begun with {_describe_order(stored)}; {_describe_order(settings)} orders the samples "
            "differently: leave these options out to resume the run, or leave out --resume"
        )
    is_extended = values_of(settings, LIMITS) != values_of(stored, LIMITS)
    return Plan(settings, identity, folder, None if is_extended else folder.result)


def select_samples(
    data: TrainingData, settings: TrainSettings, notify: Notify
) -> tuple[Selection, Selection]:
    """Return the samples of training and of validation; raises UserError when the feed cannot read
    them.
    """
    check_feed(data, settings)
    training, validation = (
        select(data, part, settings.seq_length, settings.predict) for part in (TRAINING, VALIDATION)
    )
    if not data.split_indices(TRAINING).size:
        raise UserError(
            f"{data.path}: no training samples; make the store with more driving or a smaller --validation"
        )
    steering, *others = outputs_of(settings.predict)
    for output in (steering, *others[-1:]):
        if same := constant(data.rows[output.column]):
            remedy = (
                f"leave out --predict {settings.predict}, or record again"
                if output in others
                else LOST_STEERING
            )
            notify(
                f"note: the {output.column} is {same[1]}, so nothing can be learned from it; {remedy}"
            )
    if settings.seq_length > 1:
        notify(f"note: {describe_windows(training, validation)}")
    return training, validation


def identity_of(files: RunFiles, data: TrainingData) -> RunIdentity:
    return RunIdentity(str(data.path.resolve()), data.content_hash, os.path.realpath(files.output))


def _describe_order(settings: FeedSettings) -> str:
    names = ("feed", *ORDERS[settings.ordering.kind])
    return " ".join(f"{option_of(FeedSettings, name)} {getattr(settings, name)}" for name in names)
