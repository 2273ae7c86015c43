"""Load or build a track: its name -> a centre line; and find a car's position on it.

A position says how far along the centre line a point is (along_m), and how far to the right of it
(cross_track_m).
"""

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np

from bcclone.simulator.figures import read_figures
from bcclone.simulator.random_road import RANDOM_PREFIX, random_road
from bcclone.simulator.road_line import (
    RUN_OUT_M,
    STEP_M,
    RoadLine,
    faults_of_line,
    interpolate,
    with_run_outs,
)
from bcclone.simulator.roads import RoadLook, RoadPlan, read_points
from bcclone.system.arrays import FloatArray, IndexArray
from bcclone.system.errors import UserError
from bcclone.system.exact_math import arctangent2, cosine, sine

# Styles: which of three ways to draw the surface of a road
LAKE_STYLE = 0
MOUNTAIN_STYLE = 1
DESIGNED_STYLE = 2

LEVEL_M = 6.0  # up to this distance from the centre line the ground is as high as the road


@dataclass(frozen=True)
class Road:
    """Properties of a track's road."""

    name: str
    width_m: float  # of the asphalt
    bridge: tuple[float, float] = (-1.0, -1.0)  # start and end along the centre line; or nowhere
    style: int = DESIGNED_STYLE
    look: RoadLook = field(default_factory=RoadLook)  # only for DESIGNED_STYLE

    def on_bridge(self, along_m: float) -> bool:
        return self.bridge[0] <= along_m <= self.bridge[1]


# Sources of the figures: docs/explanation/simulator.md
LAKE = Road("lake", 9.3, (697.0, 770.0), LAKE_STYLE)
MOUNTAIN = Road("mountain", 9.6, (1377.0, 1420.0), MOUNTAIN_STYLE)
_ROADS = {road.name: road for road in (LAKE, MOUNTAIN)}
_LAKE_ROAD_HEIGHT_M = 2.0  # the road is level, so lake_centreline.csv has no heights


@dataclass(frozen=True)
class TrackPosition:
    """A position on a track."""

    along_m: float  # from the track's first point
    cross_track_m: float  # to the right of its centre line
    heading: float  # of the track, radians from +z towards +x
    grade: float  # of the track, metres up for each metre along
    height_m: float  # of the road
    limit_m: float  # largest distance from the centre line with all wheels on the asphalt

    @property
    def off_road(self) -> bool:
        """Return whether a wheel of the car has left the asphalt."""
        return abs(self.cross_track_m) > self.limit_m


_HALF_CAR_M = 1.0  # distance of the wheels from the middle of the car, sideways
_NEAR_M = 20.0  # locate() searches the road this far before and behind a known position
_SMOOTHING_M = 4.0  # length of road over which grades and curvatures are averaged


class Track:
    """A centre line with a point every half metre, closed or open.

    Arrays with a value for each point, (points,) or (points, axes):
    line: x, y, z in metres
    widths_m: of the road
    heading: radians from +z towards +x
    ahead: the heading as a unit vector, x and z
    grade: metres up for each metre along
    curvature: radians to the right for each metre along

    Numbers for the whole track:
    length_m: length of the line
    start_m: where a drive starts; an open line has a run-out before its start and after its end
    lap_m: length of a lap, without the run-outs
    """

    def __init__(self, road: Road, line: RoadLine, closed: bool = True) -> None:
        self.road = road
        self.line = line.points
        self.widths_m = line.widths_m
        self.closed = closed
        self.length_m = line.length_m
        self.start_m = 0.0 if closed else RUN_OUT_M
        self.lap_m = self.length_m - 2 * self.start_m

        # the direction at a point is that from the point before it to the one after it
        around = np.pad(self.line, ((1, 1), (0, 0)), mode="wrap")
        if not closed:  # prolong the line straight at both ends
            around[0] = 2 * self.line[0] - self.line[1]
            around[-1] = 2 * self.line[-1] - self.line[-2]
        x, up, z = (around[2:] - around[:-2]).T
        level = np.sqrt(x * x + z * z)
        directions = zip(x.tolist(), z.tolist(), strict=True)
        self.heading = np.array([arctangent2(x, z) for x, z in directions])
        headings = self.heading.tolist()
        self.ahead = np.array([(sine(heading), cosine(heading)) for heading in headings])
        self.grade = self._smoothed(up / level)

        # how much the heading changes, at most half a turn
        turned = np.pad(self.heading, 1, mode="wrap" if closed else "edge")
        turn = (turned[2:] - turned[:-2] + math.pi) % (2 * math.pi) - math.pi
        self.curvature = self._smoothed(turn / level)

    def _smoothed(self, values: FloatArray) -> FloatArray:
        """Return the running mean along the line. values: (points,)"""
        width = round(_SMOOTHING_M / STEP_M) | 1  # odd, so that the mean is centred on its point
        padded = np.pad(values, width // 2, mode="wrap" if self.closed else "edge")
        total = sum(padded[number : number + len(values)] for number in range(width))
        return np.asarray(total) / width

    def reversed(self) -> Self:
        """Return the same road in the other direction; a closed road keeps its start."""
        road = self.road
        start_m, end_m = road.bridge
        if end_m > 0:
            road = replace(road, bridge=(self.length_m - end_m, self.length_m - start_m))
        points = self.line[::-1]
        widths_m = self.widths_m[::-1]
        if self.closed:
            points = np.roll(points, 1, axis=0)
            widths_m = np.roll(widths_m, 1)
        line = RoadLine(points.copy(), widths_m.copy(), self.length_m)
        return type(self)(road, line, self.closed)

    @property
    def metres(self) -> IndexArray:
        """Return the index of the point at every metre along the track, or just before it."""
        return np.array([self.index(metre) for metre in range(int(self.length_m) + 1)])

    @property
    def limits_m(self) -> FloatArray:
        """Return how far a car may be from each point with all wheels on the asphalt, (points,)."""
        return np.asarray(self.widths_m / 2 - _HALF_CAR_M)

    @property
    def points_a_metre(self) -> float:
        intervals = len(self.line) if self.closed else len(self.line) - 1
        return intervals / self.length_m

    def goal_m(self, laps: float) -> float:
        """Return how far a drive goes; raises UserError for more than a lap of an open road."""
        if not self.closed and laps > 1:
            raise UserError(
                f"{self.road.name} is an open road, which has one lap; expected at most 1, not "
                f"{laps:g}"
            )
        return laps * self.lap_m

    def index(self, along_m: float) -> int:
        """Return the index of the line's point at a position, or just before it."""
        return self._place(along_m)[0]

    def point(
        self, along_m: float, cross_track_m: float = 0.0
    ) -> tuple[float, float, float, float]:
        """Return x, y, z and the heading of a position."""
        index, fraction, following = self._place(along_m)
        x, y, z = (self.line[index] * (1 - fraction) + self.line[following] * fraction).tolist()
        ahead_x, ahead_z = self.ahead[index].tolist()
        return (
            x + ahead_z * cross_track_m,
            y,
            z - ahead_x * cross_track_m,
            float(self.heading[index]),
        )

    def _place(self, along_m: float) -> tuple[int, float, int]:
        """Return the point at or before a position, how far it is to the next one, and that one."""
        count = len(self.line)
        if self.closed:
            place = along_m % self.length_m * self.points_a_metre
            index = int(place) % count
            return index, place - int(place), (index + 1) % count
        place = min(max(along_m * self.points_a_metre, 0.0), count - 1.0)
        index = min(int(place), count - 2)
        return index, place - index, index + 1

    def edge(self, side: int) -> FloatArray:
        """Return the asphalt's left (-1) or right (1) edge, closed where the track is: x and z."""
        right = self.ahead[:, ::-1] * (1, -1)
        points = self.line[:, [0, 2]] + side * self.widths_m[:, None] / 2 * right
        return np.concatenate([points, points[:1]]) if self.closed else np.asarray(points)

    def locate(self, x: float, y: float, z: float, near_m: float | None = None) -> TrackPosition:
        """Return the position of a point.

        near_m: search only the road around this distance along the track; None for the whole
            track, which may find another part of a road that passes nearby
        """
        count = len(self.line)
        if near_m is None:
            searched = np.arange(count)
        else:
            reach = round(_NEAR_M / STEP_M)
            searched = np.arange(-reach, reach + 1) + self.index(near_m)
            searched = searched % count if self.closed else np.clip(searched, 0, count - 1)
        away = self.line[searched] - (x, y, z)
        index = int(searched[np.argmin((away * away).sum(axis=1))])

        # from the nearest point of the line: how far along, and how far to the right
        ahead_x, ahead_z = self.ahead[index].tolist()
        dx = x - float(self.line[index, 0])
        dz = z - float(self.line[index, 2])
        forward_m = dx * ahead_x + dz * ahead_z
        right_m = dx * ahead_z - dz * ahead_x

        along_m = index / self.points_a_metre + forward_m
        if self.closed:
            along_m %= self.length_m
        grade = float(self.grade[index])
        return TrackPosition(
            along_m=along_m,
            cross_track_m=right_m,
            heading=float(self.heading[index]),
            grade=grade,
            height_m=float(self.line[index, 1]) + grade * forward_m,
            limit_m=float(self.widths_m[index]) / 2 - _HALF_CAR_M,
        )

    def apart(self, from_m: float, to_m: float) -> float:
        """Return the distance along the track, the shorter way; negative for backwards."""
        if not self.closed:
            return to_m - from_m
        half_m = self.length_m / 2
        return (to_m - from_m + half_m) % self.length_m - half_m


def load_track(name: str, reverse: bool = False) -> Track:
    """Return a track. Raises UserError.

    name: lake, mountain, random:SEED, or the path of a JSON file of control points
    """
    if name in _ROADS:
        road = _ROADS[name]
        points = read_figures(f"{name}_centreline.csv")
        if points.shape[1] == 2:
            heights = np.full(len(points), _LAKE_ROAD_HEIGHT_M)
            points = np.column_stack([points[:, 0], heights, points[:, 1]])
        table = np.column_stack([points, np.full(len(points), road.width_m)])
        track = Track(road, interpolate(table, closed=True))
    elif name.startswith(RANDOM_PREFIX):
        track = build_track(random_road(name))
    elif Path(name).suffix == ".json":
        track = build_track(read_points(Path(name)))
    else:
        raise UserError(
            f"no track {name!r}; expected lake, mountain, random:SEED such as random:7, or a .json "
            "file of points"
        )
    return track.reversed() if reverse else track


_LEAST_LENGTH_M = 20.0
_SPARE_RADIUS_M = 2.0  # radius of the sharpest bend allowed, at the inner edge of the road


def build_track(plan: RoadPlan) -> Track:
    """Return the track of a plan; raises UserError if the road meets itself or is too sharp."""
    line = interpolate(plan.table, plan.closed)
    widest_m = float(plan.table[:, 3].max())
    faults = faults_of_line(
        line.points[:, [0, 2]],
        widest_m / 2,
        least_radius_m=widest_m / 2 + _SPARE_RADIUS_M,
        least_length_m=_LEAST_LENGTH_M,
        closed=plan.closed,
    )
    if faults:
        reasons = "; ".join(faults)
        raise UserError(
            f"{plan.name}: cannot build this road: {reasons}; move its points, or make it narrower"
        )
    if not plan.closed:
        line = with_run_outs(line)
    road = Road(plan.name, widest_m, style=DESIGNED_STYLE, look=plan.look)
    return Track(road, line, plan.closed)
