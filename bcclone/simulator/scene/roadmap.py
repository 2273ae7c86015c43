"""Map the road: a track and a grid -> each cell's position on the track, and the road's shoulders
metre by metre.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from bcclone.simulator.road_plan import REACH_M
from bcclone.simulator.track import LAKE, Track
from bcclone.system.arrays import BoolArray, Float32Array, FloatArray, IndexArray
from bcclone.system.opencv import cv2

CELL_M, BLOCK_M = 0.5, 32.0  # sides of a cell, and of a block of cells
_PAST_M = (
    1.0  # largest distance of a cell, along the track, from its nearest point of the centre line
)
FAR_M = 99.0  # cross_track_m of cells farther away

PLAIN, KERB, DIRT = 0, 1, 2
# Start and end along the lake's track, in metres: read by eye from recordings,
# docs/explanation/simulator.md.
_KERBS_LEFT = ((0, 30), (451, 526), (810, 875), (952, 1007), (1083, 1139))
_KERBS_RIGHT = ((0, 30), (451, 526), (811, 832), (851, 875), (950, 1007), (1083, 1139))
_DIRT_RIGHT = ((52, 91), (832, 850))
_BORDER_SLOPE = 0.45  # of the concrete border along the road; an estimate
FULL_LIGHT = 1.6  # on a slope that faces the sun
_STRAIGHT = 2.5  # the bend's radius is at least so many times the distance between the two roads
_AROUND_M = 12  # which holds so far ahead and back


def neighbor_of(track: Track) -> Float32Array:
    """Return where a second road runs along the road at each metre, as where a track comes back
    along itself.

    It is the distance of its middle to the right of the road's middle, in metres, float32
    (metres,): negative on the left, and 0 where there is none, as in sharp bends.
    """
    apart_m = track.road.look.neighbor_m
    bends = np.abs(track.curvature[track.metres]) * abs(apart_m) * _STRAIGHT > 1
    around = np.convolve(np.pad(bends, _AROUND_M, mode="edge"), np.ones(2 * _AROUND_M + 1), "valid")
    return np.where(around > 0, 0.0, apart_m).astype(np.float32)


@dataclass(frozen=True)
class Grid:
    """A square of cells of half a metre: x and z of its corner in metres, and its side in cells."""

    x: float
    z: float
    side: int

    def centres(self) -> tuple[Float32Array, Float32Array]:
        """Return x and z of the centre of every cell, float32 (side, side), rows along z."""
        steps = (np.arange(self.side, dtype=np.float32) + 0.5) * CELL_M
        across, along = np.meshgrid(steps + np.float32(self.x), steps + np.float32(self.z))
        return across, along

    def cell(self, x: float, z: float) -> tuple[int, int]:
        """Return row and column of the cell at x, z, or of the nearest one."""
        row, column = int((z - self.z) / CELL_M), int((x - self.x) / CELL_M)
        return min(max(row, 0), self.side - 1), min(max(column, 0), self.side - 1)


@dataclass(frozen=True)
class RoadMap:
    """Where each cell lies, float32 (side, side) each.

    along_m: along the track; cross_track_m: to the right of it; road_height_m: height of its road;
    distance_m: from the middle of the nearest road, its neighbor included; neighbor_m: as
    neighbor_of() returns it, (metres,).
    """

    along_m: Float32Array
    cross_track_m: Float32Array
    road_height_m: Float32Array
    distance_m: Float32Array
    neighbor_m: Float32Array


def map_road(track: Track, grid: Grid, on_ground: BoolArray) -> RoadMap:
    """Return the road map; on_ground: whether each point of the centre line is on the ground, bool
    (points,).
    """
    mask = np.zeros((grid.side, grid.side), np.uint8)
    pixels = ((track.line[:, [0, 2]] - (grid.x, grid.z)) / CELL_M).astype(np.int32)
    for x, z in pixels[on_ground][::4].tolist():
        cv2.circle(mask, (x, z), int(REACH_M / CELL_M) + 2, 1, -1)
    rows, columns = np.nonzero(mask)
    points = np.column_stack([grid.x + (columns + 0.5) * CELL_M, grid.z + (rows + 0.5) * CELL_M])
    kept = np.flatnonzero(on_ground)
    _, index = cKDTree(track.line[kept][:, [0, 2]]).query(points)
    nearest = kept[index]
    point = track.line[nearest]
    ahead_x, ahead_z = (axis[nearest] for axis in track.ahead.T)
    dx, dz = points[:, 0] - point[:, 0], points[:, 1] - point[:, 2]
    forward = dx * ahead_x + dz * ahead_z
    right = dx * ahead_z - dz * ahead_x
    maps = [np.full((grid.side, grid.side), fill, np.float32) for fill in (0.0, FAR_M, 0.0)]
    inside = (dx * dx + dz * dz < REACH_M * REACH_M) & (
        np.abs(forward) < _PAST_M
    )  # not beyond the ends of the road
    values = (
        nearest / track.points_a_metre + forward,
        right,
        point[:, 1] + track.grade[nearest] * np.clip(forward, -1, 1),
    )
    for target, value in zip(maps, values, strict=True):
        target[rows[inside], columns[inside]] = value[inside]
    along_m, cross_track_m, road_height_m = maps
    neighbor_m = neighbor_of(track)
    neighbor_there_m = neighbor_m[np.clip(along_m, 0, len(neighbor_m) - 1).astype(np.int64)]
    distance_m = np.abs(cross_track_m)
    nearest_m = np.where(
        neighbor_there_m,
        np.minimum(distance_m, np.abs(cross_track_m - neighbor_there_m)),
        distance_m,
    )
    return RoadMap(along_m, cross_track_m, road_height_m, nearest_m, neighbor_m)


class Shoulders(NamedTuple):
    """kinds, int64 (2, metres): PLAIN, KERB or DIRT, left and right; border_light, float32 (2,
    metres).
    """

    kinds: IndexArray
    border_light: Float32Array


def make_shoulders(track: Track, sun: FloatArray) -> Shoulders:
    """Return the shoulders of a track. sun: unit vector towards it, (3,)."""
    ahead = track.ahead[track.metres]
    kinds = np.zeros((2, len(ahead)), np.int64)
    if track.road.name == LAKE.name:
        for side, kind, stretches in (
            (0, KERB, _KERBS_LEFT),
            (1, KERB, _KERBS_RIGHT),
            (1, DIRT, _DIRT_RIGHT),
        ):
            for start, end in stretches:
                kinds[side, start : end + 1] = kind
    facing_right = sun[0] * ahead[:, 1] - sun[2] * ahead[:, 0]
    border = []
    for side in (-1, 1):  # the border slopes towards the road
        facing = (sun[1] - side * _BORDER_SLOPE * facing_right) / math.sqrt(
            1 + _BORDER_SLOPE * _BORDER_SLOPE
        )
        border.append(np.clip(facing / sun[1], 0, FULL_LIGHT))
    return Shoulders(kinds, np.array(border, np.float32))
