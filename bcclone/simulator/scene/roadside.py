"""Land that follows a road: a road and a grid -> the heights of the land between its stretches."""

import numpy as np
from scipy.ndimage import distance_transform_edt

from bcclone.simulator.scene.roadmap import CELL_M, Grid, RoadMap
from bcclone.simulator.scene.textures import Field, resize
from bcclone.simulator.track import LEVEL_M
from bcclone.system.numbers import Float32Array, FloatArray


def with_road(hills: Field, roadmap: RoadMap) -> Field:
    """Return the heights of hills with a level bed for the road."""
    slope_m = 2.0  # width of the slope from the bed to the hills
    # share of the bed in the height: 1 on the bed, 0 beyond the slope
    bed = np.clip((LEVEL_M + slope_m - roadmap.distance_m) / slope_m, 0, 1)
    return np.asarray(hills * (1 - bed) + roadmap.road_height_m * bed)


def between_roads(line: FloatArray, grid: Grid) -> FloatArray:
    """Return heights interpolated between the road's points; near points weigh most.

    line: x, y, z of the centre line's points, (points, 3)
    """
    # cells of 8 m, and a point of the road every 4 m, are fine enough
    cells = grid.side // 16
    steps = (np.arange(cells) + 0.5) * CELL_M * 16
    points = line[::8]
    across = (steps[:, None] + grid.x - points[:, 0]) ** 2
    coarse = np.empty((cells, cells))
    # row by row, since all rows at once would take gigabytes for a long road in a large grid
    for row, z in enumerate(steps + grid.z):
        squared = across + (z - points[:, 2]) ** 2
        weight = 1 / ((squared + 30.0) * (squared + 30.0))
        coarse[row] = (weight * points[:, 1]).sum(-1) / weight.sum(-1)
    return np.asarray(resize(coarse, grid.side, grid.side), np.float64)


def distance_to_road(line: FloatArray, grid: Grid) -> Float32Array:
    """Return the distance of each cell from the centre line, in metres."""
    free = np.ones((grid.side, grid.side), np.uint8)  # 0 in the cells of the centre line
    pixels = ((line[:, [0, 2]] - (grid.x, grid.z)) / CELL_M).astype(int)
    free[pixels[:, 1], pixels[:, 0]] = 0
    return np.asarray(distance_transform_edt(free) * CELL_M, np.float32)
