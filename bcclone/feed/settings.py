"""Settings of the feeds; loads nothing, so that --help answers at once."""

from dataclasses import dataclass

from bcclone.augment.settings import AugmentSettings
from bcclone.settings import check_settings, setting

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


_GROUP = "feed"


@dataclass(frozen=True)
class FeedSettings:
    """Which strategy feeds the network, and its own settings; a strategy ignores those that it has no use for."""

    feed: str = setting(
        "hdf5-shuffle",
        "how the samples reach the network",
        unit="NAME",
        choices=tuple(STRATEGIES),
        shown="what suits the store and the memory",
        group=_GROUP,
    )
    chunk_size: int = setting(16_384, "samples that hdf5-chunks shuffles together", minimum=1, group=_GROUP)
    workers: int = setting(
        0,
        "threads that augment on the CPU; in the feeds files, workers, sequence and tf-data also the processes or "
        "threads that fetch",
        minimum=1,
        maximum=_MOST_WORKERS,
        zero="what suits the feed, and one augmenting thread for every two cores",
        group=_GROUP,
    )
    max_queue_size: int = setting(
        0, "batches fetched ahead", minimum=1, maximum=4096, zero="what suits the feed", group=_GROUP
    )
    multiprocessing: bool = setting(False, "sequence: use processes instead of threads", negatable=True, group=_GROUP)
    start_method: str = setting(
        "spawn", "how processes are started", choices=("spawn", "fork"), hidden=True, group=_GROUP
    )

    def __post_init__(self) -> None:
        check_settings(self)

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
