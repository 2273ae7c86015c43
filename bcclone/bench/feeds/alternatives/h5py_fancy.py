"""h5py's fancy indexing of an HDF5 file, as most loaders have it: sorted indices, each once, as h5py asks for."""

from collections.abc import Iterator

import h5py
import numpy as np

from bcclone.bench.feeds.race import Race, Taken
from bcclone.images import Image
from bcclone.samples import SampleTable
from bcclone.store import Store


def deliver(race: Race, taken: Taken) -> None:
    """Hand over batches until there are enough."""
    with Store(race.store) as store:
        samples = store.samples[store.part(validation=False)]
    with h5py.File(race.store, "r") as file:
        for images, _ in _generator(file["frames"], samples, race):
            if not taken(len(images)):
                return


def _generator(dataset: h5py.Dataset, samples: SampleTable, race: Race) -> Iterator[tuple[Image, np.ndarray]]:
    random = np.random.default_rng(race.seed)
    while True:
        order = random.permutation(len(samples))
        for start in range(0, len(order), race.batch_size):
            batch = samples[order[start : start + race.batch_size]]
            yield _read(dataset, batch["frame"], batch["flipped"]), batch["steering"][:, np.newaxis]


def _read(dataset: h5py.Dataset, frames: np.ndarray, flipped: np.ndarray) -> Image:
    distinct, places = np.unique(frames, return_inverse=True)
    images = dataset[distinct][places]
    images[flipped] = images[flipped, :, ::-1]
    return np.asarray(images, np.uint8)
