"""Make the ground of the mountain track: walls, terraces and slopes that rise beside the road."""

import numpy as np

from bcclone.simulator.scene.ground import NO_WATER_M, Ground, ground_of
from bcclone.simulator.scene.land import (
    CLIFF,
    DARK_CLIFF,
    LEAVES,
    MEADOW,
    mixed_patches,
    noise,
    slope_of,
    smooth_step,
    stone_on_slopes,
)
from bcclone.simulator.scene.roadmap import Grid, map_road
from bcclone.simulator.scene.roadside import between_roads, distance_to_road, with_road
from bcclone.simulator.track import Track

_MOUNTAIN_GRID = Grid(-136.0, -285.0, 1024)


def mountain_ground(track: Track, seed: int) -> Ground:
    """Return the mountain's ground: walls, terraces and slopes that rise beside the road."""
    grid = _MOUNTAIN_GRID
    bridge_start_m, bridge_end_m = track.road.bridge
    along_m = np.arange(len(track.line)) / track.points_a_metre
    on_ground = (along_m < bridge_start_m) | (along_m > bridge_end_m)
    roadmap = map_road(track, grid, on_ground)
    from_road_m = distance_to_road(track.line[on_ground], grid)
    rise = smooth_step(from_road_m, 8.0, 15.0)

    # where the land is rugged, walls of 7 m and more rise beside the road; elsewhere the ground
    # falls
    ruggedness = noise(grid, seed, 128)
    cliffs = np.where(ruggedness > -0.2, 7 + 6 * np.clip(ruggedness, 0, 2), 5.0 * ruggedness)
    terraces = np.floor(cliffs / 4) * 4 + 4 * smooth_step(cliffs / 4 % 1, 0.55, 1.0)

    # far from the road there are hills, too
    away = np.clip((from_road_m - 40) / 120, 0, 1)
    hills = (
        between_roads(track.line[on_ground], grid)
        + rise * terraces
        + noise(grid, seed + 1, 32) * rise * 1.2
        + away * 14 * noise(grid, seed + 2, 256)
    )
    heights = with_road(hills, roadmap)

    # two colours, each with two of the four patterns of patches
    cover = mixed_patches(grid, seed, (MEADOW, LEAVES, MEADOW, LEAVES))
    cover = stone_on_slopes(cover, heights, CLIFF, steep=0.7)
    dark = (ruggedness > 0.9)[..., None] & (slope_of(heights) > 1.2)[..., None]
    cover = np.where(dark, np.array(DARK_CLIFF), cover)
    return ground_of(grid, heights, cover, roadmap, NO_WATER_M)
