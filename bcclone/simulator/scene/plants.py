"""Place trees, bushes and signs: ground and a seed -> upright cards that face the camera, and their
pictures.

The pictures are drawn stroke by stroke from a seed, so no image file is needed.
"""

import math
from dataclasses import dataclass

import numpy as np

from bcclone.camera.images import Image
from bcclone.simulator.road_plan import REACH_M
from bcclone.simulator.scene.ground import Ground
from bcclone.simulator.scene.roadmap import CELL_M, FAR_M
from bcclone.simulator.track import DESIGNED_STYLE, LAKE, Track, read_figures
from bcclone.system.arrays import Float32Array, Random
from bcclone.system.exact_math import cosine, normals, sine
from bcclone.system.opencv import cv2

Pictures = Image
Row = tuple[float, float, float, float, float, int]  # of Cards.placements

CARD_HEIGHT, CARD_WIDTH = 128, 64  # texels
_PINE_HEIGHT_M = 24.0  # of a tree whose scale in the figures is 1; an estimate
_PINE_WIDTH, _PALM_WIDTH = 0.42, 0.8  # as fractions of the height
_CLEAR_M = 7.5  # no plant is nearer to the centre line


# Which picture a card shows
_PINES, BUSHES, _SIGN, _TOWER, _PALMS, _TIRE, _KINDS = (0, 1, 2, 3), (4, 5), 6, 7, (8, 9), 10, 11
# For each surroundings: kinds of trees, their heights in metres, how many of them and of clumps of
# bushes a kilometre
_GROWTH: dict[str, tuple[tuple[int, ...], tuple[float, float], int, int]] = {
    "meadow": (_PINES, (6.0, 14.0), 90, 120),
    "forest": (_PINES, (8.0, 22.0), 700, 150),
    "desert": (_PALMS, (4.0, 8.0), 25, 60),
    "rock": (_PINES, (5.0, 10.0), 40, 80),
    "water": (_PALMS, (6.0, 11.0), 120, 100),
    "town": (_PINES, (5.0, 9.0), 60, 40),
}


@dataclass(frozen=True)
class Cards:
    """placements, float32 (cards, 6): x, y of the foot, z, height, width in metres, kind; first
    come `trees` trees.
    """

    placements: Float32Array
    trees: int


def place_cards(track: Track, ground: Ground, seed: int) -> Cards:
    """Return the cards of everything that stands on the ground."""
    randomness, rest = np.random.default_rng(seed + 101), list[Row]()
    if track.road.name == LAKE.name:
        trees = [
            _tree(
                ground,
                randomness,
                (x, z),
                _PINE_HEIGHT_M * scale * randomness.uniform(0.9, 1.15),
                _PINES,
            )
            for x, z, scale in read_figures("lake_trees.csv")
        ]
        clumps, bushes_to_m = 170, 60.0
        for name, kind, (height, width) in (
            ("sign", _SIGN, (2.6, 1.7)),
            ("tire", _TIRE, (0.75, 0.9)),
        ):
            rest += [
                (x, 2.0, z, height, width, kind)
                for x, _, z in read_figures("lake_props.csv", (name,))
            ]
        rest += [
            (x, y, z, 46.0, 16.0, _TOWER) for x, y, z in read_figures("lake_props.csv", ("tower",))
        ]
    else:
        if track.road.style == DESIGNED_STYLE:
            kinds, heights_m, trees_a_km, clumps_a_km = _GROWTH[track.road.look.surroundings]
            count, clumps = (
                round(a_km * (track.length_m / 1000)) for a_km in (trees_a_km, clumps_a_km)
            )
            trees_to_m, bushes_to_m = 80.0, 50.0
        else:
            kinds, heights_m, count, trees_to_m, clumps, bushes_to_m = (
                _PALMS,
                (6.0, 11.0),
                420,
                90.0,
                220,
                70.0,
            )
        trees = [
            _tree(ground, randomness, place, randomness.uniform(*heights_m), kinds)
            for place in _random_positions(ground, randomness, count, (_CLEAR_M + 1.0, trees_to_m))
        ]
    rows = trees + _bushes(ground, randomness, clumps, bushes_to_m) + rest
    return Cards(np.array(rows, np.float32).reshape(-1, 6), len(trees))


def _tree(
    ground: Ground,
    randomness: Random,
    place: tuple[float, float],
    height: float,
    kinds: tuple[int, ...],
) -> Row:
    """Return a tree of a random kind at a place, x and z in metres."""
    x, z = place
    wide = _PALM_WIDTH if kinds is _PALMS else _PINE_WIDTH
    return x, ground.height_at(x, z), z, height, height * wide, int(randomness.choice(kinds))


def _bushes(ground: Ground, randomness: Random, clumps: int, reach_m: float) -> list[Row]:
    """Return clumps of bushes on dry ground near the road."""
    rows: list[Row] = []
    for x, z in _random_positions(ground, randomness, clumps, (_CLEAR_M + 1.5, reach_m)):
        for _ in range(int(randomness.integers(2, 7))):
            near_x, near_z = x + 2.5 * normals(randomness), z + 2.5 * normals(randomness)
            if ground.road.distance_m[ground.grid.cell(near_x, near_z)] > _CLEAR_M:
                height = randomness.uniform(0.7, 1.6)
                kind = BUSHES[0] if randomness.random() < 0.5 else BUSHES[1]
                rows.append(
                    (
                        near_x,
                        ground.height_at(near_x, near_z) - 0.1,
                        near_z,
                        height,
                        height * 1.7,
                        kind,
                    )
                )
    return rows


def _random_positions(
    ground: Ground, randomness: Random, count: int, distances_m: tuple[float, float]
) -> list[tuple[float, float]]:
    """Return random positions on dry ground between two distances from the road."""
    near = np.where(ground.road.cross_track_m < FAR_M, 0, 1).astype(np.uint8)
    far = cv2.distanceTransform(near, cv2.DIST_L2, 5) * CELL_M + np.minimum(
        ground.road.distance_m, REACH_M
    )
    usable = (
        (far > distances_m[0]) & (far < distances_m[1]) & (ground.heights_m > ground.water_m + 0.4)
    )
    rows, columns = np.nonzero(usable)
    count = min(count, len(rows))
    chosen = randomness.choice(len(rows), count, replace=False)
    x = ground.grid.x + (columns[chosen] + randomness.random(count)) * CELL_M
    z = ground.grid.z + (rows[chosen] + randomness.random(count)) * CELL_M
    return list(zip(x.tolist(), z.tolist(), strict=True))


def draw_cards(seed: int) -> Pictures:
    """Return the picture of every kind, RGBA uint8 (kinds, 128, 64, 4)."""
    pictures = np.zeros((_KINDS, CARD_HEIGHT, CARD_WIDTH, 4), np.uint8)
    for kinds, draw in ((_PINES, _draw_pine), (_PALMS, _draw_palm), (BUSHES, _draw_bush)):
        for kind in kinds:
            draw(pictures[kind], np.random.default_rng(seed * 97 + kind))
    cv2.rectangle(pictures[_SIGN], (29, 50), (35, 127), (34, 34, 38, 255), -1)
    cv2.rectangle(pictures[_SIGN], (3, 4), (61, 56), (26, 30, 40, 255), -1)
    cv2.rectangle(pictures[_SIGN], (7, 8), (57, 52), (58, 66, 84, 255), 2)
    _draw_tower(pictures[_TOWER])
    cv2.ellipse(pictures[_TIRE], (32, 70), (31, 58), 0, 0, 360, (20, 20, 22, 255), -1)
    return pictures


def _shaded(color: tuple[int, int, int], brightness: float) -> tuple[int, int, int, int]:
    red, green, blue = (int(min(channel * brightness, 255)) for channel in color)
    return red, green, blue, 255


def _draw_pine(picture: Pictures, randomness: Random) -> None:
    """A bare trunk below, and clumps of needles that are dark beneath and lit above."""
    lean = int(randomness.integers(-3, 4))
    cv2.line(picture, (32, 127), (32 + lean, 20), (62, 50, 38, 255), 3)
    lowest = int(randomness.integers(62, 86))
    for _ in range(46):
        y = int(randomness.uniform(8, lowest))
        widest = 5 + 24 * sine(math.pi * min((y + 8) / (lowest + 24), 1.0))
        x = int(32 + lean * (1 - y / 127) + widest * 0.42 * normals(randomness))
        for _ in range(11):
            leaf = (int(x + 4 * normals(randomness)), int(y + 2.2 * normals(randomness)))
            brightness = randomness.uniform(0.4, 0.9) + 0.5 * (leaf[1] < y and leaf[0] > x)
            size = (int(randomness.integers(1, 4)), int(randomness.integers(1, 3)))
            cv2.ellipse(picture, leaf, size, 0, 0, 360, _shaded((70, 76, 46), brightness), -1)


def _draw_palm(picture: Pictures, randomness: Random) -> None:
    cv2.line(picture, (32, 127), (32, 26), (122, 96, 66, 255), 4)
    for angle in np.linspace(-200, 20, 12) + 6 * normals(randomness, (12,)):
        tip = (32 + 29 * cosine(math.radians(angle)), 30 + 26 * sine(math.radians(angle)) + 12)
        middle = ((32 + tip[0]) / 2, (26 + tip[1]) / 2 - 8)
        frond = np.array([(32, 26), middle, tip], np.int32)
        cv2.polylines(
            picture, [frond], False, _shaded((70, 98, 30), randomness.uniform(0.6, 1.2)), 5
        )


def _draw_bush(picture: Pictures, randomness: Random) -> None:
    for _ in range(150):
        x, y = 32 + 13 * normals(randomness), randomness.uniform(14, 127)
        if abs(x - 32) < 31 * math.sqrt(min((y - 6) / 70, 1.0)):
            brightness = randomness.uniform(0.45, 0.9) + 0.3 * (1 - y / 127)
            cv2.ellipse(
                picture, (int(x), int(y)), (3, 7), 0, 0, 360, _shaded((62, 70, 30), brightness), -1
            )


def _draw_tower(picture: Pictures) -> None:
    color = (70, 88, 108, 255)
    for foot, top in (((12, 127), (30, 0)), ((52, 127), (34, 0))):
        cv2.line(picture, foot, top, color, 2)
    for y in range(10, 127, 14):
        half = int(2 + 18 * y / 127)
        cv2.line(picture, (32 - half, y), (32 + half, y + 14), color, 1)
        cv2.line(picture, (32 + half, y), (32 - half, y + 14), color, 1)
    for y in (14, 30):
        cv2.line(picture, (4, y), (60, y), color, 2)
