"""Delay a model's answers as the driver of its calibration steers later: answers -> answers."""

from collections.abc import Mapping, Sequence

import numpy as np

from bcclone.evaluation.frame_files import NamedFrame, seconds_of


def delayed(
    steering: Mapping[str, float], files: Sequence[NamedFrame], seconds: float
) -> dict[str, float] | None:
    """Return the answers of some seconds earlier, within each drive; None if no frame has a time.

    Before the first and after the last frame of a drive, its steering is taken as constant.

    steering: frame_id -> steering, for those of the files that could be read
    seconds: how much earlier; below 0, later
    """
    read = [file for file in files if file.frame_id in steering]
    times = seconds_of([file.frame_id for file in read])
    if times is None:
        return None
    values = np.array([steering[file.frame_id] for file in read])
    begins = np.array([file.begins for file in read])
    begins[0] = True
    moved = np.empty(len(values))
    for drive in np.split(np.arange(len(values)), np.flatnonzero(begins)[1:]):
        moved[drive] = np.interp(times[drive] - seconds, times[drive], values[drive])
    return {file.frame_id: float(value) for file, value in zip(read, moved, strict=True)}
