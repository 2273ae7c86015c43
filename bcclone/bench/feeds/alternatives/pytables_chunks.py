"""PyTables reading chunks in random order, each shuffled in memory, as the source design did it."""

import itertools
from collections.abc import Iterator

import numpy as np
import tables

from bcclone.bench.feeds.race import Race, Taken
from bcclone.images import Image
from bcclone.store import Store

_FRAMES_PER_CHUNK = 1024  # 50 MB of 128x128 frames


def deliver(race: Race, taken: Taken) -> None:
    """Hand over batches until there are enough; those at a chunk's end are shorter."""
    with Store(race.store) as store:
        samples = store.samples[store.part(validation=False)]
    samples = samples[np.argsort(samples["frame"], kind="stable")]
    random = np.random.default_rng(race.seed)
    with tables.open_file(str(race.store), "r") as file:
        for _ in itertools.count():
            for chunk in random.permutation(-(-file.root.frames.nrows // _FRAMES_PER_CHUNK)):
                for images in _batches(file.root.frames, samples, int(chunk) * _FRAMES_PER_CHUNK, race, random):
                    if not taken(len(images)):
                        return


def _batches(
    dataset: tables.Array, samples: np.ndarray, first: int, race: Race, random: np.random.Generator
) -> Iterator[Image]:
    """Yield the batches of the chunk that begins at frame `first`."""
    begin, end = np.searchsorted(samples["frame"], [first, first + _FRAMES_PER_CHUNK])
    if begin == end:
        return
    frames = dataset[first : first + _FRAMES_PER_CHUNK]
    part = random.permutation(samples[begin:end])
    for start in range(0, len(part), race.batch_size):
        batch = part[start : start + race.batch_size]
        images = frames[batch["frame"] - first]
        images[batch["flipped"]] = images[batch["flipped"], :, ::-1]
        yield images
