"""Choose what to record next: the states of a road that do not come back -> kinds of places where a
person should record more.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bcclone.diagnosis.agreement import RADII_M
from bcclone.simulator.track import Track
from bcclone.system.errors import shown_command
from bcclone.system.numbers import FloatArray, IndexArray

_KINDS = 5  # most kinds of places that are proposed
_STRETCH_SECONDS = 10  # time to record for each stretch of road
_MOST_SECONDS = 60  # longest time to record for a kind of place
_FROM_EDGE_M = 0.5  # where the car begins: distance inside the largest offset on asphalt
_ONE_STRETCH_M = 30.0  # places nearer to each other are one stretch
_BRIDGE_SEEN_M = 20.0  # how far ahead a bridge changes what the car sees
_BEND_AHEAD_M = 25  # a place is named after the sharpest bend in this many metres ahead


@dataclass(frozen=True)
class RecordNext:
    """A kind of place where a person should record more, so that the model learns to come back."""

    seconds: int  # how long to record
    bend: str  # "left bends", "right bends", "straights" or "the bridge"
    radii_m: tuple[float, float] | None  # smallest and largest radius of these bends
    side: str  # side of the road on which the car should begin, "left" or "right"
    share_percent: float  # share of all states that do not come back which are of this kind
    start_m: float  # the worst place, in metres from the start of the lap
    start_offset_m: float  # where to begin there, in metres to the right of the middle

    @property
    def text(self) -> str:
        radii = ""
        if self.radii_m:
            low, high = (round(radius) for radius in self.radii_m)
            radii = f" of {low} m" if low == high else f" of {low} to {high} m"
        return f"{self.seconds} s: {self.bend}{radii}, from the {self.side} edge"

    def command(self, track: str, reverse: bool) -> str:
        """Return the command that opens the simulator at the worst place."""
        road = ["--road", track]
        if reverse:
            road.append("--reverse")
        start = (f"--start-m={self.start_m:g}", f"--start-offset-m={self.start_offset_m:g}")
        return shown_command("play", *road, *start)


def kinds_to_record(
    track: Track, along_m: FloatArray, limits_m: FloatArray, counts: IndexArray
) -> tuple[RecordNext, ...]:
    """Return the kinds of places with the most states that do not come back, the worst first.

    along_m: the places, in metres from the start of the lap, (places,)
    limits_m: the largest offset with all wheels on the asphalt there, (places,)
    counts: such states to the left and to the right of the middle, (places, 2)
    """
    # kind of a place, class of its radius and side -> its places, with their numbers of states
    groups: dict[tuple[str, int, int], dict[int, int]] = {}
    for place, side in np.argwhere(counts).tolist():
        key = (*_kind(track, float(along_m[place])), side)
        groups.setdefault(key, {})[place] = int(counts[place, side])
    kinds = [
        _record_kind(track, along_m, limits_m, name, side, group, int(counts.sum()))
        for (name, _, side), group in groups.items()
    ]
    kinds.sort(key=lambda kind: -kind.share_percent)
    return tuple(kinds[:_KINDS])


def _kind(track: Track, along_m: float) -> tuple[str, int]:
    """Return the kind of a place: its name, and the index of its bend's class in RADII_M."""
    place_m = track.start_m + along_m
    if track.road.on_bridge(place_m) or track.road.on_bridge(place_m + _BRIDGE_SEEN_M):
        return "the bridge", 0
    bend = bend_ahead(track, along_m)
    if abs(bend) < 1 / RADII_M[-1]:
        return "straights", 0
    radius = int(np.searchsorted(RADII_M, 1 / abs(bend)))
    return "right bends" if bend > 0 else "left bends", radius


def _record_kind(
    track: Track,
    along_m: FloatArray,
    limits_m: FloatArray,
    kind: str,
    side: int,
    counts: Mapping[int, int],
    total: int,
) -> RecordNext:
    """Return what to record of a kind of place.

    side: side of the middle on which the states are: 0 left, 1 right
    counts: place of this kind -> number of its states that do not come back
    total: number of all states of the road that do not come back
    """
    along = [float(along_m[place]) for place in counts]
    # on a lap, the last place and the first one may belong to the same stretch
    pairs = zip(along, [along[-1], *along[:-1]], strict=True)
    stretches = sum(abs(track.apart(before, after)) > _ONE_STRETCH_M for after, before in pairs)
    radii_m = None
    if kind.endswith("bends"):
        radii = [round(abs(1 / bend_ahead(track, place_m)), 1) for place_m in along]
        radii_m = (min(radii), max(radii))
    worst = max(counts, key=counts.__getitem__)
    offset_m = float(limits_m[worst]) - _FROM_EDGE_M
    return RecordNext(
        seconds=min(_STRETCH_SECONDS * max(stretches, 1), _MOST_SECONDS),
        bend=kind,
        radii_m=radii_m,
        side="right" if side else "left",
        share_percent=round(100 * sum(counts.values()) / total, 1),
        start_m=round(float(along_m[worst]), 1),
        start_offset_m=round(offset_m if side else -offset_m, 2),
    )


def bend_ahead(track: Track, along_m: float) -> float:
    """Return the sharpest curvature in the next 25 m, in 1/m, positive to the right."""
    start = track.start_m + along_m
    places = [track.index(start + metres) for metres in range(_BEND_AHEAD_M)]
    return max((float(track.curvature[place]) for place in places), key=abs)
