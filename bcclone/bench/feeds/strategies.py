"""Our own feeds as contestants."""

import itertools
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from typing import Any

import numpy as np

from bcclone.augment.settings import AugmentSettings
from bcclone.bench.feeds.jpeg_samples import RecordingGone
from bcclone.bench.feeds.race import Race, Taken
from bcclone.errors import UserError
from bcclone.feed.batch import Batch
from bcclone.feed.feed import Feed
from bcclone.feed.opening import TrainingData, open_feed
from bcclone.feed.settings import DrawSettings, FeedSettings
from bcclone.preprocess import open_in_place
from bcclone.samples import SampleSettings
from bcclone.store import Store

_PLAIN = AugmentSettings(augment=False)


def deliver(settings: FeedSettings, race: Race, taken: Taken, augment: AugmentSettings = _PLAIN) -> None:
    """Hand over batches, epoch after epoch, until there are enough."""
    drawn = DrawSettings(race.batch_size, race.seed, augment=augment)
    with opened(settings, race) as data, open_feed(data, settings, drawn) as feed, closing(endless(feed)) as batches:
        for batch in batches:
            _await(batch)
            if not taken(len(batch)):
                return


def endless(feed: Feed) -> Generator[Batch]:
    """Yield the batches of one epoch after the other."""
    for epoch in itertools.count(1):
        with feed.epoch(epoch) as batches:
            yield from batches


@contextmanager
def opened(settings: FeedSettings, race: Race) -> Iterator[TrainingData]:
    """Open the store, or, for the feed that reads images, the recordings that it was made of; raises RecordingGone."""
    with Store(race.store) as store:
        if settings.feed != "files":
            yield store
            return
        logs = tuple(str(recording["path"]) for recording in store.recordings)
        made = SampleSettings.stored(store.sample_settings)
    try:
        data, _ = open_in_place(logs, store.preprocessing, made)
    except UserError as error:
        raise RecordingGone(f"the recording that {race.store} was made of cannot be used: {error}") from None
    yield data


def _await(batch: Any) -> None:
    """Wait for a batch that is still on its way to a device; its steering arrives behind its images."""
    if not isinstance(batch.steering, np.ndarray):
        np.asarray(batch.steering)
