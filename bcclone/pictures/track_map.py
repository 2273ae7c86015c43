"""Draw a map of the track: a dark square with the road, the driven line, and the car.

In: x and z of the road's centre line and of the car at each frame, in metres. Out: a `TrackMap`,
which is drawn into a square of each frame's picture.
"""

import math
from collections.abc import Iterable

import numpy as np

from bcclone.camera.images import Image
from bcclone.pictures.drawing import GROUND, ROAD, SKY, WHITE, Color, draw_dot, draw_line
from bcclone.system.numbers import Float32Array, FloatArray

Place = tuple[float, float]  # x and z, in metres

_MARGIN = 8  # pixels between the road and the edge of the map
_DIMMED = 0.35  # fraction of the frame's brightness that is kept below the map
_ROAD_WIDTH = 4  # width of the road on the map, in pixels
_DRIVEN_WIDTH = 2  # width of the driven line, in pixels
# a car that is farther away in the next frame was set back, or was not recorded in between
_SET_BACK_M = 4.0


class TrackMap:
    """A map of the track with the driven line, which grows from picture to picture.

    On the map, x points right and z points up.

    places: x and z of the car at each frame, in metres, None where that is unknown; more may be
        added while the car drives
    """

    def __init__(
        self, road: FloatArray, places: Iterable[Place | None], size: int, closed: bool = True
    ) -> None:
        """Make a map on which nothing is driven yet.

        road: x and z of the track's centre line, (points, 2), metres
        size: width and height, in pixels
        closed: whether the road ends where it begins
        """
        self.places = list(places)
        self.size = size
        # the longer side of the road's extent fills the map
        low = road.min(axis=0)
        high = road.max(axis=0)
        self._middle = (low + high) / 2
        self._scale = (size - 2 * _MARGIN) / (high - low).max()

        # ground and road are the same on each picture: the fraction of the frame's brightness that
        # is kept, (size, size, 1), and what is added to it, (size, size, 3)
        coverage = np.zeros((size, size), np.uint8)
        draw_line(coverage, self._pixels_of(road), (255,), _ROAD_WIDTH, closed)
        ground = np.full((size, size, 3), np.array(GROUND) * (1 - _DIMMED), np.float32)
        kept = np.full((size, size, 1), _DIMMED, np.float32)
        self._empty = _covered(kept, ground, coverage, ROAD)
        self._begin_anew()

    def draw(self, area: Image, index: int) -> None:
        """Draw the map, the driven line up to a frame, and the car at that frame.

        area: square of the picture to draw on, of the map's size
        index: number of the frame
        """
        if index < self._reached:
            self._begin_anew()
        self._drive_to(index)
        kept, added = self._driven
        area[:] = area * kept + added
        place = self.places[index]
        if place is not None:
            x, y = self._pixels_of(np.array(place))
            draw_dot(area, (x, y), 5.5, GROUND)
            draw_dot(area, (x, y), 4.0, WHITE)

    def _pixels_of(self, places: FloatArray) -> FloatArray:
        flipped = (self._scale, -self._scale)
        return np.asarray((places - self._middle) * flipped + self.size / 2)

    def _begin_anew(self) -> None:
        self._reached = -1  # number of the frame up to which the line is drawn
        self._last: Place | None = None  # the last known place up to there
        self._line = np.zeros((self.size, self.size), np.uint8)  # how far it covers each pixel
        kept, added = self._empty
        self._driven = (kept.copy(), added.copy())  # the map with the line

    def _drive_to(self, index: int) -> None:
        """Draw the line up to a frame; it does not cross the map where the car was set back."""
        for place in self.places[self._reached + 1 : index + 1]:
            if place is None:
                continue
            last = self._last
            if last is not None and math.dist(last, place) <= _SET_BACK_M:
                self._draw_way(self._pixels_of(np.array([last, place])))
            self._last = place
        self._reached = max(index, self._reached)

    def _draw_way(self, way: FloatArray) -> None:
        """Draw a part of the line between two pixels, (2, 2): x and y of each."""
        draw_line(self._line, way, (255,), _DRIVEN_WIDTH)
        # nothing farther from it changes, smooth edges included
        reach = _DRIVEN_WIDTH + 2
        left, top = np.maximum(way.min(axis=0) - reach, 0).astype(int)
        right, bottom = (way.max(axis=0) + reach).astype(int)
        part = np.s_[top : bottom + 1, left : right + 1]
        empty_kept, empty_added = self._empty
        kept, added = self._driven
        kept[part], added[part] = _covered(
            empty_kept[part], empty_added[part], self._line[part], SKY
        )


def _covered(
    kept: Float32Array, added: Float32Array, coverage: Image, color: Color
) -> tuple[Float32Array, Float32Array]:
    """Return what is kept of a frame, and what is added to it, below a line of a colour.

    coverage: how much of each pixel the line covers, 0 to 255, (size, size)
    """
    covered = (coverage.astype(np.float32) / 255)[..., np.newaxis]
    bare = 1 - covered
    mixed = added * bare + np.array(color, np.float32) * covered
    return np.asarray(kept * bare, np.float32), np.asarray(mixed, np.float32)
