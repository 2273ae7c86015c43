"""Draw a map of the track: a dark square with the road, the driven line, and the car.

In: x and z of the road's centre line and of the car at each frame, in metres. Out: a `TrackMap`,
which is drawn into a square of each frame's picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bcclone.camera.images import Image
from bcclone.pictures.drawing import GROUND, ROAD, SKY, WHITE, draw_dot, draw_line
from bcclone.system.arrays import Float32Array, FloatArray, IndexArray

_MARGIN = 8  # pixels between the road and the edge of the map
_DIMMED = 0.35  # fraction of the frame's brightness that is kept below the map
_ROAD_WIDTH = 4  # width of the road on the map, in pixels
_DRIVEN_WIDTH = 2  # width of the driven line, in pixels
# a car that is farther away in the next frame was set back, or was not recorded in between
_SET_BACK_M = 4.0


@dataclass(frozen=True)
class TrackMap:
    """A map of the track with the driven line.

    Ground and road are the same on each frame, so they are drawn once, into `kept` and `road`.
    """

    kept: Float32Array  # fraction of the frame's brightness that is kept, (size, size, 1)
    road: Float32Array  # what dark ground and road add to the frame, (size, size, 3)
    # where the car is in each frame, x and y in pixels, (frames, 2); NaN where that is unknown
    points: FloatArray
    # for each line that is driven without a set-back, the numbers of its frames, rising
    stretches: Sequence[IndexArray]

    def draw(self, area: Image, index: int) -> None:
        """Draw the map, the driven line up to a frame, and the car at that frame.

        area: square of the picture to draw on, of the map's size
        index: number of the frame
        """
        area[:] = area * self.kept + self.road
        for frames in self.stretches:
            count = int(np.searchsorted(frames, index, side="right"))
            if count > 1:
                draw_line(area, self.points[frames[:count]], SKY, _DRIVEN_WIDTH)
        x, y = self.points[index]
        if np.isfinite(x + y):
            draw_dot(area, (x, y), 5.5, GROUND)
            draw_dot(area, (x, y), 4.0, WHITE)


def make_map(road: FloatArray, positions: FloatArray, size: int, closed: bool = True) -> TrackMap:
    """Return the map of a track, on which x points right and z points up.

    road: x and z of its centre line, (points, 2), metres
    positions: x and z of the car at each frame, (frames, 2), metres
    size: width and height, in pixels
    closed: whether the road ends where it begins
    """
    # the longer side of the road's extent fills the map
    low = road.min(axis=0)
    high = road.max(axis=0)
    scale = (size - 2 * _MARGIN) / (high - low).max()

    def pixels_of(places: FloatArray) -> FloatArray:
        return np.asarray((places - (low + high) / 2) * (scale, -scale) + size / 2)

    # the driven line must not cross the map where the car was set back
    located = np.flatnonzero(np.isfinite(positions).all(axis=1))
    moved_m = np.hypot(*np.diff(positions[located], axis=0).T)
    stretches = np.split(located, np.flatnonzero(moved_m > _SET_BACK_M) + 1)

    # ground and road are blended here, so that a frame costs one multiplication and one addition
    covered = np.zeros((size, size), np.uint8)
    draw_line(covered, pixels_of(road), (255,), _ROAD_WIDTH, closed)
    coverage = covered[..., np.newaxis] / 255
    added = np.array(GROUND) * (1 - _DIMMED) * (1 - coverage) + np.array(ROAD) * coverage
    kept = (_DIMMED * (1 - coverage)).astype(np.float32)
    return TrackMap(kept, added.astype(np.float32), pixels_of(positions), stretches)
