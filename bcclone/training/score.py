"""How well a driver agrees with the validation samples.

A driver is anything that answers with a steering, such as a model, or one that always steers the
same.
"""

import math
from dataclasses import dataclass

import numpy as np

from bcclone.feed.selection import Selection
from bcclone.system.arrays import FloatArray
from bcclone.system.statistics import correlation
from bcclone.training.training_state import Epoch


def right_side(steering: FloatArray, labels: FloatArray, beyond: float) -> float | None:
    """Return the share of the turns in which the steering is to the label's side, the correct one.

    Returns None if there are no turns.

    steering, labels: (values,) each
    beyond: a row is a turn if the absolute value of its label is larger than this
    """
    turns = np.abs(labels) > beyond
    if not turns.any():
        return None
    return float((steering[turns] * labels[turns] > 0).mean())


@dataclass(frozen=True)
class ValidationScore:
    """How well a driver agrees with the validation samples."""

    loss: float
    mae: float
    # the next two are computed from one sample of each recorded row, without mirror images
    # Pearson's correlation of steering and label; None if one of them is constant
    correlation: float | None
    # among the frames whose label is clearly left or right: fraction steered to the label's side
    right_side: float | None

    @classmethod
    def of_epoch(cls, epoch: Epoch) -> "ValidationScore | None":
        """Return the score of the model after an epoch; None without validation samples."""
        if epoch.val_loss is None or epoch.val_mae is None:
            return None
        return cls(epoch.val_loss, epoch.val_mae, epoch.val_correlation, epoch.val_right_side)

    @classmethod
    def of(
        cls, validation: Selection, loss: float, mae: float, steering: FloatArray
    ) -> "ValidationScore":
        """Return the score of a driver, by its steering for all validation samples.

        loss, mae: mean loss and mean absolute error of that steering
        steering: (samples,)
        """
        if not math.isfinite(loss):
            return cls(loss, mae, None, None)
        # one sample of each row: what the driver steers, and its label
        driven = steering[validation.first_of_row]
        labels = validation.labels[validation.first_of_row, 0]
        # if a label is about straight ahead, neither side is the correct one; so small labels do
        # not count: those up to 0.05, or on straighter roads the smaller half
        small = min(0.05, float(np.median(np.abs(labels))))
        return cls(loss, mae, correlation(driven, labels), right_side(driven, labels, small))

    def is_better_than(self, other: "ValidationScore") -> bool:
        """Return whether this driver is clearly better: by the correlation, else by the loss.

        The loss alone can mislead: on a nearly straight road, a network that stops reacting to
        bends has a lower loss. So the loss decides only when the correlations are about equal.
        """
        mine = self.correlation or 0.0
        others = other.correlation or 0.0
        if abs(mine - others) > 0.05:  # less is noise
            return mine > others
        equal_loss = 0.01  # as a fraction of the other loss; a smaller gain is noise
        return self.loss < (1 - equal_loss) * other.loss


def score_mean(training: Selection, validation: Selection) -> ValidationScore:
    """Score the driver that always steers the mean of the training samples.

    For a mirror image it steers the opposite.
    """
    # one sample of each row: the steering as it was recorded, not mirrored
    mean = float(training.labels[training.first_of_row, 0].mean())
    steering = np.where(validation.flipped, -mean, mean)
    errors = steering - validation.labels[:, 0]
    loss = float(np.mean(errors**2))
    return ValidationScore.of(validation, loss, float(np.abs(errors).mean()), steering)
