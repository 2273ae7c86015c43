"""An epoch's order -> how well it mixes: what of the driving a batch holds, beside the same of a global shuffle."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bcclone.feed.order import Order
from bcclone.store import Store

_STRETCH_MS = 10_000


@dataclass(frozen=True)
class Drive:
    """Of each training sample, (samples,): its steering, -1 to 1, and the number of its ten seconds of the clock."""

    steering: npt.NDArray[np.float32]
    stretch: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Quality:
    """stretches: how many a batch holds, on average; spread: standard deviation of the batches' mean |steering|.

    Of the amount and not of the signed steering, which mirrored samples bring to 0 in any batch.
    """

    stretches: float
    spread: float


def drive_of(store: Store) -> Drive:
    """Return the driving behind a store's training samples."""
    samples = store.samples[store.part(validation=False)]
    _, stretch = np.unique(store.rows["time_ms"] // _STRETCH_MS, return_inverse=True)
    return Drive(samples["steering"].copy(), stretch[samples["row"]].astype(np.int64))


def quality(drive: Drive, order: Order, batch_size: int) -> Quality:
    """Judge an order by its whole batches."""
    batches = order[: len(order) // batch_size * batch_size].reshape(-1, batch_size)
    ranked = np.sort(drive.stretch[batches], axis=1)
    stretches = 1 + (np.diff(ranked, axis=1) != 0).sum(axis=1)
    return Quality(float(stretches.mean()), float(np.abs(drive.steering[batches]).mean(axis=1).std()))
