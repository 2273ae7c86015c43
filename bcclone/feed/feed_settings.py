"""Settings of the feeds and of the augmentation of samples; loads no large package.

Fields without an option are for programs.
"""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, NamedTuple

from bcclone.system.settings import Checked, Count, Fraction, Metres, Setting, setting

# choices of --feed
AUTO = "auto"  # choose the strategy that suits the samples and the machine
DEVICE = "device"  # keep all frames on the device that trains
SEQUENCE = "sequence"  # let Keras load the batches

# orders of the samples
IN_ORDER = "in order"  # as in the store
SHUFFLED = "shuffled"  # all samples at random
CHUNKS = "chunks"  # random chunks of neighbouring samples, each shuffled
WINDOWS = "windows"  # random windows of neighbouring shards, each shuffled
ORDERS = (IN_ORDER, SHUFFLED, CHUNKS, WINDOWS)


class Strategy(NamedTuple):
    """A way to load samples."""

    text: str  # description for --help
    order: str = SHUFFLED  # one of ORDERS
    copies: int = 0  # how many copies of all frames it keeps in memory; 0: it reads from disk
    of_files: bool = False  # whether it reads the image files of a recording instead of a store


STRATEGIES = {
    "files": Strategy(
        "decodes the images of a recording for each batch; needs no store",
        of_files=True,
    ),
    "memory": Strategy("loads all frames into memory first; shuffled", copies=1),
    "hdf5-chunks": Strategy(
        "reads chunks of the store ahead, in random order, shuffled within; "
        "for stores larger than memory",
        order=CHUNKS,
    ),
    "shards": Strategy(
        "reads windows of a store's shards ahead, in random order, shuffled within; "
        "for stores at a URL, too",
        order=WINDOWS,
    ),
    "hdf5-shuffle": Strategy("reads from the memory-mapped store; shuffled"),
    SEQUENCE: Strategy(
        "reads from the memory-mapped store by a Keras PyDataset with --feed-workers threads; "
        "shuffled; for comparison with the others"
    ),
    DEVICE: Strategy(  # two copies: one that is read from the store, and TensorFlow's
        "keeps all frames on the device that trains, and gathers batches there; shuffled",
        copies=2,
    ),
}

# two choices of --predict
STEERING = "steering"  # the network learns the steering alone
PATH = "path"  # the network also learns the path ahead, with outputs that are not saved

_MAX_THREADS = 60
_feed = partial(setting, group="feed")


@dataclass(frozen=True)
class FeedSettings(Checked):
    """The strategy that feeds the network, and the settings of all strategies."""

    feed: str = _feed(
        AUTO,
        "how samples are loaded; the names are listed above; "
        "auto chooses by the size of the store and the free memory",
        unit="NAME",
        choices=(AUTO, *STRATEGIES),
    )
    chunk_size: Count = _feed(
        16_384, "number of samples that hdf5-chunks shuffles together", rare=True
    )
    # how many shards the feed shards shuffles together
    window_shards: Annotated[int, Setting(minimum=1)] = 4
    cache: str = _feed(
        "",
        "folder for copies of the shards of a store at a URL; several processes may share it",
        unit="FOLDER",
        shown="a temporary one, deleted at the end",
    )
    feed_workers: Count = _feed(
        0,
        "number of threads that augment on the CPU; "
        "with --feed files they also decode, with sequence they also read",
        minimum=1,
        maximum=_MAX_THREADS,
        zero="one for every two cores; with --feed files one for each core, with sequence 6",
    )
    # No option: with the feed shards, the number of windows that each batch is drawn from. It is
    # the number of workers with which the run began, and a worker reads only its own windows.
    window_streams: int = 1

    @property
    def ordering(self) -> tuple[str, int, int]:
        """Return how samples are ordered; feeds of equal orderings give the same batches.

        These are one of ORDERS, the number of samples in a chunk or of shards in a window, and the
        number of windows that each batch is drawn from.
        """
        # a run never has AUTO: a strategy has replaced it before anything is ordered
        kind = SHUFFLED if self.feed == AUTO else STRATEGIES[self.feed].order
        if kind == CHUNKS:
            return kind, self.chunk_size, 1
        if kind == WINDOWS:
            return kind, self.window_shards, self.window_streams
        return kind, 1, 1


AUGMENT_ON = ("auto", "cpu", "device")
CAMERA_MOVES = ("shift_m", "turn_degrees", "pitch_degrees")
_augment = partial(setting, group="augmentation")


@dataclass(frozen=True)
class AugmentSettings(Checked):
    """How strongly samples are augmented, and where; a strength of 0 turns that kind off."""

    augment: bool = _augment(True, "augment the samples, differently in each epoch")
    shift_m: Metres = _augment(
        0.8,
        "largest random sideways shift of the camera; "
        "the steering is changed to bring the car back",
        minimum=0,
        maximum=1.5,
    )
    # standard deviations of a random yaw and pitch of the camera
    turn_degrees: Annotated[float, Setting(minimum=0, maximum=10)] = 5.0
    pitch_degrees: Annotated[float, Setting(minimum=0, maximum=5)] = 0.7
    appearance: float = _augment(
        2.0,
        "strength of random changes in brightness, contrast, colour and haze; "
        "1 is the variation of an ordinary day",
        minimum=0,
        maximum=3,
    )
    shadows: Fraction = _augment(
        0.5,
        "fraction of samples that get shadows: "
        "dark or bright ellipses and bands on the lower part of the image",
    )
    # fractions of samples that are blurred, and that get the noise of strong JPEG compression
    blur: Fraction = 0.2
    noise: Fraction = 0.2
    patches: Fraction = _augment(
        0.8, "fraction of samples in which patches cover a part of the image", rare=True
    )
    augment_on: str = _augment(
        "auto",
        "where samples are augmented; cpu: by --feed-workers threads while the network trains; "
        "device: as the first part of the training step; "
        "auto: device on a GPU that XLA can compile for, if compiling pays, else cpu",
        choices=AUGMENT_ON,
    )

    @property
    def moves_camera(self) -> bool:
        return any(getattr(self, name) for name in CAMERA_MOVES)
