"""sequence: a Keras PyDataset, shuffled at the end of each epoch; `SampleDataset` can be given to model.fit, too.

Keras's own queue waits for ever when a worker process is killed; the workers of the feed are those of
concurrent.futures, which tell.
"""

import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Self

import keras

from bcclone.child_process import become_worker
from bcclone.errors import UserError
from bcclone.feed.feed import Batch, Feed
from bcclone.feed.loader_process import LoaderError
from bcclone.feed.order import Epochs, Order
from bcclone.feed.selection import describe_windows, select
from bcclone.feed.settings import FeedSettings
from bcclone.feed.source import Columns, Reader, StoreSource
from bcclone.prefetch import prefetch_ordered
from bcclone.store import Store

_WORKERS = 6
_QUEUE_SIZE = 32
_KERAS_QUEUE_SIZE = 10  # of a PyDataset that is not told


def make_feed(store: Store, columns: Columns, epochs: Epochs, settings: FeedSettings, batch_size: int) -> Feed:
    """Return the feed of these samples."""
    source = StoreSource.of(store, columns)
    queue_size, workers = settings.max_queue_size or _QUEUE_SIZE, settings.workers or _WORKERS
    dataset = SampleDataset(
        Reader(source, batch_size, kept=queue_size + workers),
        epochs.order,
        batch_size,
        workers=workers,
        use_multiprocessing=settings.multiprocessing,
        max_queue_size=queue_size,
    )
    return DatasetFeed(epochs, dataset, settings.start_method)


class SampleDataset(keras.utils.PyDataset):  # type: ignore[misc]
    """The batches of an epoch, for `model.fit`: uint8 images (batch, height, width, 3), steering float32 (batch, 1).

    Each sample comes once an epoch, and Keras has the dataset shuffled anew when an epoch ends. Training samples come
    as they are stored, without augmentation. It can be pickled; the copy opens the store again when it is first read.

    order: epoch -> positions; options: those of `keras.utils.PyDataset`.
    """

    def __init__(self, reader: Reader, order: Callable[[int], Order], batch_size: int, **options: int) -> None:
        super().__init__(**options)
        self._reader: Reader | bytes = reader
        self._order, self._batch_size = order, batch_size
        self.begin(1)

    @classmethod
    def from_store(
        cls,
        path: str | Path,
        batch_size: int = 32,
        seed: int = 0,
        validation: bool = False,
        seq_length: int = 1,
        **options: int,
    ) -> Self:
        """Return the training samples of a store, shuffled, or its validation samples, in order.

        seed: of the shuffle; seq_length: frames of a window, whose images are (batch, seq_length, height, width, 3);
        options: `workers`, `use_multiprocessing` and `max_queue_size` of `keras.utils.PyDataset`.
        Raises UserError when there is no such store, or none of these samples in it.
        """
        if batch_size < 1:
            raise ValueError(f"batch size {batch_size}, expected 1 or more")
        with Store(Path(path)) as store:
            if seq_length > 1:
                describe_windows(store, seq_length)
            columns = select(store, validation, seq_length)
            if not len(columns.frame):
                side = "validation" if validation else "training"
                raise UserError(
                    f"{path}: it has no {side} samples; make a store with some: python preprocess.py RECORDING... "
                    f"-o {path} --validation 0.2"
                )
            ordering = "in order" if validation else "shuffled"
            epochs = Epochs(len(columns.frame), ordering, seed=seed)
            kept = int(options.get("workers", 1)) + int(options.get("max_queue_size", _KERAS_QUEUE_SIZE))
            return cls(Reader(StoreSource.of(store, columns), batch_size, kept), epochs.order, batch_size, **options)

    @property
    def reader(self) -> Reader:
        """What reads the batches; raises UserError when the store is not the same any more."""
        if isinstance(self._reader, bytes):
            reader: Reader = pickle.loads(self._reader)  # noqa: S301 our own
            self._reader = reader
        return self._reader

    def __getstate__(self) -> dict[str, Any]:
        # a worker process that failed while it unpickles would be started again by Keras, and again
        reader = self._reader if isinstance(self._reader, bytes) else pickle.dumps(self._reader)
        return self.__dict__ | {"_reader": reader}

    def begin(self, epoch: int, start: int = 0) -> None:
        """Take the order of this epoch, from the sample `start` on."""
        self._epoch, self._positions = epoch, self._order(epoch)[start:]

    def positions(self, number: int) -> Order:
        """Return which samples are in a batch, counted from 0."""
        return self._positions[number * self._batch_size : (number + 1) * self._batch_size]

    def __len__(self) -> int:
        """Return the number of batches."""
        return -(-len(self._positions) // self._batch_size)

    def __getitem__(self, number: int) -> tuple[Any, Any]:
        batch = self.reader.read(self.positions(number))
        return batch.images, batch.steering

    def on_epoch_end(self) -> None:
        """Shuffle for the next epoch; Keras calls it."""
        self.begin(self._epoch + 1)

    def close(self) -> None:
        """Let go of the store; no batch can be read any more."""
        self.reader.source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class DatasetFeed(Feed):
    """A PyDataset with as many workers, and as many batches under way, as it asks for.

    start_method: how its processes are started, where the dataset asks for processes rather than threads.
    """

    def __init__(self, epochs: Epochs, dataset: SampleDataset, start_method: str) -> None:
        self._epochs, self._dataset = epochs, dataset
        self._executor: Executor
        self._read: Callable[[Order], Batch]
        if dataset.use_multiprocessing:
            context = get_context(start_method)
            self._executor = ProcessPoolExecutor(dataset.workers, context, _begin_worker, (dataset.reader,))
            self._read = _read_in_worker
        else:
            self._executor = ThreadPoolExecutor(dataset.workers, "bcclone-pool")
            self._read = dataset.reader.read

    @contextmanager
    def epoch(self, number: int, start: int = 0) -> Iterator[Iterator[Batch]]:
        """Give the batches of an epoch; raises LoaderError when a worker process has died."""
        self._dataset.begin(number, start)
        orders = map(self._dataset.positions, range(len(self._dataset)))
        with prefetch_ordered(self._read, orders, self._executor, self._dataset.max_queue_size) as batches:
            yield _checked(batches)

    def close(self) -> None:
        """End the workers."""
        self._executor.shutdown(wait=True, cancel_futures=True)


def _checked(batches: Iterator[Batch]) -> Iterator[Batch]:
    try:
        yield from batches
    except BrokenProcessPool:
        raise LoaderError.died("a loader process was killed") from None


_this_worker = threading.local()  # in a worker process: its reader, which is sent only once


def _begin_worker(reader: Reader) -> None:
    become_worker()
    _this_worker.reader = reader


def _read_in_worker(positions: Order) -> Batch:
    batch: Batch = _this_worker.reader.read(positions)
    return batch
