"""Map every cell of the ground near the road to its position on the track."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from bcclone.arrays import Float32Array
from bcclone.simulator.track import Track

CELL_M = 0.5
REACH_M = 16.0  # largest distance from the centre line on the map
_PAST_M = 1.0  # largest distance of a cell, along the track, from its nearest point of the centre line
FAR_M = 99.0  # cross_track_m of cells farther away


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
    """Metres along the track, metres to the right of it, and height of its road, float32 (side, side) each."""

    along_m: Float32Array
    cross_track_m: Float32Array
    road_height_m: Float32Array


def map_road(track: Track, grid: Grid, on_ground: npt.NDArray[np.bool_]) -> RoadMap:
    """Return the road map; on_ground: whether each point of the centre line is on the ground, bool (points,)."""
    mask = np.zeros((grid.side, grid.side), np.uint8)
    pixels = ((track.line[:, [0, 2]] - (grid.x, grid.z)) / CELL_M).astype(np.int32)
    for x, z in pixels[on_ground][::4].tolist():
        cv2.circle(mask, (x, z), int(REACH_M / CELL_M) + 2, 1, -1)
    rows, columns = np.nonzero(mask)
    points = np.column_stack([grid.x + (columns + 0.5) * CELL_M, grid.z + (rows + 0.5) * CELL_M])
    kept = np.flatnonzero(on_ground)
    _, found = cKDTree(track.line[kept][:, [0, 2]]).query(points)
    nearest = kept[found]
    heading, point = track.heading[nearest], track.line[nearest]
    dx, dz = points[:, 0] - point[:, 0], points[:, 1] - point[:, 2]
    forward = dx * np.sin(heading) + dz * np.cos(heading)
    right = dx * np.cos(heading) - dz * np.sin(heading)
    maps = [np.full((grid.side, grid.side), fill, np.float32) for fill in (0.0, FAR_M, 0.0)]
    inside = (np.hypot(dx, dz) < REACH_M) & (np.abs(forward) < _PAST_M)  # not beyond the ends of the road
    values = (
        nearest * track.length_m / len(track.line) + forward,
        right,
        point[:, 1] + track.grade[nearest] * np.clip(forward, -1, 1),
    )
    for target, value in zip(maps, values, strict=True):
        target[rows[inside], columns[inside]] = value[inside]
    return RoadMap(*maps)
