"""The ground of a track: heights and colours of the land around it, in single precision."""

from dataclasses import dataclass

import numpy as np

from bcclone.simulator.scene.roadmap import Grid, RoadMap
from bcclone.simulator.scene.textures import Field
from bcclone.system.numbers import Float32Array

NO_WATER_M = -1000.0  # height of the water on a track without water: below all ground


@dataclass(frozen=True)
class Ground:
    """The ground: a value for each cell of a grid."""

    grid: Grid
    heights_m: Float32Array  # (side, side)
    cover: Float32Array  # RGB under full light, (side, side, 3)
    roadmap: RoadMap
    water_m: float  # height of the water

    def height_at(self, x: float, z: float) -> float:
        """Return the height of the ground or the water at x, z."""
        return max(float(self.heights_m[self.grid.cell(x, z)]), self.water_m)


def ground_of(grid: Grid, heights: Field, cover: Field, roadmap: RoadMap, water_m: float) -> Ground:
    """Return a ground whose fields are in single precision."""
    return Ground(
        grid,
        np.ascontiguousarray(heights, np.float32),
        np.ascontiguousarray(cover, np.float32),
        roadmap,
        water_m,
    )
