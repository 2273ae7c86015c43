"""Advise what to record next, by what a recording holds little of. In: its rows and counts. Out: up to five lines."""

from collections.abc import Iterator, Sequence
from math import ceil
from typing import NamedTuple

import numpy as np

from bcclone.dataset.diagnosis.driven import Driven
from bcclone.dataset.diagnosis.picture_faults import Look

_BEND = 0.25  # of the driver's usual sharpest steering
_FEW_BENDS, _FEWEST_BEND_SECONDS = 0.2, 10.0  # of the bends; of all of them
_FEW_RECOVERIES, _RECOVERY_SECONDS = 4, 4.0  # from each edge
_ONE_LIGHT = 45.0  # of 255, between dark and bright frames
_LEAST_SECONDS = 120.0
_SHORTEST_SECONDS, _MOST_LINES = 10.0, 5


class Known(NamedTuple):
    """What is known of a recording beside its rows and frames.

    from_edges: recoveries from the left and from the right edge, None if they cannot be counted; road: of our simulator
    that was recorded, None for another one.
    """

    from_edges: tuple[int, int] | None = None
    road: str | None = None


NOTHING_KNOWN = Known()


def advise(driven: Driven, looks: Sequence[Look], usable_seconds: float, known: Known) -> tuple[str, ...]:
    """Return lines of what to record next, each with its seconds."""
    from_edges, road = known
    lines = [*_bends(driven, road), *_recoveries(from_edges, road), *_light(looks, road)]
    if usable_seconds < _LEAST_SECONDS:
        missing = _LEAST_SECONDS - usable_seconds
        lines.append(f"{_rounded(missing)}: more of the same; or fine-tune models/any-road.h5 with what there is")
    return tuple(lines[:_MOST_LINES])


def _bends(driven: Driven, road: str | None) -> Iterator[str]:
    steps = np.diff(driven.seconds, append=driven.seconds[-1])
    bend = _BEND * float(np.quantile(np.abs(driven.steering), 0.98))
    left, right = (float(steps[each].sum()) for each in (driven.steering < -bend, driven.steering > bend))
    if left + right < _FEWEST_BEND_SECONDS:
        yield f"{_rounded(2 * _FEWEST_BEND_SECONDS)}: bends to both sides, of which there are {left + right:.0f} s"
        return
    side, seconds, others = ("left", left, right) if left < right else ("right", right, left)
    if seconds < _FEW_BENDS * (left + right):
        yield (
            f"{_rounded(others / 2 - seconds)}: bends to the {side}, of which there are {seconds:.0f} s, and "
            f"{others:.0f} s to the other side; drive the road in the other direction{_play(road)}"
            + (", with --reverse or without" if road else "")
        )


def _recoveries(from_edges: tuple[int, int] | None, road: str | None) -> Iterator[str]:
    if from_edges is None:
        return
    missing = {side: _FEW_RECOVERIES - count for side, count in zip(("left", "right"), from_edges, strict=True)}
    edges = [side for side, count in missing.items() if count > 0]
    if edges:
        seconds = _RECOVERY_SECONDS * sum(missing[side] for side in edges)
        yield (
            f"{_rounded(seconds)}: recoveries from the {' and the '.join(edges)} edge, "
            f"of which there are {' and '.join(str(_FEW_RECOVERIES - missing[side]) for side in edges)}: "
            f"pause the recording, drive to the edge, and record the way back{_play(road)}"
        )


def _light(looks: Sequence[Look], road: str | None) -> Iterator[str]:
    means = np.array([look.mean for look in looks])
    means = means[np.isfinite(means)]
    if len(means) and np.subtract(*np.quantile(means, (0.95, 0.05))) < _ONE_LIGHT:
        how = f": bcclone simulate record other-light --road {road} --light 0.6 --sun-elevation 20" if road else ""
        yield f"{_rounded(_LEAST_SECONDS / 2)}: another light, for all frames are alike in brightness{how}"


def _play(road: str | None) -> str:
    return f": bcclone play -o more --road {road}" if road else ""


def _rounded(seconds: float) -> str:
    """Return seconds, rounded up to tens."""
    return f"{max(_SHORTEST_SECONDS, 10 * ceil(seconds / 10)):.0f} s"
