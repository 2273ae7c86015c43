"""How well each hypothesis explains each step of a drive -> the sequence that explains it best.

A change of the hypothesis costs a penalty. The best sequence is found by dynamic programming (A.
Viterbi, IEEE Transactions on Information Theory 13, 1967). How probable each hypothesis is at a
step is found by the forward-backward algorithm (L. Rabiner, Proceedings of the IEEE 77, 1989).
"""

import numpy as np

from bcclone.system.numbers import BoolArray, FloatArray, IndexArray


def most_probable_path(logs: FloatArray, penalties: FloatArray, may_end: BoolArray) -> IndexArray:
    """Return the most probable sequence of hypotheses, (steps,), by dynamic programming.

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


def probabilities(logs: FloatArray, penalties: FloatArray) -> FloatArray:
    """Return how probable each hypothesis is at each step, (steps, hypotheses).

    By the forward-backward algorithm; arguments as for most_probable_path().
    """
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
