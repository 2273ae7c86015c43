"""Settings of the feeds; importing this loads no large package."""

from dataclasses import dataclass
from functools import partial

from bcclone.feed.augment.augment_settings import AugmentSettings
from bcclone.system.settings import Count, Megabytes, check_settings, setting

AUTO = "auto"  # the strategy that suits the samples and the machine
IN_ORDER, SHUFFLED, CHUNKS, WINDOWS = "in order", "shuffled", "chunks", "windows"
ORDERS = {  # order of the samples -> the settings that it depends on
    IN_ORDER: (),
    SHUFFLED: (),
    CHUNKS: ("chunk_size",),
    WINDOWS: ("window_shards", "window_streams"),
}


@dataclass(frozen=True)
class Strategy:
    """A way to fetch samples.

    text: for --help; makes: module and function of bcclone.feed that makes the feed; order: one of ORDERS; copies:
    how many of all frames are in memory; of_files: reads the images of a recording, others a store; at_url: reads
    stores at a URL.
    """

    text: str
    makes: str
    order: str = SHUFFLED
    copies: int = 0
    of_files: bool = False
    at_url: bool = False


STRATEGIES = {
    "files": Strategy(
        "decodes the images of a recording for each batch; needs no store", "strategies.files", of_files=True
    ),
    "memory": Strategy("loads all frames into memory first; shuffled", "strategies.memory", copies=1),
    "hdf5-chunks": Strategy(
        "reads chunks of the store ahead, in random order, shuffled within; for stores larger than memory",
        "strategies.hdf5_chunks",
        CHUNKS,
    ),
    "shards": Strategy(
        "reads windows of a store's shards ahead, in random order, shuffled within; for stores at a URL, too",
        "strategies.shards",
        WINDOWS,
        at_url=True,
    ),
    "hdf5-shuffle": Strategy("reads from the memory-mapped store; shuffled", "strategies.hdf5_shuffle"),
    "queue": Strategy(
        "a loader process reads chunks of the store, each shuffled, into a bounded queue",
        "loader_processes.queue",
        CHUNKS,
    ),
    "workers": Strategy("loader processes write into shared memory; shuffled", "loader_processes.workers"),
    "sequence": Strategy(
        "a Keras PyDataset with its workers; shuffled at the end of each epoch", "keras_sequence.sequence"
    ),
    "device": Strategy(  # TensorFlow copies the frames that it is given
        "keeps all frames on the device that trains, and gathers batches there; shuffled", "device.device", copies=2
    ),
}

STEERING, PATH = "steering", "path"  # of --predict: the steering alone, and what only helps in training

_MOST_WORKERS = 60  # Windows can wait for at most 63 objects at once
_feed = partial(setting, group="feed")
_rare = partial(_feed, rare=True)


@dataclass(frozen=True)
class Ordering:
    """How samples are ordered.

    kind: one of ORDERS; CHUNKS of `size` samples, or WINDOWS of `size` shards, of which several streams give each a
    part of every batch.
    """

    kind: str = IN_ORDER
    size: int = 1
    streams: int = 1


@dataclass(frozen=True)
class FeedSettings:
    """The strategy that feeds the network, with its settings; a strategy ignores the settings of others."""

    feed: str = _feed(
        AUTO,
        "how samples are loaded; the names are listed above; auto chooses by the size of the store and the free memory",
        unit="NAME",
        choices=(AUTO, *STRATEGIES),
    )
    chunk_size: Count = _rare(16_384, "number of samples that hdf5-chunks and queue shuffle together")
    window_shards: Count = _rare(4, "number of shards that the feed shards shuffles together")
    window_streams: Count = _rare(
        0,
        "number of windows that the feed shards draws each batch from; a worker reads only the shards of its own",
        1,
        4096,
        zero="as many as there are workers",
    )
    cache: str = _feed(
        "",
        "folder for copies of the shards of a store at a URL; several processes may share it",
        unit="FOLDER",
        shown="a temporary one, deleted at the end",
    )
    cache_mb: Megabytes = _rare(4096, "most that the copies of shards take; it must hold two windows of shards")
    feed_workers: Count = _feed(
        0,
        "number of threads that augment on the CPU; for the feeds files, queue, workers and sequence also the "
        "number of processes or threads that load samples",
        1,
        _MOST_WORKERS,
        zero="chosen for the feed, and one augmenting thread for every two cores",
    )
    max_queue_size: Count = _rare(0, "number of batches to load ahead", 1, 4096, zero="chosen for the feed")
    multiprocessing: bool = _rare(False, "with --feed sequence, use processes instead of threads")

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def cache_bytes(self) -> int:
        return self.cache_mb * 10**6

    @property
    def ordering(self) -> Ordering:
        """Return how samples are ordered; feeds that agree in it give the same batches."""
        order = SHUFFLED if self.feed == AUTO else STRATEGIES[self.feed].order
        return Ordering(order, *(getattr(self, name) or 1 for name in ORDERS[order]))


@dataclass(frozen=True)
class SamplingSettings:
    """How a feed draws from its samples, whichever strategy fetches them.

    batch_size: samples of a batch; seed: of the order and of augmentation; zero_fraction: the largest fraction of an
    epoch's samples that may have zero steering, 1 for no limit; augmentation: how samples are augmented, and
    whether by the feed, or with augment_on "device" by the training step, to which the feed gives the random numbers;
    whole_images: the network sees all rows of an image, not only preprocessing.seen_rows(), so all are augmented.
    """

    batch_size: int
    seed: int = 0
    zero_fraction: float = 1.0
    augmentation: AugmentSettings = AugmentSettings(augment=False)
    whole_images: bool = False
