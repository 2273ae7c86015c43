"""h5py's fancy indexing of an HDF5 file, as most loaders have it: sorted indices, each once, as h5py asks for."""

import itertools

import h5py
import numpy as np

from bcclone.bench.feeds.race import Race, Taken
from bcclone.images import Image
from bcclone.store import Store


def deliver(race: Race, taken: Taken) -> None:
    """Hand over batches until there are enough."""
    with Store(race.store) as store:
        samples = store.samples[store.part(validation=False)]
    random = np.random.default_rng(race.seed)
    with h5py.File(race.store, "r") as file:
        for _ in itertools.count():
            order = random.permutation(len(samples))
            for start in range(0, len(order), race.batch_size):
                batch = samples[order[start : start + race.batch_size]]
                images = _read(file["frames"], batch["frame"], batch["flipped"])
                _steering = batch["steering"][:, np.newaxis]
                if not taken(len(images)):
                    return


def _read(dataset: h5py.Dataset, frames: np.ndarray, flipped: np.ndarray) -> Image:
    distinct, places = np.unique(frames, return_inverse=True)
    images = dataset[distinct][places]
    images[flipped] = images[flipped, :, ::-1]
    return np.asarray(images, np.uint8)
