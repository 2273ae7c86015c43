"""One contestant's turn in this process -> its figures, or the reason why it cannot take part."""

import os
from collections.abc import Callable
from functools import partial
from importlib import import_module

from bcclone.augment.settings import AugmentSettings
from bcclone.bench.feeds import rooflines
from bcclone.bench.feeds.jpeg_samples import RecordingGone
from bcclone.bench.feeds.meter import Figures, Meter, Turn
from bcclone.bench.feeds.race import Race, Taken
from bcclone.bench.feeds.strategies import deliver as deliver_by
from bcclone.feed.settings import STRATEGIES, FeedSettings

AUGMENTED = "hdf5-shuffle-augmented"  # the default training: the feed's samples augmented by a thread a core
OURS = (*STRATEGIES, AUGMENTED)
ALTERNATIVES = ("python-generator", "pydataset-jpeg", "tf-data-jpeg", "torch-jpeg", "h5py-fancy", "pytables-chunks")
ROOFLINES: dict[str, Callable[[Race, Taken], None]] = {"gather": rooflines.gather, "decode": rooflines.decode}
_OF_TENSORFLOW = ("pydataset-jpeg", "tf-data-jpeg", "sequence", "tf-data", "device")
_PROCESSES = {"workers": 2}  # of the others each chooses for itself


class CannotTakePart(Exception):
    """This machine or this store lacks what a contestant needs; the text says what."""


def take_turn(name: str, race: Race, turn: Turn) -> Figures:
    """Run a contestant in this process and return its figures; raises CannotTakePart."""
    try:
        deliver = _find(name)
        meter = Meter(turn)
        deliver(race, meter.take)
    except RecordingGone as error:
        raise CannotTakePart(str(error)) from None
    return meter.figures()


def _find(name: str) -> Callable[[Race, Taken], None]:
    """Return a contestant's `deliver`, with its packages loaded; raises CannotTakePart when one is not installed."""
    if name in _OF_TENSORFLOW:
        from bcclone.tensorflow_quietly import load_tensorflow

        load_tensorflow()
    if name in ROOFLINES:
        return ROOFLINES[name]
    if name == AUGMENTED:
        return partial(deliver_by, FeedSettings(workers=os.cpu_count() or 1), augment=AugmentSettings())
    if name in STRATEGIES:
        return partial(deliver_by, FeedSettings(feed=name, workers=_PROCESSES.get(name, 0)))
    try:
        module = import_module(f"bcclone.bench.feeds.alternatives.{name.replace('-', '_')}")
    except ImportError as error:
        raise CannotTakePart(f"{error.name} is not installed; pip install '.[bench]'") from None
    deliver: Callable[[Race, Taken], None] = module.deliver
    return deliver
