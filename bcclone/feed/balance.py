"""Order of an epoch -> the same order with fewer samples of driving straight on.

A keyboard is let go most of the time, so that half of a recording or more has a steering of exactly 0; a network
learns from it to do nothing. Which of them are left out is drawn anew for each epoch, so that all are seen in time.
"""

import numpy as np
import numpy.typing as npt

from bcclone.feed.order import Order
from bcclone.samples import RowTable, SampleTable

_NEARLY = 1e-6


def goes_straight(samples: SampleTable, rows: RowTable) -> npt.NDArray[np.bool_]:
    """Return which samples are of a row with a recorded steering of 0, bool (samples,)."""
    return np.asarray(np.abs(rows["steering"][samples["row"]]) < _NEARLY)


def balanced(order: Order, straight: npt.NDArray[np.bool_], share: float, seed: int, epoch: int) -> Order:
    """Return the order without so many samples of driving straight on that they are at most `share` of what is left.

    straight: bool (samples,) by position; the same size is left in every epoch.
    """
    places = np.flatnonzero(straight[order])
    surplus = len(places) - allowed(len(order) - len(places), len(places), share)
    if surplus <= 0:
        return order
    drawn = np.random.default_rng([seed, epoch, len(order)]).choice(places, surplus, replace=False)
    return np.delete(order, drawn)


def allowed(curved: int, straight: int, share: float) -> int:
    """Return how many of the straight samples stay beside `curved` others, so that they are at most `share` of all."""
    return straight if share >= 1 else min(straight, int(share * curved / (1 - share)))
