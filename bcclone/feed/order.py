"""Seed and epoch -> the order of the samples; nothing else decides it, and nothing is fetched here."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Order = npt.NDArray[np.uint32]


def sequential(size: int) -> Order:
    """Return 0, 1, ... size - 1."""
    return np.arange(size, dtype=np.uint32)


def shuffled(size: int, seed: int, epoch: int) -> Order:
    """Return a permutation of 0 ... size - 1 that depends on size, seed and epoch alone."""
    order = sequential(size)
    np.random.default_rng([seed, epoch]).shuffle(order)
    return order


def chunked(size: int, chunk_size: int, seed: int, epoch: int) -> Order:
    """Return the permutation that takes chunks of neighbours in random order and shuffles each within itself."""
    order = sequential(size)
    chunks = [order[start : start + chunk_size] for start in range(0, size, chunk_size)]
    random = np.random.default_rng([seed, epoch])
    for chunk in chunks:
        random.shuffle(chunk)
    return np.concatenate([order[:0], *(chunks[place] for place in random.permutation(len(chunks)))])


def batches(order: Order, batch_size: int) -> Iterator[Order]:
    """Yield the order in pieces of batch_size; the last may be shorter."""
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]
