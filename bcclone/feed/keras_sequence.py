"""The feed "sequence": a Keras PyDataset, shuffled at the end of each epoch; SampleDataset also suits model.fit.

In: a store, or a reader and an order. Out: batches as Keras asks for them, or as every feed gives them.

Keras's own queue waits forever when a worker process is killed. The feed therefore uses the executors of
concurrent.futures, which raise an error.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Self

import keras

from bcclone.dataset.sample_settings import TEST, TRAINING
from bcclone.dataset.store import Store
from bcclone.feed.feed_settings import STEERING, FeedSettings, Ordering
from bcclone.feed.fetcher import Fetcher, Reader, begin_worker, read_in_worker
from bcclone.feed.loader_process import LoaderError
from bcclone.feed.order import EpochOrder, Order
from bcclone.feed.selection import Selection, TargetFunction, describe_windows, select
from bcclone.feed.source import Batch
from bcclone.system.child_process import process_pool
from bcclone.system.errors import UserError
from bcclone.system.prefetch import prefetch_ordered

NEXT_FRAME = "next frame"  # of SampleDataset, beside what --predict names

_WORKERS = 6
_QUEUE_SIZE = 32
_KERAS_QUEUE_SIZE = 10  # the default of a PyDataset


def sequence(selection: Selection, epoch_order: EpochOrder, settings: FeedSettings) -> "DatasetFetcher":
    """Read the memory-mapped store with the workers of a PyDataset."""
    source, batch_size = selection.mapped_source(), epoch_order.batch_samples
    queue_size, workers = settings.max_queue_size or _QUEUE_SIZE, settings.feed_workers or _WORKERS
    dataset = SampleDataset(
        Reader(source, batch_size, kept=queue_size + workers),
        epoch_order.positions,
        batch_size,
        workers=workers,
        use_multiprocessing=settings.multiprocessing,
        max_queue_size=queue_size,
    )
    return DatasetFetcher(dataset)


class SampleDataset(keras.utils.PyDataset):  # type: ignore[misc]
    """The batches of an epoch, for `model.fit`: uint8 images (batch, height, width, channels) and their targets.

    Each sample comes once per epoch; Keras calls on_epoch_end() after each epoch, which shuffles again. The samples are
    not augmented. The dataset can be pickled; a copy opens the store when it first reads.

    order_of: epoch -> positions; gives_next: the last frame of each window is its target; options: those of
    `keras.utils.PyDataset`.
    """

    def __init__(
        self,
        reader: Reader,
        order_of: Callable[[int], Order],
        batch_size: int,
        gives_next: bool = False,
        **options: int,
    ) -> None:
        super().__init__(**options)
        self._gives_next = gives_next
        self.reader, self._order_of, self.batch_size = reader, order_of, batch_size
        self._epoch, self._order = 1, order_of(1)

    @classmethod
    def from_store(  # noqa: PLR0913 each is a choice of the user, most with a default
        cls,
        store: Store | Path | str,
        batch_size: int = 32,
        seed: int = 0,
        part: str = TRAINING,
        seq_length: int = 1,
        targets: str | TargetFunction = STEERING,
        **options: int,
    ) -> Self:
        """Return the training samples of a store, shuffled, or its validation or test samples, in order.

        store: a file, or an open store, such as a folder of shards that bcclone.cluster has opened; part: "training",
        "validation" or "test"; seed: of the shuffle; seq_length: frames of a window, whose images are (batch,
        seq_length, height, width, channels); targets: "steering", float32 (batch, 1); "next frame", the frame after
        each image or window, uint8 (batch, height, width, channels), in samples that have one; or a function from the
        samples and their rows to numbers, (samples,) or (samples, labels), which become float32; options:
        `workers`, `use_multiprocessing` and `max_queue_size` of `keras.utils.PyDataset`. Raises UserError when there
        is no such store, or none of these samples in it.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size {batch_size}, expected 1 or more")
        with nullcontext(store) if isinstance(store, Store) else Store(Path(store)) as store:
            gives_next = targets == NEXT_FRAME
            length = seq_length + gives_next
            selection = select(store, part, length, STEERING if gives_next else targets)
            if length > 1 and part == TRAINING:
                describe_windows(selection, selection)
            if not len(selection):
                option = "--test-recording RECORDING" if part == TEST else "--validation 0.2"
                raise UserError(
                    f"{store.path}: it has no {part} samples; make a store with some: bcclone preprocess "
                    f"RECORDING... -o {store.path} {option}"
                )
            ordering = Ordering("shuffled" if part == TRAINING else "in order")
            epoch_order = EpochOrder(len(selection), ordering, seed=seed)
            kept = int(options.get("workers", 1)) + int(options.get("max_queue_size", _KERAS_QUEUE_SIZE))
            reader = Reader(selection.mapped_source(), batch_size, kept)
            return cls(reader, epoch_order.positions, batch_size, gives_next, **options)

    def begin(self, order: Order) -> None:
        """Give the batches of these positions until the epoch ends."""
        self._order = order

    def positions(self, number: int) -> Order:
        """Return which samples are in a batch, counted from 0."""
        return self._order[number * self.batch_size : (number + 1) * self.batch_size]

    def __len__(self) -> int:
        """Return the number of batches."""
        return -(-len(self._order) // self.batch_size)

    def __getitem__(self, number: int) -> tuple[Any, Any]:
        batch = self.reader.read(self.positions(number))
        if self._gives_next:
            before = batch.images[:, :-1] if batch.images.shape[1] > 2 else batch.images[:, 0]
            return before, batch.images[:, -1]
        return batch.images, batch.labels

    def on_epoch_end(self) -> None:
        """Shuffle for the next epoch; called by Keras."""
        self._epoch += 1
        self.begin(self._order_of(self._epoch))

    def close(self) -> None:
        """Close the store; no batch can be read afterwards."""
        self.reader.source.close()

    def __enter__(self) -> Self:
        self.reader.source.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class DatasetFetcher(Fetcher):
    """Fetch the batches of a PyDataset, with as many workers, and as many batches ahead, as it asks for."""

    _executor: Executor
    _first: Future[int]

    def __init__(self, dataset: SampleDataset) -> None:
        super().__init__(dataset.reader.source, dataset.batch_size)
        self._dataset = dataset

    def _open(self) -> None:
        super()._open()
        dataset = self._dataset
        self._read: Callable[[Order], Batch] = read_in_worker if dataset.use_multiprocessing else dataset.reader.read
        if dataset.use_multiprocessing:
            self._executor = self._opened.enter_context(process_pool(dataset.workers, begin_worker, (dataset.reader,)))
        else:
            self._executor = self._opened.enter_context(ThreadPoolExecutor(dataset.workers, "bcclone-pool"))
        self._first = self._executor.submit(int)

    @property
    def has_started(self) -> bool:
        """Return whether the first worker has started; it reads while the others start."""
        return self._first.done()

    @contextmanager
    def fetch(self, order: Order) -> Iterator[Iterator[Batch]]:
        """Give the batches of these positions; raises LoaderError when a worker process has died."""
        self._dataset.begin(order)
        orders = map(self._dataset.positions, range(len(self._dataset)))
        with prefetch_ordered(self._read, orders, self._executor, self._dataset.max_queue_size) as batches:
            yield _checked(batches)


def _checked(batches: Iterator[Batch]) -> Iterator[Batch]:
    try:
        yield from batches
    except BrokenProcessPool:
        raise LoaderError.died("a loader process was killed") from None
