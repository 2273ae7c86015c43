"""Judge scores: windows before the car leaves the road against windows of undisturbed driving.

The protocol follows SelfOracle (ICSE 2020), ThirdEye (ASE 2022) and R. Grewal, P. Tonella and A. Stocco, "Predicting
safety misbehaviours in autonomous driving systems using uncertainty quantification", ICST 2024
(https://arxiv.org/abs/2404.18573). The scores of a window of one second are averaged. A window that ends 1, 2 or 3 s
(the reaction time) before the car leaves the road is positive, the windows of undisturbed drives are negative. An
alarm is an average above the threshold.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bcclone.arrays import FloatArray
from bcclone.monitor.settings import WINDOW_SECONDS

REACTION_SECONDS = (1, 2, 3)
_BETA = 3.0  # of the F score: how much more recall counts than precision


@dataclass(frozen=True)
class ScoredDrive:
    """The scores of a drive.

    seconds, scores: of each frame, (frames,); departures: when the car left the road, in seconds.
    """

    seconds: FloatArray
    scores: FloatArray
    departures: FloatArray


@dataclass(frozen=True)
class Detection:
    """How well alarms announce departures. auc: area under the ROC curve; f3: recall counts nine times."""

    reaction_seconds: int
    positives: int
    negatives: int
    precision: float
    recall: float
    f3: float
    auc: float


def windows_before_departures(drive: ScoredDrive, reaction_seconds: float) -> FloatArray:
    """Return the averages of the windows that end this long before each departure, (windows,).

    A departure counts if the car had been on its own for the whole window: since the start, or since it was set back.
    """
    averages, free_since = [], 0.0
    for departure in drive.departures:
        end = departure - reaction_seconds
        if end - WINDOW_SECONDS >= free_since:
            within = (drive.seconds > end - WINDOW_SECONDS) & (drive.seconds <= end)
            averages.append(float(drive.scores[within].mean()))
        free_since = departure
    return np.array(averages)


def windows_without_departures(drive: ScoredDrive, margin_seconds: float = 0.0) -> FloatArray:
    """Return the averages of the consecutive windows of a drive, (windows,), without overlap.

    margin_seconds: windows that end less than this before a departure are left out, and those that contain one.
    """
    averages = []
    for end in np.arange(WINDOW_SECONDS, drive.seconds[-1] + 1e-9, WINDOW_SECONDS):
        begin = end - WINDOW_SECONDS
        if not ((drive.departures > begin) & (drive.departures <= end + margin_seconds)).any():
            averages.append(float(drive.scores[(drive.seconds > begin) & (drive.seconds <= end)].mean()))
    return np.array(averages)


def detect(reaction_seconds: int, positive: FloatArray, negative: FloatArray, threshold: float) -> Detection:
    """Return how well a threshold separates the averages of positive windows from those of negative ones."""
    found, false = int((positive > threshold).sum()), int((negative > threshold).sum())
    precision = found / max(found + false, 1)
    recall = found / max(len(positive), 1)
    weighed = _BETA**2 * precision + recall
    f3 = (1 + _BETA**2) * precision * recall / weighed if weighed else 0.0
    rounded = (round(value, 4) for value in (precision, recall, f3, auc(positive, negative)))
    return Detection(reaction_seconds, len(positive), len(negative), *rounded)


def auc(positive: FloatArray, negative: FloatArray) -> float:
    """Return the probability that a positive value is above a negative one, ties half; 0.5 without either."""
    if not (len(positive) and len(negative)):
        return 0.5
    above = (positive[:, None] > negative).mean() + 0.5 * (positive[:, None] == negative).mean()
    return float(above)


def pooled(parts: Sequence[FloatArray]) -> FloatArray:
    """Return the windows of several drives as one array."""
    return np.concatenate([np.empty(0), *parts])
