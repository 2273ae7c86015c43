"""The map of a model's margins: from which states on a road a car comes back -> where that is
narrow, and what a person should record next.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from bcclone.diagnosis.agreement import RADII_M
from bcclone.research.returning import StateGrid, margins_of
from bcclone.simulator.track import Track
from bcclone.system.arrays import BoolArray, FloatArray, IndexArray
from bcclone.system.errors import shown_command
from bcclone.system.values import to_json

# The box: only states within these limits count in the shares that come back and that stay on the
# road, because a model that drives is hardly ever farther off.
_BOX_M = 2.0
_BOX_DEGREES = 10.0

_STRAIGHT_M = 150.0  # a narrow place in a bend of a larger radius is said to be on a straight
_NARROWEST = 10  # most places that are named as the narrowest
_APART_M = 20.0  # smallest distance between two of them
_ENOUGH = 0.002  # with a smaller share of lost states, no recording is proposed

# of what to record next
_KINDS = 5  # most kinds of places that are proposed
_STRETCH_SECONDS = 10  # time to record for each stretch of road
_MOST_SECONDS = 60  # longest time to record for a kind of place
_FROM_EDGE_M = 0.5  # where the car begins: distance inside the largest offset on asphalt
_ONE_STRETCH_M = 30.0  # places nearer to each other are one stretch
_BRIDGE_SEEN_M = 20.0  # how far ahead a bridge changes what the car sees
_BEND_AHEAD_M = 25  # a place is named after the sharpest bend in this many metres ahead


@dataclass(frozen=True)
class NarrowPlace:
    """A place where the margin is small: the car comes back from a small offset only."""

    along_m: float  # metres from the start of the lap
    side: str  # where the margin is smaller: "left", "right" or "either"
    margin_m: float  # margin on that side
    radius_m: float | None  # radius of the bend, negative to the left; None on a straight

    @property
    def text(self) -> str:
        side = "either side" if self.side == "either" else f"the {self.side}"
        bend = "a straight"
        if self.radius_m is not None:
            way = "left" if self.radius_m < 0 else "right"
            bend = f"a {way} bend of {abs(self.radius_m):.0f} m"
        return f"{self.along_m:6.0f} m: {self.margin_m:.2f} m on {side}, {bend}"


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


@dataclass(frozen=True)
class MarginMap:
    """The margins of a model on a road."""

    track: Track
    frames: int  # frames that were rendered
    grid: StateGrid  # the states from which cars were followed
    # bool (places, offsets, turns), as returning_states() returns them
    returns: BoolArray
    stays: BoolArray

    @cached_property
    def margins_m(self) -> FloatArray:
        """Return the margins to the left and to the right at each place, (places, 2)."""
        return margins_of(self.returns, self.grid)

    @property
    def comes_back_percent(self) -> float:
        """Return the share of the states within 2 m and 10 degrees, on asphalt, that come back."""
        return round(100 * float(self.returns[self._box].mean()), 2)

    @property
    def never_leaves_percent(self) -> float:
        """Return the share of the same states from which the car never leaves the road."""
        return round(100 * float(self.stays[self._box].mean()), 2)

    @cached_property
    def _box(self) -> BoolArray:
        """Return which states are in the box and on the asphalt, bool (places, offsets, turns)."""
        offsets = np.abs(self.grid.offsets_m) <= np.minimum(self.limits_m, _BOX_M + 1e-9)[:, None]
        turns = np.abs(np.degrees(self.grid.turns)) <= _BOX_DEGREES + 1e-9
        return offsets[:, :, None] & turns[None, None, :]

    @property
    def limits_m(self) -> FloatArray:
        """Return the largest offset with all wheels on the asphalt at each place, (places,)."""
        places = self.grid.places_m.tolist()
        return np.array([self.track.limits_m[self.track.index(place)] for place in places])

    @property
    def along_m(self) -> FloatArray:
        """Return the places of the map, in metres from the start of the lap, (places,)."""
        return self.grid.places_m - self.track.start_m

    @property
    def smallest_margin_m(self) -> float:
        return round(float(self.margins_m.min()), 3)

    @property
    def mean_margin_m(self) -> float:
        """Return the mean over the places of the smaller of the two sides' margins."""
        return round(float(self.margins_m.min(axis=1).mean()), 3)

    @cached_property
    def narrowest(self) -> tuple[NarrowPlace, ...]:
        """Return the places of the smallest margins, the worst first, at least 20 m apart.

        Places where the car comes back from either edge are not narrow.
        """
        # the edge lies between two offsets of the grid, so the margin of a car that comes back even
        # from the edge may be up to two steps smaller than the limit
        least = self.margins_m.min(axis=1)
        is_narrow = least < self.limits_m - 2 * (self.grid.offsets_m[1] - self.grid.offsets_m[0])
        order = np.argsort(least, kind="stable")
        chosen: list[int] = []
        for place in order[is_narrow[order]].tolist():
            along_m = float(self.along_m[place])
            distances_m = (self.track.apart(along_m, float(self.along_m[one])) for one in chosen)
            if all(abs(distance_m) >= _APART_M for distance_m in distances_m):
                chosen.append(place)
        return tuple(map(self._narrow_place, chosen[:_NARROWEST]))

    def _narrow_place(self, place: int) -> NarrowPlace:
        along_m = float(self.along_m[place])
        left, right = self.margins_m[place].tolist()
        if left == right:
            side = "either"
        elif left < right:
            side = "left"
        else:
            side = "right"
        bend = bend_ahead(self.track, float(self.grid.places_m[place]))
        radius = None
        if abs(bend) > 1 / _STRAIGHT_M:
            radius = round(1 / bend, 1)
        return NarrowPlace(round(along_m, 1), side, round(min(left, right), 3), radius)

    @cached_property
    def record_next(self) -> tuple[RecordNext, ...]:
        """Return the kinds of places with the most states in the box that do not come back.

        The worst come first. There are none where nearly all states come back.
        """
        lost = self._box & ~self.returns
        if lost.sum() < _ENOUGH * self._box.sum():
            return ()

        # lost states to the left and to the right of each place's middle, (places, 2)
        left = lost[:, self.grid.offsets_m < -1e-9].sum(axis=(1, 2))
        right = lost[:, self.grid.offsets_m > 1e-9].sum(axis=(1, 2))
        counts = np.stack([left, right], axis=1)
        # kind of a place, class of its radius and side -> its places
        groups: dict[tuple[str, int, int], list[int]] = {}
        for place, side in np.argwhere(counts).tolist():
            groups.setdefault((*self._kind_of(place), side), []).append(place)
        kinds = [
            self._record(name, side, np.array(places), counts[places, side] / counts.sum())
            for (name, _, side), places in groups.items()
        ]
        kinds.sort(key=lambda kind: -kind.share_percent)
        return tuple(kinds[:_KINDS])

    def _kind_of(self, place: int) -> tuple[str, int]:
        """Return the kind of a place: its name, and the index of its bend's class in RADII_M."""
        place_m = float(self.grid.places_m[place])
        road = self.track.road
        if road.on_bridge(place_m) or road.on_bridge(place_m + _BRIDGE_SEEN_M):
            return "the bridge", 0
        bend = bend_ahead(self.track, place_m)
        if abs(bend) < 1 / RADII_M[-1]:
            return "straights", 0
        radius = int(np.searchsorted(RADII_M, 1 / abs(bend)))
        return "right bends" if bend > 0 else "left bends", radius

    def _record(self, kind: str, side: int, places: IndexArray, shares: FloatArray) -> RecordNext:
        """Return what to record of a kind of place.

        side: side of the middle on which the states are: 0 left, 1 right
        places: those of this kind
        shares: of all states that do not come back, those at each of the places
        """
        along = self.along_m[places].tolist()
        # on a lap, the last place and the first one may belong to the same stretch
        pairs = zip(along, [along[-1], *along[:-1]], strict=True)
        stretches = sum(
            abs(self.track.apart(before, after)) > _ONE_STRETCH_M for after, before in pairs
        )
        radii_m = None
        if kind.endswith("bends"):
            places_m = self.grid.places_m[places].tolist()
            radii = [round(abs(1 / bend_ahead(self.track, place_m)), 1) for place_m in places_m]
            radii_m = (min(radii), max(radii))
        worst = int(places[np.argmax(shares)])
        offset_m = float(self.limits_m[worst]) - _FROM_EDGE_M
        return RecordNext(
            seconds=min(_STRETCH_SECONDS * max(stretches, 1), _MOST_SECONDS),
            bend=kind,
            radii_m=radii_m,
            side="right" if side else "left",
            share_percent=round(100 * float(shares.sum()), 1),
            start_m=round(float(self.along_m[worst]), 1),
            start_offset_m=round(offset_m if side else -offset_m, 2),
        )

    def figures(self) -> dict[str, Any]:
        """Return what figures.json says of the map."""
        return {
            "share_percent": self.comes_back_percent,
            "stays_percent": self.never_leaves_percent,
            "smallest_margin_m": self.smallest_margin_m,
            "mean_margin_m": self.mean_margin_m,
            "frames": self.frames,
            "states": math.prod(self.grid.shape),
            "narrowest": to_json(self.narrowest),
            "along_m": [round(metres, 2) for metres in self.along_m.tolist()],
            "left_m": [round(metres, 3) for metres in self.margins_m[:, 0].tolist()],
            "right_m": [round(metres, 3) for metres in self.margins_m[:, 1].tolist()],
            "record_next": to_json(self.record_next),
        }


def bend_ahead(track: Track, place_m: float) -> float:
    """Return the sharpest curvature in the 25 m after a place of the track, in 1/m, positive to the
    right.
    """
    places = [track.index(place_m + metres) for metres in range(_BEND_AHEAD_M)]
    return max((float(track.curvature[place]) for place in places), key=abs)
