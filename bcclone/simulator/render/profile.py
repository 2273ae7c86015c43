"""Find how far away the ground is that each pixel shows: a camera and a ground -> depths; compiled.

The ground's profile is what a vertical cut through the land shows. Profiles are sampled on *ribs*,
lines that leave the camera like the ribs of a fan, at distances that grow step by step. Between two
ribs the ground is taken to be straight: there, the profiles of many more *cuts*, one for about each
column of pixels, are interpolated. A cut shows in each row of the picture the nearest point of its
profile that is seen there or higher up. A pixel shows what the nearest cut shows in its row.

The work is done in passes. A pass does one thing for all samples, rows or pixels, which a processor
does for several at a time. A search for each pixel took six times as long, a walk along the
profile of each column nearly twice; neither was more accurate (lab log, 2026-11-28).

Frame of reference: the world, x to the east, y up, z to the north, in metres. The *heading* is the
horizontal direction of the camera's axis. A distance is measured along the heading, an aside across
it; a slope is a rise over a distance, and says how high in the picture a point is seen. The asides
of lines of sight, ribs and cuts are for each metre of distance.

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


_distances = [_NEAR_M]  # at which profiles are sampled
while _distances[-1] < _FAR_M:
    _distances.append(_distances[-1] + max(_SHORTEST_STEP_M, _STEP * _distances[-1]))
_DISTANCES = np.array(_distances, np.float32)
_INVERSES = np.float32(1.0) / _DISTANCES
SAMPLES = len(_DISTANCES)  # of each profile

_0 = np.float32(0.0)
_1 = np.float32(1.0)
_2 = np.float32(2.0)
_HALF = np.float32(0.5)

# A pixel's distance along the heading, for each metre of its depth, is taken to be at least this.
# Only a camera that looks steeply down, as on a hill of 60 degrees, has pixels that show the ground
# beneath it or behind it.
_LEAST_DISTANCE = np.float32(0.1)

_Axis = tuple[np.float32, np.float32, np.float32]


class _Fan(NamedTuple):
    """The camera, and the lines along which the land is cut."""

    # the camera's axes: how far each leads along the heading, aside to the right, and upwards
    right: _Axis
    up: _Axis
    ahead: _Axis
    focal_across_px: np.float32
    focal_up_px: np.float32
    # where the camera is: column and row in cells of the grid, and height
    column: np.float32
    row: np.float32
    height_m: np.float32
    # a metre along the heading, and a metre aside: columns and rows of the grid
    heading: tuple[np.float32, np.float32]
    aside: tuple[np.float32, np.float32]
    first: np.float32  # aside of the first rib and of the first cut
    ribs: np.float32  # how many there are for each metre aside
    cuts: np.float32


@drawing(cache=True, sources=SOURCES_CHECKSUM)
def find_depths(eye: Any, surface: Any, profiles: Any, depths_m: Any) -> None:
    """Set the depths of all pixels that the bonnet leaves free; NOTHING_M for the sky.

    profiles: memory, of any content
    depths_m: of the canvas, float32 (rows, columns)
    """
    fan = _fan_of(eye, surface, profiles, depths_m.shape)
    _sample(fan, surface.heights_m, surface.water_m, profiles.slopes)

    # from this row on, the bonnet hides everything
    bottom = 0
    for column in range(depths_m.shape[1]):
        bottom = max(bottom, eye.bottoms[column])

    middle_row = np.float32(depths_m.shape[0] * 0.5 - 0.5)
    cliffs = 0
    for cut in range(profiles.inverses.shape[1]):
        aside = fan.first + np.float32(cut) / fan.cuts
        _cut(fan, aside, profiles.slopes, profiles.cut)
        _project(fan, aside, middle_row, bottom, profiles.cut, profiles.tops)
        _find_samples(profiles.tops, bottom, profiles.lasts, profiles.samples)
        _find_distances(fan, aside, middle_row, bottom, profiles)
        for row in range(bottom):
            profiles.inverses[row, cut] = profiles.column[row]
        _find_steep(profiles.cut, profiles.steep)
        cliffs = _list_cliffs(cut, bottom, profiles, cliffs)
    _find_cliffs(fan, surface.heights_m, surface.water_m, middle_row, cliffs, profiles)

    for row in range(bottom):
        up = (middle_row - np.float32(row)) / fan.focal_up_px
        _set_depths(fan, up, row, eye.bottoms, profiles.inverses[row], depths_m[row])


@drawing(inline="always")
def _fan_of(eye: Any, surface: Any, profiles: Any, size: tuple[int, int]) -> _Fan:
    """Return the ribs and cuts that cover a picture. size: its rows and columns"""
    axes = eye.axes
    length = math.sqrt(axes[0, 2] * axes[0, 2] + axes[2, 2] * axes[2, 2])
    x = axes[0, 2] / length  # of the heading
    z = axes[2, 2] / length
    right = _along_heading(axes, 0, x, z)
    up = _along_heading(axes, 1, x, z)
    ahead = _along_heading(axes, 2, x, z)

    # the outermost lines go through the corners of the picture
    first = np.float32(1e9)
    last = np.float32(-1e9)
    for corner in range(4):
        across = np.float32((corner % 2 - 0.5) * size[1] / eye.focal_across_px)
        rise = np.float32((corner // 2 - 0.5) * size[0] / eye.focal_up_px)
        distance = max(right[0] * across + up[0] * rise + ahead[0], _LEAST_DISTANCE)
        aside = (right[1] * across + up[1] * rise + ahead[1]) / distance
        first = min(first, aside)
        last = max(last, aside)

    return _Fan(
        right,
        up,
        ahead,
        np.float32(eye.focal_across_px),
        np.float32(eye.focal_up_px),
        # a field's value holds at the centre of its cell
        np.float32((eye.position[0] - surface.x) / CELL_M - 0.5),
        np.float32((eye.position[2] - surface.z) / CELL_M - 0.5),
        np.float32(eye.position[1]),
        (np.float32(x / CELL_M), np.float32(z / CELL_M)),
        (np.float32(z / CELL_M), np.float32(-x / CELL_M)),
        first,
        np.float32((profiles.slopes.shape[0] - 1.001) / (last - first)),
        np.float32((profiles.inverses.shape[1] - 1) / (last - first)),
    )


@drawing(inline="always")
def _along_heading(axes: Any, axis: int, x: float, z: float) -> _Axis:
    """Return an axis of the camera along the heading, (x, z), aside and upwards."""
    return (
        np.float32(axes[0, axis] * x + axes[2, axis] * z),
        np.float32(axes[0, axis] * z - axes[2, axis] * x),
        np.float32(axes[1, axis]),
    )


@drawing(inline="always")
def _sample(fan: Any, heights_m: Any, water_m: np.float32, slopes: Any) -> None:
    """Sample the ground along each rib: set the slopes of its profile, (ribs, samples)."""
    water_m = np.float32(water_m)
    for rib in range(slopes.shape[0]):
        aside = fan.first + np.float32(rib) / fan.ribs
        columns = fan.heading[0] + fan.aside[0] * aside
        rows = fan.heading[1] + fan.aside[1] * aside
        for sample in range(_DISTANCES.size):
            distance_m = _DISTANCES[sample]
            column = fan.column + columns * distance_m
            row = fan.row + rows * distance_m
            ground_m = max(_height(heights_m, column, row), water_m)
            slopes[rib, sample] = (ground_m - fan.height_m) * _INVERSES[sample]


@drawing(forceinline=True)
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


# A cut


@drawing(inline="always")
def _cut(fan: Any, aside: np.float32, slopes: Any, cut: Any) -> None:
    """Set the slopes of a cut, (samples,), between those of two ribs."""
    place = max((aside - fan.first) * fan.ribs, _0)
    left = np.uint32(place)
    part = place - np.float32(left)
    at_left = slopes[left]
    at_right = slopes[left + NEXT]
    for sample in range(_DISTANCES.size):
        slope = at_left[sample]
        cut[sample] = slope + (at_right[sample] - slope) * part


_LEAST_AHEAD = np.float32(1e-3)  # what is beside the camera is taken to be so far ahead of it


@drawing(inline="always")
def _project(
    fan: Any, aside: np.float32, middle_row: np.float32, bottom: int, cut: Any, tops: Any
) -> None:
    """Set `tops`, (samples,), to the highest row whose middle is not above a sample."""
    last = np.float32(bottom)
    for sample in range(_DISTANCES.size):
        up = fan.up[0] + fan.up[1] * aside + fan.up[2] * cut[sample]
        ahead = fan.ahead[0] + fan.ahead[1] * aside + fan.ahead[2] * cut[sample]
        row = middle_row - fan.focal_up_px * up / max(ahead, _LEAST_AHEAD)
        tops[sample] = np.int32(min(max(row + _1, _0), last))


@drawing(inline="always")
def _find_samples(tops: Any, bottom: int, lasts: Any, samples: Any) -> None:
    """Set `samples` to the nearest sample seen in a row or higher up, SAMPLES for the sky."""
    # of each row, the last sample with which the ground reached up to it
    lasts[: bottom + 1] = 0
    highest = np.int32(bottom)
    for sample in range(_DISTANCES.size):
        highest = min(highest, tops[sample])
        lasts[np.uint32(highest)] = sample
    last = np.int32(0)
    for row in range(bottom - 1, -1, -1):
        last = max(last, lasts[row + 1])
        samples[row] = last + 1


@drawing(inline="always")
def _find_distances(
    fan: Any, aside: np.float32, middle_row: np.float32, bottom: int, profiles: Any
) -> None:
    """Set profiles.column to the inverse distance of the ground in each row, 0 for the sky."""
    cut = profiles.cut
    for row in range(bottom):
        slope = _slope(fan, aside, (middle_row - np.float32(row)) / fan.focal_up_px)
        sample = profiles.samples[row]
        far = np.uint32(min(sample, SAMPLES - 1))
        near = far - NEXT
        # the ground is straight, and its inverse distance is a linear function of the slope
        slope_near = min(cut[near], slope)
        part = min((slope - slope_near) / max(cut[far] - slope_near, _TINY), _1)
        inverse = _INVERSES[near] + (_INVERSES[far] - _INVERSES[near]) * part
        profiles.column[row] = inverse if sample < SAMPLES else _0


_TINY = np.float32(1e-9)


@drawing(forceinline=True)
def _slope(fan: Any, aside: np.float32, up: np.float32) -> np.float32:
    """Return the slope of a line of sight in a cut. up: its slope in the camera's frame."""
    ahead = fan.ahead[0] + fan.ahead[1] * aside
    return (ahead * up - fan.up[0] - fan.up[1] * aside) / (fan.up[2] - fan.ahead[2] * up)


# Cliffs

# Between two samples farther from each other than _CLIFF_M, a rise of more than _STEEP times their
# distance is looked at more closely
_CLIFF_M = np.float32(0.5)
_STEEP = np.float32(0.5)
_ROUNDS = 3  # of bisection; at 100 m, a cliff is then found to 0.1 m


@drawing(inline="always")
def _find_steep(cut: Any, steep: Any) -> None:
    """Say before which samples of a cut the ground is steep: set `steep`, uint8 (SAMPLES + 1,)."""
    steep[0] = 0
    steep[SAMPLES] = 0  # the sky
    for far in range(1, SAMPLES):
        near = far - 1
        step_m = _DISTANCES[far] - _DISTANCES[near]
        rise_m = cut[far] * _DISTANCES[far] - cut[near] * _DISTANCES[near]
        steep[far] = (step_m > _CLIFF_M) & (rise_m > _STEEP * step_m)


@drawing(inline="always")
def _list_cliffs(cut: int, bottom: int, profiles: Any, count: int) -> int:
    """Add the rows of a cut where the ground is steep to the list of `count`; return its length."""
    cliffs = profiles.cliffs
    for row in range(bottom):
        # what is not steep is overwritten by the next row, which takes less time than a branch
        sample = profiles.samples[row]
        cliffs[0, count] = row
        cliffs[1, count] = cut
        cliffs[2, count] = sample
        count += profiles.steep[np.uint32(sample)]
    return count


@drawing(inline="always")
def _find_cliffs(
    fan: Any, heights_m: Any, water_m: np.float32, middle_row: np.float32, count: int, profiles: Any
) -> None:
    """Find the distances of the listed cliffs by bisection: set profiles.inverses.

    A cliff is as long as a cell, which is less than the way between two distant samples: a straight
    line between them would show the grass above the cliff instead of its stone.
    """
    water_m = np.float32(water_m)
    cliffs = profiles.cliffs
    for number in range(count):
        aside = fan.first + np.float32(cliffs[1, number]) / fan.cuts
        up = (middle_row - np.float32(cliffs[0, number])) / fan.focal_up_px
        slope = _slope(fan, aside, up)
        columns = fan.heading[0] + fan.aside[0] * aside
        rows = fan.heading[1] + fan.aside[1] * aside
        far = np.uint32(cliffs[2, number])
        above_m = _DISTANCES[far - NEXT]  # the line of sight is above the ground here
        below_m = _DISTANCES[far]  # and below it here
        for _ in range(_ROUNDS):
            middle_m = (above_m + below_m) * _HALF
            column = fan.column + columns * middle_m
            row = fan.row + rows * middle_m
            ground_m = max(_height(heights_m, column, row), water_m)
            is_above = fan.height_m + slope * middle_m > ground_m
            above_m = middle_m if is_above else above_m
            below_m = below_m if is_above else middle_m
        profiles.inverses[cliffs[0, number], cliffs[1, number]] = _2 / (above_m + below_m)


@drawing(inline="always")
def _set_depths(
    fan: Any, up: np.float32, row: int, bottoms: Any, inverses: Any, depths_m: Any
) -> None:
    """Set the depths of a row: each pixel shows what the nearest cut shows.

    up: slope of the row's lines of sight in the camera's frame
    """
    middle = np.float32(depths_m.size * 0.5 - 0.5)
    last = np.float32(inverses.size - 1)
    for column in range(depths_m.size):
        across = (np.float32(column) - middle) / fan.focal_across_px
        distance = max(fan.right[0] * across + fan.up[0] * up + fan.ahead[0], _LEAST_DISTANCE)
        aside = (fan.right[1] * across + fan.up[1] * up + fan.ahead[1]) / distance
        place = (aside - fan.first) * fan.cuts + _HALF
        cut = np.uint32(min(max(place, _0), last))
        inverse = inverses[cut] * distance  # `distance` belongs to a depth of a metre
        depth_m = _1 / inverse if inverse > _0 else NOTHING_M
        depths_m[column] = depth_m if row < bottoms[column] else _0
