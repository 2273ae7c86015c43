"""Make the ground of a track: a seed -> heights and colours of the land around it, in single
precision.

The lake has hills from the CSV files in simulator/figures, with finer relief, ledges and rocks. The
mountain has walls, terraces and slopes that rise beside the road. A designed road is level along
the road, with land farther away.
"""

import math
from dataclasses import dataclass

import numpy as np

from bcclone.simulator.figures import read_figures
from bcclone.simulator.scene.roadmap import CELL_M, Grid, RoadMap, map_road
from bcclone.simulator.scene.textures import Field, resize, tiling_noise
from bcclone.simulator.track import DESIGNED_STYLE, LAKE, LEVEL_M, Track
from bcclone.system.arrays import BoolArray, Float32Array, FloatArray
from bcclone.system.compiled import compiled
from bcclone.system.exact_math import exponentials

_NO_WATER_M = -1000.0  # height of the water on a track without water: below all ground


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


def make_ground(track: Track, seed: int) -> Ground:
    """Return the ground of a track; the same seed gives the same ground."""
    on_ground = np.ones(len(track.line), bool)
    if track.road.style == DESIGNED_STYLE:
        grid = _grid_around(track)
        roadmap = map_road(track, grid, on_ground)
        heights, cover, water_m = _designed_land(track, roadmap, grid, seed)
    elif track.road.name == LAKE.name:
        grid = _LAKE_GRID
        # the bridge counts as ground, too: the bed under its deck is as high as the road
        roadmap = map_road(track, grid, on_ground)
        heights, cover, water_m = _lake_land(track, roadmap, grid, seed)
    else:
        grid = _MOUNTAIN_GRID
        bridge_start_m, bridge_end_m = track.road.bridge
        along_m = np.arange(len(track.line)) / track.points_a_metre
        on_ground = (along_m < bridge_start_m) | (along_m > bridge_end_m)
        roadmap = map_road(track, grid, on_ground)
        heights, cover, water_m = _mountain_land(track.line[on_ground], roadmap, grid, seed)
    return Ground(
        grid,
        np.ascontiguousarray(heights, np.float32),
        np.ascontiguousarray(cover, np.float32),
        roadmap,
        water_m,
    )


_Land = tuple[Field, Field, float]  # heights, colours, height of the water


# ---- relief and colours


_Color = tuple[int, int, int]  # RGB under full light
_Colors = tuple[_Color, ...]

# Colours of the ground, RGB under full light: estimated from recordings
_GRASS = (192, 164, 84)
_DRY = (200, 176, 118)
_DIRT = (182, 132, 92)
_SCRUB = (140, 126, 68)
_STONE = (142, 140, 128)
_MEADOW = (128, 146, 46)
_LEAVES = (96, 118, 40)
_CLIFF = (146, 130, 100)
_DARK_CLIFF = (96, 88, 72)


def _noise(grid: Grid, seed: int, grain: int) -> Float32Array:
    """Return smooth noise of standard deviation 1 with lumps about `grain` cells wide."""
    # an even number of cells, since the second octave of the noise has lumps of two cells
    cells = 2 ** math.ceil(math.log2(grid.side / grain)) + 2
    field = tiling_noise(cells + cells % 2, 1000 + seed * 31 + grain, ((1, 1.0), (2, 1.0)))
    size = len(field) * grain
    return resize(field, size, size, kept=(grid.side, grid.side))


def _mixed_patches(grid: Grid, seed: int, covers: _Colors) -> Float32Array:
    """Return patches of colours that blend into each other, (side, side, 3).

    The first colour covers most of the ground.
    """
    # how much of each colour a cell has, before the shares of a cell add up to 1
    weights = np.empty((len(covers), grid.side, grid.side), np.float32)
    for number in range(len(covers)):
        weights[number] = exponentials(2.2 * _noise(grid, seed + 11 + number, 64))
    weights[0] *= 2.5
    cover = np.empty((grid.side, grid.side, 3), np.float32)
    _blend(weights, np.array(covers, np.float32), cover)
    return cover


@compiled(cache=True)
def _blend(weights: Float32Array, colors: Float32Array, result: Float32Array) -> None:
    """Write the weighted mean of the colours of each cell.

    weights: (colors, side, side)
    colors: (colors, 3)
    result: (side, side, 3)
    """
    count = weights.shape[0]
    for row in range(result.shape[0]):
        for column in range(result.shape[1]):
            total = weights[0, row, column]
            for number in range(1, count):
                total += weights[number, row, column]
            for channel in range(3):
                mean = weights[0, row, column] / total * colors[0, channel]
                for number in range(1, count):
                    mean += weights[number, row, column] / total * colors[number, channel]
                result[row, column, channel] = mean


def _stone_on_slopes(
    cover: Float32Array, heights: Field, stone: _Color, steep: float
) -> Float32Array:
    """Return a cover with stone on steep slopes.

    cover: colour of each cell, (side, side, 3)
    steep: slope from which stone begins to show, in metres up for each metre
    """
    fraction = np.clip((_slope_of(heights) - steep) / 0.5, 0, 1)
    _mix(cover, np.array(stone, fraction.dtype), fraction, 1 - fraction)
    return cover


@compiled(cache=True)
def _mix(cover: Float32Array, color: Field, fraction: Field, rest: Field) -> None:
    """Mix a colour into a cover, (side, side, 3), which is changed; rest: 1 - fraction."""
    for row in range(cover.shape[0]):
        for column in range(cover.shape[1]):
            for channel in range(3):
                cover[row, column, channel] = (
                    cover[row, column, channel] * rest[row, column]
                    + color[channel] * fraction[row, column]
                )


def _slope_of(heights: Field) -> Field:
    """Return how steep the ground is: metres up for each metre."""
    rise_z, rise_x = np.gradient(heights, CELL_M)
    return np.asarray(np.sqrt(rise_x * rise_x + rise_z * rise_z))


def _smooth_step(values: Field, start: float, end: float) -> Field:
    """Return for each value 0 up to the start, 1 from the end on, and a smooth rise between."""
    fraction = np.clip((values - start) / (end - start), 0, 1)
    return np.asarray(fraction * fraction * (3 - 2 * fraction))


# ---- land that follows a road


def _with_road(hills: Field, roadmap: RoadMap) -> Field:
    """Return the heights of hills with a level bed for the road."""
    slope_m = 2.0  # width of the slope from the bed to the hills
    # share of the bed in the height: 1 on the bed, 0 beyond the slope
    bed = np.clip((LEVEL_M + slope_m - roadmap.distance_m) / slope_m, 0, 1)
    return np.asarray(hills * (1 - bed) + roadmap.road_height_m * bed)


def _between_roads(line: FloatArray, grid: Grid) -> FloatArray:
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


def _distance_to_road(line: FloatArray, grid: Grid) -> Float32Array:
    """Return the distance of each cell from the centre line, in metres."""
    from scipy.ndimage import distance_transform_edt  # not at the top: the lake does not need it

    free = np.ones((grid.side, grid.side), np.uint8)  # 0 in the cells of the centre line
    pixels = ((line[:, [0, 2]] - (grid.x, grid.z)) / CELL_M).astype(int)
    free[pixels[:, 1], pixels[:, 0]] = 0
    return np.asarray(distance_transform_edt(free) * CELL_M, np.float32)


# ---- the lake


_LAKE_GRID = Grid(-342.0, -368.0, 1400)
_LAKE_WATER_M = -0.5
_BED_BLEND_M = 4.5  # width of the slope between the road's level bed and the hills
# half the width of the bridge's deck; only the deck is as high as the road, and the hills go on
# beside it
_DECK_HALF_WIDTH_M = 5.3
_LEDGE_M = 9.0  # height between two ledges of rock


def _lake_land(track: Track, roadmap: RoadMap, grid: Grid, seed: int) -> _Land:
    """Return hills from the CSV file, ledges, rocks, and the road's level bed."""
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

    cover = _mixed_patches(grid, seed, (_GRASS, _DRY, _DIRT, _SCRUB))
    cover = _stone_on_slopes(cover, heights, _STONE, steep=0.85)
    cover[stony] = _STONE
    return heights, cover, _LAKE_WATER_M


def _lake_hills(grid: Grid, distance_m: Float32Array, seed: int) -> Field:
    """Return the heights from the CSV file with finer relief. distance_m: from the road."""
    figures = read_figures("lake_terrain.csv").astype(np.float32)
    terrain = resize(figures, grid.side, grid.side)

    # bumps: none near the road, and higher ones where the hills are higher
    relief = _noise(grid, seed, 64) * 1.6 + _noise(grid, seed + 1, 16) * 0.5
    off_road = np.clip((distance_m - 9) / 12, 0, 1)
    hilly = np.clip(np.abs(terrain) / 6, 0.15, 1)
    hills = terrain + relief * off_road * hilly

    # ledges with steep faces of rock, for which the CSV file is too coarse: `ledges` is how much a
    # stair is above or below an even slope
    steps = (hills + 5 * _noise(grid, seed + 5, 32)) / _LEDGE_M
    ledges = _smooth_step(steps % 1, 0.3, 0.8) - steps % 1
    high = np.clip((hills - 4) / 4, 0, 1)
    off_road = np.clip((distance_m - 11) / 6, 0, 1)
    return np.asarray(hills + _LEDGE_M * 0.6 * ledges * high * off_road)


# kind of rock -> radius and height: estimates, since the rocks' meshes are not public
_ROCKS = {"rock1": (15.0, 9.0), "rock2": (19.0, 11.0)}


def _with_rocks(
    hills: Field, grid: Grid, distance_m: Float32Array, seed: int
) -> tuple[Field, BoolArray]:
    """Return the hills with domes of rock on them, and which cells are rock."""
    hills = np.array(hills, np.float64)
    stony = np.zeros(hills.shape, bool)
    lumps = 1 + 0.12 * _noise(grid, seed + 7, 16)
    east, north = grid.centres()
    for kind, (radius_m, height_m) in _ROCKS.items():
        for x, y, z in read_figures("lake_props.csv", (kind,)):
            # a dome that is sunk by 4 m; outside, and near the road, it is far below all hills
            box = grid.around(x, z, radius_m)
            inside = 1 - ((east[box] - x) ** 2 + (north[box] - z) ** 2) / radius_m**2
            dome = np.sqrt(np.clip(inside, 0, 1)) * height_m * lumps[box] + y - 4.0
            dome = np.where((inside > 0) & (distance_m[box] > 14), dome, -1e3)
            stony[box] |= dome > hills[box]
            hills[box] = np.maximum(hills[box], dome)
    return hills, stony


# ---- the mountain


_MOUNTAIN_GRID = Grid(-136.0, -285.0, 1024)


def _mountain_land(line: FloatArray, roadmap: RoadMap, grid: Grid, seed: int) -> _Land:
    """Return walls, terraces and slopes. line: points of the road on the ground, (points, 3)."""
    from_road_m = _distance_to_road(line, grid)
    rise = _smooth_step(from_road_m, 8.0, 15.0)

    # where the land is rugged, walls of 7 m and more rise beside the road; elsewhere the ground
    # falls
    ruggedness = _noise(grid, seed, 128)
    cliffs = np.where(ruggedness > -0.2, 7 + 6 * np.clip(ruggedness, 0, 2), 5.0 * ruggedness)
    terraces = np.floor(cliffs / 4) * 4 + 4 * _smooth_step(cliffs / 4 % 1, 0.55, 1.0)

    # far from the road there are hills, too
    away = np.clip((from_road_m - 40) / 120, 0, 1)
    hills = (
        _between_roads(line, grid)
        + rise * terraces
        + _noise(grid, seed + 1, 32) * rise * 1.2
        + away * 14 * _noise(grid, seed + 2, 256)
    )
    heights = _with_road(hills, roadmap)

    # two colours, each with two of the four patterns of patches
    cover = _mixed_patches(grid, seed, (_MEADOW, _LEAVES, _MEADOW, _LEAVES))
    cover = _stone_on_slopes(cover, heights, _CLIFF, steep=0.7)
    dark = (ruggedness > 0.9)[..., None] & (_slope_of(heights) > 1.2)[..., None]
    cover = np.where(dark, np.array(_DARK_CLIFF), cover)
    return heights, cover, _NO_WATER_M


# ---- designed roads


# surroundings -> colours of level ground, the most frequent one first; colour of steep slopes;
# height of the land 60 m from the road above it, negative for a lake; height of the hills, about;
# how much of the hills is cut into steep terraces, 0 to 1
_SURROUNDINGS: dict[str, tuple[_Colors, _Color, float, float, float]] = {
    "meadow": ((_MEADOW, _LEAVES, (150, 150, 70), (118, 140, 60)), _STONE, 1.0, 2.5, 0.0),
    "forest": ((_LEAVES, (86, 96, 48), (120, 100, 66), (76, 100, 44)), _CLIFF, 3.0, 4.0, 0.2),
    "desert": (
        ((214, 184, 128), (198, 160, 108), (222, 196, 148), (188, 150, 104)),
        (176, 132, 96),
        2.0,
        4.0,
        0.0,
    ),
    "rock": (
        ((150, 146, 138), (128, 122, 112), (164, 152, 132), (110, 112, 84)),
        (136, 128, 118),
        9.0,
        6.0,
        1.0,
    ),
    "water": ((_GRASS, _DRY, _SCRUB, (170, 176, 96)), _STONE, -4.0, 1.2, 0.0),
    "town": (
        ((140, 138, 134), (120, 130, 90), (156, 150, 142), (132, 126, 120)),
        _STONE,
        0.3,
        0.4,
        0.0,
    ),
}


def _designed_land(track: Track, roadmap: RoadMap, grid: Grid, seed: int) -> _Land:
    """Return land that is level along the road and rises or sinks farther away."""
    covers, stone, lift_m, relief_m, cliffs = _SURROUNDINGS[track.road.look.surroundings]

    from_road_m = _distance_to_road(track.line, grid)
    rise = _smooth_step(from_road_m, 9.0, 22.0)
    bumps = 0.7 * _noise(grid, seed, 64) + 0.5 * _noise(grid, seed + 1, 128)
    rolling = lift_m * np.clip((from_road_m - 10) / 50, 0, 1) + relief_m * bumps
    terraces = np.floor(rolling / 4) * 4 + 4 * _smooth_step(rolling / 4 % 1, 0.5, 1.0)
    relief = rolling * (1 - cliffs) + terraces * cliffs
    hills = _between_roads(track.line, grid) + rise * relief
    heights = _with_road(hills, roadmap)

    # where the land sinks away from the road there is water, a metre below the road's lowest point
    water_m = _NO_WATER_M
    if lift_m < 0:
        water_m = float(np.floor(track.line[:, 1].min() - 1.0))
    cover = _mixed_patches(grid, seed, covers)
    cover = _stone_on_slopes(cover, heights, stone, steep=0.8)
    return heights, cover, water_m


_MARGIN_M = 130.0  # width of the ground on all sides of a designed road


def _grid_around(track: Track) -> Grid:
    """Return a grid with the road in its middle; its side is a multiple of 64 cells."""
    low = track.line[:, [0, 2]].min(axis=0)
    high = track.line[:, [0, 2]].max(axis=0)
    side_m = float((high - low).max()) + 2 * _MARGIN_M
    side = math.ceil(side_m / CELL_M / 64) * 64
    corner = np.round((low + high) / 2 - side * CELL_M / 2, 3)
    return Grid(float(corner[0]), float(corner[1]), side)
