"""PyTables reading chunks in random order, each shuffled in memory, as the source design did it."""

from collections.abc import Iterator

import numpy as np
import tables

from bcclone.bench.feeds.race import Race, Taken
from bcclone.images import Image
from bcclone.samples import SampleTable
from bcclone.store import Store

_FRAMES_PER_CHUNK = 1024  # 50 MB of 128x128 frames


def deliver(race: Race, taken: Taken) -> None:
    """Hand over batches until there are enough; those at a chunk's end are shorter."""
    with Store(race.store) as store:
        samples = store.samples[store.part(validation=False)]
    samples = samples[np.argsort(samples["frame"], kind="stable")]
    with tables.open_file(str(race.store), "r") as file:
        for images in _generator(file.root.frames, samples, race):
            if not taken(len(images)):
                return


def _generator(dataset: tables.Array, samples: SampleTable, race: Race) -> Iterator[Image]:
    random = np.random.default_rng(race.seed)
    while True:
        for chunk in random.permutation(-(-dataset.nrows // _FRAMES_PER_CHUNK)):
            yield from _batches(dataset, samples, int(chunk) * _FRAMES_PER_CHUNK, race, random)


def _batches(
    dataset: tables.Array, samples: SampleTable, first: int, race: Race, random: np.random.Generator
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
