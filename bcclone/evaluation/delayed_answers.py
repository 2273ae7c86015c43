"""Delay a model's answers as the driver of its calibration follows them: answers -> answers.

A person who is late turns the wheel gradually towards where the network would have it. An
exponential mean, a lag of first order, comes closer to that than the same answers later, and it
smooths the noise of the network: benchmarks/lab-log/2026-11.md has the figures.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate

import numpy as np

from bcclone.evaluation.frame_files import NamedFrame, seconds_of
from bcclone.system.numbers import exponential_mean


def delayed(
    steering: Mapping[str, float], files: Sequence[NamedFrame], seconds: float
) -> dict[str, float] | None:
    """Return the answers, later by some seconds, within each drive; None if a name is no time.

    Each becomes the exponential mean of the answers until then, whose mean delay is `seconds`. If
    `seconds` is below 0, the pictures are late, and each becomes the answer of that much later.

    steering: frame_id -> steering, for those of the files that could be read
    """
    names = [file.frame_id for file in files if file.frame_id in steering]
    times = seconds_of(names)
    if times is None:
        return None
    values = np.array([steering[name] for name in names])
    # drives are numbered among all files, because the first frame of one may be unreadable
    numbers = accumulate(file.begins for file in files)
    number_of = {file.frame_id: number for file, number in zip(files, numbers, strict=True)}
    another = np.diff([number_of[name] for name in names]) != 0
    back = np.diff(times) < 0
    later = np.empty(len(values))
    for drive in np.split(np.arange(len(values)), np.flatnonzero(another | back) + 1):
        if seconds > 0:
            later[drive] = exponential_mean(values[drive], times[drive], seconds)
        else:
            later[drive] = np.interp(times[drive] - seconds, times[drive], values[drive])
    return dict(zip(names, later.tolist(), strict=True))
