"""Map the road: a track and a grid -> each cell's position on the track, and its shoulders."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bcclone.simulator.roads import REACH_M
from bcclone.simulator.track import LAKE, Track
from bcclone.system.arrays import BoolArray, Float32Array, FloatArray, IndexArray
from bcclone.system.compiled import compiled

CELL_M = 0.5  # side of a cell
_UNMAPPED = 99.0  # stands for the cross_track_m of the cells that are not near the road
MOST_LIGHT = 1.6  # greatest sunlight, on a slope that faces the sun; level ground has 1


@dataclass(frozen=True)
class Grid:
    """A square of cells of half a metre: a row has the same z, a column the same x."""

    x: float  # the corner with the smallest x and z, in metres
    z: float
    side: int  # cells in a row or a column

    def centres(self) -> tuple[Float32Array, Float32Array]:
        """Return x and z of the centre of every cell, float32 (side, side)."""
        steps = (np.arange(self.side, dtype=np.float32) + 0.5) * CELL_M
        x, z = np.meshgrid(steps + np.float32(self.x), steps + np.float32(self.z))
        return x, z

    def cell(self, x: float, z: float) -> tuple[int, int]:
        """Return row and column of the cell at x, z, or of the nearest one."""
        row = int((z - self.z) / CELL_M)
        column = int((x - self.x) / CELL_M)
        return min(max(row, 0), self.side - 1), min(max(column, 0), self.side - 1)

    def around(self, x: float, z: float, reach_m: float) -> tuple[slice, slice]:
        """Return rows and columns with all cells that are no farther than reach_m from x, z."""
        first_row, first_column = self.cell(x - reach_m, z - reach_m)
        last_row, last_column = self.cell(x + reach_m, z + reach_m)
        return slice(first_row, last_row + 1), slice(first_column, last_column + 1)


@dataclass(frozen=True)
class RoadMap:
    """Where each cell lies on the track, float32 (side, side), and where a second road runs."""

    along_m: Float32Array  # distance along the track, 0 where no road is near
    cross_track_m: Float32Array  # to the right of the centre line; _UNMAPPED far away
    road_height_m: Float32Array  # height of the road beside the cell, 0 where no road is near
    distance_m: Float32Array  # from the middle of the road, or of its neighbor if that is nearer
    neighbor_m: Float32Array  # as _neighbor_of() returns it, float32 (metres,)

    @property
    def is_mapped(self) -> BoolArray:
        """Return which cells are near the road, bool (side, side)."""
        return self.cross_track_m < _UNMAPPED


# a cell that is farther than this, along the track, from the nearest point of the centre line lies
# beyond an end of the road
_PAST_M = 1.0


def map_road(track: Track, grid: Grid, on_ground: BoolArray) -> RoadMap:
    """Return the road map.

    on_ground: whether each point of the centre line is on the ground, bool (points,)
    """
    # the nearest point of the centre line to each cell
    index = np.full((grid.side, grid.side), -1)
    squared_m = np.full((grid.side, grid.side), REACH_M * REACH_M)
    points = np.flatnonzero(on_ground)
    line = track.line[points][:, [0, 2]]
    reach = math.ceil(REACH_M / CELL_M)
    _find_nearest(line, (grid.x, grid.z), reach, squared_m, index)
    rows, columns = np.nonzero(index >= 0)
    x = grid.x + (columns + 0.5) * CELL_M
    z = grid.z + (rows + 0.5) * CELL_M
    nearest = points[index[rows, columns]]
    point = track.line[nearest]

    # how far each cell is from its nearest point, along and across the road
    ahead_x = track.ahead[:, 0][nearest]
    ahead_z = track.ahead[:, 1][nearest]
    dx = x - point[:, 0]
    dz = z - point[:, 2]
    forward_m = dx * ahead_x + dz * ahead_z
    right_m = dx * ahead_z - dz * ahead_x
    height_m = point[:, 1] + track.grade[nearest] * np.clip(forward_m, -1, 1)

    # cells that are not beyond the ends of the road
    near = np.abs(forward_m) < _PAST_M
    cells = rows[near], columns[near]
    along_m = _field(grid, 0.0, cells, (nearest / track.points_a_metre + forward_m)[near])
    cross_track_m = _field(grid, _UNMAPPED, cells, right_m[near])

    # the distance from the middle of the road, or of its neighbor where there is one
    neighbor_m = _neighbor_of(track)
    metres = np.clip(along_m, 0, len(neighbor_m) - 1).astype(np.int64)
    neighbor_there_m = neighbor_m[metres]
    from_road_m = np.abs(cross_track_m)
    nearest_m = np.minimum(from_road_m, np.abs(cross_track_m - neighbor_there_m))
    return RoadMap(
        along_m=along_m,
        cross_track_m=cross_track_m,
        road_height_m=_field(grid, 0.0, cells, height_m[near]),
        distance_m=np.where(neighbor_there_m, nearest_m, from_road_m),
        neighbor_m=neighbor_m,
    )


@compiled(cache=True)
def _find_nearest(
    points: FloatArray,
    corner: tuple[float, float],
    reach: int,
    squared_m: FloatArray,
    index: IndexArray,
) -> None:
    """Write which point is the nearest to each cell, where one is near enough.

    points: x and z, (points, 2)
    corner: x and z of the grid's corner
    reach: how many rows and columns away a cell can be near a point
    squared_m: how near a point has to be to each cell, squared, (side, side); it becomes that of
        the nearest point
    index: of the nearest point, (side, side)
    """
    side = index.shape[0]
    for number in range(points.shape[0]):
        x = points[number, 0]
        z = points[number, 1]
        middle = int((x - corner[0]) / CELL_M)
        left = max(middle - reach, 0)
        right = min(middle + reach + 1, side)
        middle = int((z - corner[1]) / CELL_M)
        for row in range(max(middle - reach, 0), min(middle + reach + 1, side)):
            dz = corner[1] + (row + 0.5) * CELL_M - z
            for column in range(left, right):
                dx = corner[0] + (column + 0.5) * CELL_M - x
                away = dx * dx + dz * dz
                if away < squared_m[row, column]:
                    squared_m[row, column] = away
                    index[row, column] = number


def _field(
    grid: Grid, elsewhere: float, cells: tuple[IndexArray, IndexArray], values: FloatArray
) -> Float32Array:
    """Return a field with values, (cells,), in some cells, and `elsewhere` in all others."""
    field = np.full((grid.side, grid.side), elsewhere, np.float32)
    field[cells] = values
    return field


# a second road runs only where, from 12 m back to 12 m ahead, the radius of every bend is at least
# 2.5 times the distance of the two roads
_STRAIGHT = 2.5
_AROUND_M = 12


def _neighbor_of(track: Track) -> Float32Array:
    """Return where a second road runs along the road, as where a track comes back along itself.

    The value of a metre of the track is the offset of the second road's middle from this road's,
    positive to the right; 0 where there is no second road, as in sharp bends. float32 (metres,)
    """
    apart_m = track.road.look.neighbor_m
    sharp = np.abs(track.curvature[track.metres]) * abs(apart_m) * _STRAIGHT > 1
    padded = np.pad(sharp, _AROUND_M, mode="edge")
    sharp_around = np.convolve(padded, np.ones(2 * _AROUND_M + 1), "valid")
    return np.where(sharp_around > 0, 0.0, apart_m).astype(np.float32)


# Kinds of shoulders
PLAIN = 0
KERB = 1
DIRT = 2

# Stretches of the lake's track with a kerb or dirt, on the left (0) or right (1), start and end in
# metres: read by eye from recordings, docs/explanation/simulator.md
_LAKE_SHOULDERS = (
    (0, KERB, ((0, 30), (451, 526), (810, 875), (952, 1007), (1083, 1139))),
    (1, KERB, ((0, 30), (451, 526), (811, 832), (851, 875), (950, 1007), (1083, 1139))),
    (1, DIRT, ((52, 91), (832, 850))),
)
_BORDER_SLOPE = 0.45  # rise of the concrete border for each metre outwards; an estimate


class Shoulders(NamedTuple):
    """The shoulders of the lake's road, left and right, metre by metre."""

    kinds: IndexArray  # PLAIN, KERB or DIRT, int64 (2, metres)
    border_light: Float32Array  # sunlight on the concrete border, (2, metres)


def make_shoulders(track: Track, sun: FloatArray) -> Shoulders:
    """Return the shoulders of a track. sun: unit vector towards the sun, (3,)."""
    ahead = track.ahead[track.metres]
    kinds = np.zeros((2, len(ahead)), np.int64)
    if track.road.name == LAKE.name:
        for side, kind, stretches in _LAKE_SHOULDERS:
            for start, end in stretches:
                kinds[side, start : end + 1] = kind

    # how far the sun stands to the right of the road; the left border faces to the right, and the
    # right border to the left
    facing_right = sun[0] * ahead[:, 1] - sun[2] * ahead[:, 0]
    steepness = math.sqrt(1 + _BORDER_SLOPE * _BORDER_SLOPE)
    light = []
    for side in (-1, 1):
        facing = (sun[1] - side * _BORDER_SLOPE * facing_right) / steepness
        light.append(np.clip(facing / sun[1], 0, MOST_LIGHT))
    return Shoulders(kinds, np.array(light, np.float32))
