"""Decide what the settings of a training leave open: in two steps, and nowhere else.

fit_to_samples() depends on the samples, on the memory that is free for them and on the start model;
it loads TensorFlow only to ask whether XLA can compile for the GPU. Then TensorFlow is loaded, and
in fit_to_device() the device that trains decides the rest. A resumed run keeps what was decided,
except jit_compile.
"""

from dataclasses import replace
from typing import Any

from bcclone.dataset.store import Store
from bcclone.feed.feed import choose_feed
from bcclone.feed.feed_settings import AUTO, CAMERA_MOVES, DEVICE, AugmentSettings
from bcclone.model.architectures import ARCHITECTURES
from bcclone.model.model_facts import stated_network
from bcclone.system.hardware import free_gpu_memory
from bcclone.system.process import Notify
from bcclone.system.settings import option_of
from bcclone.system.tensorflow_quietly import (
    compiles_for_gpu,
    load_tensorflow,
    onednn_for_batches,
)
from bcclone.training.train_settings import (
    ADAMW,
    FINE_TUNING_LEARNING_RATE,
    FIXED,
    LEARNED,
    MUON,
    OFF,
    ON,
    RECURRENT_SEQ_LENGTH,
    USUAL_EPOCHS,
    USUAL_NETWORK,
    USUAL_RATES,
    TrainSettings,
)

# ---- by the samples


def fit_to_samples(
    settings: TrainSettings,
    data: Store,
    notify: Notify = lambda line: None,
    workers: int = 1,
) -> TrainSettings:
    """Return the settings with all decided that does not depend on the device that trains.

    These are the network, the window length, the optimizer with its learning rate and epochs, what
    batch normalization learns, the feed and its streams, the moves of the camera, and oneDNN.
    """
    feed = settings.feed
    if feed == AUTO:
        feed = _feed_for(settings, data, notify, workers)
    settings = _without_usual_camera_moves(settings, data, notify)
    start = settings.start
    network = settings.network
    if network is None:
        # still None for a start model that does not state its network, such as an imported one
        network = stated_network(start) if start else USUAL_NETWORK
    architecture = ARCHITECTURES[network or USUAL_NETWORK]
    optimizer = settings.optimizer
    if optimizer == AUTO:
        optimizer = MUON if architecture.is_normalized and not start else ADAMW
    batch_norm = settings.batch_norm
    if batch_norm == AUTO:
        batch_norm = FIXED if start else LEARNED
    usual_rate = FINE_TUNING_LEARNING_RATE if start else USUAL_RATES[optimizer]
    usual_length = data.sample_settings.seq_length
    if usual_length == 1 and architecture.recurrent:
        usual_length = RECURRENT_SEQ_LENGTH
    return replace(
        settings,
        network=network,
        optimizer=optimizer,
        learning_rate=settings.learning_rate or usual_rate,
        epochs=USUAL_EPOCHS[optimizer] if settings.epochs is None else settings.epochs,
        batch_norm=batch_norm,
        seq_length=settings.seq_length or usual_length,
        feed=feed,
        window_streams=settings.window_streams or workers,
        onednn=onednn_for_batches(settings.onednn),
    )


def _feed_for(settings: TrainSettings, data: Store, notify: Notify, workers: int) -> str:
    # augmenting on the CPU would copy each image back from the GPU, so the frames stay off it
    augments_on_cpu = settings.augment and settings.augment_on == "cpu"
    gpu_memory = 0.0
    if workers == settings.gpus == 1 and not augments_on_cpu:
        gpu_memory = free_gpu_memory()
    feed, reason = choose_feed(data, gpu_memory)
    if feed == DEVICE:
        # the device feed gathers its batches with compiled code; without XLA for the GPU, another
        # feed is chosen, as if there were no GPU
        load_tensorflow(onednn=onednn_for_batches(settings.onednn))
        if not compiles_for_gpu():
            feed, reason = choose_feed(data)
    notify(f"feed: {feed} ({reason}); choose another with --feed")
    return feed


def _without_usual_camera_moves(
    settings: TrainSettings, data: Store, notify: Notify
) -> TrainSettings:
    """Return settings that move the camera of a real car only where that was asked for.

    Camera moves are in metres, and correct the steering with the geometry of the simulator's car,
    which a real car does not share.
    """
    is_real = any(recording.framing for recording in data.recordings)
    if not (settings.augment and is_real):
        return settings
    # a value that differs from the default was asked for
    usual: dict[str, Any] = {}
    for name in CAMERA_MOVES:
        if getattr(settings, name) == getattr(AugmentSettings, name):
            usual[name] = 0.0
    if usual:
        options = ", ".join(option_of(AugmentSettings, name) for name in usual)
        notify(
            "note: a real car's frames, so augmentation does not move the camera; "
            f"to move it, give {options}"
        )
    return replace(settings, **usual)


# ---- by the device


def fit_to_device(
    settings: TrainSettings,
    has_gpu: bool,
    xla_fault: str = "",
    workers: int = 1,
    notify: Notify = lambda line: None,
) -> tuple[TrainSettings, TrainSettings]:
    """Return the settings with `augment_on` decided, and these with `jit_compile` decided, too.

    The first are stored with the run. Whether XLA compiles whole steps is not stored, since another
    device may resume the run: "auto" becomes "on" on one GPU that XLA can compile for. Steps are
    never compiled on a GPU that is to be deterministic: XLA picks kernels by timing them, so the
    choice differs from run to run.

    xla_fault: why XLA cannot compile for the GPU, "" if it can, or there is none
    """
    compiles = has_gpu and not xla_fault
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
        if xla_fault:
            notify(
                "note: XLA cannot compile for this GPU, so it trains without compiled steps, "
                f"augmenting on the CPU: {xla_fault}"
            )
    return settings, replace(settings, jit_compile=jit_compile)
