"""Make the ground around a designed road: level along the road, and land farther away."""

import math
from dataclasses import dataclass

import numpy as np

from bcclone.simulator.scene.ground import NO_WATER_M, Ground, ground_of
from bcclone.simulator.scene.land import (
    CLIFF,
    DRY,
    GRASS,
    LEAVES,
    MEADOW,
    SCRUB,
    STONE,
    Colors,
    mixed_patches,
    noise,
    smooth_step,
    stone_on_slopes,
)
from bcclone.simulator.scene.roadmap import CELL_M, Grid, map_road
from bcclone.simulator.scene.roadside import between_roads, distance_to_road, with_road
from bcclone.simulator.track import Track


@dataclass(frozen=True)
class _Land:
    """The land around a designed road."""

    covers: Colors  # colours of level ground, the most frequent one first
    stone: tuple[int, int, int]  # colour of steep slopes
    lift_m: float  # height of the land 60 m from the road, above the road; negative for a lake
    relief_m: float  # height of the hills, about
    cliffs: float  # how much of the hills is cut into steep terraces, 0 to 1


_LANDS = {
    "meadow": _Land(
        covers=(MEADOW, LEAVES, (150, 150, 70), (118, 140, 60)),
        stone=STONE,
        lift_m=1.0,
        relief_m=2.5,
        cliffs=0.0,
    ),
    "forest": _Land(
        covers=(LEAVES, (86, 96, 48), (120, 100, 66), (76, 100, 44)),
        stone=CLIFF,
        lift_m=3.0,
        relief_m=4.0,
        cliffs=0.2,
    ),
    "desert": _Land(
        covers=((214, 184, 128), (198, 160, 108), (222, 196, 148), (188, 150, 104)),
        stone=(176, 132, 96),
        lift_m=2.0,
        relief_m=4.0,
        cliffs=0.0,
    ),
    "rock": _Land(
        covers=((150, 146, 138), (128, 122, 112), (164, 152, 132), (110, 112, 84)),
        stone=(136, 128, 118),
        lift_m=9.0,
        relief_m=6.0,
        cliffs=1.0,
    ),
    "water": _Land(
        covers=(GRASS, DRY, SCRUB, (170, 176, 96)),
        stone=STONE,
        lift_m=-4.0,
        relief_m=1.2,
        cliffs=0.0,
    ),
    "town": _Land(
        covers=((140, 138, 134), (120, 130, 90), (156, 150, 142), (132, 126, 120)),
        stone=STONE,
        lift_m=0.3,
        relief_m=0.4,
        cliffs=0.0,
    ),
}


def designed_ground(track: Track, seed: int) -> Ground:
    """Return the ground around a designed road: level along the road, land farther away."""
    grid = _grid_around(track)
    roadmap = map_road(track, grid, on_ground=np.ones(len(track.line), bool))
    land = _LANDS[track.road.look.surroundings]

    from_road_m = distance_to_road(track.line, grid)
    rise = smooth_step(from_road_m, 9.0, 22.0)
    bumps = 0.7 * noise(grid, seed, 64) + 0.5 * noise(grid, seed + 1, 128)
    rolling = land.lift_m * np.clip((from_road_m - 10) / 50, 0, 1) + land.relief_m * bumps
    terraces = np.floor(rolling / 4) * 4 + 4 * smooth_step(rolling / 4 % 1, 0.5, 1.0)
    relief = rolling * (1 - land.cliffs) + terraces * land.cliffs
    hills = between_roads(track.line, grid) + rise * relief
    heights = with_road(hills, roadmap)

    # where the land sinks away from the road there is water, a metre below the road's lowest point
    water_m = NO_WATER_M
    if land.lift_m < 0:
        water_m = float(np.floor(track.line[:, 1].min() - 1.0))
    cover = mixed_patches(grid, seed, land.covers)
    cover = stone_on_slopes(cover, heights, land.stone, steep=0.8)
    return ground_of(grid, heights, cover, roadmap, water_m)


_MARGIN_M = 130.0  # width of the ground on all sides of a designed road


def _grid_around(track: Track) -> Grid:
    """Return a grid with the road in its middle; its side is a multiple of 64 cells."""
    low = track.line[:, [0, 2]].min(axis=0)
    high = track.line[:, [0, 2]].max(axis=0)
    side_m = float((high - low).max()) + 2 * _MARGIN_M
    side = math.ceil(side_m / CELL_M / 64) * 64
    corner = np.round((low + high) / 2 - side * CELL_M / 2, 3)
    return Grid(float(corner[0]), float(corner[1]), side)
