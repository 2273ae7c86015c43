"""Place trees, bushes and signs, and draw their pictures: ground and a seed -> upright cards that
face the camera.

A card is a row of `Cards`: the place of its foot, its height and width, and its kind. The picture
of a kind is drawn stroke by stroke, with random numbers from the seed, so no image file is needed.
"""

import math
from dataclasses import dataclass

import numpy as np

from bcclone.camera.images import Image, cv2
from bcclone.simulator.figures import read_figures
from bcclone.simulator.roads import REACH_M
from bcclone.simulator.scene.land import Ground
from bcclone.simulator.scene.roadmap import CELL_M
from bcclone.simulator.track import LAKE, MOUNTAIN_STYLE, Track
from bcclone.system.arrays import Float32Array, Random
from bcclone.system.exact_math import cosine, normals, sine

# size of a picture in texels
CARD_HEIGHT = 128
CARD_WIDTH = 64

# Kinds of cards: a kind is the number of the picture that a card shows. A plant has several kinds.
PINES = (0, 1, 2, 3)
BUSHES = (4, 5)
SIGN = 6
TOWER = 7
PALMS = (8, 9)
TIRE = 10
_KINDS = 11  # number of all kinds


# ---- places


_Place = tuple[float, float]  # x and z in metres
_Card = tuple[float, float, float, float, float, int]  # a row of Cards.placements

_CLEAR_M = 7.5  # no plant is nearer to the centre line


@dataclass(frozen=True)
class Cards:
    """Everything that stands on the ground, as upright cards."""

    # a card in each row, trees first: x, y of the foot, z, height and width in metres, and the
    # kind, a number above; float32 (cards, 6)
    placements: Float32Array
    tree_count: int  # how many of the cards are trees


_Growth = tuple[tuple[int, ...], tuple[float, float], int, int]
# What grows around a road whose plants are placed at random: kinds of the trees, their smallest and
# greatest height in metres, number of trees and of clumps of bushes on a kilometre of road
_GROWTHS: dict[str, _Growth] = {
    "meadow": (PINES, (6.0, 14.0), 90, 120),
    "forest": (PINES, (8.0, 22.0), 700, 150),
    "desert": (PALMS, (4.0, 8.0), 25, 60),
    "rock": (PINES, (5.0, 10.0), 40, 80),
    "water": (PALMS, (6.0, 11.0), 120, 100),
    "town": (PINES, (5.0, 9.0), 60, 40),
}
# the same of the mountain, with the numbers on all of it
_MOUNTAIN_GROWTH: _Growth = (PALMS, (6.0, 11.0), 420, 220)
_SEED_OF_PLANTS = 101  # added to the world's seed


def place_cards(track: Track, ground: Ground, seed: int) -> Cards:
    """Return the cards of everything that stands on the ground."""
    # other random numbers than those of the textures and the relief, which come of the same seed
    randomness = np.random.default_rng(seed + _SEED_OF_PLANTS)
    if track.road.name == LAKE.name:
        return _lake_cards(ground, randomness)
    # greatest distances from the road, of a tree and of a clump of bushes
    trees_to_m = 80.0
    bushes_to_m = 50.0
    kilometres = track.length_m / 1000
    if track.road.style == MOUNTAIN_STYLE:
        growth = _MOUNTAIN_GROWTH
        trees_to_m = 90.0
        bushes_to_m = 70.0
        kilometres = 1.0
    else:
        growth = _GROWTHS[track.road.look.surroundings]
    kinds, heights_m, tree_count, clump_count = growth
    tree_count = round(tree_count * kilometres)
    clump_count = round(clump_count * kilometres)

    places = _random_places(ground, randomness, tree_count, _CLEAR_M + 1.0, trees_to_m)
    trees = []
    for place in places:
        height_m = randomness.uniform(*heights_m)
        trees.append(_tree(ground, randomness, place, height_m, kinds))
    return _cards(trees, _bushes(ground, randomness, clump_count, bushes_to_m))


_PINE_HEIGHT_M = 24.0  # an estimate: height of a tree whose height_scale in lake_trees.csv is 1
_LAKE_CLUMPS = 170  # clumps of bushes
_LAKE_BUSHES_TO_M = 60.0  # greatest distance of a clump from the road
# name in lake_props.csv -> kind, height and width in metres
_LAKE_PROPS = {"sign": (SIGN, 2.6, 1.7), "tire": (TIRE, 0.75, 0.9), "tower": (TOWER, 46.0, 16.0)}


def _lake_cards(ground: Ground, randomness: Random) -> Cards:
    """Return the lake's trees, signs, tyres and towers at their places, and bushes at random."""
    trees = []
    for x, z, scale in read_figures("lake_trees.csv"):
        height_m = _PINE_HEIGHT_M * scale * randomness.uniform(0.9, 1.15)
        trees.append(_tree(ground, randomness, (x, z), height_m, PINES))
    bushes = _bushes(ground, randomness, _LAKE_CLUMPS, _LAKE_BUSHES_TO_M)

    props: list[_Card] = []
    for name, (kind, height_m, width_m) in _LAKE_PROPS.items():
        for x, y, z in read_figures("lake_props.csv", (name,)):
            # signs and tyres stand beside the road, at its height of 2 m
            foot = y if kind == TOWER else 2.0
            props.append((x, foot, z, height_m, width_m, kind))
    return _cards(trees, bushes + props)


def _cards(trees: list[_Card], others: list[_Card]) -> Cards:
    """Return cards of trees and of everything else as one array."""
    placements = np.array(trees + others, np.float32).reshape(-1, 6)
    return Cards(placements, len(trees))


# Width of a tree as a fraction of its height
_PINE_WIDTH = 0.42
_PALM_WIDTH = 0.8


def _tree(
    ground: Ground,
    randomness: Random,
    place: _Place,
    height_m: float,
    kinds: tuple[int, ...],
) -> _Card:
    """Return a tree at a place. kinds: the kinds of cards to choose from."""
    x, z = place
    width_share = _PALM_WIDTH if kinds is PALMS else _PINE_WIDTH
    kind = int(randomness.choice(kinds))
    return x, ground.height_at(x, z), z, height_m, height_m * width_share, kind


_BUSH_WIDTH = 1.7  # as a multiple of its height


def _bushes(ground: Ground, randomness: Random, clumps: int, to_m: float) -> list[_Card]:
    """Return the bushes of random clumps on dry ground near the road.

    clumps: number of clumps
    to_m: greatest distance of a clump from the road
    """
    bushes: list[_Card] = []
    places = _random_places(ground, randomness, clumps, from_m=_CLEAR_M + 1.5, to_m=to_m)
    for clump_x, clump_z in places:
        for _ in range(int(randomness.integers(2, 7))):
            x = clump_x + 2.5 * normals(randomness)
            z = clump_z + 2.5 * normals(randomness)
            if ground.roadmap.distance_m[ground.grid.cell(x, z)] <= _CLEAR_M:
                continue
            height_m = randomness.uniform(0.7, 1.6)
            kind = BUSHES[0] if randomness.random() < 0.5 else BUSHES[1]
            foot = ground.height_at(x, z) - 0.1  # sunk, so that no gap shows on a slope
            bushes.append((x, foot, z, height_m, height_m * _BUSH_WIDTH, kind))
    return bushes


def _random_places(
    ground: Ground, randomness: Random, count: int, from_m: float, to_m: float
) -> list[_Place]:
    """Return places on dry ground between two distances from the road.

    There are fewer than `count` if fewer cells of the ground are dry and far enough from the road.
    """
    # near the road, the map has the distance from it; farther away, the distance from the nearest
    # mapped cell (distanceTransform() measures from the zeros) is added to the map's reach
    unmapped = (~ground.roadmap.is_mapped).astype(np.uint8)
    beyond_m = cv2.distanceTransform(unmapped, cv2.DIST_L2, 5) * CELL_M
    distance_m = beyond_m + np.minimum(ground.roadmap.distance_m, REACH_M)
    dry = ground.heights_m > ground.water_m + 0.4
    usable = (distance_m > from_m) & (distance_m < to_m) & dry

    # random cells, and a random point in each
    rows, columns = np.nonzero(usable)
    count = min(count, len(rows))
    chosen = randomness.choice(len(rows), count, replace=False)
    x = ground.grid.x + (columns[chosen] + randomness.random(count)) * CELL_M
    z = ground.grid.z + (rows[chosen] + randomness.random(count)) * CELL_M
    return list(zip(x.tolist(), z.tolist(), strict=True))


# ---- pictures


_RGBA = tuple[int, int, int, int]

_FOOT = (32, 127)  # column and row of a plant's foot


def draw_pictures(seed: int) -> Image:
    """Return the picture of every kind, RGBA uint8 (kinds, CARD_HEIGHT, CARD_WIDTH, 4)."""
    pictures = np.zeros((_KINDS, CARD_HEIGHT, CARD_WIDTH, 4), np.uint8)
    for kind in PINES:
        _draw_pine(pictures[kind], np.random.default_rng(seed * 97 + kind))
    for kind in PALMS:
        _draw_palm(pictures[kind], np.random.default_rng(seed * 97 + kind))
    for kind in BUSHES:
        _draw_bush(pictures[kind], np.random.default_rng(seed * 97 + kind))
    _draw_sign(pictures[SIGN])
    _draw_tower(pictures[TOWER])
    cv2.ellipse(pictures[TIRE], (32, 70), (31, 58), 0, 0, 360, (20, 20, 22, 255), -1)
    return pictures


def _draw_pine(picture: Image, randomness: Random) -> None:
    """Draw a bare trunk below, and clumps of needles, dark beneath and lit above."""
    lean = int(randomness.integers(-3, 4))
    cv2.line(picture, _FOOT, (32 + lean, 20), (62, 50, 38, 255), 3)
    # the row at which the crown ends; below it the trunk is bare
    lowest = int(randomness.integers(62, 86))
    for _ in range(46):
        # a clump: the crown is widest in its middle
        y = int(randomness.uniform(8, lowest))
        widest = 5 + 24 * sine(math.pi * min((y + 8) / (lowest + 24), 1.0))
        x = int(32 + lean * (1 - y / 127) + widest * 0.42 * normals(randomness))
        for _ in range(11):
            leaf_x = int(x + 4 * normals(randomness))
            leaf_y = int(y + 2.2 * normals(randomness))
            brightness = randomness.uniform(0.4, 0.9)
            if leaf_y < y and leaf_x > x:  # the light comes from above, on the right
                brightness += 0.5
            size = (int(randomness.integers(1, 4)), int(randomness.integers(1, 3)))
            color = _shaded((70, 76, 46), brightness)
            cv2.ellipse(picture, (leaf_x, leaf_y), size, 0, 0, 360, color, -1)


def _draw_palm(picture: Image, randomness: Random) -> None:
    """Draw a trunk, and fronds that bend down at their tips."""
    top = (32, 26)
    cv2.line(picture, _FOOT, top, (122, 96, 66, 255), 4)
    for degrees in np.linspace(-200, 20, 12) + 6 * normals(randomness, (12,)):
        angle = math.radians(degrees)
        tip = (32 + 29 * cosine(angle), 30 + 26 * sine(angle) + 12)
        middle = ((32 + tip[0]) / 2, (26 + tip[1]) / 2 - 8)
        frond = np.array([top, middle, tip], np.int32)
        color = _shaded((70, 98, 30), randomness.uniform(0.6, 1.2))
        cv2.polylines(picture, [frond], False, color, 5)


def _draw_bush(picture: Image, randomness: Random) -> None:
    """Draw leaves within a dome, lighter towards its top."""
    for _ in range(150):
        x = 32 + 13 * normals(randomness)
        y = randomness.uniform(14, 127)
        if abs(x - 32) >= 31 * math.sqrt(min((y - 6) / 70, 1.0)):
            continue
        brightness = randomness.uniform(0.45, 0.9) + 0.3 * (1 - y / 127)
        color = _shaded((62, 70, 30), brightness)
        cv2.ellipse(picture, (int(x), int(y)), (3, 7), 0, 0, 360, color, -1)


def _draw_sign(picture: Image) -> None:
    """Draw a dark board on a post."""
    cv2.rectangle(picture, (29, 50), (35, 127), (34, 34, 38, 255), -1)
    cv2.rectangle(picture, (3, 4), (61, 56), (26, 30, 40, 255), -1)
    cv2.rectangle(picture, (7, 8), (57, 52), (58, 66, 84, 255), 2)


def _draw_tower(picture: Image) -> None:
    """Draw a pylon of steel: two legs, crossed struts, two arms."""
    color = (70, 88, 108, 255)
    cv2.line(picture, (12, 127), (30, 0), color, 2)
    cv2.line(picture, (52, 127), (34, 0), color, 2)
    for y in range(10, 127, 14):
        half = int(2 + 18 * y / 127)
        cv2.line(picture, (32 - half, y), (32 + half, y + 14), color, 1)
        cv2.line(picture, (32 + half, y), (32 - half, y + 14), color, 1)
    for y in (14, 30):
        cv2.line(picture, (4, y), (60, y), color, 2)


def _shaded(color: tuple[int, int, int], brightness: float) -> _RGBA:
    """Return a colour times a brightness, opaque."""
    red, green, blue = (int(min(channel * brightness, 255)) for channel in color)
    return red, green, blue, 255
