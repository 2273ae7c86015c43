"""Draw a drive from above as shapes of SVG: a track and a driven line -> what a report shows.

SVG's y axis goes down and the track's z axis goes up, so y is -z.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bcclone.simulator.score import TRACE_SECONDS
from bcclone.simulator.track import Track
from bcclone.system.arrays import FloatArray
from bcclone.system.errors import number_of


@dataclass(frozen=True)
class RoadMap:
    """Shapes in metres, as attributes of SVG."""

    words: str  # what the map shows, for who does not see it
    box: str  # its left edge, upper edge, width and height
    road: str  # the road's middle, a path
    road_m: float  # width of the road
    driven: str  # points of the driven line
    step: float  # seconds between two of them
    start: list[float]  # x and y
    left_at: list[list[float]]  # where the car left the road


_POINTS_A_METRE = 0.5  # of the road's middle
_MARGIN_M = 12.0


def road_map(
    track: Track, driven: Sequence[Sequence[float]], left_at: Sequence[Sequence[float]]
) -> RoadMap:
    """Return the map of a drive.

    driven: x and z of the car, in metres, every TRACE_SECONDS
    left_at: x and z of the places where it left the road
    """
    every = round(track.points_a_metre / _POINTS_A_METRE)
    middle = _to_svg(track.line[::every, [0, 2]])
    line = _to_svg(driven)
    shown = np.concatenate([middle, line])
    left, upper = shown.min(axis=0) - _MARGIN_M
    width, height = np.ptp(shown, axis=0) + 2 * _MARGIN_M
    times = number_of(len(left_at), "time") if left_at else "never"
    return RoadMap(
        words=f"the road from above; the car left it {times}",
        box=f"{left:.0f} {upper:.0f} {width:.0f} {height:.0f}",
        road=f"M{_points(middle)}{'Z' if track.closed else ''}",
        road_m=track.road.width_m,
        driven=_points(line),
        step=TRACE_SECONDS,
        start=line[0].tolist(),
        left_at=_to_svg(left_at).tolist(),
    )


def _to_svg(places: Sequence[Sequence[float]] | FloatArray) -> FloatArray:
    """Return x and y for places, (places, 2), given as x and z."""
    return (np.reshape(places, (-1, 2)) * (1, -1)).round(1)


def _points(points: FloatArray) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
