"""The steering and the turns of the camera -> the stretches of a drive in which both agree alike.

A fault of the steering has a beginning and an end. Each moment of a drive is explained by one of a
few hypotheses, and a change from one to another costs a penalty. The sequence of hypotheses that
explains the whole drive best gives the stretches. It is found by dynamic programming (A. Viterbi,
IEEE Transactions on Information Theory 13, 1967). How probable each hypothesis is at a step, the
forward-backward algorithm tells (L. Rabiner, Proceedings of the IEEE 77, 1989).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bcclone.diagnosis.agreement import Agreement, Signals, likely_lags
from bcclone.diagnosis.drive_rows import DriveRows
from bcclone.diagnosis.steering_model import (
    UNRELATED,
    Hypothesis,
    Kind,
    SteeringModel,
    hypotheses_of,
    log_likelihoods,
    models_of,
    refitted,
)
from bcclone.system.arrays import BoolArray, FloatArray, IndexArray, numbers_in


@dataclass(frozen=True)
class Stretch:
    """Successive rows whose steering follows the turns of the camera alike."""

    kind: Kind
    first: int  # index of the first row
    last: int  # index of the last row
    good_rows: float  # how many of its rows are probably as usual


def rows_of(stretches: Sequence[Stretch]) -> IndexArray:
    """Return the indices of the rows of some stretches, rising."""
    return np.unique(numbers_in((stretch.first, stretch.last) for stretch in stretches))


@dataclass(frozen=True)
class Segmentation:
    """The stretches of a drive, and how well each hypothesis explains its steps.

    Arrays are (compared,): of the steps whose turns and steering are known.
    """

    rows: DriveRows
    model: SteeringModel
    hypotheses: tuple[Hypothesis, ...]
    steps: IndexArray  # indices of the compared steps
    logs: FloatArray  # logarithm of the likelihood of each step, (compared, hypotheses)
    penalties: FloatArray  # of a change to each hypothesis before each step, likewise
    path: IndexArray  # index of the hypothesis of each step

    @property
    def log_probability(self) -> float:
        """Return the logarithm of how probable the steering is, if the path is right."""
        changes = np.flatnonzero(self.path[1:] != self.path[:-1]) + 1
        return float(self._of_path.sum() - self.penalties[changes, self.path[changes]].sum())

    @property
    def _of_path(self) -> FloatArray:
        return np.asarray(self.logs[np.arange(len(self.path)), self.path])

    @cached_property
    def are_usual(self) -> BoolArray:
        """Return which of the compared steps are as usual, (compared,)."""
        return _are_usual(self.hypotheses)[self.path]

    @cached_property
    def stretches(self) -> tuple[Stretch, ...]:
        """Return the stretches that are surely not as usual; none unless `is_trusted`."""
        return self._unusual if self.is_trusted else ()

    @cached_property
    def is_trusted(self) -> bool:
        """Return whether the usual part of the drive tells what is usual.

        It must be long, and its steering must clearly follow its turns: a few seconds agree by
        chance.
        """
        least_share = 0.4  # of the rows: the usual part is long if it has more
        least_seconds = 30.0  # or if it lasts longer
        # Of the gain of the usual part for each second. In 14 recordings without a fault it was 1.1
        # to 2.4, with the steering of another recording up to 0.8.
        least_gain = 0.9
        rows = rows_of(self._unusual)
        share = 1 - len(rows) / len(self.rows)
        seconds = self.rows.step_seconds.sum() - self.rows.step_seconds[rows].sum()
        is_long = share >= least_share or seconds >= least_seconds
        usual_gain = float(self._gains[self.are_usual].sum())
        return bool(is_long and usual_gain >= least_gain * seconds)

    @cached_property
    def _gains(self) -> FloatArray:
        """Return how much more probable each compared step is than unrelated steering.

        It is the natural logarithm of that ratio.
        """
        return self._of_path - self.logs[:, self.hypotheses.index(UNRELATED)]

    @cached_property
    def _usual_share(self) -> FloatArray:
        """Return how probable it is that a step is as usual, 0 to 1."""
        probable = _probabilities(self.logs, self.penalties)
        return np.asarray(probable[:, _are_usual(self.hypotheses)].sum(axis=1))

    @cached_property
    def _unusual(self) -> tuple[Stretch, ...]:
        kinds = np.array([hypothesis.kind for hypothesis in self.hypotheses])[self.path]
        last_row = len(self.rows) - 1
        # a row belongs to the step with which its steering was compared
        times = self.rows.middles[self.steps] + self.model.lag
        row_of_step = np.minimum(np.searchsorted(self.rows.seconds, times), last_row)
        stretches = []
        changes = np.flatnonzero(kinds[1:] != kinds[:-1]) + 1
        for part in np.split(np.arange(len(kinds)), changes):
            kind = Kind(kinds[part[0]])
            if kind is Kind.USUAL:
                continue
            # nothing is known of the rows before the first step and after the last one
            first = int(row_of_step[part[0]]) if part[0] > 0 else 0
            last = int(row_of_step[part[-1]]) if part[-1] < len(kinds) - 1 else last_row
            good_rows = float(self._usual_share[part].mean()) * (last - first + 1)
            stretches.append(Stretch(kind, first, last, good_rows))
        return tuple(stretches)

    def support(self, rows: IndexArray) -> float:
        """Return how much speaks for some rows being of this drive: a logarithm, as of a gain.

        It is below 0 if nearly all of them are surely not as usual.

        rows: indices of the rows, rising
        """
        nearly_all = 0.8  # share of their steps
        not_at_all = -5.0
        part = np.isin(self.steps, rows[:-1])  # the step after the last row leads out of them
        usual = self.are_usual[part]
        if len(usual) and 1 - usual.mean() > nearly_all:
            return not_at_all
        return float(self._gains[part][usual].sum())


def segmented(signals: Signals, agreement: Agreement | None = None) -> Segmentation | None:
    """Return the stretches of a drive; None if its steering cannot be compared with its turns.

    agreement: of the whole drive; if it agrees at a far delay, the stretches are found at that one
    """
    rounds = 2  # in each, the model is fitted again to the stretches that are as usual
    count = len(signals.rows)
    if count < 2 or not signals.can_be_compared:
        return None
    tried = [_explained(signals, model) for model in models_of(signals, likely_lags(agreement))]
    if not tried:
        return None
    # what most of a drive is like is usual, also if all of its steering is mirrored
    found = max(tried, key=lambda tried: (tried.are_usual.mean() > 0.5, tried.log_probability))
    for _ in range(rounds):
        usual = np.zeros(count - 1, np.bool_)
        usual[found.steps[found.are_usual]] = True
        model = refitted(signals, found.model, usual)
        if model is None:
            break
        found = _explained(signals, model)
    return found


def _explained(signals: Signals, model: SteeringModel) -> Segmentation:
    """Return how well each hypothesis explains each step, if the rest is as the model says."""
    independent_seconds = 0.8  # the errors of steps that are closer together are alike
    longest_step = 0.5  # seconds that a step counts at most
    rows = signals.rows
    steering = signals.later(signals.steering, model.lag)
    steps = np.flatnonzero(signals.turns.usable & np.isfinite(steering))
    hypotheses = hypotheses_of(is_speed_known=rows.speed_mph is not None)
    logs = log_likelihoods(hypotheses, signals, model, steps)
    seconds = np.minimum(np.diff(rows.seconds)[steps], longest_step)
    logs *= (seconds / independent_seconds)[:, np.newaxis]

    # The penalty of a change is small where the picture does not go on from the one before,
    # although no time passes: there pictures of another drive, or mirrored ones, may begin or end.
    least_match = 0.12  # of a picture that goes on from the one before, also in a sharp bend
    at_cut = 1.0
    penalties = np.tile([hypothesis.penalty for hypothesis in hypotheses], (len(steps), 1))
    cuts = np.flatnonzero(rows.follows & (signals.turns.match < least_match))
    after_cuts = np.searchsorted(steps, cuts)
    after_cuts = after_cuts[after_cuts < len(steps)]
    penalties[after_cuts] = np.minimum(penalties[after_cuts], at_cut)
    path = _most_probable_path(logs, penalties, may_end=_are_usual(hypotheses))
    return Segmentation(rows, model, hypotheses, steps, logs, penalties, path)


def _are_usual(hypotheses: Sequence[Hypothesis]) -> BoolArray:
    return np.array([hypothesis.kind is Kind.USUAL for hypothesis in hypotheses])


def _most_probable_path(logs: FloatArray, penalties: FloatArray, may_end: BoolArray) -> IndexArray:
    """Return the most probable sequence of hypotheses, (steps,).

    logs: logarithm of the likelihood of each step, (steps, hypotheses)
    penalties: of a change to each hypothesis before each step, (steps, hypotheses)
    may_end: in which hypotheses a drive begins and ends without a penalty, (hypotheses,)
    """
    steps, count = logs.shape
    path = np.zeros(steps, np.int64)
    if not steps:
        return path
    own = np.arange(count)
    came_from = np.zeros((steps, count), np.int64)
    total = logs[0] - np.where(may_end, 0.0, penalties[0])
    for step in range(1, steps):
        best = int(np.argmax(total))
        changed = total[best] - penalties[step]
        stays = total >= changed
        came_from[step] = np.where(stays, own, best)
        total = np.where(stays, total, changed) + logs[step]
    path[-1] = int(np.argmax(total - np.where(may_end, 0.0, penalties[-1])))
    for step in range(steps - 1, 0, -1):
        path[step - 1] = came_from[step, path[step]]
    return path


def _probabilities(logs: FloatArray, penalties: FloatArray) -> FloatArray:
    """Return how probable each hypothesis is at each step, (steps, hypotheses)."""
    forward = np.zeros_like(logs)
    backward = np.zeros_like(logs)
    forward[0] = logs[0]
    for step in range(1, len(logs)):
        before = forward[step - 1]
        changed = np.logaddexp.reduce(before) - penalties[step]
        forward[step] = np.logaddexp(before, changed) + logs[step]
    for step in range(len(logs) - 2, -1, -1):
        after = backward[step + 1] + logs[step + 1]
        changed = np.logaddexp.reduce(after - penalties[step + 1])
        backward[step] = np.logaddexp(after, changed)
    both = forward + backward
    return np.asarray(np.exp(both - np.logaddexp.reduce(both, axis=1, keepdims=True)))
