"""Give a network its batches, epoch by epoch, which threads load ahead.

In: a `Selection`, and settings which name a strategy. Out: a `Feed`, which opens files and starts
threads only when its `with` block is entered:

    with open_feed(select(store), FeedSettings("hdf5-shuffle"), batch_size=32) as feed:
        for number in range(1, epochs + 1):
            with feed.epoch(number) as batches:
                for batch in batches: ...
"""

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any, Self

import numpy as np

from bcclone.camera.images import opencv_on_one_thread
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
from bcclone.feed.order import ALL, Batches, BatchPart, Order, Positions, split_into_windows
from bcclone.feed.selection import Batch, Buffers, Selection, Source, sample_lookaheads
from bcclone.system.errors import UserError, shown_command
from bcclone.system.hardware import available_memory
from bcclone.system.pool import prefetch_ordered

_CORES = os.cpu_count() or 1
_AHEAD = 4  # batches that are loaded ahead
# two: a thread also flips frames and looks up labels, so it copies at only half a core's speed
_THREADS = min(2, _CORES)

# Changes a loaded batch, in several threads at once. It takes the batch, the positions of its
# samples, and its place: the epoch, and the index in it of the first sample of the whole batch, not
# of this worker's part. With the seed, these alone decide the random augmentation of the batch.
Transform = Callable[[Batch, Positions, tuple[int, int]], Batch]


class Feed:
    """The batches of the training or of the validation samples, epoch by epoch.

    A context manager, which opens and closes what it needs. The order decides alone which sample
    comes next, so that every feed gives the same batches.

    transforms: applied to each loaded batch, one after the other
    threads: number of threads that load and transform batches
    ahead: number of batches that are loaded before they are asked for
    steps_a_call: batches that one call of the training step takes; more than 1 only where batches
        are positions, and the compiled program gathers the frames itself
    """

    def __init__(
        self,
        source: Source,
        order: Order,
        transforms: Sequence[Transform] = (),
        threads: int = _THREADS,
        ahead: int = _AHEAD,
        steps_a_call: int = 1,
    ) -> None:
        self.source = source
        self.order = order
        self.steps_a_call = steps_a_call
        self._transforms = transforms
        self._threads = threads
        # each thread has a batch in work and one that is ready
        self._ahead = max(ahead, 2 * threads)
        # the training uses one batch, and may still hold the one before
        self.buffers = Buffers(order.batch_size, source.shape, kept=self._ahead + 2)
        self._opened = ExitStack()

    def __len__(self) -> int:
        return len(self.order)

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            self._open(opening)
            self._opened = opening.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._opened.__exit__(*error)

    def _open(self, opened: ExitStack) -> None:
        # this feed's own threads share the cores with the training
        opened.enter_context(opencv_on_one_thread())
        opened.enter_context(self.source)

    @contextmanager
    def _pieces(self, batches: Batches, stop: Event) -> Iterator[Iterator[Batch | Positions]]:
        """Give the batches of an epoch one after the other, or the positions for _load().

        stop: is set to end a wait for frames
        """
        yield iter(batches)

    def _load(self, positions: Positions) -> Batch:
        """Return the batch of these positions; several threads load at once."""
        return self.source.read(positions, self.buffers)

    @contextmanager
    def epoch(self, number: int, start: int = 0) -> Iterator[Iterator[Batch]]:
        """Give the batches of an epoch; each sample comes once.

        The last batch may be smaller. An error in a thread is raised when the batch is asked for.

        start: number of samples of the epoch to skip, which were used before a resume
        """
        batches = self.order.batches(number, start)
        stop = Event()

        def deliver(numbered: tuple[Batch | Positions, int]) -> Batch:
            piece, index = numbered
            batch = piece if isinstance(piece, Batch) else self._load(piece)
            if batches.part.count > 1:
                batch = replace(batch, span=batches.span(index))
            place = number, start + index * batches.size
            for transform in self._transforms:
                batch = transform(batch, batches[index], place)
            return batch

        with self._pieces(batches, stop) as pieces:
            # map, not zip: zip keeps a reference to its last tuple, and hence to a batch
            numbered = map(lambda *values: values, pieces, itertools.count())
            with prefetch_ordered(deliver, numbered, self._threads, self._ahead) as delivered:
                try:
                    yield delivered
                finally:
                    stop.set()  # first, since a thread may wait for a window of samples


class WindowFeed(Feed):
    """Reads the next window of the epoch ahead, for stores larger than memory.

    A window is a chunk of the store, or some of its files, which may be at a URL. One thread at a
    time fills the batches; another loads the next window.

    split: divides the positions of an epoch into windows
    """

    def __init__(
        self,
        split: Callable[[Positions], list[slice]],
        source: Source,
        order: Order,
        transforms: Sequence[Transform] = (),
        threads: int = 1,
    ) -> None:
        super().__init__(source, order, transforms, threads)
        self._split = split

    @contextmanager
    def _pieces(self, batches: Batches, stop: Event) -> Iterator[Iterator[Batch | Positions]]:
        source = self.source
        order = batches.positions

        def load(window: slice) -> int:
            """Load the frames of a window, and return its number of samples."""
            positions = order[window]
            source.frames.load(source.frame[positions], stop)
            return len(positions)

        def filled(sizes: Iterator[int]) -> Iterator[Batch]:
            left = 0  # samples of the first loaded window that no batch has used yet

            def parts_of(samples: int) -> Iterator[slice]:
                """Yield the parts of a batch that lie in one window each."""
                nonlocal left
                start = 0
                while start < samples:
                    if not left:
                        left = next(sizes)  # waits for the next window
                    end = min(start + left, samples)
                    yield slice(start, end)
                    left -= end - start
                    start = end

            for positions in batches:
                yield source.read(positions, self.buffers, parts_of(len(positions)))

        with prefetch_ordered(load, self._split(order), threads=1, ahead=1) as sizes:
            yield filled(sizes)


# ---- the feed of a strategy


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
    if name == "shards" and settings.cache:
        data.frames.set_cache(Path(settings.cache))
    threads = 0
    transforms: list[Transform] = []
    augments_on_cpu = augment is not None and augment.augment_on != "device"
    if augment and augments_on_cpu:
        # a network that trains on the processor needs the other half: with a thread per core it is
        # slower (decision 0016)
        threads = settings.feed_workers or (_CORES if name == "files" else max(_CORES // 2, 1))
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
        threads = threads or settings.feed_workers or _CORES
        return Feed(source, order, transforms, threads, max(_AHEAD, threads))
    return Feed(source, order, transforms, threads or _THREADS)


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
    buffers = Buffers(batch_size, shape, kept=max(_AHEAD, 2 * threads) + threads + 2)

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
