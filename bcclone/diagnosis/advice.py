"""What recordings show -> lines that say what to record next, and for how many seconds."""

import shlex
from collections.abc import Iterator, Sequence
from math import ceil

import numpy as np

from bcclone.diagnosis.judging import Diagnosis
from bcclone.diagnosis.rows import RADII_M
from bcclone.system.numbers import FloatArray, runs

_LEAST_SECONDS = 120.0  # from less driving, a model has too little to learn


def advise(recordings: Sequence[Diagnosis]) -> tuple[str, ...]:
    """Return lines that say what else to record, each with its seconds.

    A recording without a usable row does not count: its faults must be mended first.
    """
    most_lines = 5
    usable = [recording for recording in recordings if recording.usable_seconds > 0]
    if not usable:
        return ()
    road = next((recording.road for recording in usable if recording.road), None)
    lines = [
        *_more_bends(usable, road),
        *_another_light(usable, road),
        *_more_seconds(usable),
    ]
    return tuple(lines[:most_lines])


def _more_bends(recordings: Sequence[Diagnosis], road: str | None) -> Iterator[str]:
    """Yield a line for each side to which there are few bends, and kind of bend."""
    few_share = 0.2  # bends to a side are few if they are less than this share of both sides'
    fewest_bend_seconds = 10.0  # with fewer seconds of bends in all, kinds are not compared
    fewest_seconds = 2.0  # a kind counts only if it lasts this long to the other side
    bends = _all_bends(recordings)
    if bends.sum() < fewest_bend_seconds:
        yield (
            f"{_rounded(2 * fewest_bend_seconds)}: bends to both sides, of which there are "
            f"{bends.sum():.0f} s"
        )
        return
    for side, (here, opposite) in {"left": bends, "right": bends[::-1]}.items():
        is_few = (here < few_share * (here + opposite)) & (opposite >= fewest_seconds)
        for first, last in runs(np.flatnonzero(is_few)):
            have = here[first : last + 1].sum()
            have_opposite = opposite[first : last + 1].sum()
            radii = _radii(first, last) if len(here) > 1 else ""
            line = (
                f"{_rounded(have_opposite / 2 - have)}: {side} bends{radii}, of which there are "
                f"{have:.0f} s, {have_opposite:.0f} s to the other side; drive the other way round"
                f"{_play(road)}"
            )
            if road:
                line += ", with --reverse or without"
            yield line


def _all_bends(recordings: Sequence[Diagnosis]) -> FloatArray:
    """Return the seconds of bends in all recordings, (2, kinds); one kind if some know no radii."""
    known = [recording.bends for recording in recordings if recording.bends is not None]
    if len({bends.shape for bends in known}) > 1:
        known = [bends.sum(axis=1, keepdims=True) for bends in known]
    return np.asarray(np.sum(known, axis=0))


def _radii(first: int, last: int) -> str:
    """Return the radii of the kinds `first` to `last` of bends in words."""
    least = RADII_M[first - 1] if first else "up"  # "of up to 15 m"
    return f" of {least} to {RADII_M[last]} m"


def _another_light(recordings: Sequence[Diagnosis], road: str | None) -> Iterator[str]:
    """Yield a line if all frames are alike in brightness."""
    one_light = 45.0  # of 255; with a smaller range of brightness, there is only one light
    known = [item.brightness for item in recordings if item.brightness is not None]
    brightness = np.concatenate(known)
    bright, dark = np.nanquantile(brightness, (0.95, 0.05))
    if bright - dark < one_light:
        seconds = _rounded(_LEAST_SECONDS / 2)
        line = f"{seconds}: another light, for all frames are alike in brightness"
        if road:
            how = f"--road {shlex.quote(road)} --light 0.6 --sun-elevation 20"
            line += f": bcclone simulate record other-light {how}"
        yield line


def _more_seconds(recordings: Sequence[Diagnosis]) -> Iterator[str]:
    usable_seconds = sum(recording.usable_seconds for recording in recordings)
    if usable_seconds < _LEAST_SECONDS:
        missing = _LEAST_SECONDS - usable_seconds
        yield (
            f"{_rounded(missing)}: more of the same; or fine-tune models/any-road.h5 "
            "(any-camera.h5 for a real car)"
        )


def _play(road: str | None) -> str:
    """Return the command that records more on a road of our simulator, "" for another one."""
    if not road:
        return ""
    return f": bcclone play -o more --road {shlex.quote(road)}"


def _rounded(seconds: float) -> str:
    """Return seconds in words, rounded up to tens, and ten at least."""
    shortest = 10.0
    return f"{max(shortest, 10 * ceil(seconds / 10)):.0f} s"
