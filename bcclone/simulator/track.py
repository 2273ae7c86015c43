"""Load a track's centre line, and find the position of a car on it."""

import csv
import math
from dataclasses import dataclass, replace
from importlib import resources
from typing import Self

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.spatial import cKDTree

from bcclone.arrays import FloatArray

STEP_M = 0.5
_HALF_CAR_M = 1.0  # half the car's track: its wheels' distance from its centre
_NEAR_M = 20.0  # how far along the road a car can be from where it just was
_SMOOTHING_M = 4.0  # over which headings and grades are averaged


@dataclass(frozen=True)
class Road:
    """Properties of a track's road.

    bridge: its start and end, in metres along the centre line; style: how the surface is drawn.
    """

    name: str
    asphalt_half_width_m: float
    bridge: tuple[float, float]
    style: int

    def __post_init__(self) -> None:
        if self.asphalt_half_width_m <= _HALF_CAR_M or self.bridge[0] > self.bridge[1]:
            raise ValueError(f"{self.name}: {self.asphalt_half_width_m} m beside the centre line, bridge {self.bridge}")

    def on_bridge(self, along_m: float) -> bool:
        """Return whether a position along the track is on its bridge."""
        return self.bridge[0] <= along_m <= self.bridge[1]

    @property
    def limit_m(self) -> float:
        """Return the largest distance of the car from the centre line with all wheels on the asphalt."""
        return self.asphalt_half_width_m - _HALF_CAR_M


LAKE_STYLE, MOUNTAIN_STYLE = 0, 1
# Sources of the figures: docs/explanation/simulator.md.
LAKE = Road("lake", 4.65, (697.0, 770.0), LAKE_STYLE)
MOUNTAIN = Road("mountain", 4.8, (1377.0, 1420.0), MOUNTAIN_STYLE)
ROADS = {road.name: road for road in (LAKE, MOUNTAIN)}
_LAKE_ROAD_HEIGHT_M = 2.0
LEVEL_M = 6.0  # up to this distance from the centre line the ground is as high as the road


@dataclass(frozen=True)
class TrackPosition:
    """A position on a track: along_m from its start, cross_track_m to the right of its centre line."""

    along_m: float
    cross_track_m: float
    heading: float
    grade: float
    height_m: float


class Track:
    """A closed centre line with a point every half metre, driven from its first point.

    line: x, y, z, float64 (points, 3), metres; heading: radians from +z towards +x; grade: metres up for each metre
    along.
    """

    def __init__(self, road: Road, line: FloatArray, length_m: float) -> None:
        self.road, self.line, self.length_m = road, line, length_m
        ahead, behind = np.roll(line, -1, axis=0), np.roll(line, 1, axis=0)
        level = np.hypot(*(ahead - behind)[:, [0, 2]].T)
        self.heading = np.arctan2(ahead[:, 0] - behind[:, 0], ahead[:, 2] - behind[:, 2])
        self.grade = _smoothed((ahead - behind)[:, 1] / level)
        turn = np.angle(np.exp(1j * (np.roll(self.heading, -1) - np.roll(self.heading, 1))))
        self.curvature = _smoothed(turn / level)
        self._tree = cKDTree(line)

    def reversed(self) -> Self:
        """Return the same road driven the other way, from the same start."""
        start, end = self.road.bridge
        road = replace(self.road, bridge=(self.length_m - end, self.length_m - start))
        return type(self)(road, np.roll(self.line[::-1], 1, axis=0).copy(), self.length_m)

    def index(self, along_m: float) -> int:
        """Return the index of the point of the centre line at a position, or just before it."""
        return int(along_m % self.length_m / self.length_m * len(self.line)) % len(self.line)

    def point(self, along_m: float, cross_track_m: float = 0.0) -> tuple[float, float, float, float]:
        """Return x, y, z and the heading of a position."""
        index = self.index(along_m)
        fraction = along_m % self.length_m / self.length_m * len(self.line) - index
        x, y, z = self.line[index] * (1 - fraction) + self.line[(index + 1) % len(self.line)] * fraction
        heading = float(self.heading[index])
        return x + math.cos(heading) * cross_track_m, y, z - math.sin(heading) * cross_track_m, heading

    def edge(self, side: int) -> FloatArray:
        """Return the asphalt's left (-1) or right (1) edge: x and z, (points, 2)."""
        right = np.column_stack([np.cos(self.heading), -np.sin(self.heading)])
        return np.asarray(self.line[:, [0, 2]] + side * self.road.asphalt_half_width_m * right)

    def locate(self, x: float, y: float, z: float, near_m: float | None = None) -> TrackPosition:
        """Return the position of a point. near_m: search only the road around this distance along the track."""
        index = self._nearest((x, y, z), near_m)
        heading = float(self.heading[index])
        sine, cosine = math.sin(heading), math.cos(heading)
        dx, dz = x - float(self.line[index, 0]), z - float(self.line[index, 2])
        forward, right = dx * sine + dz * cosine, dx * cosine - dz * sine
        grade = float(self.grade[index])
        along = (index * self.length_m / len(self.line) + forward) % self.length_m
        return TrackPosition(along, right, heading, grade, float(self.line[index, 1]) + grade * forward)

    def _nearest(self, point: tuple[float, float, float], near_m: float | None) -> int:
        if near_m is None:
            return int(self._tree.query(point)[1])
        reach = round(_NEAR_M / STEP_M)
        around = np.arange(-reach, reach + 1) + self.index(near_m)
        away = ((self.line[around % len(self.line)] - point) ** 2).sum(axis=1)
        return int(around[np.argmin(away)] % len(self.line))

    def apart(self, from_m: float, to_m: float) -> float:
        """Return the distance along the track between two positions, the shorter way; negative for backwards."""
        half = self.length_m / 2
        return (to_m - from_m + half) % self.length_m - half


def load_track(name: str, reverse: bool = False) -> Track:
    """Return the track `lake` or `mountain`."""
    points = read_figures(f"{name}_centreline.csv")
    if points.shape[1] == 2:
        points = np.column_stack([points[:, 0], np.full(len(points), _LAKE_ROAD_HEIGHT_M), points[:, 1]])
    track = Track(ROADS[name], *_every_half_metre(points))
    return track.reversed() if reverse else track


def read_figures(name: str, kinds: tuple[str, ...] = ()) -> FloatArray:
    """Return the numbers of a CSV file in figures/, (lines, columns); kinds: only lines that begin so."""
    text = (resources.files("bcclone.simulator") / "figures" / name).read_text(encoding="utf-8")
    rows = [row for row in csv.reader(text.splitlines()) if row and not row[0].startswith("#")]
    if kinds:
        return np.array([[float(cell) for cell in row[1:]] for row in rows if row[0] in kinds])
    if any(cell.isidentifier() for cell in rows[0]):
        rows = rows[1:]
    return np.array([[float(cell) for cell in row] for row in rows])


def _every_half_metre(points: FloatArray) -> tuple[FloatArray, float]:
    """Return a closed spline through the points, resampled by its length, and that length in metres."""
    closed = np.vstack([points, points[:1]])
    chord = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    spline = CubicSpline(chord, closed, bc_type="periodic")
    fine = spline(np.arange(0.0, chord[-1], 0.05))
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(np.vstack([fine, fine[:1]]), axis=0), axis=1))])
    wanted = np.linspace(0.0, length[-1], round(length[-1] / STEP_M), endpoint=False)
    line = np.column_stack([np.interp(wanted, length, np.append(axis, axis[0])) for axis in fine.T])
    return line, float(length[-1])


def _smoothed(values: FloatArray) -> FloatArray:
    """Return the running mean of a closed series."""
    width = round(_SMOOTHING_M / STEP_M) | 1
    padded = np.concatenate([values[-(width // 2) :], values, values[: width // 2]])
    return np.convolve(padded, np.full(width, 1 / width), mode="valid")
