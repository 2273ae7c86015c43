"""Give a network its batches, epoch by epoch, which threads load ahead.

In: a `Selection`, and settings which name a strategy. Out: a `Feed`, which opens files and starts
threads only when its `with` block is entered:

    with open_feed(select(store), FeedSettings("hdf5-shuffle"), batch_size=32) as feed:
        for number in range(1, epochs + 1):
            with feed.epoch(number) as batches:
                for batch in batches: ...
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bcclone.dataset.store import Store
from bcclone.feed.augment.changes import AugmentationInputs, draw
from bcclone.feed.augment.on_cpu import CpuAugmenter
from bcclone.feed.feed_settings import (
    DEVICE,
    SEQUENCE,
    STRATEGIES,
    WINDOWS,
    AugmentSettings,
    FeedSettings,
)
from bcclone.feed.loading import AHEAD, Feed, Transform, WindowFeed
from bcclone.feed.order import ALL, BatchPart, Order, Positions, split_into_windows
from bcclone.feed.selection import Batch, Buffers, Selection, sample_lookaheads
from bcclone.system.errors import UserError, shown_command
from bcclone.system.hardware import available_memory, usable_cores


def open_feed(
    selection: Selection,
    settings: FeedSettings,
    batch_size: int,
    seed: int = 0,
    zero_fraction: float = 1.0,
    augment: AugmentSettings | None = None,
    part: BatchPart = ALL,
    program_steps: int = 0,
) -> Feed:
    """Return the feed of the training samples, to be used in a `with` block.

    Every strategy gives each sample once per epoch, and all strategies that shuffle the whole
    selection give the same batches. With augmentation on the CPU, the feed augments the batches; on
    the device, it adds the random numbers with which the training step does so. Raises UserError
    when the strategy cannot read these samples, or they do not fit into memory.

    settings: with a strategy, not AUTO
    seed: decides the order and the augmentation
    zero_fraction: if more of an epoch's samples had zero steering, some of these are left out
    augment: how to augment the samples; None if they are not augmented
    part: the part of each batch that this worker trains on
    program_steps: the most steps that the trainer takes in one call of an XLA program; 0 if XLA
        does not compile its steps
    """
    data = selection.data
    name = settings.feed
    check_feed(data, settings)
    leaves_out = zero_fraction < 1
    kind, chunk, streams = settings.ordering
    order = Order(
        size=len(selection),
        kind=kind,
        chunk=chunk,
        seed=seed,
        zero_steering=selection.zero_steering if leaves_out else None,
        zero_fraction=zero_fraction,
        batch_size=batch_size,
        shard_of_sample=selection.shard if kind == WINDOWS else None,
        part=part,
        streams=streams,
    )
    if leaves_out and not len(order):
        raise UserError(
            f"{data.path}: all steering is 0, so --zero-fraction leaves no sample; "
            "train without that option"
        )
    threads = 0
    transforms: list[Transform] = []
    augments_on_cpu = augment is not None and augment.augment_on != "device"
    if augment and augments_on_cpu:
        # a network that trains on the processor needs the other half: with a thread per core it is
        # slower (decision 0016)
        cores = usable_cores()
        threads = settings.feed_workers or (cores if name == "files" else max(cores // 2, 1))
        augmenter = CpuAugmenter(augment, data.preprocessing)
        transforms.append(_augmenting_on_cpu(selection, seed, augmenter, batch_size, threads))
    elif augment:
        transforms.append(_drawing(selection, seed))
    gathers = name == DEVICE and not augments_on_cpu
    return _make_feed(selection, order, name, settings, transforms, threads, program_steps, gathers)


def open_feed_in_order(
    selection: Selection,
    batch_size: int,
    part: BatchPart = ALL,
    feed: str = "",
    program_steps: int = 0,
) -> Feed:
    """Return a feed of samples in their order, as validation takes them, for a `with` block.

    part: the part of each batch that this worker evaluates
    feed: name of the feed of the training samples; with DEVICE, the validation frames are kept on
        the device, too
    program_steps: as open_feed() takes it
    """
    frames = selection.data.frames
    order = Order(len(selection), batch_size=batch_size, part=part)
    name = ""  # reads the memory-mapped store
    if frames.are_images:
        name = "files"
    elif feed == DEVICE and len(selection):
        name = DEVICE
    elif frames.is_far:
        name = "shards"
    settings = FeedSettings()
    return _make_feed(selection, order, name, settings, (), 0, program_steps, name == DEVICE)


def _make_feed(
    selection: Selection,
    order: Order,
    name: str,
    settings: FeedSettings,
    transforms: Sequence[Transform],
    threads: int,
    program_steps: int,
    gathers: bool,
) -> Feed:
    """Put together the feed of a strategy.

    name: of the strategy; others than those below read from the memory-mapped store
    threads: 0 for as many as suit the strategy
    gathers: whether an XLA program gathers the images from frames on the device, and then takes
        several batches in one call; else they are copied to the device ahead of their step
    """
    steps_a_call = 1
    if program_steps and gathers:
        steps_a_call = program_steps
    elif program_steps:
        from bcclone.feed.device import copying_to_device  # loads TensorFlow

        transforms = (*transforms, copying_to_device(order.batch_size))
    if name == DEVICE:
        from bcclone.feed.device import DeviceFeed

        return DeviceFeed(selection, order, transforms, threads or 1, steps_a_call)
    source = selection.source(in_memory=name == "memory")
    if name == "hdf5-chunks":
        size = settings.chunk_size

        def chunks(positions: Positions) -> list[slice]:
            return [slice(start, start + size) for start in range(0, len(positions), size)]

        return WindowFeed(chunks, source, order, transforms, threads or 1)
    if name == "shards":

        def windows(positions: Positions) -> list[slice]:
            return split_into_windows(selection.shard[positions])

        return WindowFeed(windows, source, order, transforms, threads or 1)
    if name == SEQUENCE:
        from bcclone.feed.keras_sequence import KerasFeed  # loads Keras

        workers = settings.feed_workers or 6
        return KerasFeed(workers, source, order, transforms, threads or 1)
    if name == "files":  # each thread decodes images
        threads = threads or settings.feed_workers or usable_cores()
        return Feed(source, order, transforms, threads, max(AHEAD, threads))
    # two: a thread also flips frames and looks up labels, so it copies at only half a core's speed
    return Feed(source, order, transforms, threads or min(2, usable_cores()))


# ---- augmentation


def _drawing(selection: Selection, seed: int) -> Transform:
    """Return what adds the random numbers of a batch, for a device that augments with them."""
    lookahead_m = sample_lookaheads(selection.data, selection.row)

    def transform(batch: Batch, positions: Positions, place: tuple[int, int]) -> Batch:
        draws = draw(batch.global_size, (seed, *place))
        # numbers are drawn for the batch of all workers, and this worker takes those of its part;
        # so a sample is augmented alike for any number of workers
        begin = batch.span.first if batch.span else 0
        normal, uniform = (numbers[begin : begin + len(batch)] for numbers in draws)
        flipped = selection.flipped[positions]
        inputs = AugmentationInputs(flipped, lookahead_m[positions], normal, uniform)
        return replace(batch, augmentation=inputs)

    return transform


def _augmenting_on_cpu(
    selection: Selection, seed: int, augmenter: CpuAugmenter, batch_size: int, threads: int
) -> Transform:
    """Return what augments the images and the steering of a batch."""
    draws = _drawing(selection, seed)
    # a buffer for each batch that waits, is being augmented (one in each thread), or is used by the
    # training
    shape = (*selection.frame.shape[1:], *selection.data.preprocessing.shape)
    buffers = Buffers(batch_size, shape, kept=max(AHEAD, 2 * threads) + threads + 2)

    def transform(batch: Batch, positions: Positions, place: tuple[int, int]) -> Batch:
        inputs = AugmentationInputs(*draws(batch, positions, place).augmentation)
        labels = np.array(batch.labels)
        changed = buffers.take(len(batch))
        # augmentation changes the steering, which is the first label, and no other label
        labels[:, :1] = augmenter.augment(np.asarray(batch.images), labels[:, :1], inputs, changed)
        return replace(batch, images=changed, labels=labels)

    return transform


# ---- which strategy

_USABLE_MEMORY = 0.8  # fraction of the available memory for frames; the network needs the rest
_USABLE_GPU_MEMORY = 0.6  # the same of the free GPU memory


def check_feed(data: Store, settings: FeedSettings) -> None:
    """Raise UserError when the strategy cannot read the samples, or they do not fit into memory.

    settings: with a strategy, not AUTO
    """
    strategy = STRATEGIES[settings.feed]
    if data.frames.are_images:
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
    if data.frames.is_far and settings.feed != "shards":
        raise UserError(
            f"{data.path}: --feed {settings.feed} reads local stores; "
            "use --feed shards, or copy the store here"
        )
    needed_gb = strategy.copies * data.frames.nbytes / 1e9
    available_gb = available_memory() / 1e9
    if needed_gb > _USABLE_MEMORY * available_gb:
        raise UserError(
            f"{data.path}: loading its frames takes {needed_gb:.1f} GB of memory, "
            f"and {available_gb:.1f} GB are available; use --feed hdf5-chunks, which needs little"
        )


def choose_feed(data: Store, gpu_memory: float = 0.0) -> tuple[str, str]:
    """Return the strategy that suits the samples and this machine, and the reason in words.

    gpu_memory: number of free bytes on the GPU that trains, 0.0 without a GPU
    """
    if data.frames.are_images:
        return "files", "there is no store; preprocess.py makes one, so that a GPU waits less"
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
