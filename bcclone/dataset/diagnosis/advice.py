"""Advise what to record next, by what recordings hold little of. In: what each holds. Out: up to five lines."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from bcclone.dataset.diagnosis.driven import Driven
from bcclone.system.arrays import FloatArray, IndexArray

RADII_M = (15, 25, 40, 70, 150)  # between the kinds of bends; beyond, the road is straight
_BEND = 0.25  # of the driver's usual sharpest steering: a bend, where radii are not known
_FEW_BENDS, _FEWEST_BEND_SECONDS, _FEWEST_SECONDS = 0.2, 10.0, 2.0  # of a kind's bends; of all of them; of a kind
_FEW_RECOVERIES, _RECOVERY_SECONDS = 4, 4.0  # from each edge
_ONE_LIGHT = 45.0  # of 255, between dark and bright frames
_LEAST_SECONDS = 120.0
_SHORTEST_SECONDS, _MOST_LINES = 10.0, 5


@dataclass(frozen=True)
class Coverage:
    """How much a recording covers.

    bends: seconds, (2, kinds), to the left and to the right, of each kind that RADII_M parts; or of one kind, where
    the radii are not known; brightness: of the frames, (frames,), 0 to 255, NaN for one that cannot be read;
    usable_seconds: of driving; from_edges: recoveries from the left and from the right edge, None if they cannot be
    counted; road: of our simulator that was recorded, None for another one.
    """

    bends: FloatArray
    brightness: FloatArray
    usable_seconds: float
    from_edges: tuple[int, int] | None = None
    road: str | None = None


def advise(recordings: Sequence[Coverage]) -> tuple[str, ...]:
    """Return lines of what to record beside the recordings, each with its seconds.

    A recording of which nothing can be used does not count: its faults are to be mended first.
    """
    recordings = [one for one in recordings if one.usable_seconds > 0]
    if not recordings:
        return ()
    road = next((one.road for one in recordings if one.road), None)
    lines = [*_more_bends(recordings, road), *_more_recoveries(recordings, road), *_more_light(recordings, road)]
    usable_seconds = sum(one.usable_seconds for one in recordings)
    if usable_seconds < _LEAST_SECONDS:
        missing = _LEAST_SECONDS - usable_seconds
        lines.append(f"{_rounded(missing)}: more of the same; or fine-tune models/any-road.h5 with what there is")
    return tuple(lines[:_MOST_LINES])


def seconds_of_bends(driven: Driven) -> FloatArray:
    """Return the seconds of bends, (2, kinds)."""
    bends = driven.bends_per_m()
    if bends is None:
        seconds = np.diff(driven.seconds, append=driven.seconds[-1])
        bend = _BEND * float(np.quantile(np.abs(driven.steering), 0.98))
        return np.array([[seconds[side * driven.steering > bend].sum()] for side in (-1, 1)])
    seconds, limits = np.diff(driven.seconds), 1 / np.array([np.inf, *RADII_M[::-1]])
    counts = [np.histogram(side * bends, [*limits[1:], np.inf], weights=seconds)[0] for side in (-1, 1)]
    return np.array(counts)[:, ::-1]


def _more_bends(recordings: Sequence[Coverage], road: str | None) -> Iterator[str]:
    if len({one.bends.shape for one in recordings}) == 1:
        bends = np.sum([one.bends for one in recordings], axis=0)
    else:
        bends = np.sum([one.bends.sum(axis=1, keepdims=True) for one in recordings], axis=0)
    if bends.sum() < _FEWEST_BEND_SECONDS:
        yield f"{_rounded(2 * _FEWEST_BEND_SECONDS)}: bends to both sides, of which there are {bends.sum():.0f} s"
        return
    for side, (those, others) in {"left": bends, "right": bends[::-1]}.items():
        few = np.flatnonzero((those < _FEW_BENDS * (those + others)) & (others >= _FEWEST_SECONDS))
        for kinds in np.split(few, np.flatnonzero(np.diff(few) > 1) + 1) if len(few) else ():
            have, beside = those[kinds].sum(), others[kinds].sum()
            yield (
                f"{_rounded(beside / 2 - have)}: {side} bends{_radii(kinds, len(those))}, of which there are "
                f"{have:.0f} s, {beside:.0f} s to the other side; drive the other way round{_play(road)}"
                + (", with --reverse or without" if road else "")
            )


def _radii(kinds: IndexArray, count: int) -> str:
    """Return the radii of kinds of bends that follow one another, of so many kinds, the sharpest first."""
    if count == 1:
        return ""
    first, last = int(kinds[0]), int(kinds[-1])
    return f" of {RADII_M[first - 1]} to {RADII_M[last]} m" if first else f" of up to {RADII_M[last]} m"


def _more_recoveries(recordings: Sequence[Coverage], road: str | None) -> Iterator[str]:
    counted = [one.from_edges for one in recordings if one.from_edges]
    if not counted:
        return
    counts = {"left": sum(left for left, _ in counted), "right": sum(right for _, right in counted)}
    missing = {side: _FEW_RECOVERIES - count for side, count in counts.items() if count < _FEW_RECOVERIES}
    if missing:
        yield (
            f"{_rounded(_RECOVERY_SECONDS * sum(missing.values()))}: recoveries from the {' and the '.join(missing)} "
            f"edge, of which there are {' and '.join(str(counts[side]) for side in missing)}: "
            f"pause the recording, drive to the edge, and record the way back{_play(road)}"
        )


def _more_light(recordings: Sequence[Coverage], road: str | None) -> Iterator[str]:
    brightness = np.concatenate([np.zeros(0), *(one.brightness for one in recordings)])
    brightness = brightness[np.isfinite(brightness)]
    if len(brightness) and np.subtract(*np.quantile(brightness, (0.95, 0.05))) < _ONE_LIGHT:
        how = (
            f": bcclone simulate record other-light --road {shlex.quote(road)} --light 0.6 --sun-elevation 20"
            if road
            else ""
        )
        yield f"{_rounded(_LEAST_SECONDS / 2)}: another light, for all frames are alike in brightness{how}"


def _play(road: str | None) -> str:
    return f": bcclone play -o more --road {shlex.quote(road)}" if road else ""


def _rounded(seconds: float) -> str:
    """Return seconds in words, rounded up to tens, and ten at least."""
    return f"{max(_SHORTEST_SECONDS, 10 * ceil(seconds / 10)):.0f} s"
