"""Build walls, decks and houses: a track -> parallelograms along it, here also called faces."""

import numpy as np

from bcclone.simulator.scene.land import Ground
from bcclone.simulator.track import DESIGNED_STYLE, LAKE, Road, Track
from bcclone.system.arrays import FloatArray

# Materials
BLACK_WALL = 0
STONE = 1
DECK = 2  # surface of the mountain's bridge
DARK = 3  # underside of that bridge
RAIL = 4
BRICK = 5

_SEGMENT_M = 4.0  # length of a parallelogram along the road, about
_LAKE_WALL_M = 5.55  # distance of the lake's bridge's walls from the centre line
_DECK_HALF_WIDTH_M = 6.0  # half the width of the mountain's bridge
_LOW_WALL_HEIGHT_M = 0.75  # height of a low wall of stone


def build_structures(track: Track, ground: Ground) -> FloatArray:
    """Return everything that is built along the track, as parallelograms, float64 (faces, 12).

    A row has the corner, the first edge and the second edge (x, y, z each), the material, and the
    two texture coordinates of the corner, in metres.
    """
    if track.road.style == DESIGNED_STYLE:
        faces = _barriers(track)
        if track.road.look.surroundings == "town":
            faces += _houses(track)
    elif track.road.name == LAKE.name:
        # black walls on both sides of the bridge
        faces = []
        for side in (-1, 1):
            line = _line_beside(track, side * _LAKE_WALL_M, *track.road.bridge)
            faces += _wall(line, below_m=-3.0, above_m=0.85, material=BLACK_WALL)
    else:
        faces = _mountain_deck(track) + _guard_walls(track, ground)
    return np.array(faces, np.float64).reshape(-1, 12)


def walls_at(track: Track, along_m: float) -> float | None:
    """Return the distance of walls or rails from the centre line, None if a side has none."""
    road = track.road
    if road.style == DESIGNED_STYLE:
        if road.look.barriers == "none" or road.look.neighbor_m:
            return None
        return _barriers_m(road)
    if not road.on_bridge(along_m):
        return None
    return _LAKE_WALL_M if road.name == LAKE.name else _DECK_HALF_WIDTH_M


def _wall(foot: FloatArray, below_m: float, above_m: float, material: int) -> list[FloatArray]:
    """Return upright faces along a line of points.

    foot: x, y, z of the points, (points, 3)
    below_m, above_m: heights of the faces' lower and upper edges above the points
    """
    down = np.array([0.0, below_m, 0.0])
    up = np.array([0.0, above_m - below_m, 0.0])
    return [
        np.concatenate([begin + down, end - begin, up, (material, 0.0, 0.0)])
        for begin, end in zip(foot[:-1], foot[1:], strict=True)
    ]


def _low_wall(foot: FloatArray) -> list[FloatArray]:
    """Return a low wall of stone whose foot is half a metre in the ground."""
    return _wall(foot, below_m=-0.5, above_m=_LOW_WALL_HEIGHT_M, material=STONE)


def _line_beside(track: Track, cross_track_m: float, start_m: float, end_m: float) -> FloatArray:
    """Return x, y, z of the ends of segments beside the track, (segments + 1, 3).

    cross_track_m: distance of the points from the centre line, to the right
    """
    segments = max(round((end_m - start_m) / _SEGMENT_M), 1)
    distances_m = np.linspace(start_m, end_m, segments + 1)
    return np.array([track.point(along_m, cross_track_m)[:3] for along_m in distances_m])


# ---- the mountain's bridge and walls


_DECK_THICKNESS_M = 1.4
_OVERLAP_M = 1.0  # length of deck that lies over the ground at each end


def _mountain_deck(track: Track) -> list[FloatArray]:
    """Return the surface of the bridge's road, its underside, its sides and their walls."""
    faces = []
    start_m = track.road.bridge[0] - _OVERLAP_M
    end_m = track.road.bridge[1] + _OVERLAP_M
    left = _line_beside(track, -_DECK_HALF_WIDTH_M, start_m, end_m)
    right = _line_beside(track, _DECK_HALF_WIDTH_M, start_m, end_m)
    distances_m = np.linspace(start_m, end_m, len(left))
    thickness = np.array([0.0, _DECK_THICKNESS_M, 0.0])
    for segment in range(len(left) - 1):
        corner = left[segment]
        ahead = left[segment + 1] - corner
        across = right[segment] - corner
        # the texture of the surface is the road, which lies along and across the centre line
        texture = (DECK, distances_m[segment], -_DECK_HALF_WIDTH_M)
        faces.append(np.concatenate([corner, ahead, across, texture]))
        # seen from below, so its edges change places
        faces.append(np.concatenate([corner - thickness, across, ahead, (DARK, 0.0, 0.0)]))
    for line in (left, right):
        faces += _wall(line, below_m=-_DECK_THICKNESS_M, above_m=_LOW_WALL_HEIGHT_M, material=STONE)
    return faces


_GUARD_WALL_M = 6.1  # distance of a guard wall from the centre line
_SHARP_RADIUS_M = 30.0  # a bend with a smaller radius has a wall on its outside


def _guard_walls(track: Track, ground: Ground) -> list[FloatArray]:
    """Return low walls where the ground falls away, and at the outside of sharp bends."""
    faces = []
    segments = round(track.length_m / _SEGMENT_M)
    bridge_start_m, bridge_end_m = track.road.bridge
    for segment in range(segments):
        start_m = segment * track.length_m / segments
        end_m = (segment + 1) * track.length_m / segments
        # the bridge has walls already
        if bridge_start_m - _SEGMENT_M < start_m < bridge_end_m + _SEGMENT_M:
            continue
        # positive to the right, so that the outside of the bend is on the left
        bend = track.curvature[track.index(start_m)]
        for side in (-1, 1):
            x, y, z, _ = track.point(start_m, side * 12.0)
            falls_away = ground.heights_m[ground.grid.cell(x, z)] < y - 1.5
            if falls_away or side * bend < -1 / _SHARP_RADIUS_M:
                faces += _low_wall(_line_beside(track, side * _GUARD_WALL_M, start_m, end_m))
    return faces


# ---- designed roads


_BARRIER_GAP_M = 0.8  # between the road, or the band along its edge, and the barrier
_RAIL_FROM_M = 0.4  # height of a rail's lower edge above the road
_RAIL_HEIGHT_M = 0.35  # from a rail's lower to its upper edge


def _barriers(track: Track) -> list[FloatArray]:
    """Return the rails or walls along both sides; there are none towards a neighbor."""
    look = track.road.look
    faces = list[FloatArray]()
    if look.barriers == "none":
        return faces
    # a closed road's end is its start, so its barriers end just before it
    end_m = track.length_m - 0.01 if track.closed else track.length_m
    for side in (-1, 1):
        if side * look.neighbor_m > 0:
            continue
        line = _line_beside(track, side * _barriers_m(track.road), 0.0, end_m)
        if look.barriers == "wall":
            faces += _low_wall(line)
        else:
            rail = line + (0.0, _RAIL_FROM_M, 0.0)
            faces += _wall(rail, below_m=0.0, above_m=_RAIL_HEIGHT_M, material=RAIL)
    return faces


def _barriers_m(road: Road) -> float:
    """Return the distance of a designed road's barriers from its centre line."""
    edge_m = road.look.edge_m if road.look.edges != "none" else 0.0
    return road.width_m / 2 + edge_m + _BARRIER_GAP_M


_HOUSE_M = 14.0  # the greatest length of a house along the road
_HOUSE_GAP_M = 6.0  # smallest distance between the road and a house
_HOUSE_DEPTH_M = 8.0  # length of a gable


def _houses(track: Track) -> list[FloatArray]:
    """Return the fronts and the gables of houses along both sides of a road through a town."""
    # 31: other random numbers than those of other choices with the same seed
    randomness = np.random.default_rng([track.road.look.seed, 31])
    faces = list[FloatArray]()
    for side in (-1, 1):
        # houses stand beyond a neighboring road on their side
        neighbor_m = max(side * track.road.look.neighbor_m, 0.0)
        gap_m = track.road.width_m / 2 + neighbor_m + _HOUSE_GAP_M
        along_m = 5.0 * randomness.random()
        while along_m < track.length_m - _HOUSE_M:
            # a house: its size, and how far it stands back from the road
            length_m = _HOUSE_M * (0.6 + 0.4 * randomness.random())
            height_m = 4.0 + 6.0 * randomness.random()
            front_m = side * (gap_m + 6.0 * randomness.random())
            back_m = front_m + side * _HOUSE_DEPTH_M
            material = BRICK if randomness.random() < 0.6 else STONE

            # its front, and the two gables beside it
            start = (along_m, front_m)
            end = (along_m + length_m, front_m)
            for foot in (
                (start, end),
                (start, (along_m, back_m)),
                (end, (along_m + length_m, back_m)),
            ):
                line = np.array([track.point(*place)[:3] for place in foot])
                faces += _wall(line, below_m=-2.0, above_m=height_m, material=material)
            along_m += length_m + 2.0 + 14.0 * randomness.random()
    return faces
