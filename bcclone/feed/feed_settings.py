"""Settings of the feeds; importing this loads no large package."""

from dataclasses import dataclass

from bcclone.feed.augment.augment_settings import AugmentSettings
from bcclone.system.settings import check_settings, setting

AUTO = "auto"  # the strategy that suits the samples and the machine
STRATEGIES = {
    "files": "decodes the images of a recording for each batch; needs no store",
    "memory": "loads all frames into memory first; shuffled",
    "hdf5": "reads the store in its order; not shuffled",
    "hdf5-chunks": "reads chunks of the store ahead, in random order, shuffled within; for stores larger than memory",
    "shards": "reads windows of a store's shards ahead, in random order, shuffled within; for stores at a URL, too",
    "hdf5-shuffle": "reads from the memory-mapped store; shuffled",
    "queue": "a loader process sends batches through a pipe into a bounded queue; shuffled",
    "workers": "loader processes write into shared memory; shuffled",
    "sequence": "a Keras PyDataset with its workers; shuffled at the end of each epoch",
    "tf-data": "a tf.data pipeline; shuffled",
    "device": "keeps all frames on the device that trains, and gathers batches there; shuffled",
}

STEERING, PATH = "steering", "path"  # of --predict: the steering alone, and what only helps in training

_MOST_WORKERS = 60  # Windows can wait for at most 63 objects at once
_GROUP = "feed"


@dataclass(frozen=True)
class Ordering:
    """How samples are ordered.

    kind: "in order", "shuffled", "chunks" of `size` samples, or "windows" of `size` shards, of which several streams
    give each a part of every batch.
    """

    kind: str = "in order"
    size: int = 0
    streams: int = 1


@dataclass(frozen=True)
class FeedSettings:
    """The strategy that feeds the network, with its settings; a strategy ignores the settings of others."""

    feed: str = setting(
        AUTO,
        "how samples are loaded; the names are listed above; auto chooses by the size of the store and the free memory",
        unit="NAME",
        choices=(AUTO, *STRATEGIES),
        group=_GROUP,
    )
    chunk_size: int = setting(16_384, "number of samples that hdf5-chunks shuffles together", minimum=1, group=_GROUP)
    window_shards: int = setting(
        4, "number of shards that the feed shards shuffles together", minimum=1, maximum=1 << 20, group=_GROUP
    )
    window_streams: int = setting(
        0,
        "number of windows that the feed shards draws each batch from; a worker reads only the shards of its own",
        minimum=1,
        maximum=4096,
        zero="as many as there are workers",
        group=_GROUP,
    )
    cache: str = setting(
        "",
        "folder for copies of the shards of a store at a URL; several processes may share it",
        unit="FOLDER",
        shown="a temporary one, deleted at the end",
        group=_GROUP,
    )
    cache_mb: int = setting(
        4096,
        "most that the copies of shards take; it must hold two windows of shards",
        unit="MB",
        minimum=1,
        maximum=1 << 30,
        group=_GROUP,
    )
    feed_workers: int = setting(
        0,
        "number of threads that augment on the CPU; for the feeds files, workers, sequence and tf-data also the number "
        "of processes or threads that load samples",
        minimum=1,
        maximum=_MOST_WORKERS,
        zero="chosen for the feed, and one augmenting thread for every two cores",
        group=_GROUP,
    )
    max_queue_size: int = setting(
        0, "number of batches to load ahead", minimum=1, maximum=4096, zero="chosen for the feed", group=_GROUP
    )
    multiprocessing: bool = setting(
        False, "with --feed sequence, use processes instead of threads", negatable=True, group=_GROUP
    )

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def ordering(self) -> Ordering:
        """Return how samples are ordered; feeds that agree in it give the same batches."""
        if self.feed == "hdf5-chunks":
            return Ordering("chunks", self.chunk_size)
        if self.feed == "shards":
            return Ordering("windows", self.window_shards, self.window_streams or 1)
        return Ordering("in order" if self.feed == "hdf5" else "shuffled")


@dataclass(frozen=True)
class SamplingSettings:
    """How a feed draws from its samples, whichever strategy fetches them.

    batch_size: samples of a batch; seed: of the order and of augmentation; zero_fraction: the largest fraction of an
    epoch's samples that may have zero steering, 1 for no limit; augmentation: how samples are augmented, and
    whether by the feed, or with augment_on "device" by the training step, to which the feed gives the random numbers;
    whole_images: the network sees all rows of an image, not only images.seen_rows(), so all are augmented.
    """

    batch_size: int
    seed: int = 0
    zero_fraction: float = 1.0
    augmentation: AugmentSettings = AugmentSettings(augment=False)
    whole_images: bool = False

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch size {self.batch_size}, expected 1 or more")
        if not 0 <= self.zero_fraction <= 1:
            raise ValueError(f"zero fraction {self.zero_fraction}, expected 0 to 1")
