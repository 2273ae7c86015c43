"""What a feed is told; nothing is loaded in here, so that --help answers at once."""

from dataclasses import dataclass

from bcclone.augment.settings import AugmentSettings

STRATEGIES = {
    "files": "reads and decodes the images of a recording for each batch; needs no store",
    "memory": "all frames in memory, shuffled",
    "hdf5": "the store in order, not shuffled",
    "hdf5-chunks": "chunks of the store in random order, shuffled within, read ahead: for stores larger than memory",
    "hdf5-shuffle": "a true shuffle over the memory-mapped store",
    "queue": "a loader process that sends batches through a pipe into a bounded queue, shuffled",
    "workers": "loader processes that write into shared memory, shuffled",
    "sequence": "a Keras PyDataset with its workers, shuffled at the end of each epoch",
    "tf-data": "a tf.data pipeline, shuffled",
    "device": "the frames live on the device that trains and are gathered there, shuffled",
}

_MOST_WORKERS = 60  # Windows waits for no more than 63 things at once


@dataclass(frozen=True)
class FeedSettings:
    """Which strategy feeds the network, and its own settings; what a strategy has no use for, it leaves alone.

    chunk_size: samples that `hdf5-chunks` shuffles together; workers: processes or threads that fetch, 0 for what suits
    the strategy, and threads that augment on the CPU, 0 for half the cores; max_queue_size: batches that are fetched
    ahead, 0 for what suits the strategy; multiprocessing: `sequence` works with processes instead of threads;
    start_method: of processes, "spawn" or "fork".
    """

    feed: str = "hdf5-shuffle"
    chunk_size: int = 16_384
    workers: int = 0
    max_queue_size: int = 0
    multiprocessing: bool = False
    start_method: str = "spawn"

    def __post_init__(self) -> None:
        if self.feed not in STRATEGIES:
            raise ValueError(f"feed {self.feed!r}, expected one of {', '.join(STRATEGIES)}")
        if self.chunk_size < 1:
            raise ValueError(f"chunk size {self.chunk_size}, expected 1 or more samples")
        if not 0 <= self.workers <= _MOST_WORKERS:
            raise ValueError(f"workers {self.workers}, expected 1 to {_MOST_WORKERS}, or 0 for what suits the feed")
        if not 0 <= self.max_queue_size <= 4096:
            raise ValueError(f"max queue size {self.max_queue_size}, expected 1 to 4096, or 0 for what suits the feed")
        if self.start_method not in ("spawn", "fork"):
            raise ValueError(f"start method {self.start_method!r}, expected spawn or fork")

    @property
    def ordering(self) -> tuple[str, int]:
        """Return what decides the order of the samples: feeds that agree in it give the same batches."""
        if self.feed == "hdf5-chunks":
            return "chunks", self.chunk_size
        return ("in order" if self.feed == "hdf5" else "shuffled"), 0


@dataclass(frozen=True)
class DrawSettings:
    """What of the samples a feed gives, whichever strategy fetches them.

    batch_size: samples of a batch; seed: of the order and of augmentation; seq_length: frames of a window, 1 for
    single frames; zero_share: how many of an epoch's samples may be of driving straight on, 1 for all there are;
    augment: how they are augmented; augment_on: "cpu", by the feed, or "device", by the training step, to which the
    feed gives the random numbers.
    """

    batch_size: int
    seed: int = 0
    seq_length: int = 1
    zero_share: float = 1.0
    augment: AugmentSettings = AugmentSettings(augment=False)
    augment_on: str = "cpu"
