"""Build walls, decks and houses: a track -> parallelograms along it.

Everything consists of parallelograms, so that one short loop can draw it.
"""

import numpy as np

from bcclone.simulator.scene.ground import Ground
from bcclone.simulator.track import DESIGNED_STYLE, LAKE, Road, Track
from bcclone.system.arrays import FloatArray

BLACK_WALL, STONE, DECK, DARK, RAIL, BRICK = range(6)  # materials
_SEGMENT_M = 4.0
_LAKE_WALL_M, _LAKE_WALL_HEIGHT_M = 5.55, 0.85
_GUARD_WALL_M, _GUARD_WALL_HEIGHT_M = 6.1, 0.75
_DECK_HALF_WIDTH_M, _DECK_THICKNESS_M = 6.0, 1.4
_OVERLAP_M = 1.0  # of the deck with the ground at both ends
_SHARP_RADIUS_M = 30.0
_BARRIER_GAP_M, _RAIL_FROM_M, _RAIL_HEIGHT_M = 0.8, 0.4, 0.35
_HOUSE_GAP_M, _HOUSE_M = 6.0, 14.0


def build_structures(track: Track, ground: Ground) -> FloatArray:
    """Return everything that is built along the track, as parallelograms, float64 (faces, 12).

    Of each: corner, first edge, second edge (x, y, z each), material, and the texture coordinates
    of the corner, in metres.
    """
    start, end = track.road.bridge
    if track.road.style == DESIGNED_STYLE:
        rows = _barriers(track) + (_houses(track) if track.road.look.surroundings == "town" else [])
    elif track.road.name == LAKE.name:
        rows = [
            row
            for side in (-1, 1)
            for row in _wall(
                _offset_line(track, side * _LAKE_WALL_M, start, end),
                -3.0,
                _LAKE_WALL_HEIGHT_M,
                BLACK_WALL,
            )
        ]
    else:
        rows = _deck(track, start - _OVERLAP_M, end + _OVERLAP_M) + _guard_walls(track, ground)
    return np.array(rows, np.float64).reshape(-1, 12)


def _barriers(track: Track) -> list[FloatArray]:
    """Return the rails or walls along both sides of a designed road; there are none towards its
    neighbor.
    """
    look, rows = track.road.look, list[FloatArray]()
    for side in (-1, 1):
        if look.barriers == "none" or side * look.neighbor_m > 0:
            continue
        line = _offset_line(
            track, side * _barriers_m(track.road), 0.0, track.length_m - 0.01 * track.closed
        )
        if look.barriers == "wall":
            rows += _wall(line, -0.5, _GUARD_WALL_HEIGHT_M, STONE)
        else:
            rows += _wall(line + (0.0, _RAIL_FROM_M, 0.0), 0.0, _RAIL_HEIGHT_M, RAIL)
    return rows


def _barriers_m(road: Road) -> float:
    """Return the distance of a designed road's barriers from its centre line."""
    return (
        road.width_m / 2 + (road.look.edge_m if road.look.edges != "none" else 0.0) + _BARRIER_GAP_M
    )


def walls_at(track: Track, along_m: float) -> float | None:
    """Return the distance of the walls on both sides from the centre line, None where there are
    none on both.
    """
    road = track.road
    if road.style == DESIGNED_STYLE:
        return None if road.look.barriers == "none" or road.look.neighbor_m else _barriers_m(road)
    if not road.on_bridge(along_m):
        return None
    return _LAKE_WALL_M if road.name == LAKE.name else _DECK_HALF_WIDTH_M


def _houses(track: Track) -> list[FloatArray]:
    """Return the fronts of houses along both sides of a road through a town."""
    randomness, rows = np.random.default_rng([track.road.look.seed, 31]), list[FloatArray]()
    for side in (-1, 1):
        away_m = track.road.width_m / 2 + max(side * track.road.look.neighbor_m, 0.0) + _HOUSE_GAP_M
        along = 5.0 * randomness.random()
        while along < track.length_m - _HOUSE_M:
            front_m, height_m = (
                _HOUSE_M * (0.6 + 0.4 * randomness.random()),
                4.0 + 6.0 * randomness.random(),
            )
            back_m = away_m + 6.0 * randomness.random()
            begin, end = (
                np.array(track.point(at, side * back_m)[:3]) for at in (along, along + front_m)
            )
            behind, gable = (
                np.array(track.point(at, side * (back_m + 8.0))[:3])
                for at in (along, along + front_m)
            )
            material = BRICK if randomness.random() < 0.6 else STONE
            for foot in ((begin, end), (begin, behind), (end, gable)):
                rows += _wall(np.array(foot), -2.0, height_m, material)
            along += front_m + 2.0 + 14.0 * randomness.random()
    return rows


def _offset_line(track: Track, cross_track_m: float, start: float, end: float) -> FloatArray:
    """Return points along the track, one per segment, at a distance from the centre line."""
    distances = np.linspace(start, end, max(round((end - start) / _SEGMENT_M), 1) + 1)
    return np.array([track.point(along_m, cross_track_m)[:3] for along_m in distances])


def _wall(foot: FloatArray, below_m: float, above_m: float, material: int) -> list[FloatArray]:
    """Return upright faces along a line of points, from below to above its height."""
    rows = []
    for begin, end in zip(foot[:-1], foot[1:], strict=True):
        corner = begin + (0.0, below_m, 0.0)
        rows.append(
            np.concatenate(
                [corner, end - begin, (0.0, above_m - below_m, 0.0), (material, 0.0, 0.0)]
            )
        )
    return rows


def _deck(track: Track, start: float, end: float) -> list[FloatArray]:
    """Return the surface of the bridge's road, its underside, its sides and their walls."""
    rows = []
    left, right = (_offset_line(track, side * _DECK_HALF_WIDTH_M, start, end) for side in (-1, 1))
    distances = np.linspace(start, end, len(left))
    for segment in range(len(left) - 1):
        ahead, across = left[segment + 1] - left[segment], right[segment] - left[segment]
        surface = (DECK, distances[segment], -_DECK_HALF_WIDTH_M)
        rows.append(np.concatenate([left[segment], ahead, across, surface]))
        below = left[segment] - (0.0, _DECK_THICKNESS_M, 0.0)
        rows.append(np.concatenate([below, across, ahead, (DARK, 0.0, 0.0)]))
    for line in (left, right):
        rows += _wall(line, -_DECK_THICKNESS_M, _GUARD_WALL_HEIGHT_M, STONE)
    return rows


def _guard_walls(track: Track, ground: Ground) -> list[FloatArray]:
    """Return low walls where the ground falls away from the road, and at the outside of sharp
    bends.
    """
    rows = []
    segments = round(track.length_m / _SEGMENT_M)
    start, end = track.road.bridge
    for segment in range(segments):
        here, there = segment * track.length_m / segments, (segment + 1) * track.length_m / segments
        if start - _SEGMENT_M < here < end + _SEGMENT_M:
            continue
        bend = track.curvature[track.index(here)]
        for side in (-1, 1):
            x, y, z, _ = track.point(here, side * 12.0)
            falls_away = ground.heights_m[ground.grid.cell(x, z)] < y - 1.5
            if falls_away or side * bend < -1 / _SHARP_RADIUS_M:
                line = _offset_line(track, side * _GUARD_WALL_M, here, there)
                rows += _wall(line, -0.5, _GUARD_WALL_HEIGHT_M, STONE)
    return rows
