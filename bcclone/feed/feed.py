"""Choose and put together the feed for a selection of samples.

In: a `Selection` and settings, which name a strategy or leave the choice to this module. Out: a
`Feed`, which opens files and starts threads only when its `with` block is entered.
"""

import os
from collections.abc import Callable
from dataclasses import replace

from bcclone.dataset.store import Store
from bcclone.feed.augmenting import CpuAugmentation, RandomDraws
from bcclone.feed.feed_settings import (
    AUTO,
    DEVICE,
    STRATEGIES,
    WINDOWS,
    FeedSettings,
    SamplingSettings,
)
from bcclone.feed.loader_processes import queue, sequence, workers
from bcclone.feed.order import ALL, BatchPart, EpochOrder
from bcclone.feed.selection import Selection, TrainingData
from bcclone.feed.source import Buffers
from bcclone.feed.strategies import (
    AS_LOADED,
    Delivery,
    Feed,
    files,
    hdf5_chunks,
    hdf5_shuffle,
    memory,
    shards,
    windows,
)
from bcclone.system.errors import UserError, shown_command
from bcclone.system.hardware import available_memory


def open_feed(
    selection: Selection,
    settings: FeedSettings,
    sampling: SamplingSettings,
    part: BatchPart = ALL,
    program_steps: int = 0,
) -> Feed:
    """Return the feed of the training samples, to be used in a `with` block.

    Every strategy gives each sample once per epoch, and all strategies that shuffle the whole
    selection give the same batches. If more than sampling.zero_fraction of an epoch's samples had
    zero steering, some of these are left out. With augmentation on the CPU, the feed augments the
    batches; on the device, it adds the random numbers with which the training step does so. Raises
    UserError when the strategy cannot read these samples, or they do not fit into memory.

    part: the part of each batch that this worker trains on
    program_steps: the most steps that the trainer takes in one call of an XLA program; 0 if XLA
        does not compile its steps
    """
    settings = _with_strategy(selection.data, settings)
    order = _training_order(selection, settings, sampling, part)
    delivery = _training_delivery(selection, settings, sampling, program_steps)
    return MAKERS[settings.feed](selection, order, settings, delivery)


def _with_strategy(data: TrainingData, settings: FeedSettings) -> FeedSettings:
    """Return the settings with a strategy that can read the samples; raises UserError."""
    if settings.feed == AUTO:
        # never DEVICE, since the GPU's free memory is not given here; a training has found out how
        # much there is, and has chosen before (training/decisions.py)
        name, _ = choose_feed(data)
        settings = replace(settings, feed=name)
    check_feed(data, settings)
    return settings


def _training_order(
    selection: Selection, settings: FeedSettings, sampling: SamplingSettings, part: BatchPart
) -> EpochOrder:
    """Return which sample comes next; raises UserError when none is left."""
    leaves_out = sampling.zero_fraction < 1
    order = EpochOrder(
        size=len(selection),
        ordering=settings.ordering,
        seed=sampling.seed,
        zero_steering=selection.zero_steering if leaves_out else None,
        zero_fraction=sampling.zero_fraction,
        batch_size=sampling.batch_size,
        shard_of_sample=selection.shard if settings.ordering.kind == WINDOWS else None,
        part=part,
    )
    if leaves_out and not len(order):
        raise UserError(
            f"{selection.data.path}: all steering is 0, so --zero-fraction leaves no sample; "
            "train without that option"
        )
    return order


def _training_delivery(
    selection: Selection, settings: FeedSettings, sampling: SamplingSettings, program_steps: int
) -> Delivery:
    """Return what becomes of a loaded batch. program_steps: as open_feed() takes it."""
    augments = sampling.augment
    augments_on_cpu = augments and sampling.augment_on != "device"
    delivery = AS_LOADED
    if augments_on_cpu:
        delivery = _augmenting_on_cpu(selection, settings, sampling)
    elif augments:
        delivery = Delivery((RandomDraws(selection, sampling.seed),))
    if not program_steps:
        return delivery
    program_gathers = settings.feed == DEVICE and not augments_on_cpu
    return _for_program(delivery, program_gathers, program_steps, sampling.batch_size)


def open_validation_feed(
    selection: Selection,
    batch_size: int,
    part: BatchPart = ALL,
    feed: str = "",
    program_steps: int = 0,
) -> Feed:
    """Return the feed of the validation samples, in their order, to be used in a `with` block.

    part: the part of each batch that this worker evaluates
    feed: name of the feed of the training samples; with DEVICE, the validation frames are kept on
        the device, too
    program_steps: as open_feed() takes it
    """
    data = selection.data
    order = EpochOrder(len(selection), batch_size=batch_size, part=part)
    on_device = feed == DEVICE and isinstance(data, Store) and len(selection) > 0
    make: _Maker = hdf5_shuffle  # in spite of its name, it reads in the order that it is given
    if on_device:
        make = _device
    elif not isinstance(data, Store):
        make = files
    elif data.frames.is_far:
        make = windows
    delivery = AS_LOADED
    if program_steps:
        delivery = _for_program(
            delivery, program_gathers=on_device, steps=program_steps, batch_size=batch_size
        )
    return make(selection, order, FeedSettings(), delivery)


# samples, their order, settings and what becomes of a loaded batch -> a feed
_Maker = Callable[[Selection, EpochOrder, FeedSettings, Delivery], Feed]


def _device(
    selection: Selection, order: EpochOrder, settings: FeedSettings, delivery: Delivery
) -> Feed:
    from bcclone.feed.device import DeviceFeed  # loads TensorFlow

    return DeviceFeed(selection, order, settings, delivery)


MAKERS: dict[str, _Maker] = {  # one for each of STRATEGIES
    "files": files,
    "memory": memory,
    "hdf5-chunks": hdf5_chunks,
    "shards": shards,
    "hdf5-shuffle": hdf5_shuffle,
    "queue": queue,
    "workers": workers,
    "sequence": sequence,
    DEVICE: _device,
}


_MOST_AHEAD = 32  # batches; most that a strategy loads ahead when max_queue_size does not say


def _augmenting_on_cpu(
    selection: Selection, settings: FeedSettings, sampling: SamplingSettings
) -> Delivery:
    """Return the delivery of augmented batches: what augments them, in how many threads."""
    cores = os.cpu_count() or 1
    threads = settings.feed_workers or None
    if threads is None and not STRATEGIES[settings.feed].of_files:
        # a network that trains on the processor needs the other half: with a thread per core it is
        # slower (decision 0016)
        threads = max(cores // 2, 1)
    # one buffer for each batch that waits, is being augmented (one in each thread), or is used by
    # the training. At most as many wait as the strategy loads ahead, or two for each thread, see
    # Feed; the sum of both is surely enough.
    most_threads = threads or cores
    waiting = max(settings.max_queue_size, _MOST_AHEAD) + 2 * most_threads
    in_training = 2
    kept = waiting + most_threads + in_training
    # (height, width, channels); before them, the number of frames if a sample is a window
    shape = (*selection.arrays.frame.shape[1:], *selection.data.preprocessing.shape)
    buffers = Buffers(sampling.batch_size, shape, kept)
    return Delivery((CpuAugmentation(selection, sampling, buffers),), threads)


def _for_program(
    delivery: Delivery, program_gathers: bool, steps: int, batch_size: int
) -> Delivery:
    """Return how a program of XLA gets its batches.

    Either the feed copies the images to the device ahead of their step; or the program gathers them
    from frames on the device, and then takes several batches in one call.

    program_gathers: whether the program gathers the images
    steps: most steps in one call of the program
    """
    if program_gathers:
        return replace(delivery, steps_a_call=steps)
    from bcclone.feed.device import CopyToDevice  # loads TensorFlow

    return replace(delivery, transforms=(*delivery.transforms, CopyToDevice(batch_size)))


_USABLE_MEMORY = 0.8  # fraction of the available memory for frames; the network needs the rest


def check_feed(data: TrainingData, settings: FeedSettings) -> None:
    """Raise UserError when the strategy cannot read the samples, or they do not fit into memory.

    settings: with a strategy, not AUTO
    """
    strategy = STRATEGIES[settings.feed]
    if not isinstance(data, Store):
        if not strategy.of_files:
            make = shown_command("preprocess", data.path, "-o", "data.h5")
            raise UserError(
                f"{data.path}: --feed {settings.feed} reads a store; make one with: {make}, "
                "or use --feed files"
            )
        return
    if strategy.of_files:
        raise UserError(
            f"{data.path}: --feed {settings.feed} reads images; "
            "give it the recording that the store was made of"
        )
    if data.frames.is_far and not strategy.at_url:
        raise UserError(
            f"{data.path}: --feed {settings.feed} reads local stores; "
            "use --feed shards, or copy the store here"
        )
    data.frames.check_cache(settings.cache_bytes, settings.window_shards)
    needed_gb = strategy.copies * data.frames.nbytes / 1e9
    available_gb = available_memory() / 1e9
    if needed_gb > _USABLE_MEMORY * available_gb:
        raise UserError(
            f"{data.path}: loading its frames takes {needed_gb:.1f} GB of memory, "
            f"and {available_gb:.1f} GB are available; use --feed hdf5-chunks, which needs little"
        )


_USABLE_GPU_MEMORY = 0.6  # fraction of the free GPU memory for frames; the network needs the rest


def choose_feed(data: TrainingData, gpu_memory: float = 0.0) -> tuple[str, str]:
    """Return the strategy that suits the samples and this machine, and the reason in words.

    gpu_memory: number of free bytes on the GPU that trains, 0.0 without a GPU
    """
    if not isinstance(data, Store):
        return "files", "there is no store; preprocess.py makes one, which is many times faster"
    if data.frames.is_far:
        return "shards", "the store is at a URL"
    frames_gb = data.frames.nbytes / 1e9
    gpu_gb = gpu_memory / 1e9
    available_gb = available_memory() / 1e9
    copies_fit_memory = STRATEGIES[DEVICE].copies * frames_gb < _USABLE_MEMORY * available_gb
    if copies_fit_memory and frames_gb < _USABLE_GPU_MEMORY * gpu_gb:
        return DEVICE, f"{frames_gb:.2f} GB of frames, {gpu_gb:.1f} GB of GPU memory free"
    reason = f"{frames_gb:.2f} GB of frames, {available_gb:.1f} GB of memory available"
    # hdf5-shuffle keeps no copy, but reads at random, which is fast only while the system caches
    # the file
    if frames_gb < _USABLE_MEMORY * available_gb:
        return "hdf5-shuffle", reason
    has_shards = len(data.frames.files) > 1
    return "shards" if has_shards else "hdf5-chunks", reason
