"""What a training will do: a new run or an earlier one, with all settings decided.

In: the settings that the user chose, the samples, and the run folders of earlier trainings. Out: a
`Run`. fit_to_samples() decides what does not depend on the device that trains. Once TensorFlow is
loaded, fit_to_device() decides the rest. A resumed run keeps what was decided, except jit_compile.
"""

import datetime
import glob
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bcclone.dataset.sample_settings import TRAINING
from bcclone.dataset.store import Store
from bcclone.feed.feed import choose_feed
from bcclone.feed.feed_settings import AUTO, CAMERA_MOVES, DEVICE, AugmentSettings
from bcclone.model.model_file import stated_network
from bcclone.system.codec import read_bytes
from bcclone.system.errors import UserError, number_of, shown_command
from bcclone.system.files import REMEDY
from bcclone.system.hardware import free_gpu_memory
from bcclone.system.progress import Notify
from bcclone.system.settings import differences, option_words
from bcclone.system.tensorflow_quietly import onednn_for_batches
from bcclone.system.values import names_of
from bcclone.system.xla import card_compiles
from bcclone.training.run import RECORD_NAME, START_NAME, Record, Run, read_record
from bcclone.training.train_settings import (
    ADAMW,
    FINE_TUNING_LEARNING_RATE,
    FIXED,
    LEARNED,
    LEFT_OPEN,
    LIMITS,
    MUON,
    OFF,
    ON,
    RECURRENT_SEQ_LENGTH,
    SETTINGS_OF_WEIGHTS,
    USUAL_EPOCHS,
    USUAL_NETWORK,
    USUAL_RATES,
    RunFiles,
    TrainSettings,
    values_of,
)

# ---- a new run


def new_run(settings: TrainSettings, data: Store, notify: Notify, workers: int = 1) -> Run:
    """Return a new run, which has no folder yet.

    Raises UserError when its output may not be written, and for settings that need a start model.
    """
    if settings.batch_norm == FIXED and not settings.start:
        raise UserError(
            "--batch-norm fixed is for fine-tuning; give the model to begin with by --from, or "
            "leave it out"
        )
    decided = fit_to_samples(settings, data, notify, workers)
    now = datetime.datetime.now()
    name = settings.name or f"{now:%Y-%m-%d_%H-%M-%S}"
    record = Record(
        str(data.path.resolve()),
        data.content_hash,
        os.path.realpath(settings.output),
        now.isoformat(),
        decided,
    )
    run = Run(settings.runs / name, record, decided, is_new=True)
    runs, _ = _runs_of(replace(settings, name=None), data)
    earlier = runs[0] if runs else None
    going_on = _going_on(earlier, decided) if earlier else ""
    run.check_output(f"{going_on}\nor {REMEDY}" if going_on else REMEDY)
    if earlier and going_on and not earlier.read_result():
        notify(f"note: a new run begins, but {going_on}")
    _name_unfinished(runs[1:], settings, notify)
    return run


def _name_unfinished(older: Sequence[Run], files: RunFiles, notify: Notify) -> None:
    """Name the interrupted runs that are not continued, since a newer one has the same output."""
    for run in older:
        if run.read_result() is None:
            words = [*_words_of(files), "--name", run.path.name, "--resume"]
            notify(
                f"note: {run.path}, an older run, was interrupted {_done(run)}; "
                f"continue it with: {shown_command('model', *words)}"
            )


def _words_of(files: RunFiles) -> list[object]:
    """Return the words of a command for these samples, this output and these run folders."""
    runs = ["--runs", files.runs] if files.runs != RunFiles.runs else []
    return [*files.data, "-o", files.output, *runs]


def _done(run: Run) -> str:
    """Return how far an interrupted run has come, such as "after 1 of 10 epochs"."""
    done = len(run.read_history())
    if run.settings.epochs:
        return f"after {done} of {number_of(run.settings.epochs, 'epoch')}"
    return f"after {number_of(done, 'epoch')}"


def _going_on(earlier: Run, settings: TrainSettings) -> str:
    """Return how an earlier run of the same samples and output goes on, "" if it cannot.

    It can where the new settings differ from its own in nothing but limits.

    settings: those of a new run, decided
    """
    stored = earlier.settings
    same = [name for name in SETTINGS_OF_WEIGHTS if name not in LIMITS]
    chosen = [name for name in same if getattr(settings, name) != LEFT_OPEN.get(name)]
    if values_of(settings, chosen) != values_of(stored, chosen):
        return ""
    if (settings.start is None) != (stored.start is None):
        return ""
    done = len(earlier.read_history())
    result = earlier.read_result()
    limits = replace(
        TrainSettings(),
        **{
            name: getattr(settings, name)
            for name in LIMITS
            if getattr(settings, name) != getattr(stored, name)
        },
    )
    if limits.epochs and limits.epochs <= done:
        return ""
    words = [*_words_of(settings), "--resume"]
    if result is None:
        resumed = shown_command("model", *words, *option_words(limits))
        return f"{earlier.path} was interrupted {_done(earlier)}; continue it with: {resumed}"
    if limits == TrainSettings():  # then only a larger limit leaves something to train
        limits = replace(limits, epochs=2 * done)
    resumed = shown_command("model", *words, *option_words(limits))
    epochs = number_of(done, "epoch")
    return f"{earlier.path} has trained it for {epochs}; train it on with: {resumed}"


def fit_to_samples(
    settings: TrainSettings,
    data: Store,
    notify: Notify = lambda line: None,
    workers: int = 1,
) -> TrainSettings:
    """Return the settings with all decided that does not depend on the device that trains."""
    if settings.augment and any(recording.framing for recording in data.recordings):
        settings = _without_usual_camera_moves(settings, notify)
    start = settings.start
    network = settings.network
    if network is None:
        # still None for a start model that does not state its network, such as an imported one
        network = stated_network(start) if start else USUAL_NETWORK
    settings = replace(settings, network=network)
    optimizer = settings.optimizer
    if optimizer == AUTO:
        optimizer = MUON if settings.architecture.is_normalized and not start else ADAMW
    batch_norm = settings.batch_norm
    if batch_norm == AUTO:
        batch_norm = FIXED if start else LEARNED
    usual_rate = FINE_TUNING_LEARNING_RATE if start else USUAL_RATES[optimizer]
    usual_length = data.sample_settings.seq_length
    if usual_length == 1 and settings.architecture.recurrent:
        usual_length = RECURRENT_SEQ_LENGTH
    settings = replace(
        settings,
        optimizer=optimizer,
        learning_rate=settings.learning_rate or usual_rate,
        epochs=USUAL_EPOCHS[optimizer] if settings.epochs is None else settings.epochs,
        batch_norm=batch_norm,
        seq_length=settings.seq_length or usual_length,
        window_streams=workers,
        onednn=onednn_for_batches(),
    )
    if settings.feed == AUTO:
        compiles = may_compile(settings, steps_left(settings, data)) and workers == 1
        feed = _feed_for(settings, data, compiles, notify)
        settings = replace(settings, feed=feed)
    return settings


def _feed_for(settings: TrainSettings, data: Store, compiles: bool, notify: Notify) -> str:
    """Return the feed that suits the samples and the machine.

    compiles: whether XLA may compile; it compiles what gathers the batches of the device feed
    """
    # augmenting on the CPU would copy each image back from the GPU, so the frames stay off it
    augments_on_cpu = settings.augment and settings.augment_on == "cpu"
    gpu_memory = 0.0
    if compiles and settings.gpus == 1 and not augments_on_cpu:
        gpu_memory = free_gpu_memory()
    feed, reason = choose_feed(data, gpu_memory)
    if feed == DEVICE and not card_compiles():
        feed, reason = choose_feed(data)
    notify(f"feed: {feed} ({reason}); choose another with --feed")
    return feed


def _without_usual_camera_moves(settings: TrainSettings, notify: Notify) -> TrainSettings:
    """Return settings for a real car, whose camera is moved only where that was asked for.

    Camera moves are in metres, and correct the steering with the geometry of the simulator's car.
    """
    # a value that differs from the default was asked for
    if settings.shift_m != AugmentSettings.shift_m:
        return settings
    notify(
        "note: a real car's frames, so augmentation does not move the camera; "
        "to move it, give another --shift-m than the usual one"
    )
    still: dict[str, Any] = dict.fromkeys(CAMERA_MOVES, 0.0)
    return replace(settings, **still)


# ---- a resumed run


def resumed_run(
    files: RunFiles,
    changes: Mapping[str, Any],
    data: Store,
    notify: Notify,
    workers: int = 1,
) -> Run:
    """Return the newest run of these samples and this output; without one, a new run.

    Older ones that were interrupted are named. Folders that are not runs are ignored. The limits of
    the run may be changed. Raises UserError for other changes that would lead to other weights,
    when the output may not be written, and where no run fits, but one has settings that cannot be
    read.

    files: with a `name`, only this run folder is considered, whatever its output
    changes: the settings that the user gave, name -> value
    """
    file_settings = values_of(files, names_of(RunFiles))
    runs, damaged = _runs_of(files, data)
    if damaged and not runs:  # it may be the run that is meant
        raise damaged[0]
    for error in damaged:
        notify(f"note: not looked at: {error}")
    if not runs:
        notify(
            f"note: {files.runs} has no run of {data.path.resolve()} with its present content "
            f"for {os.path.realpath(files.output)}; beginning a new one; to continue one that was "
            "for another -o, stop this and name it with --name"
        )
        return new_run(TrainSettings(**file_settings | dict(changes)), data, notify, workers)
    run = runs[0]
    _name_unfinished(runs[1:], files, notify)
    path, stored = run.path, run.settings
    start = path / START_NAME  # the copy in the run folder; the original may be gone
    file_settings["start"] = start if start.exists() else None
    _check_start(files, run, file_settings["start"])
    # a value such as "auto" leaves a setting open, so the run keeps the value that it has
    chosen = {name: value for name, value in changes.items() if value != LEFT_OPEN.get(name)}
    settings = TrainSettings(**values_of(stored) | file_settings | chosen)
    fixed = [name for name in SETTINGS_OF_WEIGHTS if name in chosen and name not in LIMITS]
    if settings.ordering != stored.ordering:
        fixed += ["feed", "chunk_size", "window_shards"]
    lines = differences(stored, replace(stored, **values_of(settings, fixed)))
    if lines:
        raise UserError(
            f"{path} has other settings, which give other samples or weights; leave these options "
            f"out to resume it, or leave out --resume:{lines}"
        )
    run.settings = settings
    # with other limits, a complete run counts as unfinished; the training finds whether one is
    # reached, and then which model is handed over
    ending = (*LIMITS, "hand_over")
    if values_of(settings, ending) == values_of(stored, ending):
        run.result = run.read_result()
    run.check_output()
    return run


def _runs_of(files: RunFiles, data: Store) -> tuple[list[Run], list[UserError]]:
    """Return the runs of these samples and this output, the newest first, with their own settings,
    and the errors of runs whose settings cannot be read.

    Folders that are not runs are ignored. With a name, only this run folder is considered, whatever
    its output.
    """
    found = []
    damaged = []
    for path in files.runs.glob(f"{glob.escape(files.name) if files.name else '*'}/{RECORD_NAME}"):
        try:
            record = read_record(path.parent)
        except UserError as error:
            damaged.append(error)
            continue
        if record.is_of(files, data, path.parent):
            found.append(Run(path.parent, record, record.settings))
    found.sort(key=lambda run: run.record.started, reverse=True)
    return found, damaged


def _check_start(files: RunFiles, run: Run, start: Path | None) -> None:
    """Raise UserError if --from names another model than the run's start model.

    start: the start model's copy in the run folder
    """
    if not files.start:
        return
    if start and read_bytes(start, "model") == read_bytes(files.start, "model"):
        return
    if start and run.has_published(files.start):
        return  # the run has since overwritten that model
    raise UserError(f"{run.path} did not begin with --from {files.start}; leave that out to resume")


# ---- whether compiling pays

# A step that XLA compiles saves the time in which the host starts operations and copies images.
# These seconds are those of an H100 (docs/results/gpu.json): of cnn in batches of 32 to 1024, but
# the seconds of a step only in batches of 256.
_COMPILING = 22.0  # seconds that the first epoch takes longer with batches of 32
_COMPILING_LARGER = 2.1  # seconds more for batches of twice the size
_STEP = 0.0141  # seconds of a step that is not compiled
_SAVED_ON_DEVICE = 0.0118  # seconds less where a program gathers its images on the device
_SAVED = 0.0057  # seconds less where they are copied to the device


def may_compile(settings: TrainSettings, steps: float) -> bool:
    """Return whether XLA may be used: if it saves more time in these steps than compiling takes.

    Where the user has chosen whether steps are compiled, it may be used for any number of them.
    """
    if settings.jit_compile != AUTO:
        return True
    saved = _SAVED_ON_DEVICE if settings.feed in (AUTO, DEVICE) else _SAVED
    doublings = max(math.log2(settings.batch_size / 32), 0.0)
    return steps * saved > _COMPILING + doublings * _COMPILING_LARGER


def steps_left(settings: TrainSettings, data: Store, run: Run | None = None) -> float:
    """Return about how many steps are left to train until --epochs or --time ends the training.

    run: one that is resumed, whose complete epochs are done
    """
    steps = math.inf
    if settings.epochs:
        done = len(run.read_history()) if run else 0
        samples = data.split_indices(TRAINING).size
        steps = (settings.epochs - done) * math.ceil(samples / settings.batch_size)
    if settings.time:
        steps = min(steps, settings.time / _STEP)
    return steps


# ---- what the device decides


def fit_to_device(
    settings: TrainSettings,
    has_gpu: bool,
    xla_fault: str = "",
    compiling_pays: bool = True,
    workers: int = 1,
    notify: Notify = lambda line: None,
) -> tuple[TrainSettings, TrainSettings]:
    """Return the settings with `augment_on` decided, and these with `jit_compile` decided, too.

    The first are stored with the run. Whether XLA compiles whole steps is not stored, since another
    device may resume the run: "auto" becomes "on" on one GPU that XLA can compile for, if that
    pays. Where it does not pay, samples are augmented on the CPU unless the user chose the device.
    Steps are never compiled on a GPU that is to be deterministic: XLA picks kernels by timing them,
    so the choice differs from run to run.

    xla_fault: why XLA cannot compile for the GPU, "" if it can, or there is none
    compiling_pays: whether XLA saves more time than compiling takes
    """
    compiles = has_gpu and compiling_pays and not xla_fault
    is_one_gpu = has_gpu and settings.gpus == workers == 1
    if settings.augment_on == AUTO:
        settings = replace(settings, augment_on="device" if compiles else "cpu")
    jit_compile = settings.jit_compile
    if is_one_gpu and settings.deterministic:
        jit_compile = OFF
        notify(
            "note: --deterministic trains without compiled steps: "
            "XLA picks kernels by timing them, so the choice differs from run to run"
        )
    elif jit_compile == AUTO:
        jit_compile = ON if is_one_gpu and compiles else OFF
        if is_one_gpu and not compiling_pays:
            notify(
                "note: too few steps are left for compiling to pay, so they are not compiled; "
                "to compile them, use --jit-compile on"
            )
        elif xla_fault:
            notify(
                "note: XLA cannot compile for this GPU, so it trains without compiled steps, "
                f"augmenting on the CPU: {xla_fault}"
            )
    return settings, replace(settings, jit_compile=jit_compile)
