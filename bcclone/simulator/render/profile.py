"""Find how far away the ground is that each pixel shows: a camera and a ground -> depths; compiled.

The ground's profile is what a vertical line through the picture would cut out of it. Profiles are
sampled along every fourth column, at depths that grow step by step; between two of these lines the
ground is taken to be flat across. A pixel shows the nearest point of its column's profile that
reaches up to the pixel's row, so that one walk along a profile, from near to far, fills a whole
column. This is how the first flight simulators drew terrain on slow computers; a search for each
pixel takes nine times as long, and is not more accurate (lab log, 2026-11-28).

Frame of reference: the world, x to the east, y up, z to the north, in metres. A depth is a distance
along the camera's axis. The rise of a point is its distance from the camera's axis, along the
camera's upright, and its slope is its rise over its depth: that says in which row it is seen.

Numbers have single precision: a rounding error at the far end of a world is a tenth of a
millimetre.
"""

from typing import Any

import numpy as np

from bcclone.simulator.render.surface import NEXT, SOURCES_CHECKSUM, drawing
from bcclone.simulator.scene.roadmap import CELL_M

NOTHING_M = np.float32(1e9)  # depth of the sky

_NEAR_M = 0.8  # depth of the first sample of a profile; the ground in front of it is not seen
_FAR_M = 640.0  # depth at which profiles end; what is farther is sky
_SHORTEST_STEP_M = 0.2  # from a sample to the next one, close to the camera
_STEP = 0.02  # the same farther away, as a fraction of the depth
_CAMERA_M = np.float32(1.25)  # usual height of the camera above the road

_0 = np.float32(0.0)
_1 = np.float32(1.0)
_HALF = np.float32(0.5)
_CELLS_A_METRE = np.float32(1 / CELL_M)


def _sampled_depths() -> list[float]:
    """Return the depths at which profiles are sampled, in metres."""
    depths = [_NEAR_M]
    while depths[-1] < _FAR_M:
        depths.append(depths[-1] + max(_SHORTEST_STEP_M, _STEP * depths[-1]))
    return depths


_DEPTHS = np.array(_sampled_depths(), np.float32)
_INVERSES = _1 / _DEPTHS
SAMPLES = len(_DEPTHS)  # of each profile


@drawing(cache=True, sources=SOURCES_CHECKSUM)
def find_depths(eye: Any, surface: Any, profiles: Any, depths_m: Any) -> None:
    """Set the depths of all pixels that the bonnet leaves free; NOTHING_M for the sky.

    profiles: memory, of any content
    depths_m: of the canvas, float32 (rows, columns)
    """
    _sample(eye, surface, profiles, depths_m.shape[1])
    _fill(eye, profiles, depths_m)


@drawing()
def _sample(eye: Any, surface: Any, profiles: Any, columns: int) -> None:
    """Sample the ground along each line: write the slopes of its profile."""
    upright_x = np.float32(eye.axes[0, 1]) * _CELLS_A_METRE
    upright_y = np.float32(eye.axes[1, 1])
    upright_z = np.float32(eye.axes[2, 1]) * _CELLS_A_METRE
    # the camera's place in the grid, in cells; a field's value holds at the centre of its cell
    camera_column = np.float32((eye.position[0] - surface.x) / CELL_M - 0.5)
    camera_row = np.float32((eye.position[2] - surface.z) / CELL_M - 0.5)
    camera_m = np.float32(eye.position[1])
    water_m = np.float32(surface.water_m)
    lines = profiles.lines
    rises_m = profiles.rises_m
    _start(eye, profiles, columns)

    last_m = _0
    for sample in range(_DEPTHS.size):
        depth_m = _DEPTHS[sample]
        step_up = (depth_m - last_m) / upright_y
        last_m = depth_m
        for line in range(rises_m.size):
            # where to look up the ground's height: at the height of the last sample. A tilted
            # camera's upright leans by a sixth of its length, and heights change little from sample
            # to sample, so that this is nearly above or below the true place
            rise_m = rises_m[line] - step_up * lines[1, line]
            column = camera_column + depth_m * lines[0, line] + rise_m * upright_x
            row = camera_row + depth_m * lines[2, line] + rise_m * upright_z
            ground_m = max(_height(surface.heights_m, column, row), water_m)

            rise_m = (ground_m - camera_m - depth_m * lines[1, line]) / upright_y
            rises_m[line] = rise_m
            profiles.slopes[sample, line] = rise_m * _INVERSES[sample]


@drawing()
def _start(eye: Any, profiles: Any, columns: int) -> None:
    """Set the direction of each line, and its rise before the first sample."""
    for line in range(profiles.rises_m.size):
        across = (line * profiles.line_px - columns * 0.5) / eye.focal_across_px
        for axis in range(3):
            slope = eye.axes[axis, 0] * across + eye.axes[axis, 2]
            profiles.lines[axis, line] = np.float32(slope)
        profiles.lines[0, line] *= _CELLS_A_METRE
        profiles.lines[2, line] *= _CELLS_A_METRE
        # below the picture, the ground is taken to be level
        profiles.rises_m[line] = -_CAMERA_M / np.float32(eye.axes[1, 1])


@drawing(inline="always")
def _height(heights_m: Any, column: float, row: float) -> float:
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


@drawing()
def _fill(eye: Any, profiles: Any, depths_m: Any) -> None:
    """Set the depths of each column: walk along its profile, and fill the rows that it reaches."""
    rows, columns = depths_m.shape
    here = profiles.column
    row_slope = np.float32(1.0 / eye.focal_up_px)
    middle_row = np.float32(rows * 0.5 - 0.5)
    for column in range(columns):
        _profile_of(column, profiles)
        row = eye.bottoms[column] - 1
        wanted = (middle_row - np.float32(row)) * row_slope  # slope of the row's line of sight
        # a camera in a hill sees the ground at the first sample
        while row >= 0 and wanted <= here[0]:
            depths_m[row, column] = _DEPTHS[0]
            row -= 1
            wanted = (middle_row - np.float32(row)) * row_slope

        for sample in range(1, here.size):
            if row < 0:
                break
            if here[sample] < wanted:
                continue
            # between two samples the ground is straight, and its inverse depth is a linear
            # function of the slope
            rate = _INVERSES[sample] - _INVERSES[sample - 1]
            rate /= here[sample] - here[sample - 1]
            while row >= 0 and wanted <= here[sample]:
                inverse = _INVERSES[sample] + (wanted - here[sample]) * rate
                depths_m[row, column] = _1 / inverse
                row -= 1
                wanted = (middle_row - np.float32(row)) * row_slope

        # what is above the whole profile is sky
        if row >= 0:
            depths_m[: row + 1, column] = NOTHING_M


@drawing()
def _profile_of(column: int, profiles: Any) -> None:
    """Set profiles.column: the slopes between those of the lines beside a column."""
    place = (np.float32(column) + _HALF) / np.float32(profiles.line_px)
    left = np.uint32(place)
    part = place - np.float32(left)
    slopes = profiles.slopes
    for sample in range(profiles.column.size):
        slope = slopes[sample, left]
        profiles.column[sample] = slope + (slopes[sample, left + NEXT] - slope) * part
