"""SampleDataset, a Keras PyDataset of samples for model.fit; and the feed "sequence", by its means.

In: a store. Out: batches as Keras asks for them: images, uint8 (batch, height, width, channels),
and their targets, such as the steering.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Event
from typing import Any, Self

import keras

# a private name: only fit() gives batches of a PyDataset's own threads
from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

from bcclone.dataset.sample_settings import TEST, TRAINING
from bcclone.dataset.shards import open_store
from bcclone.dataset.store import Store
from bcclone.feed.feed_settings import IN_ORDER, SHUFFLED, STEERING
from bcclone.feed.loading import Feed, Transform
from bcclone.feed.order import Batches, Order, Positions
from bcclone.feed.selection import (
    Batch,
    Buffers,
    Source,
    TargetFunction,
    require_windows,
    select,
)
from bcclone.system.errors import UserError, shown_command

NEXT_FRAME = "next frame"  # a choice of `targets` that --predict does not have


class SampleDataset(keras.utils.PyDataset):  # type: ignore[misc]
    """The batches of an epoch, for `model.fit`: images and their targets.

    Images are uint8 (batch, height, width, channels), and not augmented. Each sample comes once per
    epoch; Keras calls on_epoch_end() after each epoch, which shuffles again. The dataset can be
    pickled; a copy opens the store when it first reads.

    gives_next: the target of a window is its last frame, and the input the frames before it
    options: those of `keras.utils.PyDataset`
    """

    def __init__(
        self, source: Source, order: Order, gives_next: bool = False, **options: int
    ) -> None:
        super().__init__(**options)
        self.source = source
        self.order = order
        self._gives_next = gives_next
        self.epoch = 1
        self.batches = order.batches(self.epoch)
        # a buffer for each batch that a worker makes, or that waits in Keras's queue (usually 10)
        kept = int(options.get("workers", 1)) + int(options.get("max_queue_size", 10))
        self._buffers = Buffers(order.batch_size, source.shape, kept)

    @classmethod
    def from_store(
        cls,
        store: Store | Path | str,
        batch_size: int = 32,
        seed: int = 0,
        part: str = TRAINING,
        seq_length: int = 1,
        targets: str | TargetFunction = STEERING,
        shuffle: bool | None = None,
        **options: int,
    ) -> Self:
        """Return the samples of one side of a store.

        Raises UserError when there is no such store, or none of these samples in it.

        store: a file, a folder of shards, or an open store
        part: "training", "validation" or "test"
        seed: of the shuffle
        seq_length: frames of a window, whose images are (batch, seq_length, height, width,
            channels)
        targets: "steering", float32 (batch, 1); "next frame", the frame after each image or window,
            uint8 (batch, height, width, channels), in samples that have one; or a function from the
            samples and their rows to numbers, (samples,) or (samples, labels), which become float32
        shuffle: whether each epoch has another order, in which the batches differ, too; else each
            has that of the store. None shuffles the training samples alone. Keras's fit() itself
            shuffles the batches, if it is not called with shuffle=False
        options: `workers`, `use_multiprocessing` and `max_queue_size` of `keras.utils.PyDataset`.
            Use threads: with processes, Keras waits forever when one of them is killed
        """
        if batch_size < 1:
            raise ValueError(f"batch_size {batch_size}, expected 1 or more")
        with nullcontext(store) if isinstance(store, Store) else open_store(store) as store:
            # for the next frame, a window has one frame more: the next one is at its end
            gives_next = targets == NEXT_FRAME
            length = seq_length + gives_next
            selection = select(store, part, length, STEERING if gives_next else targets)
            if length > 1 and part == TRAINING:
                require_windows(selection)
            if not len(selection):
                option = ("--validation", "0.2")
                if part == TEST:
                    option = ("--test-recording", "RECORDING")
                make = shown_command("preprocess", "RECORDING...", "-o", store.path, *option)
                raise UserError(
                    f"{store.path}: it has no {part} samples; make a store with some: {make}"
                )
            if shuffle is None:
                shuffle = part == TRAINING
            kind = SHUFFLED if shuffle else IN_ORDER
            order = Order(len(selection), kind, seed=seed, batch_size=batch_size)
            return cls(selection.source(), order, gives_next, **options)

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int) -> tuple[Any, Any]:
        batch = self.source.read(self.batches[number], self._buffers)
        if not self._gives_next:
            return batch.images, batch.labels
        # (batch, seq_length + 1, ...): of two frames, the first is a single frame, not a window
        is_window = batch.images.shape[1] > 2
        before = batch.images[:, :-1] if is_window else batch.images[:, 0]
        return before, batch.images[:, -1]

    def on_epoch_end(self) -> None:
        """Shuffle for the next epoch; called by Keras."""
        self.epoch += 1
        self.batches = self.order.batches(self.epoch)

    def close(self) -> None:
        self.source.__exit__()

    def __enter__(self) -> Self:
        self.source.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class KerasFeed(Feed):
    """Lets Keras load the batches of a training, as fit() does: by its own threads.

    Keras's processes are not used: it waits forever when one of them was killed.

    workers: number of Keras's threads
    """

    def __init__(
        self,
        workers: int,
        source: Source,
        order: Order,
        transforms: Sequence[Transform],
        threads: int,
    ) -> None:
        super().__init__(source, order, transforms, threads)
        self._workers = workers

    @contextmanager
    def _pieces(self, batches: Batches, stop: Event) -> Iterator[Iterator[Batch | Positions]]:
        dataset = SampleDataset(self.source, self.order, workers=self._workers)
        dataset.batches = batches
        adapter = PyDatasetAdapter(dataset)
        try:
            yield (Batch(images, labels) for images, labels in adapter.get_numpy_iterator())
        finally:
            adapter.on_epoch_end()  # ends the threads
