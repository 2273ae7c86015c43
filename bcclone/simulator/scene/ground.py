"""Make the ground: a track and a seed -> heights and colours of the land around it, with the road
in it.

The lake's hills come from the figures, the mountain's are generated around its road; finer detail
is noise.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt

from bcclone.simulator.scene.roadmap import CELL_M, Grid, RoadMap, map_road
from bcclone.simulator.scene.textures import Field, resize, tiling_noise
from bcclone.simulator.track import DESIGNED_STYLE, LAKE, LEVEL_M, Track, read_figures
from bcclone.system.arrays import Float32Array, FloatArray
from bcclone.system.exact_math import exponentials

_LAKE_GRID = Grid(-342.0, -368.0, 1400)
_MOUNTAIN_GRID = Grid(-136.0, -285.0, 1024)
_LAKE_WATER_M = -0.5
_NO_WATER_M = -1000.0
_BED_BLEND_M = 4.5  # width of the slope between the road's level bed and the hills
_DECK_HALF_WIDTH_M = 5.3
# Radius and height of the rocks: estimates, since their meshes are not public.
_ROCKS = {"rock1": (15.0, 9.0), "rock2": (19.0, 11.0)}

# Colours of the ground, RGB under full light: estimated from recordings.
_GRASS, _DRY, _DIRT, _SCRUB, _STONE = (
    (192, 164, 84),
    (200, 176, 118),
    (182, 132, 92),
    (140, 126, 68),
    (142, 140, 128),
)
_MEADOW, _LEAVES, _CLIFF, _DARK_CLIFF = (128, 146, 46), (96, 118, 40), (146, 130, 100), (96, 88, 72)
_MARGIN_M = 130.0  # of ground around a designed road


@dataclass(frozen=True)
class _Land:
    """The land around a designed road.

    covers, stone: colours of level ground and of slopes; lift_m: how much higher it is away from
    the road; relief_m: height of its hills; cliffs: how steep they are, 0 to 1.
    """

    covers: tuple[tuple[int, int, int], ...]
    stone: tuple[int, int, int]
    lift_m: float
    relief_m: float
    cliffs: float


_LANDS = {
    "meadow": _Land((_MEADOW, _LEAVES, (150, 150, 70), (118, 140, 60)), _STONE, 1.0, 2.5, 0.0),
    "forest": _Land((_LEAVES, (86, 96, 48), (120, 100, 66), (76, 100, 44)), _CLIFF, 3.0, 4.0, 0.2),
    "desert": _Land(
        ((214, 184, 128), (198, 160, 108), (222, 196, 148), (188, 150, 104)),
        (176, 132, 96),
        2.0,
        4.0,
        0.0,
    ),
    "rock": _Land(
        ((150, 146, 138), (128, 122, 112), (164, 152, 132), (110, 112, 84)),
        (136, 128, 118),
        9.0,
        6.0,
        1.0,
    ),
    "water": _Land((_GRASS, _DRY, _SCRUB, (170, 176, 96)), _STONE, -4.0, 1.2, 0.0),
    "town": _Land(
        ((140, 138, 134), (120, 130, 90), (156, 150, 142), (132, 126, 120)), _STONE, 0.3, 0.4, 0.0
    ),
}


@dataclass(frozen=True)
class Ground:
    """heights_m, float32 (side, side); cover, RGB float32 (side, side, 3); water_m: height of the
    water.
    """

    grid: Grid
    heights_m: Float32Array
    cover: Float32Array
    road: RoadMap
    water_m: float

    def height_at(self, x: float, z: float) -> float:
        """Return the height of the ground or the water at x, z."""
        return max(float(self.heights_m[self.grid.cell(x, z)]), self.water_m)


def make_ground(track: Track, seed: int) -> Ground:
    """Return the ground of a track; the same seed gives the same ground."""
    make = (
        _designed
        if track.road.style == DESIGNED_STYLE
        else _lake
        if track.road.name == LAKE.name
        else _mountain
    )
    return make(track, seed)


def _lake(track: Track, seed: int) -> Ground:
    grid = _LAKE_GRID
    road = map_road(track, grid, np.ones(len(track.line), bool))
    distance_m = road.distance_m
    hills = resize(read_figures("lake_terrain.csv").astype(np.float32), grid.side, grid.side)
    relief = _noise(grid, seed, 64) * 1.6 + _noise(grid, seed + 1, 16) * 0.5
    hills = hills + relief * np.clip((distance_m - 9) / 12, 0, 1) * np.clip(
        np.abs(hills) / 6, 0.15, 1
    )
    steps = (hills + 5 * _noise(grid, seed + 5, 32)) / 9
    ledges = (
        _smooth_step(steps % 1, 0.3, 0.8) - steps % 1
    )  # rock faces, which the figures are too coarse for
    hills = hills + 9 * 0.6 * ledges * np.clip((hills - 4) / 4, 0, 1) * np.clip(
        (distance_m - 11) / 6, 0, 1
    )
    stony = np.zeros((grid.side, grid.side), bool)
    lumps, (east, north) = 1 + 0.12 * _noise(grid, seed + 7, 16), grid.centres()
    for kind, (radius, height) in _ROCKS.items():
        for x, y, z in read_figures("lake_props.csv", (kind,)):
            inside = 1 - ((east - x) ** 2 + (north - z) ** 2) / radius**2
            bump = np.sqrt(np.clip(inside, 0, 1)) * height * lumps + y - 4.0
            bump = np.where((inside > 0) & (distance_m > 14), bump, -1e3)
            stony |= bump > hills
            hills = np.maximum(hills, bump)
    bridge = (
        (road.along_m > track.road.bridge[0])
        & (road.along_m < track.road.bridge[1])
        & (distance_m < 30)
    )
    level = np.clip((LEVEL_M + _BED_BLEND_M - distance_m) / _BED_BLEND_M, 0, 1)
    level = np.where(bridge, (distance_m < _DECK_HALF_WIDTH_M).astype(np.float32), level)
    heights = hills * (1 - level) + road.road_height_m * level
    cover = _mixed(grid, seed, (_GRASS, _DRY, _DIRT, _SCRUB))
    cover = _stone_on_slopes(cover, heights, _STONE, 0.85)
    cover[stony] = _STONE
    return Ground(grid, _single(heights), _single(cover), road, _LAKE_WATER_M)


def _mountain(track: Track, seed: int) -> Ground:
    grid = _MOUNTAIN_GRID
    start, end = track.road.bridge
    along = np.arange(len(track.line)) / track.points_a_metre
    on_ground = (along < start) | (along > end)
    road = map_road(track, grid, on_ground)
    base = _between_roads(track.line[on_ground], grid)
    far = _distance_to_road(track.line[on_ground], grid)
    rise = _smooth_step(far, 8.0, 15.0)
    # walls here and there, slopes elsewhere
    walls = _noise(grid, seed, 128)
    cliffs = np.where(walls > -0.2, 7 + 6 * np.clip(walls, 0, 2), 5.0 * walls)
    terraces = np.floor(cliffs / 4) * 4 + 4 * _smooth_step(cliffs / 4 % 1, 0.55, 1.0)
    away = np.clip((far - 40) / 120, 0, 1)
    hills = (
        base
        + rise * terraces
        + _noise(grid, seed + 1, 32) * rise * 1.2
        + away * 14 * _noise(grid, seed + 2, 256)
    )
    heights = _with_road(hills, road)
    cover = _mixed(grid, seed, (_MEADOW, _LEAVES, _MEADOW, _LEAVES))
    cover = _stone_on_slopes(cover, heights, _CLIFF, 0.7)
    cover = np.where(
        (walls > 0.9)[..., None] & (_slope(heights) > 1.2)[..., None], np.array(_DARK_CLIFF), cover
    )
    return Ground(grid, _single(heights), _single(cover), road, _NO_WATER_M)


def _designed(track: Track, seed: int) -> Ground:
    """Return the ground around a designed road: level along the road, and farther away by its
    surroundings.
    """
    low, high = track.line[:, [0, 2]].min(axis=0), track.line[:, [0, 2]].max(axis=0)
    side = math.ceil((float((high - low).max()) + 2 * _MARGIN_M) / CELL_M / 64) * 64
    corner = np.round((low + high) / 2 - side * CELL_M / 2, 3)
    grid = Grid(float(corner[0]), float(corner[1]), side)
    road = map_road(track, grid, np.ones(len(track.line), bool))
    land = _LANDS[track.road.look.surroundings]
    far = _distance_to_road(track.line, grid)
    rise = _smooth_step(far, 9.0, 22.0)
    bumps = 0.7 * _noise(grid, seed, 64) + 0.5 * _noise(grid, seed + 1, 128)
    rolling = land.lift_m * np.clip((far - 10) / 50, 0, 1) + land.relief_m * bumps
    terraces = np.floor(rolling / 4) * 4 + 4 * _smooth_step(rolling / 4 % 1, 0.5, 1.0)
    hills = _between_roads(track.line, grid) + rise * (
        rolling * (1 - land.cliffs) + terraces * land.cliffs
    )
    heights = _with_road(hills, road)
    water_m = float(np.floor(track.line[:, 1].min() - 1.0)) if land.lift_m < 0 else _NO_WATER_M
    cover = _stone_on_slopes(_mixed(grid, seed, land.covers), heights, land.stone, 0.8)
    return Ground(grid, _single(heights), _single(cover), road, water_m)


def _with_road(hills: Field, road: RoadMap) -> Field:
    """Return the heights of hills with a level bed for the road."""
    level = np.clip((LEVEL_M + 2.0 - road.distance_m) / 2.0, 0, 1)
    return np.asarray(hills * (1 - level) + np.where(level > 0, road.road_height_m, 0.0) * level)


def _between_roads(line: FloatArray, grid: Grid) -> FloatArray:
    """Return heights interpolated from the road, weighted by its distance."""
    cells = grid.side // 16
    steps = (np.arange(cells) + 0.5) * CELL_M * 16
    some, coarse = line[::8], np.empty((cells, cells))
    across = (steps[:, None] + grid.x - some[:, 0]) ** 2
    for row, z in enumerate(
        steps + grid.z
    ):  # one by one: a long road in a large grid would take gigabytes
        squared = across + (z - some[:, 2]) ** 2
        weight = 1 / ((squared + 30.0) * (squared + 30.0))
        coarse[row] = (weight * some[:, 1]).sum(-1) / weight.sum(-1)
    return np.asarray(resize(coarse, grid.side, grid.side), np.float64)


def _distance_to_road(line: FloatArray, grid: Grid) -> Float32Array:
    free = np.ones((grid.side, grid.side), np.uint8)
    pixels = ((line[:, [0, 2]] - (grid.x, grid.z)) / CELL_M).astype(int)
    free[pixels[:, 1], pixels[:, 0]] = 0
    return np.asarray(distance_transform_edt(free) * CELL_M, np.float32)


def _noise(grid: Grid, seed: int, grain: int) -> Float32Array:
    """Return smooth noise of standard deviation 1 with lumps about `grain` cells wide."""
    cells = 2 ** math.ceil(math.log2(grid.side / grain)) + 2
    field = tiling_noise(cells + cells % 2, 1000 + seed * 31 + grain, ((1, 1.0), (2, 1.0)))
    return resize(field, len(field) * grain, len(field) * grain, kept=(grid.side, grid.side))


def _mixed(grid: Grid, seed: int, covers: tuple[tuple[int, int, int], ...]) -> Float32Array:
    """Return patches of the covers that blend into each other."""
    weights = [exponentials(2.2 * _noise(grid, seed + 11 + n, 64)) for n in range(len(covers))]
    weights[0] *= 2.5
    total = sum(weights)
    for weight in weights:
        weight /= total
    colors = [
        sum(weight * cover[color] for weight, cover in zip(weights, covers, strict=True))
        for color in range(3)
    ]
    return np.stack(colors, -1, dtype=np.float32)


def _stone_on_slopes(
    cover: Float32Array, heights: Field, stone: tuple[int, int, int], steep: float
) -> Float32Array:
    fraction = np.clip((_slope(heights) - steep) / 0.5, 0, 1)
    colors = [cover[..., color] * (1 - fraction) + stone[color] * fraction for color in range(3)]
    return np.stack(colors, -1, dtype=np.float32, casting="same_kind")


def _slope(heights: Field) -> Field:
    rise_z, rise_x = np.gradient(heights, CELL_M)
    return np.asarray(np.sqrt(rise_x * rise_x + rise_z * rise_z))


def _smooth_step(values: Field, start: float, end: float) -> Field:
    fraction = np.clip((values - start) / (end - start), 0, 1)
    return np.asarray(fraction * fraction * (3 - 2 * fraction))


def _single(values: Field) -> Float32Array:
    return np.ascontiguousarray(values, np.float32)
