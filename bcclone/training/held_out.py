"""Whether the held-out driving tells that a network has learned to steer."""

import math
from dataclasses import dataclass

import numpy as np

from bcclone.feed.selection import Selection
from bcclone.system.arrays import FloatArray, IndexArray
from bcclone.system.errors import number_of
from bcclone.system.statistics import block_jackknife, mean_around

LEARNED = "learned"
NOT_LEARNED = "not learned"
UNKNOWN = "unknown"

# Chosen on half of the networks of the lab log, 2026-12-01, and judged on the other half.
_FOLLOWS = 0.2  # of a network that has learned, the agreement is surely above this
_HARDLY_FOLLOWS = 0.35  # of one that has not, it is surely below this
_FEWEST_PARTS = 6
_LEAST_SPREAD = 0.01  # a quarter of a degree of the front wheels: a bend of 600 m radius
_CLEAR_HARM = 0.04  # one degree of the front wheels
_SMOOTHED_SECONDS = 1.0  # faster changes of the steering are the driver's hand, not the road
_GAP_SECONDS = 1.0  # rows farther apart are of two stretches
_STANDARD_ERRORS = 2.0
_FEWEST_ROWS = 12
_MOST_TIMES = 10  # of more driving than this, the estimate is too rough to be named


@dataclass(frozen=True)
class HeldOut:
    """What the held-out driving tells of a network.

    A mean error does not tell it. On a nearly straight road, always steering the same is hardly
    farther off than a network that drives whole laps; and a network that steers a tenth of each
    bend is nearer to the driver than that, and drives nowhere. So the question is whether the
    network's steering rises and falls with the driver's, and as much.
    """

    # How often the driver has begun to steer to another side of the recording's mean. Neighbouring
    # rows are nearly the same, so that this tells more than their number.
    parts: int
    spread: float  # mean distance of the driver's steering from that mean: what there is to learn
    # mean distance of the recordings' means from one another: in a recording of a single bend, its
    # mean tells more than what changes within it
    between: float
    # Of the network's steering with the driver's, see agreement_of(): 1 if it is the same, 0 if it
    # has nothing to do with it, and of always steering the same
    agreement: float
    agreement_error: float  # its standard error
    # by how much the network's mean error is larger than that of always steering the mean and than
    # that of never steering
    harm: float
    harm_error: float  # its standard error

    @property
    def least(self) -> float:
        """Return the lower end of the interval in which the agreement is."""
        return self.agreement - _STANDARD_ERRORS * self.agreement_error

    @property
    def greatest(self) -> float:
        return self.agreement + _STANDARD_ERRORS * self.agreement_error

    @property
    def is_far_off(self) -> bool:
        """Return whether the network surely steers so wrongly that no road makes it right."""
        return self.harm - _STANDARD_ERRORS * self.harm_error > _CLEAR_HARM

    @property
    def hardly_changes(self) -> bool:
        """Return whether the driver's steering hardly changes within each recording."""
        return self.spread < max(_LEAST_SPREAD, self.between / 2)

    @property
    def verdict(self) -> str:
        """Return LEARNED or NOT_LEARNED if that is shown, else UNKNOWN."""
        if self.is_far_off:
            return NOT_LEARNED
        if self.parts < _FEWEST_PARTS or self.hardly_changes:
            return UNKNOWN
        if self.greatest < _HARDLY_FOLLOWS:
            return NOT_LEARNED
        return LEARNED if self.least > _FOLLOWS else UNKNOWN

    @property
    def needed(self) -> float:
        """Return how many times as much of such driving it takes to tell, about."""
        if self.parts < _FEWEST_PARTS:
            return _FEWEST_PARTS / max(self.parts, 1)
        # the error falls with the square root of the driving
        margin = _STANDARD_ERRORS * self.agreement_error
        away = max(self.agreement - _FOLLOWS, _HARDLY_FOLLOWS - self.agreement)
        return float((margin / away) ** 2)

    def reason(self) -> str:
        """Return in words what the verdict follows from."""
        if self.is_far_off:
            return (
                f"its mean error is {self.harm:.2f} larger than that of always steering the mean, "
                "or straight on"
            )
        if self.hardly_changes:
            return "in each recording, the steering that was held back hardly changes"
        if self.parts < _FEWEST_PARTS:
            turns = number_of(self.parts, "time")
            return (
                f"in the driving that was held back, the driver turns {turns} to a side of the "
                f"mean steering, expected {_FEWEST_PARTS} or more"
            )
        return (
            "in the driving that was held back, its steering agrees with the driver's by "
            f"{self.agreement:.2f} ({self.least:.2f} to {self.greatest:.2f}), where 1 is the same, "
            "and always steering the same is 0, even where its mean error is smaller"
        )

    def remedy(self) -> str:
        """Return in words what makes an UNKNOWN network one that can be judged."""
        if self.hardly_changes:
            return "record longer drives on a road with bends to both sides"
        times = math.ceil(self.needed)
        much = f"{times} times as much" if 2 <= times <= _MOST_TIMES else "more"
        words = f"record {much} of such driving, or a road with more bends"
        return words if self.parts < _FEWEST_PARTS else f"{words}, or train longer"


def agreement_of(steering: FloatArray, driven: FloatArray, recording: IndexArray) -> float:
    """Return how well a steering agrees with the driver's within each recording.

    This is the concordance correlation of L. I. Lin, "A concordance correlation coefficient to
    evaluate reproducibility", Biometrics 45, 1989, around the means of each recording: a network
    that only knows that one drive turns to the left, and another to the right, does not follow the
    road. A steering that is always the same gives 0.

    steering, driven, recording: (rows,) each; the last is the number of each row's recording
    """
    both = square = 0.0
    for number in np.unique(recording):
        rows = recording == number
        mine, its = steering[rows], driven[rows]
        both += 2 * float(((mine - mine.mean()) * (its - its.mean())).sum())
        spreads = len(mine) * (mine.var() + its.var() + (mine.mean() - its.mean()) ** 2)
        square += float(spreads)
    return both / square if square else 0.0


def judge_held_out(
    validation: Selection, mean_steering: float, steering: FloatArray
) -> HeldOut | None:
    """Return what the held-out driving tells of a network; None if it is next to nothing.

    mean_steering: of the training samples
    steering: the network's, for all validation samples, (samples,)
    """
    first = validation.first_of_row
    if len(first) < _FEWEST_ROWS:
        return None
    labels = validation.labels[first, 0].astype(np.float64)
    steered = steering[first].astype(np.float64)
    rows = validation.data.rows[validation.row[first]]
    recording = rows["recording"].astype(np.int64)
    seconds = rows["time_ms"].astype(np.float64) / 1000
    begins = (np.diff(rows["episode"]) != 0) | (np.abs(np.diff(seconds)) > _GAP_SECONDS)
    stretch = np.append(0, np.cumsum(begins | (np.diff(recording) != 0)))
    # each stretch has times of its own, so that they rise over all of them
    times = seconds - seconds.min() + stretch * (np.ptp(seconds) + 2 * _GAP_SECONDS)
    driven, smooth = (
        mean_around(times, values, _SMOOTHED_SECONDS, np.ones(len(values)), stretch)
        for values in (labels, steered)
    )
    _, place, counts = np.unique(recording, return_inverse=True, return_counts=True)
    means = (np.bincount(place, driven) / counts)[place]
    away = driven - means
    spread = float(np.abs(away).mean())
    between = float(np.abs(means - driven.mean()).mean())
    # near the mean, neither side counts
    sides = np.where(np.abs(away) > spread / 4, np.sign(away), 0.0)
    counted = sides != 0
    side = sides[counted]
    stretch_of_side = stretch[counted]
    changes = (np.diff(side) != 0) | (np.diff(stretch_of_side) != 0)
    parts = int(changes.sum()) + bool(side.size)

    def agreement(kept: IndexArray) -> float:
        return agreement_of(smooth[kept], driven[kept], recording[kept])

    of_network = np.abs(steered - labels)
    of_constants = np.abs(labels - mean_steering), np.abs(labels)

    def harm(kept: IndexArray) -> float:
        farther = max(of_constant[kept].mean() for of_constant in of_constants)
        return float(of_network[kept].mean() - farther)

    every = np.arange(len(first))
    return HeldOut(
        parts=parts,
        spread=round(spread, 5),
        between=round(between, 5),
        agreement=round(agreement(every), 5),
        agreement_error=round(block_jackknife(len(first), agreement), 5),
        harm=round(harm(every), 5),
        harm_error=round(block_jackknife(len(first), harm), 5),
    )
