"""A plain Python generator over JPEG files, as the source projects have it: shuffled, decoded batch by batch."""

from collections.abc import Iterator

import numpy as np

from bcclone.bench.feeds.jpeg_samples import JpegSamples, jpeg_samples
from bcclone.bench.feeds.race import Race, Taken


def deliver(race: Race, taken: Taken) -> None:
    """Hand over batches until there are enough."""
    for images, _ in generate(jpeg_samples(race.store), race.batch_size, race.seed):
        if not taken(len(images)):
            return


def generate(samples: JpegSamples, batch_size: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield images, uint8 (batch, height, width, 3), and steering, float32 (batch, 1), epoch after epoch."""
    random = np.random.default_rng(seed)
    while True:
        order = random.permutation(len(samples))
        for start in range(0, len(order), batch_size):
            places = order[start : start + batch_size]
            images = [samples.image(place) for place in places]
            yield np.array(images), samples.steering[places][:, np.newaxis]
