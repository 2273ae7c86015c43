"""Track and driven line -> the map in a corner of the frame."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bcclone.images import Image
from bcclone.video.draw import GROUND, ROAD, SKY, WHITE, dot, path

Array = npt.NDArray[np.float64]
Frames = npt.NDArray[np.int64]
Layer = npt.NDArray[np.float32]

_MARGIN = 8
_DIMMED = 0.35  # what is left of the frame's brightness under the map
_SET_BACK_M = 4.0  # between two frames: the car was put somewhere else
_ROAD_PIXELS, _LINE_PIXELS = 4, 2


@dataclass(frozen=True)
class TrackMap:
    """A map. kept, road: what share of the frame under it is kept, and what the dimmed ground and the road add to that,
    float32 (size, size, 1) and (size, size, 3); spots: where the car
    was at each frame, (frames, 2), NaN where that is not known; stretches: the driven line, each between two places
    where the car was put somewhere else: the numbers of its frames, and its points."""

    kept: Layer
    road: Layer
    spots: Array
    stretches: tuple[tuple[Frames, Array], ...]

    @property
    def size(self) -> int:
        """Return how many pixels wide and high it is."""
        return len(self.road)

    def draw(self, picture: Image, at: tuple[int, int], place: int) -> None:
        """Draw the map with its upper left corner at a point, and the line up to a frame."""
        x, y = at
        part = picture[y : y + self.size, x : x + self.size]
        part[:] = part * self.kept + self.road
        for frames, points in self.stretches:
            if (count := int(np.searchsorted(frames, place, side="right"))) > 1:
                path(part, points[:count], SKY, _LINE_PIXELS)
        spot = self.spots[place]
        if np.isfinite(spot).all():
            dot(part, (spot[0], spot[1]), 5.5, GROUND)
            dot(part, (spot[0], spot[1]), 4.0, WHITE)


def make_map(road: Array, places: Array, size: int) -> TrackMap:
    """Return the map of a track. road: x and z of its centre line, (points, 2), metres; places: x and z of the car at
    each frame; z points up on the map."""
    low, high = road.min(axis=0), road.max(axis=0)
    scale = (size - 2 * _MARGIN) / (high - low).max()
    middle = (low + high) / 2

    def on_map(points: Array) -> Array:
        return np.asarray((points - middle) * (scale, -scale) + size / 2)

    spots = on_map(places)
    known = np.flatnonzero(np.isfinite(places).all(axis=1))
    moved = np.hypot(*np.diff(places[known], axis=0).T)
    pieces = np.split(known, np.flatnonzero(moved > _SET_BACK_M) + 1)
    thin = (_thinned(piece, spots) for piece in pieces if len(piece))
    stretches = tuple((frames, spots[frames]) for frames in thin)
    covered = np.zeros((size, size), np.uint8)
    path(covered, on_map(road), (255,), _ROAD_PIXELS, closed=True)
    share = covered[..., np.newaxis] / 255
    ground = np.array(GROUND) * (1 - _DIMMED)
    kept, added = _DIMMED * (1 - share), ground * (1 - share) + np.array(ROAD) * share
    return TrackMap(kept.astype(np.float32), added.astype(np.float32), spots, stretches)


def _thinned(frames: Frames, spots: Array) -> Frames:
    """Return the frames of a stretch without those within the same half pixel as the one before them: an hour's drive
    goes round and round, and takes no longer to draw than its pixels."""
    cells = np.rint(spots[frames] * 2)
    return np.asarray(frames[np.concatenate([[True], (np.diff(cells, axis=0) != 0).any(axis=1)])])
