"""Find how far away the ground is that each pixel shows: a camera and a ground -> depths; compiled.

The ground's profile is what a vertical cut through the land shows. Profiles are sampled on lines
that leave the camera like the ribs of a fan, at distances that grow step by step; between two lines
the ground is taken to be straight. A pixel shows the nearest point of a profile that reaches up to
its line of sight. The pixels of a column look along nearly the same profile, so one walk from near
to far finds all of them. A search for each pixel took four times as long, and was not more accurate
(lab log, 2026-11-28).

Frame of reference: the world, x to the east, y up, z to the north, in metres. The *heading* is the
horizontal direction of the camera's axis. A distance is measured along the heading, an aside across
it; a slope is a rise over a distance, and says how high in the picture a point is seen.

Numbers have single precision: its rounding errors are a tenth of a millimetre at the far end of a
world.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from bcclone.simulator.render.surface import NEXT, SOURCES_CHECKSUM, drawing
from bcclone.simulator.scene.roadmap import CELL_M

NOTHING_M = np.float32(1e9)  # depth of the sky

_NEAR_M = 0.8  # distance of the first sample of a profile
_FAR_M = 640.0  # distance at which profiles end; what is farther is sky
_SHORTEST_STEP_M = 0.2  # from a sample to the next one, close to the camera
_STEP = 0.02  # the same farther away, as a fraction of the distance


def _sampled_distances() -> list[float]:
    """Return the distances at which profiles are sampled, in metres."""
    distances = [_NEAR_M]
    while distances[-1] < _FAR_M:
        distances.append(distances[-1] + max(_SHORTEST_STEP_M, _STEP * distances[-1]))
    return distances


_DISTANCES = np.array(_sampled_distances(), np.float32)
_INVERSES = np.float32(1.0) / _DISTANCES
SAMPLES = len(_DISTANCES)  # of each profile

_0 = np.float32(0.0)
_1 = np.float32(1.0)
_HALF = np.float32(0.5)


class _Fan(NamedTuple):
    """The lines along which profiles are sampled; places are in cells of the grid."""

    column: np.float32  # where the camera is
    row: np.float32
    height_m: np.float32
    # the heading, and the direction to its right, in cells for each metre
    ahead: tuple[np.float32, np.float32]
    right: tuple[np.float32, np.float32]
    first: np.float32  # aside of the first line, for each metre of distance
    lines: np.float32  # how many lines there are for each metre aside, at a distance of a metre


class _Column(NamedTuple):
    """The lines of sight of a column: each value is one at the middle row, and what a slope of 1
    upwards adds to it.
    """

    ahead: tuple[np.float32, np.float32]  # along the heading
    right: tuple[np.float32, np.float32]  # to the right of the heading
    rise: tuple[np.float32, np.float32]


class _Sight(NamedTuple):
    """A pixel's line of sight, for each metre of distance."""

    slope: np.float32
    aside: np.float32
    depth: np.float32  # along the camera's axis


@drawing(cache=True, sources=SOURCES_CHECKSUM)
def find_depths(eye: Any, surface: Any, profiles: Any, depths_m: Any) -> None:
    """Set the depths of all pixels that the bonnet leaves free; NOTHING_M for the sky.

    profiles: memory, of any content
    depths_m: of the canvas, float32 (rows, columns)
    """
    fan = _fan_of(eye, surface, profiles.slopes.shape[0], depths_m.shape)
    _sample(fan, surface.heights_m, surface.water_m, profiles.slopes)
    _fill(eye, fan, surface.heights_m, surface.water_m, profiles, depths_m)


@drawing()
def _fan_of(eye: Any, surface: Any, lines: int, size: tuple[int, int]) -> _Fan:
    """Return so many lines, which cover a picture. size: its rows and columns."""
    axes = eye.axes
    length = math.sqrt(axes[0, 2] * axes[0, 2] + axes[2, 2] * axes[2, 2])
    heading_x = axes[0, 2] / length
    heading_z = axes[2, 2] / length

    # the outermost lines go through the corners of the picture
    first = 1e9
    last = -1e9
    for corner in range(4):
        across = (corner % 2 - 0.5) * size[1] / eye.focal_across_px
        up = (corner // 2 - 0.5) * size[0] / eye.focal_up_px
        x = axes[0, 0] * across + axes[0, 1] * up + axes[0, 2]
        z = axes[2, 0] * across + axes[2, 1] * up + axes[2, 2]
        aside = (x * heading_z - z * heading_x) / (x * heading_x + z * heading_z)
        first = min(first, aside)
        last = max(last, aside)

    return _Fan(
        # a field's value holds at the centre of its cell
        np.float32((eye.position[0] - surface.x) / CELL_M - 0.5),
        np.float32((eye.position[2] - surface.z) / CELL_M - 0.5),
        np.float32(eye.position[1]),
        (np.float32(heading_x / CELL_M), np.float32(heading_z / CELL_M)),
        (np.float32(heading_z / CELL_M), np.float32(-heading_x / CELL_M)),
        np.float32(first),
        np.float32((lines - 1.001) / (last - first)),
    )


@drawing()
def _sample(fan: Any, heights_m: Any, water_m: np.float32, slopes: Any) -> None:
    """Sample the ground along each line: set the slopes of its profile, (lines, samples)."""
    water_m = np.float32(water_m)
    for line in range(slopes.shape[0]):
        aside = fan.first + np.float32(line) / fan.lines
        columns = fan.ahead[0] + fan.right[0] * aside
        rows = fan.ahead[1] + fan.right[1] * aside
        for sample in range(_DISTANCES.size):
            distance_m = _DISTANCES[sample]
            column = fan.column + columns * distance_m
            row = fan.row + rows * distance_m
            ground_m = max(_height(heights_m, column, row), water_m)
            slopes[line, sample] = (ground_m - fan.height_m) * _INVERSES[sample]


@drawing(inline="always")
def _height(heights_m: Any, column: np.float32, row: np.float32) -> np.float32:
    """Return the ground's height at a place in cells: bilinear interpolation of four cells."""
    last_cell = np.float32(heights_m.shape[0] - 1.001)
    column = min(max(column, _0), last_cell)
    row = min(max(row, _0), last_cell)
    left = np.uint32(column)
    low = np.uint32(row)
    right = column - np.float32(left)
    up = row - np.float32(low)
    here = heights_m[low, left]
    lower = here + (heights_m[low, left + NEXT] - here) * right
    above = heights_m[low + NEXT, left]
    upper = above + (heights_m[low + NEXT, left + NEXT] - above) * right
    return lower + (upper - lower) * up


# Between two samples farther from each other than _CLIFF_M, a rise by more than _STEEP times this
# way is looked at more closely
_CLIFF_M = np.float32(0.5)
_STEEP = np.float32(0.5)
# a profile is used for lines of sight that differ by less than this part of the way to the next
# line of the fan, which is the width of a pixel
_NEAR_ENOUGH = np.float32(0.25)


@drawing()
def _fill(
    eye: Any, fan: Any, heights_m: Any, water_m: np.float32, profiles: Any, depths_m: Any
) -> None:
    """Set the depths of each column: walk along its profile, and fill the rows that it reaches."""
    middle_row = np.float32(depths_m.shape[0] * 0.5 - 0.5)
    row_up = np.float32(1.0 / eye.focal_up_px)
    too_far = _NEAR_ENOUGH / fan.lines
    here = profiles.column
    for column in range(depths_m.shape[1]):
        across = (column + 0.5 - depths_m.shape[1] * 0.5) / eye.focal_across_px
        sights = _column_of(eye.axes, fan, across)
        row = eye.bottoms[column] - 1
        sight = _sight_of(sights, (middle_row - np.float32(row)) * row_up)
        aside = sight.aside  # of the profile in `here`
        _cut(fan, profiles, aside)
        for far in range(1, _DISTANCES.size):
            while row >= 0 and sight.slope <= here[far]:
                distance_m = _between(fan, heights_m, water_m, here, sight, far)
                depths_m[row, column] = distance_m * sight.depth
                row -= 1
                sight = _sight_of(sights, (middle_row - np.float32(row)) * row_up)
                # in a tilted camera the columns lean
                if abs(sight.aside - aside) > too_far:
                    aside = sight.aside
                    _cut(fan, profiles, aside)

        # what is above the whole profile is sky
        if row >= 0:
            depths_m[: row + 1, column] = NOTHING_M


@drawing()
def _column_of(axes: Any, fan: Any, across: np.float32) -> _Column:
    """Return the lines of sight of a column. across: their slope to the right in the picture."""
    x = axes[0, 0] * across + axes[0, 2]
    z = axes[2, 0] * across + axes[2, 2]
    # the fan's directions are unit vectors divided by the side of a cell
    return _Column(
        (
            np.float32((x * fan.ahead[0] + z * fan.ahead[1]) * CELL_M),
            np.float32((axes[0, 1] * fan.ahead[0] + axes[2, 1] * fan.ahead[1]) * CELL_M),
        ),
        (
            np.float32((x * fan.right[0] + z * fan.right[1]) * CELL_M),
            np.float32((axes[0, 1] * fan.right[0] + axes[2, 1] * fan.right[1]) * CELL_M),
        ),
        (np.float32(axes[1, 0] * across + axes[1, 2]), np.float32(axes[1, 1])),
    )


@drawing(inline="always")
def _sight_of(sights: Any, up: np.float32) -> _Sight:
    """Return the line of sight of a row of a column. up: its slope upwards in the picture."""
    depth = _1 / (sights.ahead[0] + sights.ahead[1] * up)
    slope = (sights.rise[0] + sights.rise[1] * up) * depth
    aside = (sights.right[0] + sights.right[1] * up) * depth
    return _Sight(slope, aside, depth)


@drawing()
def _cut(fan: Any, profiles: Any, aside: np.float32) -> None:
    """Set profiles.column: the slopes between those of two lines.

    aside: for each metre of distance
    """
    place = max((aside - fan.first) * fan.lines, _0)
    left = np.uint32(place)
    part = place - np.float32(left)
    at_left = profiles.slopes[left]
    at_right = profiles.slopes[left + NEXT]
    for sample in range(_DISTANCES.size):
        slope = at_left[sample]
        profiles.column[sample] = slope + (at_right[sample] - slope) * part


@drawing(inline="always")
def _between(
    fan: Any, heights_m: Any, water_m: np.float32, here: Any, sight: Any, far: int
) -> np.float32:
    """Return the distance at which a line of sight meets the ground before a sample.

    here: the slopes of the profile, (samples,)
    far: number of the sample; the line of sight is above the ground at the one before
    """
    near = far - 1
    slope_near = min(here[near], sight.slope)
    step_m = _DISTANCES[far] - _DISTANCES[near]
    rise_m = here[far] * _DISTANCES[far] - slope_near * _DISTANCES[near]
    if step_m > _CLIFF_M and rise_m > _STEEP * step_m:
        return _on_cliff(fan, heights_m, np.float32(water_m), sight, far)
    # the ground is straight, and the inverse of its distance is a linear function of the slope
    part = _0
    if slope_near < here[far]:
        part = (sight.slope - slope_near) / (here[far] - slope_near)
    return _1 / (_INVERSES[near] + (_INVERSES[far] - _INVERSES[near]) * part)


_ROUNDS = 3  # of bisection; at 100 m, a cliff is then found to 0.1 m


@drawing()
def _on_cliff(fan: Any, heights_m: Any, water_m: np.float32, sight: Any, far: int) -> np.float32:
    """Return the distance at which a line of sight meets steep ground before a sample.

    A cliff is as long as a cell, which is less than the way between two distant samples: a straight
    line between them would show the grass above the cliff instead of its stone.

    far: number of the sample; the line of sight is above the ground at the one before
    """
    columns = fan.ahead[0] + fan.right[0] * sight.aside
    rows = fan.ahead[1] + fan.right[1] * sight.aside
    above_m = _DISTANCES[far - 1]  # the line of sight is above the ground here
    below_m = _DISTANCES[far]  # and below it here
    for _ in range(_ROUNDS):
        middle_m = (above_m + below_m) * _HALF
        ground_m = _height(heights_m, fan.column + columns * middle_m, fan.row + rows * middle_m)
        if fan.height_m + sight.slope * middle_m > max(ground_m, water_m):
            above_m = middle_m
        else:
            below_m = middle_m
    return (above_m + below_m) * _HALF
