"""Choose what to record next: the states of a road that do not come back -> kinds of places where a
person should record more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bcclone.diagnosis.rows import RADII_M
from bcclone.simulator.track import Track
from bcclone.system.errors import shown_command
from bcclone.system.numbers import FloatArray, IndexArray


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
        return f"{self.seconds} s: {self.bend}{self._radii}, from the {self.side} edge"

    @property
    def _radii(self) -> str:
        if not self.radii_m:
            return ""
        low, high = (round(radius) for radius in self.radii_m)
        if low == high:
            return f" of {low} m"
        return f" of {low} to {high} m"

    def command(self, track: str, reverse: bool) -> str:
        """Return the command that opens the simulator at the worst place."""
        road = ["--road", track]
        if reverse:
            road.append("--reverse")
        return shown_command(
            "play",
            *road,
            f"--start-m={self.start_m:g}",
            f"--start-offset-m={self.start_offset_m:g}",
        )


@dataclass(frozen=True)
class RecordChoice:
    """What is proposed to record."""

    kinds: int = 5  # most kinds of places that are proposed
    enough: float = 0.002  # with a smaller share of lost states, nothing is proposed
    stretch_seconds: int = 10  # time to record for each stretch of road
    most_seconds: int = 60  # longest time to record for a kind of place
    from_edge_m: float = 0.5  # where the car begins: distance inside the largest offset on asphalt
    one_stretch_m: float = 30.0  # places nearer to each other are one stretch
    seen_ahead_m: float = 20.0  # how far ahead a bridge changes what the car sees


RECORD = RecordChoice()
_SIDES = ("left", "right")


@dataclass(frozen=True)
class LostStates:
    """States of a road from which the car does not come back, counted by place and side."""

    track: Track
    places_m: FloatArray  # the places along the road, (places,)
    limits_m: FloatArray  # the largest offset with all wheels on the asphalt there, (places,)
    counts: IndexArray  # states to the left and to the right of the middle, (places, 2)

    @property
    def along_m(self) -> FloatArray:
        """Return the places, in metres from the start of the lap, (places,)."""
        return self.places_m - self.track.start_m

    def record_next(self) -> tuple[RecordNext, ...]:
        """Return the kinds of places with the most states, the worst first."""
        # a kind of place and a side -> its places, with their numbers of states
        groups: dict[tuple[tuple[str, int], int], dict[int, int]] = {}
        for place, side in np.argwhere(self.counts).tolist():
            group = groups.setdefault((self._kind(place), side), {})
            group[place] = int(self.counts[place, side])

        total = int(self.counts.sum())
        kinds = [
            self._record_kind(name, side, group, total)
            for ((name, _), side), group in groups.items()
        ]
        kinds.sort(key=lambda kind: -kind.share_percent)
        return tuple(kinds[: RECORD.kinds])

    def _kind(self, place: int) -> tuple[str, int]:
        """Return the kind of a place: its name, and the index of its bend's class in RADII_M."""
        along_m = float(self.places_m[place])
        road = self.track.road
        if road.on_bridge(along_m) or road.on_bridge(along_m + RECORD.seen_ahead_m):
            return "the bridge", 0
        bend = bend_ahead(self.track, float(self.along_m[place]))
        if abs(bend) < 1 / RADII_M[-1]:
            return "straights", 0
        radius = int(np.searchsorted(RADII_M, 1 / abs(bend)))
        if bend > 0:
            return "right bends", radius
        return "left bends", radius

    def _record_kind(
        self, kind: str, side: int, counts: Mapping[int, int], total: int
    ) -> RecordNext:
        """Return what to record of a kind of place.

        kind: name of the kind, such as "left bends"
        side: side of the middle on which the states are: 0 left, 1 right
        counts: place of this kind -> number of its states that do not come back
        total: number of all states of the road that do not come back
        """
        along = [float(self.along_m[place]) for place in counts]
        seconds = min(RECORD.stretch_seconds * self._stretches(along), RECORD.most_seconds)
        radii_m = None
        if kind.endswith("bends"):
            radii = [round(abs(1 / bend_ahead(self.track, along_m)), 1) for along_m in along]
            radii_m = (min(radii), max(radii))
        worst = max(counts, key=counts.__getitem__)
        offset_m = float(self.limits_m[worst]) - RECORD.from_edge_m
        if _SIDES[side] == "left":
            offset_m = -offset_m
        return RecordNext(
            seconds=seconds,
            bend=kind,
            radii_m=radii_m,
            side=_SIDES[side],
            share_percent=round(100 * sum(counts.values()) / total, 1),
            start_m=round(float(self.along_m[worst]), 1),
            start_offset_m=round(offset_m, 2),
        )

    def _stretches(self, along: Sequence[float]) -> int:
        """Return how many stretches of road the places make up, at least 1.

        On a lap, the last place and the first one may belong to the same stretch.

        along: metres along the road of each place, rising
        """
        before = [along[-1], *along[:-1]]
        apart_m = [
            abs(self.track.apart(previous_m, place_m))
            for place_m, previous_m in zip(along, before, strict=True)
        ]
        return max(sum(metres > RECORD.one_stretch_m for metres in apart_m), 1)


_BEND_AHEAD_M = 25  # a place is named after the sharpest bend in this many metres ahead


def bend_ahead(track: Track, along_m: float) -> float:
    """Return the sharpest curvature in the next 25 m, in 1/m, positive to the right."""
    start = track.start_m + along_m
    places = [track.index(start + metres) for metres in range(_BEND_AHEAD_M)]
    return max((float(track.curvature[place]) for place in places), key=abs)
