"""Make the ground of the lake track: hills from the CSV files in simulator/figures, with finer
relief, ledges and rocks.
"""

from dataclasses import dataclass

import numpy as np

from bcclone.simulator.scene.ground import Ground, ground_of
from bcclone.simulator.scene.land import (
    DIRT,
    DRY,
    GRASS,
    SCRUB,
    STONE,
    mixed_patches,
    noise,
    smooth_step,
    stone_on_slopes,
)
from bcclone.simulator.scene.roadmap import Grid, map_road
from bcclone.simulator.scene.textures import Field, resize
from bcclone.simulator.track import LEVEL_M, Track, read_figures
from bcclone.system.numbers import BoolArray, Float32Array

_LAKE_GRID = Grid(-342.0, -368.0, 1400)
_LAKE_WATER_M = -0.5
_BED_BLEND_M = 4.5  # width of the slope between the road's level bed and the hills
# half the width of the bridge's deck; only the deck is as high as the road, and the hills go on
# beside it
_DECK_HALF_WIDTH_M = 5.3
_LEDGE_M = 9.0  # height between two ledges of rock


def lake_ground(track: Track, seed: int) -> Ground:
    """Return the lake's ground: hills from the CSV file, ledges, rocks, the road's level bed."""
    grid = _LAKE_GRID
    # the bridge counts as ground, too: the bed under its deck is as high as the road
    roadmap = map_road(track, grid, on_ground=np.ones(len(track.line), bool))
    hills = _lake_hills(grid, roadmap.distance_m, seed)
    hills, stony = _with_rocks(hills, grid, roadmap.distance_m, seed)

    # `level` is 1 on the road's bed, which is as high as the road, and 0 where hills are left as
    # they are; on the bridge, the bed is the deck only
    bridge_start_m, bridge_end_m = track.road.bridge
    on_bridge = (roadmap.along_m > bridge_start_m) & (roadmap.along_m < bridge_end_m)
    level = np.clip((LEVEL_M + _BED_BLEND_M - roadmap.distance_m) / _BED_BLEND_M, 0, 1)
    deck = (roadmap.distance_m < _DECK_HALF_WIDTH_M).astype(np.float32)
    level = np.where(on_bridge, deck, level)
    heights = hills * (1 - level) + roadmap.road_height_m * level

    cover = mixed_patches(grid, seed, (GRASS, DRY, DIRT, SCRUB))
    cover = stone_on_slopes(cover, heights, STONE, steep=0.85)
    cover[stony] = STONE
    return ground_of(grid, heights, cover, roadmap, _LAKE_WATER_M)


def _lake_hills(grid: Grid, distance_m: Float32Array, seed: int) -> Field:
    """Return the heights from the CSV file with finer relief. distance_m: from the road."""
    figures = read_figures("lake_terrain.csv").astype(np.float32)
    terrain = resize(figures, grid.side, grid.side)

    # bumps: none near the road, and higher ones where the hills are higher
    relief = noise(grid, seed, 64) * 1.6 + noise(grid, seed + 1, 16) * 0.5
    off_road = np.clip((distance_m - 9) / 12, 0, 1)
    hilly = np.clip(np.abs(terrain) / 6, 0.15, 1)
    hills = terrain + relief * off_road * hilly

    # ledges with steep faces of rock, for which the CSV file is too coarse: `ledges` is how much a
    # stair is above or below an even slope
    steps = (hills + 5 * noise(grid, seed + 5, 32)) / _LEDGE_M
    ledges = smooth_step(steps % 1, 0.3, 0.8) - steps % 1
    high = np.clip((hills - 4) / 4, 0, 1)
    off_road = np.clip((distance_m - 11) / 6, 0, 1)
    return np.asarray(hills + _LEDGE_M * 0.6 * ledges * high * off_road)


@dataclass(frozen=True)
class _Rock:
    """The size of a kind of rock: an estimate, since the rock's mesh is not public."""

    radius_m: float
    height_m: float


_ROCKS = {"rock1": _Rock(15.0, 9.0), "rock2": _Rock(19.0, 11.0)}


def _with_rocks(
    hills: Field, grid: Grid, distance_m: Float32Array, seed: int
) -> tuple[Field, BoolArray]:
    """Return the hills with domes of rock on them, and which cells are rock."""
    hills = np.array(hills, np.float64)
    stony = np.zeros(hills.shape, bool)
    lumps = 1 + 0.12 * noise(grid, seed + 7, 16)
    east, north = grid.centres()
    for kind, rock in _ROCKS.items():
        for x, y, z in read_figures("lake_props.csv", (kind,)):
            # a dome that is sunk by 4 m; outside, and near the road, it is far below all hills
            box = grid.around(x, z, rock.radius_m)
            inside = 1 - ((east[box] - x) ** 2 + (north[box] - z) ** 2) / rock.radius_m**2
            dome = np.sqrt(np.clip(inside, 0, 1)) * rock.height_m * lumps[box] + y - 4.0
            dome = np.where((inside > 0) & (distance_m[box] > 14), dome, -1e3)
            stony[box] |= dome > hills[box]
            hills[box] = np.maximum(hills[box], dome)
    return hills, stony
